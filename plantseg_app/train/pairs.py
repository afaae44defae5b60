"""Which of several files are images and which their labels, from names alone; for people who drop a heap of files.

>>> names = ["leaf1_raw.tif", "leaf1_labels.tif", "leaf2.tif", "leaf2-cells.tif", "notes.tif"]
>>> found = pair_files([Path(name) for name in names])
>>> [(files.image, files.labels) for files in found.stacks]
[('leaf1_raw.tif', 'leaf1_labels.tif'), ('leaf2.tif', 'leaf2-cells.tif')]
>>> [path.name for path in found.left]
['notes.tif']
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import PlantSegError, RequestError
from plantseg_app.io import inspect_image, write_volume
from plantseg_app.proofread.annotation import Annotation, unknown_file, write_annotation
from plantseg_app.train.label_files import are_planes_over, looks_layered
from plantseg_app.train.settings import StackFiles

_LABELS = re.compile(
    r"(?i)(?<![a-z])(labels?|cells?|objects?|layers|seg|segmentation|truth|gt|masks?|annotation|instances)(?![a-z])"
)
_IMAGES = re.compile(r"(?i)(?<![a-z])(raw|images?|img|stack|membranes?|input)(?![a-z])")
_LABEL_SETS = frozenset({"label", "labels", "segmentation", "seg"})


@dataclasses.dataclass(frozen=True)
class Pairs:
    """What was made of some files: labelled stacks, and the files that belong to none."""

    stacks: tuple[StackFiles, ...]
    left: tuple[Path, ...]


def pair_files(paths: Sequence[Path]) -> Pairs:
    """Sort files into labelled stacks: HDF5 files that hold both, and images with labels that are named alike.

    Labels that must be planes of objects that may overlap are marked as such. The mask that lies beside exported
    corrections goes with them.
    """
    both = [path for path in paths if holds_labels(path)]
    masks = {unknown_file(path) for path in both}
    single = [path for path in paths if path not in both and path not in masks]
    labels = [path for path in single if _LABELS.search(path.stem)]
    named = {(path.parent, _core(path)) for path in labels}
    labels += [path for path in single if _lies_with_labels(path) and (path.parent, _core(path)) not in named]
    images = {(path.parent, _core(path)): path for path in single if path not in labels}
    by_name = {core: path for (_, core), path in images.items()}
    stacks = [_with_unknown(path) for path in both]
    used: set[Path] = {*both, *(Path(files.ignore) for files in stacks if files.ignore)}
    for path in labels:
        core = _core(path)
        # In the same folder first; raw/ and labels/ beside each other are usual, too.
        image = images.get((path.parent, core)) or by_name.get(core)
        if image is not None and image not in used:
            stacks.append(StackFiles(image=str(image), labels=str(path)))
            used |= {image, path}
    left = [path for path in paths if path not in used]
    # Two files that were chosen together, or two of one name in folders whose names say nothing.
    twins = [left] if len(paths) == 2 else [[b for b in left if b.name == a.name] for a in left]
    for pair in twins:
        if len(pair) == 2 and not used & set(pair) and (chosen := _two(*pair)) is not None:
            stacks.append(chosen)
            used |= set(pair)
    return Pairs(tuple(_marked(files) for files in stacks), tuple(path for path in left if path not in used))


def _with_unknown(path: Path) -> StackFiles:
    """Return a file that holds image and labels, with the mask of what is unknown, where that lies beside it."""
    mask = unknown_file(path)
    return StackFiles(path=str(path), ignore=str(mask) if mask.is_file() else "")


def _marked(files: StackFiles) -> StackFiles:
    """Return the files with a mark if the labels must be planes of objects."""
    try:
        return files.model_copy(update={"layered": looks_layered(files)})
    except PlantSegError:
        # Whoever reads them will say what is wrong.
        return files


def _lies_with_labels(path: Path) -> bool:
    """Whether the folder is called like labels, as in raw/a.tif and labels/a.tif."""
    return bool(_LABELS.fullmatch(path.parent.name)) and not _IMAGES.search(path.stem)


def _two(first: Path, second: Path) -> StackFiles | None:
    """Return the stack that two files make whose names have nothing in common, if one of them is clearly the labels."""
    are_labels = [_is_labels(path) for path in (first, second)]
    if not any(are_labels):
        are_labels = _which_is_planes(first, second)
    if are_labels[0] == are_labels[1]:
        return None
    image, labels = (second, first) if are_labels[0] else (first, second)
    return StackFiles(image=str(image), labels=str(labels))


def _which_is_planes(first: Path, second: Path) -> list[bool]:
    """Return which of two files holds planes of objects over the single slice of the other."""
    try:
        infos = inspect_image(first), inspect_image(second)
    except PlantSegError:
        return [False, False]
    return [are_planes_over(infos[0], infos[1]), are_planes_over(infos[1], infos[0])]


def _is_labels(path: Path) -> bool:
    """Whether a file is called like labels, says that it holds some, or has numbers as large as only labels need."""
    if _LABELS.search(path.stem):
        return True
    try:
        image = inspect_image(path).image
    except PlantSegError:
        return False
    return image.kind in (Kind.LABELS, Kind.LAYERED_LABELS) or image.dtype in ("uint32", "uint64", "int32", "int64")


def holds_labels(path: Path) -> bool:
    """Whether a file holds an image and labels, under the usual names."""
    if path.suffix.lower() not in (".h5", ".hdf5", ".hdf", ".hd5"):
        return False
    try:
        names = {image.name.strip("/").lower() for image in inspect_image(path).datasets}
    except PlantSegError:
        # Whoever reads it will say what is wrong.
        return False
    return len(names) > 1 and bool(names & _LABEL_SETS)


def write_pair(path: Path, image: Volume, labels: Volume) -> StackFiles:
    """Write an image and its cells into one HDF5 file that a training reads.

    Parameters
    ----------
    path
        The file; replaced as a whole.
    image, labels
        ([C,] Z, Y, X) and ([L,] Z, Y, X). Cells of a crop take the same crop of the image along.

    Raises
    ------
    RequestError
        If the cells do not lie on the voxels of the image.
    """
    if image.shape_vox != labels.shape_vox and labels.place is not None and image.place is None:
        box = labels.place.slices
        if image.shape_vox == labels.place.full_shape_vox:
            image = image.replace(data=image.data[(..., *box)])
    if image.shape_vox != labels.shape_vox:
        raise RequestError(
            f"The image has {image.shape_vox} voxels (Z, Y, X) and the cells {labels.shape_vox}; a training needs "
            "cells for each voxel of the image. Segment the image itself, without rescaling it."
        )
    partial = path.with_name(f".{path.stem}.partial.h5")
    try:
        partial.unlink(missing_ok=True)
        write_volume(partial, image, dataset="raw")
        write_volume(partial, labels, dataset="label")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    layered = labels.kind is Kind.LAYERED_LABELS
    return StackFiles(path=str(path), channel="all" if image.data.ndim == 4 else None, layered=layered)


def write_annotated(annotation: Annotation, image: Volume, folder: Path, name: str) -> StackFiles:
    """Write an annotation of `image`, and return its files as a training names them; raises as `write_annotation`."""
    written = write_annotation(annotation, image, folder, name)
    channel = "all" if image.data.ndim == 4 else None
    return StackFiles(path=str(written.path.resolve()), ignore=str(written.ignore.resolve()), channel=channel)


def _core(path: Path) -> str:
    """Return the part of a name that image and labels share."""
    text = _IMAGES.sub("", _LABELS.sub("", path.stem))
    return re.sub(r"[\W_]+", " ", text).strip().lower()
