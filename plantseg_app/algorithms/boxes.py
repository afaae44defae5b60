"""Boxes in (Z, Y, X): from text as people write it to checked slices, and from a crop to the image it was cut from.

>>> checked_box(parse_box("4:20, :, -10:"), (32, 128, 100))
(slice(4, 20, None), slice(0, 128, None), slice(90, 100, None))
"""

from __future__ import annotations

from collections.abc import Sequence

from plantseg_app.errors import RequestError

Range = tuple[int | None, int | None]
"""Start and stop as written: None is the border, negative numbers count from the end."""

Box = tuple[Range, Range, Range]

EVERYTHING: Box = ((None, None), (None, None), (None, None))
_AXES = "ZYX"


def parse_box(text: str) -> Box:
    """Read a box from text such as ``4:20, :, 10:100``.

    Parameters
    ----------
    text
        ``start:stop`` for Z, Y and X, separated by commas; the stop is not included. Either may be left out, and
        negative numbers count from the end. A single number is that one slice. With two parts, they are Y and X of all
        slices. Square brackets around it are allowed.

    Raises
    ------
    RequestError
        If the text cannot be read.

    >>> parse_box("[7, 0:50]")
    ((None, None), (7, 8), (0, 50))
    """
    inner = text.strip().removeprefix("[").removesuffix("]")
    parts = [part.strip() for part in inner.split(",")]
    if len(parts) == 2:
        parts = [":", *parts]
    if len(parts) != 3:
        raise RequestError(
            f'A box has a range for each of Z, Y, X, as in "4:20, :, 10:100"; "{text}" has {len(parts)} parts.'
        )
    z, y, x = (_parse_range(part, axis) for part, axis in zip(parts, _AXES, strict=True))
    return z, y, x


def _parse_range(part: str, axis: str) -> Range:
    ends = [end.strip() for end in part.split(":")]
    try:
        numbers = [int(end) if end else None for end in ends]
    except ValueError:
        numbers = []
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    if len(numbers) == 1 and numbers[0] is not None:
        start = numbers[0]
        return start, None if start == -1 else start + 1
    raise RequestError(
        f'The {axis} range "{part}" cannot be read; write it as start:stop in whole voxels, for example 10:100.'
    )


def checked_box(box: Box, shape: Sequence[int]) -> tuple[slice, slice, slice]:
    """Return `box` as slices into an image of `shape` (Z, Y, X), each holding at least one voxel.

    Raises
    ------
    RequestError
        Naming the axis whose range is empty, backwards or reaches outside the image.
    """
    slices = []
    for axis, (start, stop), n in zip(_AXES, box, shape, strict=True):
        first = 0 if start is None else start + n if start < 0 else start
        last = n if stop is None else stop + n if stop < 0 else stop
        written = f"{'' if start is None else start}:{'' if stop is None else stop}"
        if first < 0 or last > n:
            raise RequestError(
                f"The {axis} range {written} reaches outside the image; it has {n} voxels there, so 0:{n} is all."
            )
        if first >= last:
            raise RequestError(
                f"The {axis} range {written} holds no voxel; the start must lie below the stop, within 0:{n}."
            )
        slices.append(slice(first, last))
    return slices[0], slices[1], slices[2]


def box_in_full_image(
    start: Sequence[int],
    stop: Sequence[int],
    shape: Sequence[int],
    outer_start: Sequence[int],
    outer_stop: Sequence[int],
) -> tuple[tuple[int, int, int], tuple[int, int, int], bool]:
    """Return where a crop of a crop lies in the full image.

    Parameters
    ----------
    start, stop
        The box, in voxels of the outer crop.
    shape
        (Z, Y, X) of the outer crop now; it may have been rescaled since it was cut.
    outer_start, outer_stop
        Where the outer crop lies, in voxels of the full image.

    Returns
    -------
    start, stop, exact
        In voxels of the full image, at least one voxel long; `exact` is False where a corner had to be rounded.

    >>> box_in_full_image((1, 2, 3), (2, 4, 6), (4, 8, 8), (10, 0, 0), (14, 4, 8))
    ((11, 1, 3), (12, 2, 6), True)
    """
    corners: list[tuple[int, int]] = []
    exact = True
    for axis in range(3):
        extent = outer_stop[axis] - outer_start[axis]
        exact = exact and start[axis] * extent % shape[axis] == 0 and stop[axis] * extent % shape[axis] == 0
        first = min(round(start[axis] * extent / shape[axis]), extent - 1)
        last = max(round(stop[axis] * extent / shape[axis]), first + 1)
        corners.append((outer_start[axis] + first, outer_start[axis] + last))
    z, y, x = corners
    return (z[0], y[0], x[0]), (z[1], y[1], x[1]), exact
