"""Overlapping frames over a large image, how their embeddings are stored, and how their objects are joined.

Some networks say where in a frame an object lies, so each frame has embeddings of its own. Where frames overlap, an
image therefore has several: they are kept as layers. A layer holds frames that do not touch: one channel with the
number of the frame at each voxel (0: none), then the channels of the embedding. An image that fits into one frame has
the embedding alone. Objects found frame by frame are joined where two frames see the same pixels (`stitch`).
Knows arrays alone.

>>> grid = FrameGrid((1, 8, 20), (1, 8, 8), (0.0, 0.25, 0.25))
>>> [frame.box[2] for frame in grid], [frame.core[2] for frame in grid], grid.n_layers
([(0, 8), (6, 14), (12, 20)], [(0, 7), (7, 13), (13, 20)], 2)
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import map_ids
from plantseg_app.algorithms.overlap import count_overlaps
from plantseg_app.core.volume import Shape3
from plantseg_app.errors import InputError

Span = tuple[int, int]
Box = tuple[Span, Span, Span]
Slices = tuple[slice, slice, slice]


@dataclasses.dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes
    ----------
    number
        From 1.
    layer
        Where its embedding is stored, from 0.
    box
        What it covers (Z, Y, X), start and stop; it may reach beyond the image.
    core
        The voxels of the image that lie deeper in this frame than in any other: every voxel is in one core.
    """

    number: int
    layer: int
    box: Box
    core: Box

    def inside(self, shape_vox: Shape3) -> Slices:
        """Return the part of the box within an image of `shape_vox`."""
        z, y, x = (slice(max(a, 0), min(b, n)) for (a, b), n in zip(self.box, shape_vox, strict=True))
        return z, y, x

    def within(self, part: Slices) -> Slices:
        """Return where a part of the image lies in the frame."""
        z, y, x = (slice(p.start - a, p.stop - a) for p, (a, _) in zip(part, self.box, strict=True))
        return z, y, x


@dataclasses.dataclass(frozen=True)
class FrameGrid:
    """Frames of one size that cover an image with at least the given overlap, centred on it.

    Attributes
    ----------
    shape_vox
        (Z, Y, X) of the image.
    frame_vox
        (Z, Y, X) of a frame.
    overlap
        Share of a frame that it shares with the next one along each axis, at most a half.
    """

    shape_vox: Shape3
    frame_vox: Shape3
    overlap: tuple[float, float, float]

    def spans(self, axis: int) -> list[tuple[Span, Span]]:
        """Return box and core of the frames along one axis."""
        size, frame = self.shape_vox[axis], self.frame_vox[axis]
        shared = self._shared(axis)
        step = frame - shared
        count = max(1, math.ceil((size - shared) / step))
        # What the frames cover beyond the image is shared out on both sides.
        first = -((frame + (count - 1) * step - size) // 2)
        found = []
        for i in range(count):
            start = first + i * step
            low = 0 if i == 0 else start + shared // 2
            high = size if i == count - 1 else start + step + shared // 2
            found.append(((start, start + frame), (low, high)))
        return found

    def _shared(self, axis: int) -> int:
        return min(round(self.overlap[axis] * self.frame_vox[axis]), self.frame_vox[axis] // 2)

    def layers_along(self, axis: int) -> int:
        """Return how many layers keep the frames along one axis apart: 1 or 2."""
        return 2 if self._shared(axis) and len(self.spans(axis)) > 1 else 1

    @property
    def n_layers(self) -> int:
        """How many layers there are."""
        return math.prod(self.layers_along(axis) for axis in range(3))

    def __len__(self) -> int:
        return math.prod(len(self.spans(axis)) for axis in range(3))

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in the order of the axes."""
        axes = [list(enumerate(self.spans(axis))) for axis in range(3)]
        kept_apart = [self.layers_along(axis) for axis in range(3)]
        for number, place in enumerate(itertools.product(*axes), start=1):
            layer = 0
            for (index, _), n_layers in zip(place, kept_apart, strict=True):
                layer = layer * n_layers + index % n_layers
            (z, y, x) = (spans for _, spans in place)
            yield Frame(number, layer, (z[0], y[0], x[0]), (z[1], y[1], x[1]))


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """What one frame says about its part of an image.

    Attributes
    ----------
    part
        The part, as an index into the image.
    embedding
        (C, Z, Y, X) of the part, a view.
    """

    part: Slices
    embedding: NDArray[Any]


def views_of(embedding: NDArray[Any], n_channels: int | None = None) -> list[View]:
    """Return the frames that are stored in an embedding, in their order.

    Parameters
    ----------
    embedding
        (C, Z, Y, X), or (layers * (1 + C), Z, Y, X) as described above.
    n_channels
        C; None: there is one frame.

    Raises
    ------
    InputError
        If the number of channels fits neither.
    """
    whole = tuple(slice(0, n) for n in embedding.shape[1:])
    if n_channels is None or len(embedding) == n_channels:
        return [View((whole[0], whole[1], whole[2]), embedding)]
    if len(embedding) % (n_channels + 1):
        raise InputError(
            f"The embedding has {len(embedding)} channels; the model makes {n_channels}, or {n_channels + 1} for each "
            "layer of overlapping frames. Was it made by another model?"
        )
    from scipy.ndimage import find_objects

    found: list[tuple[int, View]] = []
    for first in range(0, len(embedding), n_channels + 1):
        numbers = embedding[first].astype(np.int32)
        for number, part in enumerate(find_objects(numbers), start=1):
            if part is not None:
                values = embedding[(slice(first + 1, first + 1 + n_channels), *part)]
                found.append((number, View((part[0], part[1], part[2]), values)))
    return [view for _, view in sorted(found, key=lambda pair: pair[0])]


# ---------------------------------------------------------------------------------------------- stitching


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """Objects of one part of an image: where it lies, and its labels, 0 for background."""

    part: Slices
    labels: NDArray[np.uint32]


def stitch(pieces: Sequence[Piece], shape_vox: Shape3, min_iou: float, link_slices: bool = False) -> NDArray[np.uint32]:
    """Return the objects of the whole image, 1 ... N in the order of the pieces.

    Two objects of pieces that overlap are one if, of the voxels that both pieces see, those of either are shared to
    `min_iou` or more; the surest pairs first, and never so that two objects of one piece become one. Each voxel has the
    label of the piece in which it lies deepest.

    Parameters
    ----------
    pieces
        Parts that cover the image, each with labels of its own.
    shape_vox
        (Z, Y, X) of the image.
    min_iou
        Intersection over union, in (0, 1].
    link_slices
        Whether pieces of one slice also continue in the next slice, under the same rule.
    """
    firsts = np.cumsum([0, *(int(piece.labels.max(initial=0)) for piece in pieces)])
    matches = []
    for (i, one), (j, other) in itertools.combinations(enumerate(pieces), 2):
        shared = _shared_part(one, other, link_slices)
        if shared is not None:
            matches += [
                (iou, int(firsts[i]) + a, int(firsts[j]) + b) for iou, a, b in _agreeing(*shared) if iou >= min_iou
            ]
    groups = _joined(int(firsts[-1]) + 1, sorted(matches, key=lambda m: (-m[0], m[1], m[2])), firsts)
    result = np.zeros(shape_vox, np.uint32)
    owners = owners_of([piece.part for piece in pieces], shape_vox)
    for number, (piece, first) in enumerate(zip(pieces, firsts, strict=False)):
        wins = owners[piece.part] == number
        names = np.where(piece.labels > 0, groups[piece.labels + np.uint32(first)], 0)
        result[piece.part][wins] = names[wins]
    return _numbered(result)


def owners_of(parts: Sequence[Slices], shape_vox: Shape3) -> NDArray[np.int32]:
    """Return, for each voxel of an image, the number of the part in which it lies deepest; -1 where there is none."""
    owners = np.full(shape_vox, -1, np.int32)
    if len(parts) == 1:
        owners[parts[0]] = 0
        return owners
    deepest = np.zeros(shape_vox, np.float32)
    for number, part in enumerate(parts):
        depth = _depth_in(part, shape_vox)
        wins = depth > deepest[part]
        deepest[part][wins] = np.broadcast_to(depth, wins.shape)[wins]
        owners[part][wins] = number
    return owners


def _depth_in(part: Slices, shape_vox: Shape3) -> NDArray[np.float32]:
    """Return how far each voxel of a part lies from the part's borders, those of the image left out."""
    depth = np.full((1, 1, 1), np.float32(np.inf))
    for axis, (span, size) in enumerate(zip(part, shape_vox, strict=True)):
        at = np.arange(span.start, span.stop, dtype=np.float32)
        below = at - span.start + 1 if span.start > 0 else np.full_like(at, np.inf)
        above = span.stop - at if span.stop < size else np.full_like(at, np.inf)
        along = np.minimum(below, above).reshape([-1 if a == axis else 1 for a in range(3)])
        depth = np.minimum(depth, along)
    return depth


def _shared_part(one: Piece, other: Piece, link_slices: bool) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the labels of both pieces where they see the same voxels, or the same place of neighbouring slices."""
    spans = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one.part, other.part, strict=True)]
    if any(span.start >= span.stop for span in spans[1:]):
        return None
    parts = [spans, spans]
    if spans[0].start >= spans[0].stop:
        if not link_slices or one.part[0].stop != other.part[0].start:
            return None
        last, first = one.part[0].stop - 1, other.part[0].start
        parts = [[slice(last, last + 1), *spans[1:]], [slice(first, first + 1), *spans[1:]]]
    cut = []
    for piece, part in zip((one, other), parts, strict=True):
        inside = tuple(slice(s.start - p.start, s.stop - p.start) for s, p in zip(part, piece.part, strict=True))
        cut.append(piece.labels[inside])
    return cut[0], cut[1]


def _agreeing(one: NDArray[Any], other: NDArray[Any]) -> Iterator[tuple[float, int, int]]:
    """Yield the intersection over union of all pairs of labels that share a voxel, with both labels."""
    table = count_overlaps(one.astype(np.uint32), other.astype(np.uint32))
    sizes = [np.bincount(side, weights=table.counts) for side in (table.first, table.second)]
    both = (table.first > 0) & (table.second > 0)
    for a, b, n in zip(table.first[both], table.second[both], table.counts[both], strict=True):
        yield float(n / (sizes[0][a] + sizes[1][b] - n)), int(a), int(b)


def _joined(n_names: int, matches: Sequence[tuple[float, int, int]], firsts: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the group of each object; of one piece at most one object is in a group."""
    group = list(range(n_names))
    members = {name: [name] for name in range(n_names)}
    piece_of = np.searchsorted(firsts, np.arange(n_names), side="left")
    for _, a, b in matches:
        first, second = sorted((group[a], group[b]))
        if first == second:
            continue
        pieces = [set(piece_of[members[name]].tolist()) for name in (first, second)]
        if pieces[0] & pieces[1]:
            continue
        for name in members.pop(second):
            group[name] = first
            members[first].append(name)
    return np.array(group, np.uint32)


def _numbered(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    present = np.flatnonzero(np.bincount(labels.ravel()))
    table = np.zeros(int(labels.max(initial=0)) + 1, np.uint32)
    present = present[present > 0]
    table[present] = np.arange(1, len(present) + 1)
    return np.asarray(map_ids(labels, table))
