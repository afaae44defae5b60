"""Grey-value augmentation: small functions from a normalised image (C, Z, Y, X) float32 and a generator to another.

Each returns a new array or the one it was given; labels are not concerned. Values around 0 to 1 are expected.

>>> rng = np.random.default_rng(0)
>>> image = np.full((1, 2, 3, 3), 0.5, np.float32)
>>> add_poisson_noise(rng, image, 10.0).shape
(1, 2, 3, 3)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.filters import gaussian
from plantseg_app.train.settings import AugmentSettings

Image = NDArray[np.float32]
Rng = np.random.Generator


def change_intensity(rng: Rng, settings: AugmentSettings, image: Image) -> Image:
    """Return `image` after the grey-value changes that chance picks, in the order light takes: sample to camera."""
    deep = image.shape[1] > 1
    changes: tuple[tuple[float, Callable[[], Image]], ...] = (
        (settings.contrast, lambda: change_contrast(rng, image, settings.contrast_limit, settings.brightness_limit)),
        (settings.gamma, lambda: change_gamma(rng, image, settings.gamma_limit)),
        (settings.blur, lambda: blur(rng, image, settings.blur_sigma_vox)),
        (settings.blur_z * deep, lambda: blur_along_z(rng, image, settings.blur_z_sigma_vox)),
        (settings.slice_jitter * deep, lambda: jitter_slices(rng, image, settings.slice_jitter_std)),
        (settings.poisson_noise, lambda: add_poisson_noise(rng, image, settings.poisson_photons)),
        (settings.gaussian_noise, lambda: add_gaussian_noise(rng, image, settings.gaussian_noise_std)),
        (settings.missing_slices * deep, lambda: blacken_slices(rng, image)),
    )
    for probability, change in changes:
        # Drawn also when nothing can happen, so that one setting does not shift the chances of the others.
        if rng.random() < probability:
            image = change()
    return image


def change_contrast(rng: Rng, image: Image, limit: float, brightness: float) -> Image:
    """Stretch each channel about its mean by up to `limit` or its inverse, and shift it."""
    shape = (len(image), 1, 1, 1)
    factor = np.exp(rng.uniform(-1, 1, shape) * np.log(limit)).astype(np.float32)
    shift = rng.uniform(-brightness, brightness, shape).astype(np.float32)
    mean = image.mean((1, 2, 3), keepdims=True)
    return np.asarray((image - mean) * factor + (mean + shift))


def change_gamma(rng: Rng, image: Image, limit: float) -> Image:
    """Raise each channel to a power of up to `limit` or its inverse; the sign is kept."""
    power = np.exp(rng.uniform(-1, 1, (len(image), 1, 1, 1)) * np.log(limit)).astype(np.float32)
    return np.asarray(np.copysign(np.abs(image) ** power, image))


def blur(rng: Rng, image: Image, largest: float) -> Image:
    """Smooth with one Gaussian of random width."""
    width = float(rng.uniform(0, largest))
    return np.stack([gaussian(channel, (width,) * 3) for channel in image]).astype(np.float32, copy=False)


def blur_along_z(rng: Rng, image: Image, largest: float) -> Image:
    """Smooth along Z alone, as a microscope with a long point spread function does."""
    width = float(rng.uniform(0, largest))
    return np.stack([gaussian(channel, (width, 0.0, 0.0)) for channel in image]).astype(np.float32, copy=False)


def jitter_slices(rng: Rng, image: Image, largest: float) -> Image:
    """Multiply every slice by a factor of its own."""
    spread = rng.uniform(0, largest)
    factors = np.exp(rng.normal(0, spread, (1, image.shape[1], 1, 1))).astype(np.float32)
    return image * factors


def add_poisson_noise(rng: Rng, image: Image, fewest_photons: float) -> Image:
    """Count photons: `fewest_photons` to thirty times as many make the value 1; what is below 0 stays as it is."""
    photons = np.float32(fewest_photons * np.exp(rng.uniform(0, np.log(30.0))))
    light = np.maximum(image, 0) * photons
    return image + (rng.poisson(light).astype(np.float32) - light) / photons


def add_gaussian_noise(rng: Rng, image: Image, largest: float) -> Image:
    """Add normal noise of a random standard deviation."""
    spread = np.float32(rng.uniform(0, largest))
    return image + spread * rng.standard_normal(image.shape, np.float32)


def blacken_slices(rng: Rng, image: Image) -> Image:
    """Set about one slice in sixteen to 0, at least one and never all."""
    n_slices = image.shape[1]
    missing: NDArray[np.bool_] = np.asarray(rng.random(n_slices) < 1 / 16)
    missing[int(rng.integers(n_slices))] = True
    missing[int(rng.integers(n_slices))] = False
    result = image.copy()
    result[:, missing] = 0
    return result
