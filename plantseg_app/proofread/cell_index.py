"""Where each cell is and how large: read once from the labels, then kept up to date box by box.

Knows nothing of edits; who changes the labels tells what was lost and gained.

>>> planes = np.array([[[[7, 7, 0, 9]]]], np.uint32)
>>> index = CellIndex(planes)
>>> index.ids(), index.size(7), index.box(9)
([7, 9], 2, (slice(0, 1, None), slice(0, 1, None), slice(3, 4, None)))
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import tile
from plantseg_app.algorithms.region_graph import make_dense
from plantseg_app.errors import InputError

Box = tuple[slice, slice, slice]


class Entry(NamedTuple):
    """What is known of a cell: layer, number of voxels, and corners (Z, Y, X) of its box, the upper one exclusive."""

    layer: int
    size: int
    low: tuple[int, ...]
    high: tuple[int, ...]


_SLAB_VOX = 2**22
_FAR = np.iinfo(np.int32).max


def slab_shape(shape: tuple[int, ...], most_vox: int) -> tuple[int, int, int]:
    """Return the shape (Z, Y, X) of slabs of about `most_vox` voxels that cut a box, in Z first, then also in Y."""
    depth, height, width = shape
    n_slices = max(1, min(depth, most_vox // max(height * width, 1)))
    n_rows = height if n_slices > 1 else max(1, min(height, most_vox // max(width, 1)))
    return n_slices, n_rows, width


class CellIndex:
    """Bounding box, layer and number of voxels of each cell.

    Parameters
    ----------
    planes
        (L, Z, Y, X) labels, each id in one layer; plain labels are one layer. Read here, and again when a cell loses
        voxels at the rim of its box.

    Raises
    ------
    InputError
        If an id lies in several layers.
    """

    def __init__(self, planes: NDArray[Any]) -> None:
        self._planes = planes
        self._row: dict[int, int] = {}
        self._free: list[int] = []
        self._id = np.zeros(0, np.uint64)
        self._layer = np.zeros(0, np.int32)
        self._size = np.zeros(0, np.int64)
        self._low = np.zeros((0, 3), np.int32)
        self._high = np.zeros((0, 3), np.int32)
        for layer, space in enumerate(planes):
            self._read(layer, space)

    def _read(self, layer: int, space: NDArray[Any]) -> None:
        from scipy.ndimage import find_objects

        for block in tile(space.shape, slab_shape(space.shape, _SLAB_VOX)):
            dense, names = make_dense(np.ascontiguousarray(space[block.inner]))
            counts = np.bincount(dense.ravel(), minlength=len(names))
            offset = np.array([part.start for part in block.inner])
            for number, box in enumerate(find_objects(dense.view(np.int32)), start=1):
                if box is not None:
                    low = offset + [part.start for part in box]
                    high = offset + [part.stop for part in box]
                    self._add(int(names[number]), layer, int(counts[number]), low, high)

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, cell: object) -> bool:
        return cell in self._row

    def ids(self) -> list[int]:
        """Return the ids of all cells, sorted."""
        return sorted(self._row)

    def largest_id(self) -> int:
        """Return the largest id, 0 when there is no cell."""
        return max(self._row, default=0)

    def size(self, cell: int) -> int:
        """Return the number of voxels of a cell; 0 when there is no such cell."""
        row = self._row.get(cell)
        return 0 if row is None else int(self._size[row])

    def layer(self, cell: int) -> int:
        """Return the layer of a cell; KeyError when there is no such cell."""
        return int(self._layer[self._row[cell]])

    def box(self, cell: int) -> Box:
        """Return the smallest box (Z, Y, X) around a cell; KeyError when there is no such cell."""
        row = self._row[cell]
        z, y, x = (slice(int(a), int(b)) for a, b in zip(self._low[row], self._high[row], strict=True))
        return z, y, x

    def entry(self, cell: int) -> Entry | None:
        """Return all that is known of a cell, None when there is no such cell."""
        row = self._row.get(cell)
        if row is None:
            return None
        low, high = tuple(self._low[row].tolist()), tuple(self._high[row].tolist())
        return Entry(int(self._layer[row]), int(self._size[row]), low, high)

    def put(self, cell: int, entry: Entry | None) -> None:
        """Set what is known of a cell, where the labels went back to an earlier state; None when it is gone."""
        if entry is None:
            row = self._row.pop(cell, None)
            if row is not None:
                self._free.append(row)
            return
        row = self._row.get(cell)
        row = self._new_row(cell, entry.layer) if row is None else row
        self._layer[row], self._size[row] = entry.layer, entry.size
        self._low[row], self._high[row] = entry.low, entry.high

    def table(self) -> dict[str, NDArray[Any]]:
        """Return ids, layers, sizes, low and high corners of all cells as columns, sorted by id."""
        rows = np.array([self._row[cell] for cell in self.ids()], np.int64)
        return {
            "id": self._id[rows],
            "layer": self._layer[rows],
            "size": self._size[rows],
            "low": self._low[rows],
            "high": self._high[rows],
        }

    def gain(self, cell: int, layer: int, start: tuple[int, ...], mask: NDArray[np.bool_]) -> None:
        """Note that a cell has the voxels of `mask` now, a box at `start` (Z, Y, X), that it did not have before."""
        low, high = _bounds(mask)
        self._add(cell, layer, int(np.count_nonzero(mask)), np.add(low, start), np.add(high, start))

    def lose(self, cell: int, start: tuple[int, ...], mask: NDArray[np.bool_]) -> None:
        """Note that a cell has lost the voxels of `mask`, a box at `start` (Z, Y, X), after the labels were changed."""
        row = self._row[cell]
        self._size[row] -= int(np.count_nonzero(mask))
        if self._size[row] <= 0:
            self._free.append(self._row.pop(cell))
            return
        low, high = _bounds(mask)
        at_rim = (np.add(low, start) <= self._low[row]) | (np.add(high, start) >= self._high[row])
        if at_rim.any():
            self._shrink(cell, row)

    def _shrink(self, cell: int, row: int) -> None:
        """Move the faces of the box inwards until each holds a voxel of the cell."""
        space = self._planes[self._layer[row]]
        low, high = self._low[row], self._high[row]
        for axis in range(3):
            low[axis], high[axis] = _ends(space, cell, low, high, axis)

    def _add(self, cell: int, layer: int, size: int, low: NDArray[Any], high: NDArray[Any]) -> None:
        row = self._row.get(cell)
        if row is None:
            row = self._new_row(cell, layer)
        elif self._layer[row] != layer:
            raise InputError(
                f"Object {cell} lies in layers {self._layer[row]} and {layer}; each object has one layer. "
                "Number the objects of each layer anew."
            )
        self._size[row] += size
        np.minimum(self._low[row], low, out=self._low[row])
        np.maximum(self._high[row], high, out=self._high[row])

    def _new_row(self, cell: int, layer: int) -> int:
        if not self._free:
            self._make_room()
        row = self._free.pop()
        self._row[cell] = row
        self._id[row], self._layer[row], self._size[row] = cell, layer, 0
        self._low[row], self._high[row] = _FAR, 0
        return row

    def _make_room(self) -> None:
        old = len(self._size)
        new = max(64, 2 * old)
        for name in ("_id", "_layer", "_size", "_low", "_high"):
            column = getattr(self, name)
            grown = np.zeros((new, *column.shape[1:]), column.dtype)
            grown[:old] = column
            setattr(self, name, grown)
        self._free = list(range(new - 1, old - 1, -1))


def _ends(
    space: NDArray[Any], cell: int, low: NDArray[np.int32], high: NDArray[np.int32], axis: int
) -> tuple[int, int]:
    """Return where a cell begins and ends along an axis, looking inwards from both faces of a box in growing slabs."""
    slab = [slice(int(a), int(b)) for a, b in zip(low, high, strict=True)]
    others = tuple(a for a in range(3) if a != axis)
    first, last = slab[axis].start, slab[axis].stop

    def held(start: int, stop: int) -> NDArray[np.intp]:
        slab[axis] = slice(start, stop)
        return start + np.flatnonzero((space[tuple(slab)] == cell).any(axis=others))

    thickness = 1
    while first < last and not len(found := held(first, min(first + thickness, last))):
        first, thickness = min(first + thickness, last), 2 * thickness
    first, thickness = int(found[0]), 1
    while not len(found := held(max(last - thickness, first), last)):
        last, thickness = last - thickness, 2 * thickness
    return first, int(found[-1]) + 1


def _bounds(mask: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """Return the first and one past the last index along each axis at which a mask is set somewhere."""
    low, high = [], []
    for axis in range(mask.ndim):
        line = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        low.append(int(line[0]))
        high.append(int(line[-1]) + 1)
    return low, high
