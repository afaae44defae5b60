"""Where a crop lies in its full image, as the line of text that travels in its file; knows no format.

The line also says how many voxels the file has, so that the place of an image that another program has cropped or
scaled since is not taken for that of the new one.

>>> place = Place((4, 0, 10), (20, 128, 100), (32, 128, 128), VoxelSize(0.235, 0.15, 0.15))
>>> text = place_to_text(place, (16, 128, 90))
>>> text
'16 x 128 x 90 voxels from 4:20, 0:128, 10:100 of 32 x 128 x 128 (0.235 x 0.15 x 0.15 um)'
>>> place_from_text(text, (16, 128, 90)) == place, place_from_text(text, (16, 128, 50))
(True, None)
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from plantseg_app.core.volume import Place, Shape3, VoxelSize
from plantseg_app.errors import InputError

# Nine digits are more than any image has, and cannot grow into numbers of unbounded size.
_SHAPE = r"([0-9]{1,9}) x ([0-9]{1,9}) x ([0-9]{1,9})"
_RANGE = r"([0-9]{1,9}):([0-9]{1,9})"
_SIZE = r"(?: \(([0-9.e+-]+) x ([0-9.e+-]+) x ([0-9.e+-]+) um\))?"
_LINE = re.compile(f"{_SHAPE} voxels from {_RANGE}, {_RANGE}, {_RANGE} of {_SHAPE}{_SIZE}")


def place_to_text(place: Place | None, shape_vox: Shape3) -> str:
    """Return one line for the place of an image of `shape_vox` (Z, Y, X) voxels, "" for None."""
    if place is None:
        return ""
    box = ", ".join(f"{start}:{stop}" for start, stop in zip(place.start_vox, place.stop_vox, strict=True))
    text = f"{_times(shape_vox)} voxels from {box} of {_times(place.full_shape_vox)}"
    size = place.full_voxel_size_um
    return text if size is None else f"{text} ({_times(float(length) for length in size)} um)"


def place_from_text(text: str, shape_vox: Shape3) -> Place | None:
    """Return the place in a text of `place_to_text`.

    None for any other text, for a box that is empty or reaches outside the full image, and when the image had another
    shape than `shape_vox`.
    """
    found = _LINE.fullmatch(text.strip())
    if found is None:
        return None
    numbers = [int(digits) for digits in found.groups()[:12]]
    written, start, stop, full = (_three(part) for part in (numbers[:3], numbers[3:9:2], numbers[4:9:2], numbers[9:12]))
    fits = all(0 <= a < b <= n for a, b, n in zip(start, stop, full, strict=True))
    if not fits or written != tuple(shape_vox):
        return None
    try:
        lengths = found.groups()[12:]
        size = None if lengths[0] is None else VoxelSize.checked(tuple(float(length) for length in lengths))
    except (ValueError, InputError):
        return None
    return Place(start, stop, full, size)


def _times(numbers: Iterable[object]) -> str:
    return " x ".join(str(number) for number in numbers)


def _three(numbers: list[int]) -> Shape3:
    z, y, x = numbers
    return z, y, x
