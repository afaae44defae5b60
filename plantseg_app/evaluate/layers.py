"""Instances that may overlap, kept as a stack of layers: checking, numbering and flattening them.

A stack has shape ``(L, Z, Y, X)`` or ``(L, Y, X)``; 0 means no instance; each id occurs in one layer only. A stack of
plain masks, one a layer (all of them 0 and 1, or 0 and 255), is understood as well.

>>> import numpy as np
>>> worms = np.array([[[1, 1, 0]], [[0, 1, 1]]])
>>> prepare_layers(worms, "reference").tolist()
[[[1, 1, 0]], [[0, 2, 2]]]
>>> flatten_layers(prepare_layers(worms, "reference")).tolist()
[[1, 3, 2]]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import InputError
from plantseg_app.evaluate.inputs import check_labels


def prepare_layers(stack: NDArray[Any], name: str) -> NDArray[Any]:
    """Return a checked stack in which each id occurs in one layer only.

    Parameters
    ----------
    stack
        ``(L, Z, Y, X)`` or ``(L, Y, X)``, integer or bool. If one and the same value fills several layers and
        no other occurs, each layer is the mask of one instance, and layer k becomes number k + 1.
    name
        What to call it in a message.

    Raises
    ------
    InputError
        When it is no such stack, or an id occurs in two layers.
    """
    layers = check_labels(stack, name)
    if layers.ndim < 3:
        raise InputError(
            f"The {name} has shape {layers.shape}, but layered instances need a leading layer axis, "
            "(L, Z, Y, X) or (L, Y, X); score plain label images without layers."
        )
    ids, counts = _count_layers_by_id(layers)
    if ids.size == 1 and counts[0] > 1:
        numbers = np.arange(1, len(layers) + 1, dtype=np.uint32).reshape(-1, *(1,) * (layers.ndim - 1))
        return np.asarray((layers != 0) * numbers)
    if ids.size and counts.max() > 1:
        raise InputError(
            f"Label {ids[counts > 1][0]} occurs in several layers of the {name}, but each instance must lie in one "
            "layer and have an id of its own; renumber the layers, or give one 0/1 mask a layer."
        )
    return layers


def check_same_plane(segmentation: NDArray[Any], reference: NDArray[Any]) -> None:
    """Raise `InputError` when the layers of two stacks have different shapes; the numbers of layers may differ.

    A missing Z axis is as good as one of length 1.
    """
    planes = [_without_leading_ones(stack.shape[1:]) for stack in (segmentation, reference)]
    if planes[0] != planes[1]:
        raise InputError(
            f"A layer of the segmentation has shape {segmentation.shape[1:]} and one of the reference "
            f"{reference.shape[1:]}, but they must be the same; crop or resample one onto the other first."
        )


def flatten_layers(stack: NDArray[Any]) -> NDArray[np.int64]:
    """Return one label for each combination of instances that cover a voxel.

    Without overlaps this is the plain label image (up to the numbers); an overlap becomes a region of its own.

    Parameters
    ----------
    stack
        ``(L, ...)`` as `prepare_layers` returns it.

    Returns
    -------
    ndarray
        ``(...)`` int64; 0 where no instance is.
    """
    flat = np.zeros(stack[0].size, dtype=np.int64)
    for layer in stack:
        inside = np.flatnonzero(layer)
        ids, numbers = np.unique(layer.reshape(-1)[inside], return_inverse=True)
        if ids.size == 0:
            continue
        combined = flat[inside] * (len(ids) + 1) + numbers + 1
        fresh = int(flat.max()) + 1
        # New numbers lie above all earlier ones, which stay valid where this layer is empty.
        flat[inside] = fresh + np.unique(combined, return_inverse=True)[1]
    ids, numbers = np.unique(flat, return_inverse=True)
    return np.asarray(numbers + (1 if ids[0] > 0 else 0)).reshape(stack.shape[1:])


def _count_layers_by_id(layers: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the ids in a stack, without 0, and in how many layers each occurs."""
    occurring = np.concatenate([np.unique(layer) for layer in layers])
    return np.unique(occurring[occurring > 0], return_counts=True)


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape
