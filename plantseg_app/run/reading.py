"""What must be asked before a file is read, what the answers are, and how they are remembered for files of its sort.

Knows what files say about themselves and what roles images play; no window.

>>> Reading(parts=(Part("gray", "membranes"),)).to_plain()
{'parts': [['gray', 'membranes']]}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Kind, VoxelSize
from plantseg_app.errors import InputError, PlantSegError
from plantseg_app.io.axes import GRAY, conventional_axes
from plantseg_app.io.format import StoredImage
from plantseg_app.io.preview import Plan, plan_reading
from plantseg_app.io.reader import ImageInfo
from plantseg_app.run.jobs import ReadOptions
from plantseg_app.run.roles import ROLES, guess_role

Question = Literal["dataset", "axes", "channel", "time"]

_FEW = 4
"""An axis without a name that is not longer than this may as well be channels."""


@dataclasses.dataclass(frozen=True)
class Part:
    """What becomes one image: a channel (number, "gray" or None for the only one) and the role of the image."""

    channel: int | str | None
    role: str


@dataclasses.dataclass(frozen=True)
class Reading:
    """How one file is read; None leaves it to the file.

    Attributes
    ----------
    parts
        The channels, each of which becomes an image.
    dataset, axes, time, voxel_size_um, nan
        As in `ReadOptions`.
    """

    parts: tuple[Part, ...]
    dataset: str | None = None
    axes: str | None = None
    time: int | None = None
    voxel_size_um: tuple[float, float, float] | None = None
    nan: str | None = None

    def options(self, part: Part) -> ReadOptions:
        """Return how the image of `part` is read."""
        return ReadOptions(self.dataset, self.axes, part.channel, self.time, self.voxel_size_um, self.nan)

    def plan(self, image: StoredImage, part: Part) -> Plan:
        """Return what `part` would be in memory; raises what `plan_reading` raises."""
        return plan_reading(image, kind_to_read(image, part.role), self.axes, part.channel, self.time)

    def to_plain(self) -> dict[str, Any]:
        """Return what was answered, as plain values for JSON."""
        given = {name: value for name, value in vars(self).items() if value is not None and name != "parts"}
        if "voxel_size_um" in given:
            given["voxel_size_um"] = list(given["voxel_size_um"])
        return {"parts": [[part.channel, part.role] for part in self.parts]} | given

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Reading | None:
        """Read back what `to_plain` wrote; None when it is something else, so that the question is asked again."""
        try:
            parts = tuple(Part(channel, ROLES[role].key) for channel, role in plain["parts"])
            size = plain.get("voxel_size_um")
            checked = None if size is None else tuple(VoxelSize.checked(tuple(size)))
            texts = [plain.get(name) for name in ("dataset", "axes", "nan")]
            time = plain.get("time")
        except (KeyError, TypeError, ValueError, InputError):
            return None
        wrong_text = any(not isinstance(text, str | None) for text in texts)
        wrong_channel = any(not isinstance(part.channel, int | str | None) for part in parts)
        if not parts or wrong_text or wrong_channel or not isinstance(time, int | None):
            return None
        dataset, axes, nan = texts
        return cls(parts, dataset, axes, time, checked, nan)  # type: ignore[arg-type]


def stored_image(info: ImageInfo, dataset: str | None) -> StoredImage:
    """Return the image `dataset` of a file, the usual one for None."""
    return next((image for image in info.datasets if image.name == dataset), info.image)


def kind_to_read(image: StoredImage, role: str) -> Kind:
    """Return the kind as which an image that plays `role` is read."""
    recorded = _recorded(image)
    return recorded if recorded is not None and recorded.needs_leading_axis else ROLES[role].kind


def lengths(image: StoredImage, axes: str | None) -> dict[str, int]:
    """Return the length along each named axis; of the axes that are given, or else those of the file."""
    letters = (axes or conventional_axes(image, Kind.RAW) or "").replace("-", "")
    return dict(zip(letters, image.shape, strict=False)) if len(letters) == len(image.shape) else {}


def channel_names(image: StoredImage, axes: str | None) -> tuple[str, ...]:
    """Return a name for each channel or colour, "" where the file gives none."""
    sizes = lengths(image, axes)
    count = max(sizes.get("C", 1), sizes.get("S", 1))
    return image.channel_names if len(image.channel_names) == count else ("",) * count


def open_questions(info: ImageInfo) -> tuple[Question, ...]:
    """Return what the file leaves open, so that a person must be asked before it is read."""
    questions: list[Question] = []
    if info.dataset is None:
        questions.append("dataset")
    image = info.image
    kind = _recorded(image) or Kind.RAW
    if kind.needs_leading_axis:
        return tuple(questions)
    if _axes_are_open(image, kind):
        questions.append("axes")
    if info.n_channels > 1:
        questions.append("channel")
    if info.n_time > 1:
        questions.append("time")
    return tuple(questions)


def usual_reading(info: ImageInfo, dataset: str | None = None, looks_like_labels: bool = True) -> Reading:
    """Return how a file is most probably meant: what is read without a question, or proposed in one.

    Parameters
    ----------
    info
        What the file says.
    dataset
        Which of its images; None for the usual one.
    looks_like_labels
        Whether the numbers could be labels; a name that speaks of cells is not enough.
    """
    image = stored_image(info, dataset)
    chosen = image.name if dataset is not None or info.dataset is None else None
    axes = conventional_axes(image, Kind.RAW)
    given_axes = guessed_axes(len(image.shape)) if axes is None else None
    time = 0 if lengths(image, given_axes).get("T", 1) > 1 else None
    return Reading(usual_parts(info, image, given_axes, looks_like_labels), chosen, given_axes, time)


def usual_parts(
    info: ImageInfo, image: StoredImage, axes: str | None, looks_like_labels: bool = True
) -> tuple[Part, ...]:
    """Return which channels of `image` are most probably wanted, and as what, if its axes are `axes`."""
    sizes, kind = lengths(image, axes), _recorded(image)
    if sizes.get("S", 1) > 1:
        return (Part(GRAY if sizes["S"] in (3, 4) else 0, "membranes"),)
    names = channel_names(image, axes)
    if len(names) == 1 or (kind is not None and kind.needs_leading_axis):
        title = f"{info.path.stem} {image.name if len(info.datasets) > 1 else ''}"
        return (Part(None, _role(title, kind, looks_like_labels)),)
    return tuple(Part(number, _channel_role(name, number)) for number, name in enumerate(names))


def guessed_axes(ndim: int) -> str:
    """Return what that many axes without names most often are."""
    return {2: "YX", 3: "ZYX", 4: "CZYX", 5: "TCZYX"}.get(ndim, "TCZYX"[-ndim:])


def check_reading(info: ImageInfo, reading: Reading) -> str:
    """Return why a file cannot be read that way, in one sentence, or ""."""
    try:
        for part in reading.parts:
            reading.plan(stored_image(info, reading.dataset), part)
    except PlantSegError as error:
        return str(error)
    return "" if reading.parts else "Choose at least one channel to open."


def sort_of_file(info: ImageInfo) -> str:
    """Return what files have in common for which one answer serves: format, layout and type, not size or name."""
    image = info.image
    names = ",".join(each.name for each in info.datasets) if len(info.datasets) > 1 else ""
    channels = f"{info.n_channels} channels {','.join(info.channel_names)}"
    times = "time" if info.n_time > 1 else "no time"
    return " | ".join((info.format, names, f"{len(image.shape)} axes {image.axes}", image.dtype, channels, times))


def could_be_labels(plane: NDArray[Any]) -> bool:
    """Whether the numbers of a slice (Y, X) lie in patches of one number each, as labels do and images do not.

    >>> could_be_labels(np.repeat(np.repeat(np.arange(9).reshape(3, 3), 4, axis=0), 4, axis=1))
    True
    >>> could_be_labels(np.random.default_rng(0).integers(0, 99, (16, 16)))
    False
    """
    if plane.dtype.kind == "f" and not np.array_equal(plane, np.floor(plane)):
        return False
    first, second = plane[:, :-1], plane[:, 1:]
    inside = (first != 0) & (second != 0)
    # A slice that is empty says nothing against labels.
    return not inside.any() or float(np.mean(first[inside] == second[inside])) > 0.6


def _recorded(image: StoredImage) -> Kind | None:
    return Kind(image.kind) if image.kind in list(Kind) else None


def _axes_are_open(image: StoredImage, kind: Kind) -> bool:
    axes = conventional_axes(image, kind)
    if axes is None:
        return True
    assumed = axes != image.axes
    return assumed and len(image.shape) > 2 and min(image.shape) <= _FEW


def _role(title: str, kind: Kind | None, looks_like_labels: bool) -> str:
    if kind is Kind.LAYERED_LABELS:
        return "labels"
    if kind is not None and kind.needs_leading_axis:
        return "signal"
    role = guess_role(title, kind)
    if kind is None and role.kind is Kind.LABELS and not looks_like_labels:
        return "membranes"
    return role.key


def _channel_role(name: str, number: int) -> str:
    guessed = guess_role(name, None).key if name else "membranes"
    # A channel is never labels, and of several without telling names only one can be the membranes.
    if guessed in ("labels", "foreground", "boundary") or (not name and number > 0):
        return "signal"
    return guessed
