"""Random numbers and smooth random fields, from which tissue and images are made.

>>> noise = smooth_noise(np.random.default_rng(0), (4, 32, 32), (2, 8, 8))
>>> noise.shape, abs(float(noise.mean())) < 1e-5
((4, 32, 32), True)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform between those of `low` and `high`."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def smooth_noise(
    rng: np.random.Generator, shape_vox: tuple[int, ...], grain_vox: tuple[float, float, float] | list[float]
) -> Floats:
    """Return noise of zero mean and unit variance whose grains have about `grain_vox` voxels along each axis.

    Returns
    -------
    ndarray
        (Z, Y, X) float32; 0 everywhere where the volume is a single voxel.
    """
    sizes = list(zip(shape_vox, grain_vox, strict=True))
    coarse_shape = tuple(max(3, int(np.ceil(n / s)) + 3) for n, s in sizes)
    coarse = rng.standard_normal(coarse_shape).astype(np.float32)
    for axis, (n, s) in enumerate(sizes):
        last = coarse_shape[axis] - 1.001
        at = np.clip(np.arange(n, dtype=np.float32) / max(s, n / last) + rng.uniform(0, 0.5), 0, last)
        low = at.astype(int)
        part = _along(axis, at - low).astype(np.float32)
        part = part * part * (3 - 2 * part)
        coarse = coarse.take(low, axis) * (1 - part) + coarse.take(low + 1, axis) * part
    return np.asarray((coarse - coarse.mean()) / (coarse.std() + 1e-6), np.float32)


def grid(shape_vox: tuple[int, ...]) -> list[Floats]:
    """Return the Z, Y and X coordinates of every voxel, centred on the volume, each (Z, Y, X) float32."""
    return [
        np.ascontiguousarray(np.broadcast_to(_along(axis, np.arange(n) - (n - 1) / 2), shape_vox), np.float32)
        for axis, n in enumerate(shape_vox)
    ]


def _along(axis: int, values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return a row of numbers as a volume that extends along one axis alone."""
    return values.reshape([-1 if i == axis else 1 for i in range(3)])
