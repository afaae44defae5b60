"""Size, place and brightness of every object of a segmentation.

The image is read once, some slices at a time, as runs of voxels with the same label along X; what is added up is the
runs, some tenth of the voxels. Memory does not grow with the image, only with the number of objects.

>>> import numpy as np
>>> found = measure_objects(np.array([[[4, 4, 0, 9], [4, 0, 0, 9]]], np.uint32), [np.arange(8.0).reshape(1, 2, 4)])
>>> found.ids.tolist(), found.n_voxels.tolist(), found.intensities[0].mean.tolist()
([4, 9], [3, 2], [1.6666666666666667, 5.0])
>>> found.centroid_vox[1].tolist(), found.box_stop_vox[0].tolist()
([0.0, 0.5, 3.0], [1, 2, 2])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop

_SLAB_VOX = 2**22

_Columns = dict[str, NDArray[Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Intensities:
    """Statistics of one image over the voxels of each object, all (N,) float64; `std` divides by the voxel count."""

    mean: NDArray[np.float64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    std: NDArray[np.float64]
    sum: NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class ObjectMeasures:
    """What was measured, one row an object, by ascending label; label 0 is no object.

    Attributes
    ----------
    ids
        (N,) labels, uint64.
    n_voxels
        (N,) int64.
    centroid_vox
        (N, 3) float64, (Z, Y, X) where the centre of the first voxel is 0.
    box_start_vox, box_stop_vox
        (N, 3) int64, the smallest box that holds the object, stop exclusive.
    touches_border
        (N,) bool, whether it reaches the border of the image, of which the rest of it may lie beyond. The first and
        last slice count where there are several.
    n_pieces
        (N,) int64, number of parts that do not touch each other by a voxel face.
    intensities
        One for each image.
    """

    ids: NDArray[np.uint64]
    n_voxels: NDArray[np.int64]
    centroid_vox: NDArray[np.float64]
    box_start_vox: NDArray[np.int64]
    box_stop_vox: NDArray[np.int64]
    touches_border: NDArray[np.bool_]
    n_pieces: NDArray[np.int64]
    intensities: tuple[Intensities, ...] = ()


def measure_objects(
    labels: NDArray[Any], images: Sequence[NDArray[Any]] = (), check: Check = never_stop
) -> ObjectMeasures:
    """Measure all objects.

    Parameters
    ----------
    labels
        (Z, Y, X) unsigned labels, also beyond 32 bits and with gaps; may be mapped from a file.
    images
        Grey-value images of the same shape.
    check
        Called between slabs; may raise to stop.
    """
    shifts = [float(np.mean(image[:1], dtype=np.float64)) for image in images]
    slabs: list[tuple[NDArray[Any], _Columns]] = []
    pieces = _Pieces()
    thickness = max(1, _SLAB_VOX // max(1, labels.shape[1] * labels.shape[2]))
    for start in range(0, len(labels), thickness):
        check()
        part = slice(start, start + thickness)
        # A copy, because the label counter refuses arrays that may not be written to, as files in memory are.
        slab = np.array(labels[part], order="C")
        slabs.append(_measure_slab(slab, start, labels.shape, [image[part] for image in images], shifts))
        pieces.add(slab)
    ids = np.concatenate([found for found, _ in slabs])
    columns = {name: np.concatenate([found[name] for _, found in slabs]) for name in slabs[0][1]}
    ids, total = _grouped(ids, columns)
    n_voxels = total["sum n"]
    centre = np.stack([total[f"sum {axis}"] for axis in "zyx"], axis=1) / n_voxels[:, None]
    return ObjectMeasures(
        ids=ids.astype(np.uint64),
        n_voxels=n_voxels.astype(np.int64),
        centroid_vox=centre,
        box_start_vox=np.stack([total[f"min {axis}"] for axis in "zyx"], axis=1).astype(np.int64),
        box_stop_vox=np.stack([total[f"max {axis}"] for axis in "zyx"], axis=1).astype(np.int64) + 1,
        touches_border=total["max border"] > 0,
        n_pieces=pieces.count(ids),
        intensities=tuple(_intensities(total, number, shift) for number, shift in enumerate(shifts)),
    )


def _measure_slab(
    slab: NDArray[Any], z_start: int, shape: Sequence[int], images: Sequence[NDArray[Any]], shifts: Sequence[float]
) -> tuple[NDArray[Any], _Columns]:
    """Measure the objects of some slices; the columns say by their names how they are added up."""
    depth, height, width = shape
    flat = slab.ravel()
    begins = np.empty(flat.size, bool)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins[::width] = True
    starts = np.flatnonzero(begins)
    lengths = np.diff(np.append(starts, flat.size))
    inside = flat[starts] != 0
    columns: _Columns = {}
    for number, (image, shift) in enumerate(zip(images, shifts, strict=True)):
        values = np.ascontiguousarray(image).ravel().astype(np.float64)
        columns[f"min value {number}"] = np.minimum.reduceat(values, starts)[inside]
        columns[f"max value {number}"] = np.maximum.reduceat(values, starts)[inside]
        # Sums of differences from a value of the image, because squares of large numbers would lose the small ones.
        values -= shift
        columns[f"sum value {number}"] = np.add.reduceat(values, starts)[inside]
        columns[f"sum square {number}"] = np.add.reduceat(np.square(values, out=values), starts)[inside]
    ids, starts, lengths = flat[starts[inside]], starts[inside], lengths[inside]
    row, x = np.divmod(starts, width)
    z, y = np.divmod(row, height)
    z += z_start
    last = x + lengths - 1
    border = (y == 0) | (y == height - 1) | (x == 0) | (last == width - 1)
    if depth > 1:
        border |= (z == 0) | (z == depth - 1)
    columns |= {"min z": z, "min y": y, "min x": x, "max z": z, "max y": y, "max x": last, "max border": border}
    columns |= {"sum n": lengths, "sum z": z * lengths, "sum y": y * lengths, "sum x": lengths * (x + last) / 2}
    return _grouped(ids, columns)


_HOW: Mapping[str, Callable[..., NDArray[Any]]] = {
    "sum": np.add.reduceat,
    "min": np.minimum.reduceat,
    "max": np.maximum.reduceat,
}


def _grouped(ids: NDArray[Any], columns: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], _Columns]:
    """Join rows of the same id, ascending; a column's name begins with how: sum, min or max."""
    order = np.argsort(ids, kind="stable")
    arranged = ids[order]
    first = np.flatnonzero(np.concatenate([np.ones(min(1, len(ids)), bool), arranged[1:] != arranged[:-1]]))
    if len(first) == 0:
        return ids, dict(columns)
    joined = {name: _HOW[name.split()[0]](values[order], first) for name, values in columns.items()}
    return arranged[first], joined


def _intensities(total: Mapping[str, NDArray[Any]], number: int, shift: float) -> Intensities:
    n = total["sum n"]
    offset = total[f"sum value {number}"] / n
    variance = total[f"sum square {number}"] / n - offset**2
    return Intensities(
        mean=offset + shift,
        min=total[f"min value {number}"],
        max=total[f"max value {number}"],
        std=np.sqrt(np.maximum(variance, 0.0)),
        sum=total[f"sum value {number}"] + n * shift,
    )


class _Pieces:
    """Counts the connected parts of each object, slab by slab."""

    def __init__(self) -> None:
        self._labels: list[NDArray[Any]] = []
        self._links: list[NDArray[np.int64]] = []
        self._n_parts = 0
        self._last: tuple[NDArray[Any], NDArray[np.int64]] | None = None

    def add(self, slab: NDArray[Any]) -> None:
        """Take the next slices."""
        import cc3d

        found, count = cc3d.connected_components(slab, connectivity=6, out_dtype=np.uint32, return_N=True)
        names = np.zeros(count + 1, slab.dtype)
        names[found.ravel()] = slab.ravel()
        self._labels.append(names[1:])
        if self._last is not None:
            labels, parts = self._last
            through = (labels == slab[0]) & (labels != 0)
            self._links.append(_distinct_pairs(parts[through], found[0][through].astype(np.int64) - 1 + self._n_parts))
        self._last = slab[-1].copy(), found[-1].astype(np.int64) - 1 + self._n_parts
        self._n_parts += count

    def count(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Return how many parts each of the sorted `ids` has."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        if self._n_parts == 0:
            return np.zeros(len(ids), np.int64)
        links = np.concatenate([*self._links, np.empty((0, 2), np.int64)])
        size = (self._n_parts, self._n_parts)
        graph = coo_matrix((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=size)
        n_whole, whole = connected_components(graph, directed=False)
        label_of = np.empty(n_whole, ids.dtype)
        label_of[whole] = np.concatenate(self._labels)
        return np.bincount(np.searchsorted(ids, label_of), minlength=len(ids)).astype(np.int64)


def _distinct_pairs(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (P, 2) pairs, most of them once; neighbours are alike, so comparing with the one before is enough."""
    new = np.ones(len(first), bool)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return np.stack([first[new], second[new]], axis=1)


def equivalent_diameters(sizes: NDArray[Any], n_dimensions: int) -> NDArray[np.float64]:
    """Return the diameters of balls (3 dimensions) or discs (2) of these volumes or areas.

    >>> equivalent_diameters(np.array([np.pi / 6, np.pi * 36]), 3).round(6).tolist()
    [1.0, 6.0]
    """
    volumes = np.asarray(sizes, np.float64)
    if n_dimensions == 2:
        return np.asarray(2 * np.sqrt(volumes / np.pi))
    return np.asarray(np.cbrt(6 * volumes / np.pi))
