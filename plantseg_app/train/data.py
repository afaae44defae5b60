"""Labelled stacks in memory or on the disk: read, brought to one voxel size, normalised, split.

Knows files through `plantseg_app.io` alone and no torch.

>>> labels = np.repeat(np.arange(1, 5), 4 * 4 * 4).reshape(16, 4, 4)
>>> stack = Stack.from_arrays(labels * 10, labels, name="steps")
>>> [part.labels.shape for part in split_slab(stack, SplitSettings(fraction=0.25, axis="z"))]
[(12, 4, 4), (4, 4, 4)]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.layers import combine_layers, number_masks, pack_layers, separate_layers
from plantseg_app.algorithms.normalise import percentiles
from plantseg_app.algorithms.resample import LINEAR, NEAREST, resample, shape_for_spacing
from plantseg_app.core.context import Context
from plantseg_app.core.volume import Volume, VoxelSize
from plantseg_app.errors import InputError, RequestError
from plantseg_app.io.patterns import match_pattern
from plantseg_app.io.reader import read_volume
from plantseg_app.train.label_files import is_layered, read_labels, read_layers
from plantseg_app.train.settings import DataSettings, SplitSettings, StackFiles
from plantseg_app.zoo.card import Normalisation

_DEFAULT_NORMALISATION = Normalisation(method="percentile", low=1.0, high=99.8)
_MEGABYTE = 2**20


@dataclasses.dataclass(frozen=True, eq=False)
class Stack:
    """One labelled image.

    Attributes
    ----------
    image
        (C, Z, Y, X) as stored; ``(image - offset) / width`` is what the network sees.
    labels
        (Z, Y, X) unsigned; 0 is background.
    known
        (Z, Y, X) bool, where the labels say something; None: everywhere.
    offset, width
        (C,) float64 each.
    voxel_size_um
        None when nobody said.
    name
        For messages.
    source
        The files it was read from, to notice the same stack in training and validation.
    share
        Share of the training patches that come from it; None: what others leave, by its labelled voxels.
    table
        (K, L) uint32 where objects overlap: `labels` are then codes, and the table says which objects each one stands
        for; see `objects`.
    """

    image: NDArray[Any]
    labels: NDArray[Any]
    known: NDArray[np.bool_] | None
    offset: NDArray[np.float64]
    width: NDArray[np.float64]
    voxel_size_um: VoxelSize | None = None
    name: str = ""
    source: str = ""
    share: float | None = None
    table: NDArray[np.uint32] | None = None

    @classmethod
    def from_layers(cls, image: NDArray[Any], layers: NDArray[Any], **more: Any) -> Stack:
        """Make a stack of objects that may overlap: layers (L, Z, Y, X) of ids, or one mask a layer.

        `more` and errors are those of `from_arrays`.
        """
        codes, table = combine_layers(pack_layers(number_masks(layers)))
        return dataclasses.replace(cls.from_arrays(image, codes, **more), table=table)

    @classmethod
    def from_arrays(
        cls,
        image: NDArray[Any],
        labels: NDArray[Any],
        known: NDArray[np.bool_] | None = None,
        normalisation: Normalisation = _DEFAULT_NORMALISATION,
        voxel_size_um: VoxelSize | None = None,
        name: str = "",
    ) -> Stack:
        """Make a stack of an image ([C,] Z, Y, X) and its labels (Z, Y, X).

        Raises
        ------
        InputError
            If the shapes differ.
        """
        image = image if image.ndim == labels.ndim + 1 else image[None]
        if image.shape[1:] != labels.shape:
            raise InputError(f"{name or 'A stack'}: the image is {image.shape[1:]} voxels, the labels {labels.shape}.")
        statistics = [_offset_and_width(channel, normalisation) for channel in image]
        offset, width = (np.array(values, np.float64) for values in zip(*statistics, strict=True))
        return cls(image, labels, known, offset, width, voxel_size_um, name, name)

    @property
    def shape_vox(self) -> tuple[int, int, int]:
        """(Z, Y, X)."""
        z, y, x = self.labels.shape
        return int(z), int(y), int(x)

    @property
    def is_labelled(self) -> bool:
        """Whether there is a voxel to learn from: one with a label that is known."""
        return bool((self.labels if self.known is None else self.labels * self.known).any())

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return self.image.nbytes + self.labels.nbytes + (0 if self.known is None else self.known.nbytes)

    def normalised(self, part: NDArray[Any]) -> NDArray[np.float32]:
        """Return a piece (C, ...) of the image as the network sees it, a new array."""
        shape = (-1,) + (1,) * (part.ndim - 1)
        scale = (1 / self.width).astype(np.float32).reshape(shape)
        shift = (-self.offset / self.width).astype(np.float32).reshape(shape)
        return np.asarray(part.astype(np.float32) * scale + shift)

    def objects(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return what a piece (Z, Y, X) of `labels` shows: itself, or layers (L, Z, Y, X) where objects overlap."""
        return labels if self.table is None else separate_layers(labels, self.table)

    def crop(self, box: tuple[slice, slice, slice]) -> Stack:
        """Return a part of it with the grey scale of the whole; a view."""
        known = None if self.known is None else self.known[box]
        return dataclasses.replace(self, image=self.image[(slice(None), *box)], labels=self.labels[box], known=known)


def _offset_and_width(channel: NDArray[Any], normalisation: Normalisation) -> tuple[float, float]:
    if normalisation.method == "operations":
        raise RequestError(
            "The model prepares grey values by operations of another program, with which no training can go on; set "
            "data.normalisation, for example to {method: percentile, low: 1, high: 99.8}."
        )
    if normalisation.method == "none":
        return 0.0, 1.0
    if normalisation.method == "zscore":
        return float(channel.mean(dtype=np.float64)), float(channel.std(dtype=np.float64)) or 1.0
    low, high = percentiles(channel, (normalisation.low, normalisation.high))
    if high <= low:
        low, high = float(channel.min()), float(channel.max())
    return low, (high - low) or 1.0


# ---------------------------------------------------------------------------------------------- reading


def load_data(settings: DataSettings, context: Context, cache: Path) -> tuple[list[Stack], list[Stack]]:
    """Read the stacks to train on and those to validate on.

    Parameters
    ----------
    settings
        Which files, and how they are prepared.
    context
        For progress and cancelling.
    cache
        Folder for stacks that do not fit into `settings.memory_mb`; made when needed.

    Raises
    ------
    RequestError
        If there is nothing to train on or nothing to validate on, or one file serves both.
    InputError
        If a file cannot be used.
    """
    train, validation = expand(settings.train), expand(settings.validation)
    check_lists(train, validation, settings.split)
    kept = _Keeper(settings.memory_mb * _MEGABYTE, cache)
    stacks: list[list[Stack]] = [[], []]
    numbered = [(0, files) for files in train] + [(1, files) for files in validation]
    for part, files in context.track(numbered, "Read stacks"):
        stack = read_stack(files, settings)
        if stack.is_labelled:
            stacks[part].append(kept.keep(stack))
        else:
            context.message(f"{stack.source} has no labelled voxel and is left out.")
    if not stacks[0] or (validation and not stacks[1]):
        raise InputError("No stack to train on, or none to validate on, has a labelled voxel; are these the labels?")
    if settings.split is not None:
        return split(stacks[0], settings.split)
    return stacks[0], stacks[1]


def check_lists(train: Sequence[StackFiles], validation: Sequence[StackFiles], cut: SplitSettings | None) -> None:
    """Refuse lists that would judge a network on nothing, or on what it learned from.

    Raises
    ------
    RequestError
        Saying which rule is broken.
    """
    if not train:
        raise RequestError("There is nothing to train on; list labelled stacks under data.train.")
    if not validation and cut is None:
        raise RequestError(
            "There is nothing to validate on, so nobody could tell which state of the network is the best; list "
            "stacks under data.validation, or cut a part off with data.split, for example {fraction: 0.2, axis: x}."
        )
    if validation and cut is not None:
        raise RequestError("Both data.validation and data.split are given; remove one of them.")
    # Links are followed: the same file under two names is the same file.
    both = {_identity(files) for files in train} & {_identity(files) for files in validation}
    if both:
        raise RequestError(f"{min(both)[0]} is in data.train and in data.validation; a score on it would mean nothing.")


def _identity(files: StackFiles) -> tuple[str, str, str]:
    path = Path(files.path or files.image).resolve()
    return str(path), files.image_dataset or "", files.labels_dataset or ""


def expand(entries: Sequence[StackFiles]) -> list[StackFiles]:
    """Return one entry a stack: every ``*`` replaced by what is on the disk.

    Raises
    ------
    RequestError
        If a pattern matches nothing, or an image has no labels.
    """
    found: list[StackFiles] = []
    for entry in entries:
        pattern = entry.path or entry.image
        if "*" not in pattern:
            found.append(entry)
            continue
        matches = match_pattern(pattern)
        each = entry.model_copy(update={"share": entry.share / len(matches)}) if entry.share else entry
        found += [_filled(each, match, stars) for match, stars in matches]
    return found


def _filled(entry: StackFiles, match: str, stars: tuple[str, ...]) -> StackFiles:
    if entry.path:
        return entry.model_copy(update={"path": match})
    changes = {"image": match}
    for name in ("labels", "ignore"):
        parts = getattr(entry, name).split("*")
        path = parts[0] + "".join(star + part for star, part in zip(stars, parts[1:], strict=False))
        if path and not Path(path).is_file():
            raise RequestError(f"The image {match} needs {name} {path}, which does not exist.")
        changes[name] = path
    return entry.model_copy(update=changes)


def read_stack(files: StackFiles, settings: DataSettings) -> Stack:
    """Read one labelled image, rescale it when asked to, and measure its grey values.

    Raises
    ------
    InputError
        If image and labels do not fit together, or the voxel size is needed and unknown.
    RequestError
        If a file or data set does not exist.
    """
    size = files.voxel_size_um
    raw = read_volume(
        files.path or files.image, dataset=files.image_dataset, axes=files.axes, channel=files.channel,
        voxel_size_um=size,
    )  # fmt: skip
    table = None
    if is_layered(files):
        labels, known, table = read_layers(files, settings.ignore_label)
    else:
        labels, known = read_labels(files, settings.ignore_label)
    image = raw.data if raw.data.ndim == 4 else raw.data[None]
    if image.shape[1:] != labels.shape:
        raise InputError(
            f"{raw.name}: the image is {image.shape[1:]} voxels (Z, Y, X), its labels {labels.shape}."
            f"{_layered_hint(image.shape[1:], labels.shape, table is not None)}"
        )
    spacing = raw.voxel_size_um
    if settings.voxel_size_um is not None:
        image, labels, known = _rescaled(image, labels, known, raw, settings.voxel_size_um)
        spacing = VoxelSize(*settings.voxel_size_um)
    normalisation = settings.normalisation or _DEFAULT_NORMALISATION
    made = Stack.from_arrays(image, labels, known, normalisation, spacing, raw.name)
    source = str(Path(files.path or files.image).resolve())
    return dataclasses.replace(made, source=source, share=files.share, table=table)


def _layered_hint(image: tuple[int, ...], labels: tuple[int, ...], is_layered: bool) -> str:
    """Say what to change where planes of objects were taken for slices, or slices for planes."""
    if image[1:] != labels[1:]:
        return ""
    if not is_layered and image[0] == 1:
        return " If each plane of the labels shows an object, or objects that may overlap, set layered: true for them."
    if is_layered and labels[0] == 1:
        return " Planes of objects go with an image of one slice; set layered: false if they are slices of labels."
    return ""


def _rescaled(
    image: NDArray[Any],
    labels: NDArray[Any],
    known: NDArray[np.bool_] | None,
    raw: Volume,
    wanted: tuple[float, float, float],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
    if raw.voxel_size_um is None:
        raise InputError(
            f"{raw.name} does not say its voxel size, which data.voxel_size_um needs; give voxel_size_um for the file."
        )
    shape = shape_for_spacing(labels.shape, raw.voxel_size_um, wanted)
    if known is not None:
        known = np.ascontiguousarray(resample(known, shape, NEAREST))
    return resample(image, shape, LINEAR), resample(labels, shape, NEAREST), known


class _Keeper:
    """Keeps stacks in memory until the budget is spent, later ones as memory-mapped files."""

    def __init__(self, budget_bytes: int, folder: Path) -> None:
        self.left = budget_bytes
        self.folder = folder
        self.count = 0

    def keep(self, stack: Stack) -> Stack:
        self.left -= stack.nbytes
        if self.left >= 0:
            return stack
        self.folder.mkdir(parents=True, exist_ok=True)
        self.count += 1
        parts = {"image": stack.image, "labels": stack.labels, "known": stack.known}
        mapped: dict[str, Any] = {}
        for name, array in parts.items():
            if array is not None:
                path = self.folder / f"{self.count:05d}-{name}.npy"
                np.save(path, array)
                mapped[name] = np.load(path, mmap_mode="r")
        return dataclasses.replace(stack, **mapped)


# ---------------------------------------------------------------------------------------------- splitting


def split(stacks: Sequence[Stack], settings: SplitSettings) -> tuple[list[Stack], list[Stack]]:
    """Return the stacks to train on and those to validate on.

    Raises
    ------
    RequestError
        If a part would be empty.
    """
    if settings.axis == "stacks":
        n_validation = max(1, round(settings.fraction * len(stacks)))
        if n_validation >= len(stacks):
            raise RequestError("Keeping whole stacks apart for validation needs at least two; cut along z, y or x.")
        # Every k-th, so that a list sorted by kind is represented.
        chosen = {round((i + 0.5) * len(stacks) / n_validation - 0.5) for i in range(n_validation)}
        return (
            [stack for i, stack in enumerate(stacks) if i not in chosen],
            [stack for i, stack in enumerate(stacks) if i in chosen],
        )
    pairs = [split_slab(stack, settings) for stack in stacks]
    train = [first for first, _ in pairs if first.is_labelled]
    validation = [second for _, second in pairs if second.is_labelled]
    if not train or not validation:
        raise RequestError("A part of the split has no label at all; choose another axis or fraction under data.split.")
    return train, validation


def split_slab(stack: Stack, settings: SplitSettings) -> tuple[Stack, Stack]:
    """Return the beginning and the end of a stack along one axis.

    Raises
    ------
    RequestError
        If the axis is too short.
    """
    axis = "zyx".index(settings.axis)
    size = stack.shape_vox[axis]
    cut = size - max(1, round(size * settings.fraction))
    if cut < 1:
        raise RequestError(f"{stack.name} has {size} slices along {settings.axis}, too few to split.")
    boxes: list[list[slice]] = [[slice(None)] * 3, [slice(None)] * 3]
    boxes[0][axis], boxes[1][axis] = slice(0, cut), slice(cut, None)
    first, second = (stack.crop((box[0], box[1], box[2])) for box in boxes)
    return first, second
