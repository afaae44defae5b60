"""Labels of training stacks from files: plain ones, or objects that may overlap, and where they are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.layers import combine_layers, pack_layers
from plantseg_app.core.volume import Kind, as_labels
from plantseg_app.errors import RequestError
from plantseg_app.evaluate import prepare_layers
from plantseg_app.io.reader import ImageInfo, inspect_image, read_volume
from plantseg_app.train.settings import StackFiles


def is_layered(files: StackFiles) -> bool:
    """Return whether labels may overlap: because the settings say so, or this program wrote them as layers.

    Raises
    ------
    PlantSegError
        If the file of labels cannot be read.
    """
    if files.layered:
        return True
    stored = inspect_image(files.labels or files.path, files.labels_dataset)
    if files.labels or files.labels_dataset:
        return stored.kind is Kind.LAYERED_LABELS
    return any(image.kind == Kind.LAYERED_LABELS for image in stored.datasets)


def looks_layered(files: StackFiles) -> bool:
    """Return whether labels must be planes of objects: several for an image of a single slice, or known to be such.

    Raises
    ------
    PlantSegError
        If a file cannot be read.
    """
    if is_layered(files):
        return True
    if not files.labels:
        return False
    image, labels = inspect_image(files.image, files.image_dataset), inspect_image(files.labels, files.labels_dataset)
    return are_planes_over(labels, image)


def are_planes_over(labels: ImageInfo, image: ImageInfo) -> bool:
    """Return whether an image has a single slice and the other one several planes of its height and width."""
    n_slices, slice_shape = _slices(image, "CS")
    n_planes, plane_shape = _slices(labels, "S")
    return n_slices == 1 < n_planes and slice_shape == plane_shape and labels.dtype[0] in "uib"


def _slices(info: ImageInfo, inside: str) -> tuple[int, tuple[int, int]]:
    """Return how many slices an image has, not counting the axes `inside`, and their height and width."""
    axes = info.axes or "TCZYX"[-len(info.shape) :]
    lengths = dict(zip(axes, info.shape, strict=False))
    count = 1
    for letter in set(axes) - {"Y", "X", *inside}:
        count *= lengths[letter]
    return count, (lengths.get("Y", 1), lengths.get("X", 1))


def read_layers(
    files: StackFiles, ignore: int | None
) -> tuple[NDArray[Any], NDArray[np.bool_] | None, NDArray[np.uint32]]:
    """Return codes, where they are known, and their table, of objects that may overlap.

    Raises
    ------
    InputError
        If an id occurs in several planes, and the planes are no masks either.
    """
    if ignore is not None:
        raise RequestError(
            "Layers of objects have no label to ignore; give a mask file as ignore of the stack instead."
        )
    path = files.path or files.labels
    layers = read_volume(path, kind=Kind.LAYERED_LABELS, dataset=files.labels_dataset).data
    codes, table = combine_layers(pack_layers(prepare_layers(layers, f"stack of objects {path}")))
    known = read_volume(files.ignore).data == 0 if files.ignore else None
    return codes, None if known is None or known.all() else known, table


def read_labels(files: StackFiles, ignore: int | None) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return labels (Z, Y, X) and where they are known, None: everywhere."""
    path = files.path or files.labels
    known: NDArray[np.bool_] | None = None
    if ignore is not None and ignore < 0:
        # Labels below 0 are refused as labels; here one of them has a meaning.
        usual = files.labels_dataset or ("label" if files.path else None)
        signed = read_volume(path, dataset=usual, axes=None if files.path else files.axes).data
        known = signed != ignore
        labels = as_labels(np.where(known, signed, 0).astype(np.int64))
    else:
        labels = read_volume(path, kind=Kind.LABELS, dataset=files.labels_dataset).data
        if ignore is not None:
            known = labels != ignore
            labels = np.where(known, labels, 0).astype(labels.dtype)
    if files.ignore:
        outside = read_volume(files.ignore).data != 0
        known = ~outside if known is None else known & ~outside
    if known is not None and known.all():
        known = None
    return labels, known
