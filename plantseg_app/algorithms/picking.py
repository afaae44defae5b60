"""The object around one voxel of an embedding, for picking it with a click. Knows arrays alone.

>>> embedding = np.zeros((1, 1, 6, 8), np.float32)
>>> embedding[..., 5:] = 4
>>> box, mask = object_at(embedding, (0, 2, 6), limit=2.0)
>>> box, int(mask.sum())
((slice(0, 1, None), slice(0, 6, None), slice(5, 8, None)), 18)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.algorithms.frames import Slices
from plantseg_app.errors import RequestError

_FIRST_REACH = 24
_ROUNDS = 4


def object_at(
    embedding: NDArray[Any],
    place: Sequence[int],
    limit: float,
    by_slice: bool = False,
    check: Check = never_stop,
) -> tuple[Slices, NDArray[np.bool_]]:
    """Return the object that a voxel lies in: what is connected to it and embedded close to the object's mean.

    The mean begins as the embedding of the voxel and is taken anew of what was found, until it stays. Only as much of
    the embedding is read as the object is large. Holes are filled slice by slice.

    Parameters
    ----------
    embedding
        (C, Z, Y, X); may lie on the disk.
    place
        Z, Y, X of the voxel.
    limit
        Largest distance to the mean of the object.
    by_slice
        Whether the object ends with the slice, as for embeddings that are made slice by slice.
    check
        Called between stages; may raise to stop.

    Returns
    -------
    box
        The smallest box around the object.
    mask
        bool, where in the box it is.

    Raises
    ------
    RequestError
        If the voxel lies outside the image.
    """
    shape = embedding.shape[1:]
    point = np.array(place, np.int64)
    if ((point < 0) | (point >= shape)).any():
        raise RequestError(f"The place {tuple(place)} (Z, Y, X) lies outside the image of {shape} voxels.")
    anchor = np.asarray(embedding[(slice(None), *point)], np.float32)
    reach = np.array([0 if by_slice else _FIRST_REACH, _FIRST_REACH, _FIRST_REACH])
    for _ in range(_ROUNDS):
        low, values, mask = _around(embedding, point, anchor, limit, reach, check)
        mean = values[:, mask].mean(1)
        moved = float(np.linalg.norm(mean - anchor))
        # The object stays the one that was pointed at.
        if moved < 0.02 * limit or np.linalg.norm(mean - values[(slice(None), *(point - low))]) >= limit:
            break
        anchor = mean
    return _cut_out(_without_holes(mask), low)


def _around(
    embedding: NDArray[Any],
    point: NDArray[np.int64],
    anchor: NDArray[np.float32],
    limit: float,
    reach: NDArray[np.int64],
    check: Check,
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Return the start of a box, the embedding in it, and what is connected to the point; `reach` grows with it."""
    import cc3d

    shape = np.array(embedding.shape[1:])
    while True:
        check()
        low, high = np.maximum(point - reach, 0), np.minimum(point + reach + 1, shape)
        box = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
        values = np.asarray(embedding[(slice(None), *box)], np.float32)
        apart = np.sqrt(((values - anchor[:, None, None, None]) ** 2).sum(0))
        near = apart <= limit
        here = tuple((point - low).tolist())
        near[here] = True
        pieces = np.asarray(cc3d.connected_components(near, connectivity=26, out_dtype=np.uint32))
        mask = pieces == pieces[here]
        grows = np.zeros(3, bool)
        for axis in range(3):
            first, last = np.take(mask, 0, axis).any(), np.take(mask, -1, axis).any()
            grows[axis] = (first and low[axis] > 0) or (last and high[axis] < shape[axis])
        # An axis without reach is that of slices.
        grows &= reach > 0
        if not grows.any():
            return low, values, mask
        reach[grows] *= 2


def _without_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_fill_holes

    return np.stack([binary_fill_holes(plane) for plane in mask])


def _cut_out(mask: NDArray[np.bool_], low: NDArray[np.int64]) -> tuple[Slices, NDArray[np.bool_]]:
    places = np.nonzero(mask)
    starts, stops = [int(p.min()) for p in places], [int(p.max()) + 1 for p in places]
    z, y, x = (slice(a + int(o), b + int(o)) for a, b, o in zip(starts, stops, low, strict=True))
    return (z, y, x), mask[tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))]
