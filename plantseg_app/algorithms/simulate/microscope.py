"""The image model: what a confocal or light-sheet microscope makes of cells that are known.

Stained walls and the light inside the cells, blur and haze, loss of light with depth, photons, camera. Each stage has
its settings and is a function of its own; `render` is all of them. The brightness of a usual wall is 1 throughout.

>>> labels = np.ones((4, 16, 16), np.int32)
>>> labels[:, :, 8:] = 2
>>> raw = render(np.random.default_rng(0), labels, Microscope())
>>> raw.dtype, bool(raw[:, :, 7:9].mean() > 2 * raw[:, :, :4].mean())
(dtype('uint8'), True)
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plantseg_app.algorithms.simulate.fields import Floats, smooth_noise

Triple = tuple[float, float, float]

_FWHM_PER_SIGMA = 2.3548
_N_WALL_SORTS = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class Staining:
    """How the walls are stained.

    Attributes
    ----------
    variation
        Standard deviation of the logarithm of a wall's brightness, from wall to wall.
    weak_share, weak_low, weak_high
        Share of walls that hardly took the stain, and what is left of their brightness.
    outer
        Brightness of walls to the outside.
    on_both_sides
        Whether a wall is the voxels on both sides of a border, or on one.
    grain, grain_vox
        Variation along a wall, and its extent.
    """

    variation: float = 0.25
    weak_share: float = 0.02
    weak_low: float = 0.1
    weak_high: float = 0.5
    outer: float = 1.0
    on_both_sides: bool = True
    grain: float = 0.2
    grain_vox: Triple = (2.0, 4.0, 4.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BrightCells:
    """A share of the cells whose insides have a brightness between `low` and `high`, walls being 1."""

    share: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interior:
    """What shines inside the cells, walls being 1.

    Attributes
    ----------
    cytoplasm, variation
        Brightness of the cytoplasm, and the standard deviation of its logarithm from cell to cell.
    bright_cells
        Cells that are brighter.
    outside
        Brightness outside the tissue.
    gradient
        How much brighter a cell is at its rim than in its middle.
    texture, texture_vox
        Variation within the cytoplasm, and its extent.
    nuclei_low, nuclei_high
        Range of the brightness of nuclei (bleed-through from their channel), drawn for each cell; below 0 they are
        holes in the cytoplasm, of a third of that depth.
    nuclei_radius
        Radius of a nucleus in units of its cell's.
    granules, granule_brightness
        Granules in each voxel, and their brightness.
    """

    cytoplasm: float = 0.1
    variation: float = 0.3
    bright_cells: tuple[BrightCells, ...] = ()
    outside: float = 0.0
    gradient: float = 0.0
    texture: float = 0.2
    texture_vox: Triple = (3.0, 5.0, 5.0)
    nuclei_low: float = 0.0
    nuclei_high: float = 0.0
    nuclei_radius: float = 0.45
    granules: float = 0.0
    granule_brightness: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optics:
    """Blur and haze.

    Attributes
    ----------
    psf_sigma_vox
        Standard deviation of the (Gaussian) image of a point along Z, Y, X.
    interior_blur
        Blur of what is inside the cells, in units of that of the walls.
    haze, haze_sigma_vox
        Strength of the light from out-of-focus planes, and its extent.
    """

    psf_sigma_vox: Triple = (1.5, 1.0, 1.0)
    interior_blur: float = 1.0
    haze: float = 0.15
    haze_sigma_vox: Triple = (6.0, 10.0, 10.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attenuation:
    """Loss of light along `axis`, by exp(-per_vox) a voxel; from the far end if `is_reversed`."""

    per_vox: float
    axis: int = 0
    in_tissue_alone: bool = True
    is_reversed: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Illumination:
    """How the light reaches the tissue and the camera.

    Attributes
    ----------
    attenuation
        Losses of light on the way.
    unevenness, unevenness_vox
        Standard deviation of the logarithm of the illumination over the field of view, and its extent.
    stripes, stripes_vox
        Strength of the shadows of a light sheet, and their extent along Z, Y, X.
    """

    attenuation: tuple[Attenuation, ...] = ()
    unevenness: float = 0.1
    unevenness_vox: Triple = (40.0, 50.0, 50.0)
    stripes: float = 0.0
    stripes_vox: Triple = (10.0, 4.0, 400.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Camera:
    """Photons to grey values.

    Attributes
    ----------
    photons
        Photons from a voxel of a usual wall.
    background
        Light on every voxel, the usual wall being 1.
    read_noise_photons
        Standard deviation of the noise of the camera.
    smoothing_sigma_vox
        Smoothing after recording, as microscopes' software does.
    black_percentile, white_percentile
        Values that become the smallest and the largest grey value; what is beyond is cut off.
    gamma
        Exponent of the grey values.
    darkest, brightest
        Range of the grey values, as shares of what the type of the numbers holds.
    dtype
        uint8 or uint16.
    """

    photons: float = 60.0
    background: float = 0.02
    read_noise_photons: float = 2.0
    smoothing_sigma_vox: Triple = (0.0, 0.0, 0.0)
    black_percentile: float = 0.1
    white_percentile: float = 99.8
    gamma: float = 1.0
    darkest: float = 0.0
    brightest: float = 1.0
    dtype: str = "uint8"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Microscope:
    """All settings of the image model."""

    staining: Staining = Staining()
    interior: Interior = Interior()
    optics: Optics = Optics()
    illumination: Illumination = Illumination()
    camera: Camera = Camera()


def render(rng: np.random.Generator, labels: NDArray[np.integer], microscope: Microscope) -> NDArray[Any]:
    """Return the image of cells.

    Parameters
    ----------
    rng
        The source of everything random; the same state gives the same image.
    labels
        (Z, Y, X), 0 is outside the tissue. Numbers need not be without gaps.
    microscope
        The settings.

    Returns
    -------
    ndarray
        (Z, Y, X), uint8 or uint16.
    """
    cells = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
    if labels.min() > 0:
        cells += 1
    walls = stained_walls(rng, cells, microscope.staining)
    inside = cell_interiors(rng, cells, microscope.interior)
    image = through_optics(walls, inside, microscope.optics)
    image = illuminated(rng, image, cells > 0, microscope.illumination)
    return recorded(rng, image, microscope.camera)


def sigma_vox(fwhm_um: float, voxel_um: float) -> float:
    """Return the standard deviation, in voxels, of a Gaussian whose full width at half maximum is given in um.

    >>> round(sigma_vox(0.47096, 0.1), 3)
    2.0
    """
    return fwhm_um / _FWHM_PER_SIGMA / voxel_um


# ------------------------------------------------------------------------------------------------ the stages


def stained_walls(rng: np.random.Generator, labels: NDArray[np.int32], staining: Staining) -> Floats:
    """Return stained walls: thin surfaces between labels, each with a brightness of its own; (Z, Y, X)."""
    table = np.exp(rng.normal(0, staining.variation, _N_WALL_SORTS)).astype(np.float32)
    weak = rng.random(_N_WALL_SORTS) < staining.weak_share
    table[weak] *= rng.uniform(staining.weak_low, staining.weak_high, int(weak.sum())).astype(np.float32)
    walls = np.zeros(labels.shape, np.float32)
    for axis in range(3):
        low = tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))
        high = tuple(slice(1, None) if i == axis else slice(None) for i in range(3))
        a, b = labels[low].astype(np.int64), labels[high].astype(np.int64)
        # Which two cells meet decides the brightness, so that a wall is the same along its whole extent.
        sort = (np.minimum(a, b) * 7919 + np.maximum(a, b) * 104729) % _N_WALL_SORTS
        value = np.where(a != b, table[sort], np.float32(0))
        value *= np.where((a == 0) | (b == 0), np.float32(staining.outer), np.float32(1))
        walls[low] = np.maximum(walls[low], value)
        if staining.on_both_sides:
            walls[high] = np.maximum(walls[high], value)
    if staining.grain > 0:
        grain = smooth_noise(rng, labels.shape, staining.grain_vox)
        walls *= np.clip(1 + staining.grain * grain, 0.05, None)
    return walls


def distance_from_middle(labels: NDArray[np.int32]) -> Floats:
    """Return how far each voxel is from the middle of its own cell, in units of the cell's radius; inf outside."""
    flat = labels.ravel()
    count = int(labels.max())
    size = np.maximum(np.bincount(flat, minlength=count + 1), 1)
    squared = np.zeros(labels.shape, np.float32)
    for axis, n in enumerate(labels.shape):
        at = np.arange(n, dtype=np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        at_flat = np.broadcast_to(at, labels.shape).ravel()
        middle = np.bincount(flat, at_flat, minlength=count + 1) / size
        spread = np.sqrt(np.bincount(flat, (at_flat - middle[flat]) ** 2, minlength=count + 1) / size) + 0.5
        squared += ((at - middle[labels]) / (2 * spread[labels])).astype(np.float32) ** 2
    relative = np.sqrt(squared)
    relative[labels == 0] = np.inf
    return np.asarray(relative, np.float32)


def cell_interiors(rng: np.random.Generator, labels: NDArray[np.int32], interior: Interior) -> Floats:
    """Return what shines inside the cells: cytoplasm, nuclei, granules; (Z, Y, X)."""
    count = int(labels.max())
    per_cell = interior.cytoplasm * np.exp(rng.normal(0, interior.variation, count + 1))
    for group in interior.bright_cells:
        bright = rng.random(count + 1) < group.share
        per_cell[bright] = rng.uniform(group.low, group.high, int(bright.sum()))
    per_cell[0] = interior.outside
    image = per_cell.astype(np.float32)[labels]
    relative = distance_from_middle(labels)
    if interior.gradient != 0:
        image *= np.clip(1 + interior.gradient * (np.minimum(relative, 2) - 0.6), 0.1, None)
    if interior.texture > 0:
        texture = smooth_noise(rng, labels.shape, interior.texture_vox)
        image *= np.clip(1 + interior.texture * texture, 0, None)
    if interior.nuclei_low != 0 or interior.nuclei_high != 0:
        strength = rng.uniform(interior.nuclei_low, interior.nuclei_high, count + 1).astype(np.float32)
        nucleus = 1 / (1 + np.exp((relative.clip(0, 3) - interior.nuclei_radius) * 12))
        image += nucleus * np.where(strength > 0, strength, strength * np.float32(0.3))[labels]
    if interior.granules > 0:
        granules = (rng.random(labels.shape, dtype=np.float32) < interior.granules) & (labels > 0)
        image += ndimage.maximum_filter(granules, (2, 3, 3)) * np.float32(interior.granule_brightness)
    return np.asarray(np.maximum(image, 0), np.float32)


def through_optics(walls: Floats, inside: Floats, optics: Optics) -> Floats:
    """Blur by the point spread function, and add light from out-of-focus planes.

    After the blur a usual wall has the brightness 1; `inside` is relative to that.
    """
    image = ndimage.gaussian_filter(walls, optics.psf_sigma_vox, truncate=3)
    stained = walls > 0
    image /= (float(np.percentile(image[stained], 60)) if stained.any() else 1.0) + 1e-6
    inner = tuple(sigma * optics.interior_blur for sigma in optics.psf_sigma_vox)
    image += ndimage.gaussian_filter(inside, inner, truncate=3)
    if optics.haze <= 0:
        return np.asarray(image, np.float32)
    coarse = (2, 4, 4)
    wide = ndimage.gaussian_filter(
        image[::2, ::4, ::4], [s / step for s, step in zip(optics.haze_sigma_vox, coarse, strict=True)]
    )
    wide = ndimage.zoom(wide, [n / m for n, m in zip(image.shape, wide.shape, strict=True)], order=1)
    return np.asarray(image + optics.haze * wide, np.float32)


def illuminated(
    rng: np.random.Generator, image: Floats, tissue: NDArray[np.bool_], illumination: Illumination
) -> Floats:
    """Apply loss of light on its way, uneven illumination and the stripes of a light sheet; (Z, Y, X)."""
    for loss in illumination.attenuation:
        crossed = _crossed_vox(tissue, loss)
        image = image * np.exp(np.float32(-loss.per_vox) * crossed)
    if illumination.unevenness > 0:
        field = smooth_noise(rng, image.shape, illumination.unevenness_vox)
        image = image * np.exp(np.float32(illumination.unevenness) * field)
    if illumination.stripes > 0:
        line = smooth_noise(rng, image.shape, illumination.stripes_vox)
        image = image * np.clip(1 + np.float32(illumination.stripes) * line, 0.2, None)
    return np.asarray(image, np.float32)


def _crossed_vox(tissue: NDArray[np.bool_], loss: Attenuation) -> Floats:
    """Return how many voxels the light has crossed on its way to each voxel."""
    matter = tissue if loss.in_tissue_alone else np.ones_like(tissue)
    matter = np.flip(matter, loss.axis) if loss.is_reversed else matter
    crossed = np.cumsum(matter, axis=loss.axis, dtype=np.float32) - matter
    return np.asarray(np.flip(crossed, loss.axis) if loss.is_reversed else crossed, np.float32)


def recorded(rng: np.random.Generator, image: Floats, camera: Camera) -> NDArray[Any]:
    """Add photon and read noise, then smoothing, saturation, gamma and the steps of the grey values; (Z, Y, X)."""
    photons = rng.poisson((image + camera.background) * camera.photons).astype(np.float32)
    photons += rng.normal(0, camera.read_noise_photons, image.shape).astype(np.float32)
    if max(camera.smoothing_sigma_vox) > 0:
        photons = ndimage.gaussian_filter(photons, camera.smoothing_sigma_vox, truncate=3)
    bottom, top = (float(p) for p in np.percentile(photons, (camera.black_percentile, camera.white_percentile)))
    grey = np.clip((photons - bottom) / max(top - bottom, 1e-6), 0, 1) ** np.float32(camera.gamma)
    grey = camera.darkest + grey * (camera.brightest - camera.darkest)
    most = float(np.iinfo(camera.dtype).max)
    return np.asarray(np.clip(np.round(grey * most), 0, most).astype(camera.dtype))
