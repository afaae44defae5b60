"""Which cell is under the cursor: at a voxel of a slice, or the first one on a line of sight.

Layers overlap; the uppermost that is shown wins. Knows neither napari nor Qt.

>>> planes = np.array([[[[7, 7, 0]]], [[[0, 9, 0]]]], np.uint32)
>>> cell_at(planes, (0, 0, 1), (0, 1)), cell_at(planes, (0, 0, 1), (0,)), cell_at(planes, (0, 0, 5), (0, 1))
(9, 7, 0)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Voxel = tuple[int, int, int]

_STEP_VOX = 0.5


class Spot(NamedTuple):
    """A place that is pointed at.

    Attributes
    ----------
    voxel
        Z, Y, X; on a slice also outside the image, where a stroke may begin.
    cell
        Its id; 0 for background.
    """

    voxel: Voxel
    cell: int


def cell_at(planes: NDArray[Any], voxel: Voxel, shown: Sequence[int]) -> int:
    """Return the id at a voxel in the uppermost of the layers `shown` that has one, 0 for background and outside."""
    if any(not 0 <= place < n for place, n in zip(voxel, planes.shape[1:], strict=True)):
        return 0
    met = (int(planes[(layer, *voxel)]) for layer in reversed(shown))
    return next((cell for cell in met if cell), 0)


def cells_along(planes: NDArray[Any], points: NDArray[np.int64], shown: Sequence[int]) -> list[int]:
    """Return the ids met at points (N, 3), in their order, each once, without background."""
    inside = points[((points >= 0) & (points < planes.shape[1:])).all(1)]
    met = np.zeros(len(inside), planes.dtype)
    for layer in shown:
        here = planes[(layer, *inside.T)]
        met[here > 0] = here[here > 0]
    return [int(cell) for cell in dict.fromkeys(met.tolist()) if cell]


def first_on_line(
    planes: NDArray[Any], start: NDArray[np.float64], stop: NDArray[np.float64], shown: Sequence[int]
) -> Spot | None:
    """Return the first voxel of a cell on the line between two points (Z, Y, X), None when it meets none."""
    points = line_of_voxels(start, stop)
    points = points[((points >= 0) & (points < planes.shape[1:])).all(1)]
    for layer_wise in np.array_split(points, max(1, len(points) // 256)):
        met = np.zeros(len(layer_wise), planes.dtype)
        for layer in shown:
            here = planes[(layer, *layer_wise.T)]
            met[here > 0] = here[here > 0]
        hits = np.flatnonzero(met)
        if len(hits):
            z, y, x = (int(place) for place in layer_wise[hits[0]])
            return Spot((z, y, x), int(met[hits[0]]))
    return None


def line_of_voxels(start: NDArray[Any], stop: NDArray[Any]) -> NDArray[np.int64]:
    """Return the voxels (N, 3) on a line, in order, each once.

    >>> line_of_voxels(np.array([0, 0, 0]), np.array([0, 1, 2])).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 2]]
    """
    start, stop = np.asarray(start, float), np.asarray(stop, float)
    count = int(np.ceil(np.abs(stop - start).max() / _STEP_VOX)) + 1
    points = np.floor(np.linspace(start, stop, max(count, 1)) + 0.5).astype(np.int64)
    is_new = np.ones(len(points), bool)
    is_new[1:] = (np.diff(points, axis=0) != 0).any(1)
    return points[is_new]


def stamped(points: NDArray[np.int64], radius: float, scale: Sequence[float], axes: Sequence[int]) -> NDArray[np.int64]:
    """Return the voxels that a round brush covers along a line of voxels.

    Parameters
    ----------
    points
        (N, 3), its way.
    radius
        In voxels of the finest of the axes; below 1 the points alone.
    scale
        Edge lengths of a voxel, Z, Y, X.
    axes
        Along which it reaches: two for a disk, three for a ball.
    """
    finest = min(scale[axis] for axis in axes)
    reach = [int(radius * finest / scale[axis]) if axis in axes else 0 for axis in range(3)]
    offsets = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)
    lengths = offsets * (np.asarray(scale, float) / finest)
    offsets = offsets[(lengths**2).sum(1) <= max(radius, 0.5) ** 2]
    return np.unique((points[:, None] + offsets).reshape(-1, 3), axis=0)


def middle_of(masks: Sequence[NDArray[np.bool_]], across: int | None) -> list[float]:
    """Return where the middle of a cell is, (Z, Y, X).

    Parameters
    ----------
    masks
        (Z, Y, X), of the cell in its box, and perhaps of another one that should be seen with it if that is possible.
    across
        The axis across the shown slices, on the best of which the middle lies; None in 3D.

    >>> cell, other = np.zeros((2, 3, 1, 4), bool)
    >>> cell[0, 0, :3] = cell[1, 0, 3] = cell[2, 0, 3] = other[2, 0, 2] = True
    >>> middle_of([cell], across=0), middle_of([cell, other], across=0), middle_of([cell], across=None)
    ([0.0, 0.0, 1.0], [2.0, 0.0, 3.0], [1.0, 0.0, 1.5])
    """
    cell = masks[0]
    if across is None:
        return [(n - 1) / 2 for n in cell.shape]
    counts = [mask.sum(tuple(axis for axis in range(3) if axis != across)) for mask in masks]
    together = np.minimum.reduce(counts)
    best = int(np.argmax(together if together.any() else counts[0]))
    middle = [float(place) for place in np.argwhere(cell.take([best], across)).mean(0)]
    middle[across] = float(best)
    return middle
