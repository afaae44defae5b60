"""From the axes of a stored image to (Z, Y, X) or (C, Z, Y, X): naming axes, choosing channel and time.

An axis is what the file, or the person, says it is; its length is never a hint. Only one convention fills a
gap: of three axes without names, the first is Z (the first is C for kinds that need a leading axis).

>>> stored = StoredImage("0", (8, 512, 512), "uint8", "?YX")
>>> select(stored, Choice(Kind.RAW)).out_shape
(8, 512, 512)
"""

from __future__ import annotations

import dataclasses
from typing import Any

from numpy.typing import NDArray

from plantseg_app.core.volume import Kind
from plantseg_app.errors import InputError, RequestError
from plantseg_app.io.format import KNOWN_AXES, Index, StoredImage

GRAY = "gray"
ALL = "all"
UNUSED = "1"
"""The letter of an axis of length 1 that the person left out."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a person asked for; None where they asked for nothing.

    Attributes
    ----------
    kind
        What the numbers will mean.
    axes
        Letters of T, C, Z, Y, X, S, one a stored axis; "-" before a letter flips that axis.
    channel
        A number from 0, a name, "gray" for the luminance of a colour image, or "all".
    time
        A number from 0.
    title
        What a message calls the image, such as "The image raw in a.h5".
    """

    kind: Kind
    axes: str | None = None
    channel: int | str | None = None
    time: int | None = None
    title: str = "The image"


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which part of a stored image is taken and how it is laid out.

    Attributes
    ----------
    axes
        The letters of the stored axes.
    flipped
        Those that run backwards.
    index
        What to take along each stored axis.
    out_shape
        (Z, Y, X) or (C, Z, Y, X).
    detail
        The choice in words.
    """

    axes: str
    flipped: str
    index: Index
    out_shape: tuple[int, ...]
    detail: str

    def stored_view(self, out: NDArray[Any]) -> NDArray[Any]:
        """Return `out`, of shape `out_shape`, as a view in the order of the stored axes that are kept."""
        letters = "CZYX"[-out.ndim :]
        kept = [
            "C" if letter == "S" else letter
            for letter, part in zip(self.axes, self.index, strict=True)
            if isinstance(part, slice)
        ]
        drop = tuple(slice(None) if letter in kept else 0 for letter in letters)
        left = [letter for letter in letters if letter in kept]
        view: NDArray[Any] = out[drop].transpose([left.index(letter) for letter in kept])
        return view[tuple(slice(None, None, -1) if letter in self.flipped else slice(None) for letter in kept)]


def named_axes(stored: StoredImage, choice: Choice) -> tuple[str, str]:
    """Return the letters of the stored axes and which of them run backwards.

    Raises
    ------
    InputError
        If the file does not say what its axes are, and neither does the choice.
    RequestError
        If the axes that were given do not fit.
    """
    if choice.axes is not None:
        return _given_axes(stored, choice.axes)
    axes = conventional_axes(stored, choice.kind)
    if axes is None:
        raise InputError(
            f"{choice.title} {stored.extent} does not say what its {len(stored.shape)} axes are; give one letter of "
            f"T, C, Z, Y, X for each, for example --axes {_example(len(stored.shape))}."
        )
    return axes, ""


def conventional_axes(stored: StoredImage, kind: Kind) -> str | None:
    """Return the stored axes, a single unnamed one filled in by convention; None when more are unnamed."""
    axes = stored.axes
    if axes is None or set(axes) == {"?"}:
        axes = {2: "YX", 3: "?YX"}.get(len(stored.shape))
        if axes is None and kind.needs_leading_axis and len(stored.shape) == 4:
            return "CZYX"
    if axes in ("?YX", "?YXS"):
        return axes.replace("?", "C" if kind.needs_leading_axis and axes == "?YX" else "Z")
    return None if axes is None or "?" in axes else axes


def select(stored: StoredImage, choice: Choice) -> Selection:
    """Return which part of `stored` is read.

    Raises
    ------
    InputError
        If axes, channel or time must be chosen and were not; the message lists the choices.
    RequestError
        If what was given does not fit the image.
    """
    axes, flipped = named_axes(stored, choice)
    sizes = dict(zip(axes, stored.shape, strict=True))
    if sizes.get("C", 1) > 1 and sizes.get("S", 1) > 1:
        raise InputError(
            f"{choice.title} {stored.extent} has both channels and colours; split the colours into channels first."
        )
    if 0 in stored.shape:
        raise InputError(f"{choice.title} {stored.extent} holds no voxel.")
    channel_axis = "S" if sizes.get("S", 1) > 1 else "C"
    channel, channel_detail = _chosen_channel(stored, sizes.get(channel_axis, 1), choice, channel_axis == "S")
    time, time_detail = _chosen_time(stored, sizes.get("T", 1), choice)
    fixed: dict[str, int | slice] = {UNUSED: 0, "T": time, "C": 0, "S": 0, channel_axis: channel}
    index = tuple(fixed.get(letter, slice(None)) for letter in axes)
    space = tuple(sizes.get(letter, 1) for letter in "ZYX")
    with_channels = isinstance(channel, slice) or choice.kind.needs_leading_axis
    leading = sizes.get(channel_axis, 1) if isinstance(channel, slice) else 1
    out_shape = (leading, *space) if with_channels else space
    detail = ", ".join(text for text in (channel_detail, time_detail) if text)
    return Selection(axes, flipped, index, out_shape, detail)


def gray_weights(stored: StoredImage, choice: Choice) -> tuple[float, ...] | None:
    """Return the weights of the colours in the luminance, or None when luminance was not asked for.

    The weights are those of ITU-R BT.601, which Pillow and ImageJ use; alpha has none.
    """
    if str(choice.channel).strip().lower() not in (GRAY, "grey", "luminance"):
        return None
    axes, _ = named_axes(stored, choice)
    if "S" not in axes or stored.shape[axes.index("S")] not in (3, 4):
        return None
    return (0.299, 0.587, 0.114)


def _given_axes(stored: StoredImage, given: str) -> tuple[str, str]:
    text = given.strip().upper().replace(",", "").replace(" ", "")
    letters = text.replace("-", "")
    flipped = "".join(letter for sign, letter in zip("+" + text, text, strict=False) if sign == "-" and letter != "-")
    wrong = sorted(set(letters) - set(KNOWN_AXES))
    if wrong or len(set(letters)) != len(letters) or "--" in text or text.endswith("-"):
        raise RequestError(
            f'The axes "{given}" are not usable; write each of T, C, Z, Y, X at most once, "-" before one to flip it.'
        )
    if not {"Y", "X"} <= set(letters) or {"C", "S"} <= set(letters):
        raise RequestError(f'The axes "{given}" are not usable; they need Y and X, and at most one of C and S.')
    if set(flipped) & set("TCS"):
        raise RequestError(f'The axes "{given}" are not usable; only Z, Y and X can be flipped.')
    if len(letters) == sum(length > 1 for length in stored.shape) < len(stored.shape):
        # Axes of length 1 may be left out.
        left = iter(letters)
        letters = "".join(next(left) if length > 1 else UNUSED for length in stored.shape)
    if len(letters) != len(stored.shape):
        raise RequestError(
            f'The axes "{given}" name {len(letters)} axes, but the image {stored.extent} has {len(stored.shape)}; '
            f"for example --axes {_example(len(stored.shape))}."
        )
    return letters, flipped


def _example(ndim: int) -> str:
    return {1: "x", 2: "yx", 3: "zyx", 4: "czyx", 5: "tczyx"}.get(ndim, "tczyx")


def _chosen_channel(stored: StoredImage, n_channels: int, choice: Choice, colour: bool) -> tuple[int | slice, str]:
    names = stored.channel_names if len(stored.channel_names) == n_channels else ()
    if n_channels == 1:
        if choice.kind.needs_leading_axis and choice.channel is None:
            return 0, ""
        if choice.channel not in (None, 0, "0", ALL, GRAY, *names):
            raise RequestError(
                f"{choice.title} {stored.extent} has a single channel; there is no channel {choice.channel}."
            )
        return 0, ""
    if choice.channel is None:
        if choice.kind.needs_leading_axis:
            return slice(None), ""
        if stored.kind == Kind.LAYERED_LABELS and choice.kind is Kind.LABELS:
            raise InputError(
                f"{choice.title} {stored.extent} holds layers of objects that overlap, not plain labels; read it with "
                "--layered where there is such an option, or make plain labels with the step flatten-layers."
            )
        raise InputError(
            f"{choice.title} {stored.extent} has {n_channels} channels; choose one with --channel: "
            f"{_channel_choices(n_channels, names, colour)}.{_not_channels(stored, colour)}"
        )
    if str(choice.channel).strip().lower() == ALL:
        if not choice.kind.allows_leading_axis:
            raise RequestError(f"A {choice.kind.value} volume has one channel; choose one of {n_channels}, not all.")
        return slice(None), "all channels"
    number = _channel_number(str(choice.channel).strip(), n_channels, names)
    if number is None:
        raise RequestError(
            f'{choice.title} {stored.extent} has no channel "{choice.channel}"; choose one of: '
            f"{_channel_choices(n_channels, names, colour)}."
        )
    return number, f"channel {number}" + (f" ({names[number]})" if names else "")


def _channel_number(wanted: str, n_channels: int, names: tuple[str, ...]) -> int | None:
    if wanted.isdecimal():
        return int(wanted) if int(wanted) < n_channels else None
    matches = [number for number, name in enumerate(names) if name.strip().lower() == wanted.lower()]
    return matches[0] if len(matches) == 1 else None


def _channel_choices(n_channels: int, names: tuple[str, ...], colour: bool) -> str:
    if names:
        choices = [f"{number} ({name})" if name else str(number) for number, name in enumerate(names)]
    else:
        choices = [str(number) for number in range(n_channels)] if n_channels <= 12 else [f"0 to {n_channels - 1}"]
    if colour and n_channels in (3, 4):
        choices.append(f"{GRAY} (luminance)")
    return ", ".join(choices)


def _not_channels(stored: StoredImage, colour: bool) -> str:
    # Programs that write three slices without saying so produce a file that calls itself RGB.
    if colour and stored.axes == "SYX":
        return " If these are slices, give --axes zyx."
    return " If these are slices, give --axes zyx." if stored.axes == "CYX" else ""


def _chosen_time(stored: StoredImage, n_times: int, choice: Choice) -> tuple[int, str]:
    time = choice.time
    if n_times == 1:
        if time not in (None, 0):
            raise RequestError(
                f"{choice.title} {stored.extent} has a single time point; there is no time point {time}."
            )
        return 0, ""
    if time is None:
        advice = " If these are slices, give --axes zyx." if stored.axes == "TYX" else ""
        raise InputError(
            f"{choice.title} {stored.extent} has {n_times} time points; choose one with --time 0 to {n_times - 1}."
            f"{advice}"
        )
    if not 0 <= time < n_times:
        raise RequestError(
            f"{choice.title} {stored.extent} has no time point {time}; choose one from 0 to {n_times - 1}."
        )
    return time, f"time {time}"
