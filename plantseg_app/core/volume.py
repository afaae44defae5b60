"""The one form in which images travel: an array, what it shows, and how large its voxels are.

Knows nothing of files. Numerical functions do not see volumes; steps unpack and pack them.

>>> import numpy as np
>>> raw = Volume(np.zeros((4, 8, 8), np.uint8), Kind.RAW, voxel_size_um=(0.235, 0.15, 0.15))
>>> raw.shape_vox, raw.spacing.y
((4, 8, 8), 0.15)
"""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import InputError

Shape3 = tuple[int, int, int]


class Kind(enum.StrEnum):
    """What the numbers of a volume mean."""

    RAW = "raw"
    BOUNDARY = "boundary"
    FOREGROUND = "foreground"
    NUCLEI = "nuclei"
    DISTANCE = "distance"
    AFFINITIES = "affinities"
    EMBEDDING = "embedding"
    LAYERS = "layers"
    LABELS = "labels"
    LAYERED_LABELS = "layered_labels"

    @property
    def is_labels(self) -> bool:
        """Whether the numbers are names of objects, which must never be averaged or rounded."""
        return self in (Kind.LABELS, Kind.LAYERED_LABELS)

    @property
    def needs_leading_axis(self) -> bool:
        """Whether data must be (C, Z, Y, X)."""
        return self in (Kind.AFFINITIES, Kind.EMBEDDING, Kind.LAYERS, Kind.LAYERED_LABELS)

    @property
    def allows_leading_axis(self) -> bool:
        """Whether data may be (C, Z, Y, X)."""
        return self is Kind.RAW or self.needs_leading_axis


class VoxelSize(NamedTuple):
    """The edge lengths of one voxel in micrometres, in the order of the array's axes."""

    z: float
    y: float
    x: float

    @classmethod
    def checked(cls, values: tuple[float, ...]) -> VoxelSize:
        """Return three positive finite lengths.

        Raises
        ------
        InputError
            If there are not three, or one is zero, negative, infinite or NaN.
        """
        lengths = tuple(float(value) for value in values)
        if len(lengths) != 3 or not all(math.isfinite(value) and value > 0 for value in lengths):
            raise InputError(
                f"The voxel size {lengths} is not usable; give three positive lengths in micrometres, Z,Y,X."
            )
        return cls(*lengths)


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a volume came from, kept through every step so that results can be named and scaled back.

    Attributes
    ----------
    path
        The file, or "" when the volume was made in memory.
    detail
        The data set, channel and time point that were taken, in words.
    shape_vox
        (Z, Y, X) of the image as read; of the full image at that scale, when a crop was read that knows its place.
    voxel_size_um
        Voxel size as read, None when the file did not say.
    """

    path: str = ""
    detail: str = ""
    shape_vox: Shape3 | None = None
    voxel_size_um: VoxelSize | None = None


@dataclasses.dataclass(frozen=True)
class Place:
    """The box of a larger image that a cropped volume covers, so that a result can be pasted back.

    Attributes
    ----------
    start_vox, stop_vox
        Corner voxels, stop exclusive, in voxels of the full image, (Z, Y, X).
    full_shape_vox
        (Z, Y, X) of the full image.
    full_voxel_size_um
        Voxel size of the full image.
    """

    start_vox: Shape3
    stop_vox: Shape3
    full_shape_vox: Shape3
    full_voxel_size_um: VoxelSize | None = None

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index into the full image."""
        z, y, x = (slice(a, b) for a, b in zip(self.start_vox, self.stop_vox, strict=True))
        return z, y, x

    def whole_shape(self, shape_vox: Shape3) -> Shape3:
        """Return (Z, Y, X) of the full image at the scale at which the box has `shape_vox` voxels.

        >>> Place((2, 0, 0), (4, 8, 4), (6, 8, 8)).whole_shape((2, 16, 8))
        (6, 16, 16)
        """
        boxes = zip(self.start_vox, self.stop_vox, self.full_shape_vox, shape_vox, strict=True)
        z, y, x = (round(full * n / (stop - start)) for start, stop, full, n in boxes)
        return z, y, x


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """An image, a map or a segmentation, with its meaning and its scale.

    Attributes
    ----------
    data
        (Z, Y, X), or (C, Z, Y, X) for kinds with a leading axis. A 2D image has Z = 1. Labels are unsigned,
        32 bits or, where needed, 64; they are never narrowed.
    kind
        What the numbers mean.
    voxel_size_um
        (z, y, x) in micrometres; None when nobody said.
    name
        A short name for people.
    origin
        The file or volume it came from.
    place
        The box it covers in a larger image, for crops.

    Raises
    ------
    InputError
        If the number of axes, the type of the numbers or the voxel size does not fit the kind.
    """

    data: NDArray[Any]
    kind: Kind
    voxel_size_um: VoxelSize | None = None
    name: str = ""
    origin: Origin = Origin()
    place: Place | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", Kind(self.kind))
        if self.voxel_size_um is not None:
            object.__setattr__(self, "voxel_size_um", VoxelSize.checked(tuple(self.voxel_size_um)))
        self._check_shape()
        if self.kind.is_labels:
            object.__setattr__(self, "data", as_labels(self.data))
        elif self.data.dtype.kind not in "biuf":
            raise InputError(f"A {self.kind.value} volume holds real numbers, not {self.data.dtype}.")

    def _check_shape(self) -> None:
        ndim = self.data.ndim
        allowed = {4} if self.kind.needs_leading_axis else {3, 4} if self.kind.allows_leading_axis else {3}
        if ndim not in allowed:
            expected = "(C, Z, Y, X)" if allowed == {4} else "(Z, Y, X)" if allowed == {3} else "([C,] Z, Y, X)"
            raise InputError(
                f"A {self.kind.value} volume has the axes {expected}; got {ndim} axes of shape {self.data.shape}."
            )
        if 0 in self.data.shape:
            raise InputError(f"The volume {self.name or self.kind.value} is empty: its shape is {self.data.shape}.")

    @property
    def shape_vox(self) -> Shape3:
        """(Z, Y, X) without the leading axis."""
        z, y, x = self.data.shape[-3:]
        return int(z), int(y), int(x)

    @property
    def is_2d(self) -> bool:
        """Whether there is a single slice."""
        return self.shape_vox[0] == 1

    @property
    def spacing(self) -> VoxelSize:
        """The voxel size, or (1, 1, 1) where it is unknown: right for ratios, wrong for volumes in um3."""
        return self.voxel_size_um or VoxelSize(1.0, 1.0, 1.0)

    def replace(self, **changes: Any) -> Volume:
        """Return a copy with some attributes changed, checked again."""
        return dataclasses.replace(self, **changes)


def as_labels(data: NDArray[Any]) -> NDArray[Any]:
    """Return whole non-negative labels as uint32, or as uint64 where a label needs it; no copy if already so.

    Raises
    ------
    InputError
        If the numbers are not whole or some are negative.

    >>> as_labels(np.array([[[70000]]], np.int64)).dtype
    dtype('uint32')
    """
    if data.dtype in (np.uint32, np.uint64) and data.dtype.isnative:
        return data
    if data.dtype.kind not in "biu":
        raise InputError(f"Labels are whole numbers; these are {data.dtype}. Convert the image to integers first.")
    if data.dtype.kind == "i" and data.size and int(data.min()) < 0:
        raise InputError(f"Labels are 0 or greater; the smallest here is {int(data.min())}.")
    wide = data.dtype.itemsize == 8 and data.size > 0 and int(data.max()) > np.iinfo(np.uint32).max
    return data.astype(np.uint64 if wide else np.uint32)
