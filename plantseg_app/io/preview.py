"""What reading a file would give, before it is read: shape and bytes from its description, one slice as a picture.

Knows no window. Takes the same choices as `plantseg_app.io.read_volume`, so that what is shown is what is read.

>>> from plantseg_app.io.format import StoredImage
>>> plan_reading(StoredImage("0", (2, 8, 512, 512), "uint16", "CZYX"), channel=1).shape
(8, 512, 512)
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Kind
from plantseg_app.errors import ResourceError
from plantseg_app.io.axes import Choice, Selection, gray_weights, select
from plantseg_app.io.format import Source, StoredImage, native
from plantseg_app.io.formats import format_to_read
from plantseg_app.io.guard import reading
from plantseg_app.io.reader import opened
from plantseg_app.io.values import memory_dtype

_MOST_BYTES = 2**28
"""More than this is not read for a picture."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What an image would be in memory: its shape, ([C,] Z, Y, X), and the type of its numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def n_bytes(self) -> int:
        """Its size in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


def plan_reading(
    image: StoredImage,
    kind: Kind = Kind.RAW,
    axes: str | None = None,
    channel: int | str | None = None,
    time: int | None = None,
) -> Plan:
    """Return what `read_volume` would return with these choices, as far as it can be known without reading.

    Raises
    ------
    InputError
        If a choice must be made and was not, or the numbers are not real.
    RequestError
        If a choice does not fit the image.
    """
    choice = Choice(kind, axes, channel, time, f"The image {image.name}")
    weights = gray_weights(image, choice)
    selection = select(image, dataclasses.replace(choice, channel=0) if weights else choice)
    dtype = np.dtype(np.float32) if weights else memory_dtype(image.dtype, kind, choice.title)
    return Plan(selection.out_shape, dtype)


def read_slice(
    path: str | Path,
    image: StoredImage,
    kind: Kind = Kind.RAW,
    axes: str | None = None,
    channel: int | str | None = None,
    time: int | None = None,
) -> NDArray[Any]:
    """Return the middle slice, (Y, X), as `read_volume` would read it; of several channels the first.

    Raises
    ------
    InputError, RequestError
        As `plan_reading`, or if the file is damaged.
    ResourceError
        If more than 256 MiB would have to be read for it.
    """
    file = Path(path)
    choice = Choice(kind, axes, channel, time, f"The image {file.name}")
    weights = gray_weights(image, choice)
    choices = [dataclasses.replace(choice, channel=number) for number in range(3)] if weights else [choice]
    planes = [_middle(select(image, each)) for each in choices]
    if _bytes_to_read(image, planes[0]) > _MOST_BYTES:
        raise ResourceError(f"A picture of {file.name} would need too much of the file; it can be opened all the same.")
    with opened(format_to_read(file), file) as (source, _), reading(file):
        parts = [_read_plane(source, image, plane) for plane in planes]
    if weights:
        return np.asarray(sum(part.astype(np.float32) * weight for part, weight in zip(parts, weights, strict=True)))
    return parts[0]


def _middle(selection: Selection) -> Selection:
    """Return the part of a selection that is one slice."""
    fixed = {"C": 0, "S": 0}
    lengths = dict(zip("ZYX", selection.out_shape[-3:], strict=True))
    middle = lengths["Z"] // 2
    fixed["Z"] = lengths["Z"] - 1 - middle if "Z" in selection.flipped else middle
    index = tuple(
        fixed[letter] if isinstance(part, slice) and letter in fixed else part
        for letter, part in zip(selection.axes, selection.index, strict=True)
    )
    return dataclasses.replace(selection, index=index, out_shape=(1, lengths["Y"], lengths["X"]))


def _read_plane(source: Source, image: StoredImage, plane: Selection) -> NDArray[Any]:
    out = np.empty(plane.out_shape, native(image.dtype))
    source.fill(image, plane.index, plane.stored_view(out))
    slice_: NDArray[Any] = out[0]
    return slice_


def _bytes_to_read(image: StoredImage, plane: Selection) -> int:
    """Return how much of the file is touched: everything behind the first axis that is kept whole."""
    first = next((number for number, part in enumerate(plane.index) if isinstance(part, slice)), len(image.shape))
    return math.prod(image.shape[first:]) * native(image.dtype).itemsize
