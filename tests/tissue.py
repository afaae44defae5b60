"""Synthetic tissue with known cells: Voronoi cells around jittered points, and the boundary map a network would make.

    +-----+-----+-----+
    |  1  |  2  |  3  |      labels: 1 ... N, no background
    +--+--+--+--+--+--+      boundary: near 1 on the walls, near 0 inside, with noise and faint stretches of wall
    | 4 |  5  |  6 |  |
    +---+-----+----+--+

Imports nothing of the application; tests get it as the fixture `make_tissue`, benchmarks load this file by its path.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree


class Tissue(NamedTuple):
    """Labels (Z, Y, X) uint32 from 1, and the boundary map, float32 in [0, 1]."""

    labels: NDArray[np.uint32]
    boundary: NDArray[np.float32]


def make_tissue(
    shape: tuple[int, int, int],
    cell_size: float = 16.0,
    noise: float = 0.05,
    faint: float = 0.3,
    seed: int = 0,
) -> Tissue:
    """Make tissue.

    Parameters
    ----------
    shape
        (Z, Y, X); a single slice gives plane cells.
    cell_size
        Mean distance of cell centres, in voxels.
    noise
        Standard deviation of the noise in the boundary map.
    faint
        How much the strength of the walls varies from place to place, 0 ... 1.
    seed
        The same seed gives the same tissue.
    """
    rng = np.random.default_rng(seed)
    labels = _voronoi(shape, cell_size, rng)
    wall = ndimage.gaussian_filter(_thick_walls(labels).astype(np.float32), _widths(shape, 0.7))
    strength = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), _widths(shape, cell_size / 3))
    strength = 1.0 - faint * np.clip(0.5 + 0.5 * strength / max(float(strength.std()), 1e-9), 0, 1)
    grain = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), _widths(shape, 0.7))
    boundary = wall * strength + noise * grain / max(float(grain.std()), 1e-9) + noise
    return Tissue(labels, np.clip(boundary, 0, 1).astype(np.float32))


def _widths(shape: tuple[int, int, int], sigma: float) -> list[float]:
    return [sigma if size > 1 else 0.0 for size in shape]


def _voronoi(shape: tuple[int, int, int], cell_size: float, rng: np.random.Generator) -> NDArray[np.uint32]:
    counts = [max(1, round(size / cell_size)) for size in shape]
    grid = np.stack(np.meshgrid(*(np.arange(count) + 0.5 for count in counts), indexing="ij"), axis=-1)
    jitter = rng.uniform(-0.35, 0.35, grid.shape) * (np.array(counts) > 1)
    centres = ((grid + jitter) * (np.array(shape) / counts)).reshape(-1, 3)
    tree = cKDTree(centres)
    plane = np.stack(np.mgrid[: shape[1], : shape[2]], axis=-1).reshape(-1, 2)
    labels = np.empty(shape, np.uint32)
    for z in range(shape[0]):
        points = np.column_stack([np.full(len(plane), z if shape[0] > 1 else centres[0, 0]), plane])
        labels[z] = tree.query(points)[1].reshape(shape[1:]) + 1
    return np.unique(labels, return_inverse=True)[1].reshape(shape).astype(np.uint32) + 1


def _thick_walls(labels: NDArray[np.uint32]) -> NDArray[np.bool_]:
    walls = np.zeros(labels.shape, bool)
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        differ = labels[low] != labels[high]
        walls[low] |= differ
        walls[high] |= differ
    return walls
