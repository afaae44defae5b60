"""Labels of training stacks from files: plain ones, or objects that may overlap, and where they are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.layers import combine_layers, number_masks, pack_layers
from plantseg_app.core.volume import Kind, as_labels
from plantseg_app.errors import RequestError
from plantseg_app.io.reader import inspect_image, read_volume
from plantseg_app.train.settings import StackFiles


def is_layered(files: StackFiles) -> bool:
    """Return whether labels may overlap: because the settings say so, or this program wrote them as layers."""
    if files.layered or not files.labels:
        return files.layered
    return inspect_image(files.labels, files.labels_dataset).kind is Kind.LAYERED_LABELS


def read_layers(
    files: StackFiles, ignore: int | None
) -> tuple[NDArray[Any], NDArray[np.bool_] | None, NDArray[np.uint32]]:
    """Return codes, where they are known, and their table, of objects that may overlap."""
    if ignore is not None:
        raise RequestError(
            "Layers of objects have no label to ignore; give a mask file as ignore of the stack instead."
        )
    path = files.path or files.labels
    layers = read_volume(path, kind=Kind.LAYERED_LABELS, dataset=files.labels_dataset).data
    codes, table = combine_layers(pack_layers(number_masks(layers)))
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
