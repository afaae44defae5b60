"""A small tissue, drawn once: Voronoi cells with bright walls, and its labels.

+---+----+
| 1 | 2  |   walls bright, cells dark, noise on top
+--++----+
|3 |  4  |
+--+-----+
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plantseg_app.networks.boundary.targets import thick_boundaries
from plantseg_app.train.data import Stack


def make_tissue(shape: tuple[int, int, int], n_cells: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Return a raw stack and its labels."""
    from scipy import ndimage
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    seeds = rng.uniform(0, 1, (n_cells, 3)) * shape
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1).reshape(-1, 3)
    labels = (cKDTree(seeds).query(grid)[1].reshape(shape) + 1).astype(np.uint32)
    walls = ndimage.gaussian_filter(thick_boundaries(labels).astype(np.float32), [0.5 if n > 1 else 0 for n in shape])
    raw = 30 + 160 * walls + rng.normal(0, 8, shape)
    return np.clip(raw, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="session")
def tissue() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    return make_tissue((16, 48, 64), 30, 1)


@pytest.fixture(scope="session")
def tissue_stack(tissue: tuple[NDArray[np.uint8], NDArray[np.uint32]]) -> Stack:
    return Stack.from_arrays(*tissue, name="tissue")
