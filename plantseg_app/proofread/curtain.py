"""The voxels through which a drawn line or surface passes, so closely that nothing slips through over a face.

>>> inside = np.ones((1, 3, 4), bool)
>>> curtain([np.array([[0, 0, 1], [0, 2, 1]])], 0, inside)[0].astype(int).tolist()
[[0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Line = NDArray[np.float64]
"""(N, 2), corners on a slice."""

_STEP_VOX = 0.25


def curtain(lines: Sequence[NDArray[Any]], axis: int, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels of a body that a surface through drawn lines touches.

    Parameters
    ----------
    lines
        Each (N, 3), corners in voxels of the body's box; one lies on the slice of its first corner.
    axis
        Across the slices. One line holds for all of them; beyond the outermost lines these go on.
    inside
        (Z, Y, X), the body. Lines that end inside it are lengthened, straight on, to where they leave it.
    """
    slices = np.moveaxis(inside, axis, 0)
    drawn = sorted(((float(line[0, axis]), np.delete(line, axis, 1).astype(float)) for line in lines), key=_height)
    wall = np.zeros(slices.shape, bool)
    for height in _heights(drawn, len(slices)):
        place = min(max(round(height), 0), len(slices) - 1)
        line = _lengthened(_sampled(_line_at(drawn, height)), slices[place])
        pixels = np.floor(line + 0.5).astype(int)
        pixels = pixels[((pixels >= 0) & (pixels < slices.shape[1:])).all(1)]
        wall[place, pixels[:, 0], pixels[:, 1]] = True
    return np.ascontiguousarray(np.moveaxis(wall & slices, 0, axis))


def _height(entry: tuple[float, Line]) -> float:
    return entry[0]


def _heights(drawn: list[tuple[float, Line]], n_slices: int) -> NDArray[np.float64]:
    """Return the heights at which the surface is sampled: finer where it is slanted."""
    heights = [np.arange(n_slices, dtype=float)]
    for (low, first), (high, last) in itertools.pairwise(drawn):
        count = max(len(first), len(last), 2) * 8
        shift = np.abs(_resampled(first, count) - _resampled(last, count)).max()
        heights.append(np.linspace(low, high, int((shift + high - low) / _STEP_VOX) + 2))
    everything = np.unique(np.concatenate(heights))
    return everything[(everything > -0.5) & (everything < n_slices - 0.5)]


def _line_at(drawn: list[tuple[float, Line]], height: float) -> Line:
    heights = [place for place, _ in drawn]
    above = int(np.searchsorted(heights, height))
    if above == 0:
        return drawn[0][1]
    if above == len(drawn):
        return drawn[-1][1]
    (low, first), (high, last) = drawn[above - 1], drawn[above]
    count = int(max(_length(first), _length(last)) / _STEP_VOX) + 2
    share = (height - low) / (high - low)
    return (1 - share) * _resampled(first, count) + share * _resampled(last, count)


def _length(line: Line) -> float:
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def _resampled(line: Line, count: int) -> Line:
    """Return so many points along a line, equally far from each other."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    places = np.linspace(0, along[-1], count)
    return np.stack([np.interp(places, along, column) for column in line.T], 1)


def _sampled(line: Line) -> Line:
    return _resampled(line, int(_length(line) / _STEP_VOX) + 2)


def _lengthened(line: Line, inside: NDArray[np.bool_]) -> Line:
    """Return a sampled line whose ends go on, in the direction of the last few voxels, until they are outside."""
    tail = min(len(line) - 1, int(4 / _STEP_VOX))
    before = _way_out(line[0], line[0] - line[tail], inside)[::-1]
    return np.concatenate([before, line, _way_out(line[-1], line[-1] - line[-1 - tail], inside)])


def _way_out(end: Line, direction: Line, inside: NDArray[np.bool_]) -> Line:
    length = float(np.linalg.norm(direction))
    if length == 0:
        return np.zeros((0, 2))
    steps = np.arange(1, int(sum(inside.shape) / _STEP_VOX))[:, None] * _STEP_VOX
    way = end + steps * direction / length
    pixels = np.floor(way + 0.5).astype(int)
    # The rim of a picture is outside.
    held = np.pad(inside, 1)[tuple((np.clip(pixels, -1, inside.shape) + 1).T)]
    return np.asarray(way[: int(np.argmin(np.append(held, False)))])
