"""What a file format is to the rest of this package: how to recognise it, open it and write it.

One module a format makes one `Format`; `formats.py` lists them. Knows nothing of axes, channels or kinds: a source
says what is stored, and copies the part it is asked for into an array that is ready for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Volume, VoxelSize

Index = tuple[int | slice, ...]

KNOWN_AXES = "TCZYXS"
"""Time, channel, depth, height, width, and the samples of a colour pixel."""


@dataclasses.dataclass(frozen=True)
class StoredImage:
    """One image of a file, as the file describes it; no pixel has been read.

    Attributes
    ----------
    name
        The name by which to ask for it: a data set, or the number of a TIFF series.
    shape
        As stored.
    dtype
        As stored, in NumPy's spelling without the byte order.
    axes
        One letter of T, C, Z, Y, X, S for each number of `shape`, "?" for one that the file does not name; None
        when none is named.
    channel_names
        Names along C or S, empty when there are none.
    voxel_size_um
        (z, y, x) in micrometres, or None.
    voxel_size_source
        Where the voxel size was found, or why there is none, in words.
    title
        The name that people gave it, when `name` is a number.
    kind
        The kind that this program recorded when it wrote it, "" in foreign files.
    place
        Where it lies in a larger image, as `place_to_text` wrote it, "" where that is not stored.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    axes: str | None
    channel_names: tuple[str, ...] = ()
    voxel_size_um: VoxelSize | None = None
    voxel_size_source: str = "not stored"
    title: str = ""
    kind: str = ""
    place: str = ""

    def __str__(self) -> str:
        title = f' "{self.title}"' if self.title else ""
        return f"{self.name}{title} {self.extent}"

    @property
    def extent(self) -> str:
        """Shape and type for a message, such as "(32 x 128 x 128, uint8)"."""
        return f"({' x '.join(str(length) for length in self.shape)}, {self.dtype})"


@dataclasses.dataclass(frozen=True)
class Record:
    """What the program writes beside the pixels, so that a file says how it was made.

    Attributes
    ----------
    kind
        The kind of the volume, "" when not stored.
    workflow
        The workflow that made it, as YAML, or None.
    place
        Where a crop lies in its full image, as `place_to_text` writes it, "" for what is no crop.
    """

    kind: str = ""
    workflow: str | None = None
    place: str = ""


class Source(Protocol):
    """An open file."""

    @property
    def images(self) -> tuple[StoredImage, ...]:
        """All images of the file, in its order."""

    def fill(self, image: StoredImage, index: Index, out: NDArray[Any]) -> None:
        """Copy ``image[index]`` into `out`, which has that shape and may be a strided view."""

    def record(self, image: StoredImage | None) -> Record:
        """Return what this program stored beside `image`, or beside any image of the file."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One volume to be written.

    Attributes
    ----------
    volume
        What to write.
    record
        What to store beside it.
    dataset
        The data set to write in a file that holds several; None for a file with this one alone.
    target
        The file that will be replaced; it need not exist. Formats that add a data set copy the others from it.
    """

    volume: Volume
    record: Record
    dataset: str | None
    target: Path


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    name
        As people call it.
    suffixes
        Lower-case endings of files it reads, with the dot.
    write_suffixes
        Those it also writes.
    signatures
        Byte strings, one of which its files start with.
    open
        Opens a file for reading.
    write
        Writes a job to a new file.
    several
        Whether one file can hold several named images that are written one by one.
    is_common
        Whether a file with such an ending in a folder of images is one of them.
    """

    name: str
    suffixes: tuple[str, ...]
    write_suffixes: tuple[str, ...]
    signatures: tuple[bytes, ...]
    open: Callable[[Path], AbstractContextManager[Source]]
    write: Callable[[Path, Job], None]
    several: bool = False
    is_common: bool = True


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return a name for people from which the type can be made again, in this machine's byte order.

    >>> dtype_name(np.dtype(">u2")), dtype_name(np.dtype("V8"))
    ('uint16', '|V8')
    """
    return dtype.name if dtype.kind in "biufc" else dtype.str


def native(dtype: str) -> np.dtype[Any]:
    """Return the type in this machine's byte order.

    >>> native(">u2") == np.dtype(np.uint16)
    True
    """
    return np.dtype(dtype).newbyteorder("=")
