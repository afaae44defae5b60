"""The object around one voxel of an embedding, for picking it with a click, and all that is like that voxel.

Knows arrays alone.

>>> embedding = np.zeros((1, 1, 6, 8), np.float32)
>>> embedding[..., 5:] = 4
>>> box, mask = Embedded(embedding, bandwidth=0.5, separation=4.0).object_at((0, 2, 6))
>>> box, int(mask.sum())
((slice(0, 1, None), slice(0, 6, None), slice(5, 8, None)), 18)
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.algorithms.embedding_picture import likeness
from plantseg_app.algorithms.frames import Slices, View, views_of
from plantseg_app.errors import RequestError

_FIRST_REACH = 24
_ROUNDS = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Embedded:
    """An embedding with what is known of it.

    Attributes
    ----------
    data
        (C, Z, Y, X), or overlapping frames in layers (`plantseg_app.algorithms.frames`); may lie on the disk.
    bandwidth
        Distance within which embeddings of one object lie.
    separation
        Distance from which embeddings are those of different objects.
    by_slice
        Whether each slice was embedded by itself, so that objects end with it.
    n_channels
        Channels of one frame; None: there is one frame.
    """

    data: NDArray[Any]
    bandwidth: float
    separation: float
    by_slice: bool = False
    n_channels: int | None = None

    @property
    def shape_vox(self) -> tuple[int, int, int]:
        """(Z, Y, X) of the image."""
        z, y, x = self.data.shape[1:]
        return z, y, x

    @functools.cached_property
    def _views(self) -> list[View]:
        return views_of(self.data, self.n_channels)

    def view_at(self, place: Sequence[int]) -> View:
        """Return the frame in which a voxel lies deepest.

        Raises
        ------
        RequestError
            If it lies outside the image.
        """

        def depth(view: View) -> int:
            margins = [(at - part.start, part.stop - 1 - at) for at, part in zip(place, view.part, strict=True)]
            return int(min(min(pair) for pair in margins))

        deepest = max(self._views, key=depth)
        if depth(deepest) < 0:
            raise RequestError(f"The place {tuple(place)} (Z, Y, X) lies outside the image of {self.shape_vox} voxels.")
        return deepest

    def object_at(
        self, place: Sequence[int], alike: float = 1.0, check: Check = never_stop
    ) -> tuple[Slices, NDArray[np.bool_]]:
        """Return box and mask of the object at a voxel, as `object_at`; `alike` widens or narrows what belongs to it.

        With 1, what lies nearer to the object than half of the way to another one belongs to it.

        Raises
        ------
        RequestError
            If the voxel lies outside the image.
        """
        view = self.view_at(place)
        inner = [at - part.start for at, part in zip(place, view.part, strict=True)]
        box, mask = object_at(view.embedding, inner, alike * self.separation / 2, self.by_slice, check)
        z, y, x = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(box, view.part, strict=True))
        return (z, y, x), mask

    def _anchor(self, view: View, place: Sequence[int]) -> NDArray[np.float32]:
        """Return the embedding of a voxel, averaged over those beside it on its slice that are of the same object."""
        own = np.asarray(view.embedding[:, place[0], place[1], place[2]], np.float32)
        z, y, x = place
        around = (slice(z, z + 1), slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2))
        values = np.asarray(view.embedding[(slice(None), *around)], np.float32).reshape(len(own), -1)
        near = np.linalg.norm(values - own[:, None], axis=0) <= self.separation / 2
        return np.asarray(values[:, near].mean(1))

    def likeness_to(self, place: Sequence[int], box: Slices, steps: Sequence[int] = (1, 1, 1)) -> NDArray[np.float32]:
        """Return how like a voxel and its surroundings those of a box are, float32 in [0, 1]; 0 outside its frame.

        Parameters
        ----------
        place
            Z, Y, X of the voxel.
        box
            Where.
        steps
            Of Z, Y and X, every n-th voxel.

        Raises
        ------
        RequestError
            If the voxel lies outside the image.
        """
        view = self.view_at(place)
        inner = tuple(at - part.start for at, part in zip(place, view.part, strict=True))
        anchor = self._anchor(view, inner)
        result = np.zeros(
            [len(range(part.start, part.stop, s)) for part, s in zip(box, steps, strict=True)], np.float32
        )
        there, here = [], []
        for wanted, part, every in zip(box, view.part, steps, strict=True):
            at = np.arange(wanted.start, wanted.stop, every)
            known = np.flatnonzero((at >= part.start) & (at < part.stop))
            if not len(known):
                return result
            first, last = int(known[0]), int(known[-1])
            there.append(slice(first, last + 1))
            here.append(slice(int(at[first]) - part.start, int(at[last]) - part.start + 1, every))
        values = np.asarray(view.embedding[(slice(None), *here)])
        result[tuple(there)] = likeness(values, anchor, self.bandwidth)
        return result


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
