"""What a harmonic network learns to say about a frame of labels, and how much each voxel counts. Knows arrays alone.

>>> labels = np.zeros((1, 8, 8), np.uint32)
>>> labels[0, :, 4:] = 7
>>> target = frame_target(labels, preset("cvppp"), TargetRules())
>>> target.shape, bool(target[:12, 0, 0, 0].any()), bool(np.ptp(target[:12, 0, :, 4:], axis=(1, 2)).any())
((14, 1, 8, 8), False, False)
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.region_graph import make_dense
from plantseg_app.networks.harmonic.guides import Guide, guide_maps, object_means, preset

__all__ = ["ObjectWeight", "TargetRules", "frame_target", "preset"]

ObjectWeight = Literal["equal", "logarithm", "cube-root", "area"]

_EDGE_REACH_VOX = 2
_LOGARITHM_GAIN = 10.0


@dataclasses.dataclass(frozen=True)
class TargetRules:
    """What counts how much.

    Attributes
    ----------
    background_is_object
        Whether the background has an embedding of its own, its mean over the frame, that is learned too; otherwise
        background voxels count nothing.
    object_weight
        How the weight of a voxel falls with the size of its object: ``"equal"``, ``"logarithm"`` (10 / ln(area)),
        ``"cube-root"`` (1 / area^(1/3)) or ``"area"`` (1 / area); but for ``"equal"`` scaled to a mean of 1.
    edge_weight
        Added to the weight of voxels at most two away from another label.
    """

    background_is_object: bool = False
    object_weight: ObjectWeight = "equal"
    edge_weight: float = 0.0


def frame_target(
    labels: NDArray[Any], guides: Sequence[Guide], rules: TargetRules, stride: int = 1
) -> NDArray[np.float32]:
    """Return what should be said about a frame.

    Parameters
    ----------
    labels
        (Z, Y, X) labels; 0 is background. Guides of two frequencies see each slice as a frame of its own, those of
        three the whole.
    guides
        The guide functions.
    rules
        What counts.
    stride
        How much coarser along Y and X the grid of the answer is; Y and X are multiples of it.

    Returns
    -------
    NDArray[np.float32]
        (N + stride^2 + 1, Z, Y / stride, X / stride): the embedding of the object in each cell, the foreground (0 or 1)
        of each voxel of the cell, row by row, and the weight of the cell's embedding in the loss, 0 where it does not
        count. A cell on a border belongs to the object with the larger number.
    """
    if len(guides[0]) == 4:
        return _one_frame(labels, guides, rules, stride)
    return np.concatenate([_one_frame(plane[None], guides, rules, stride) for plane in labels], axis=1)


def _one_frame(labels: NDArray[Any], guides: Sequence[Guide], rules: TargetRules, stride: int) -> NDArray[np.float32]:
    dense = make_dense(labels)[0]
    maps = kept_maps(tuple(guides), labels.shape if len(guides[0]) == 4 else labels.shape[1:])
    means = _means(dense, maps.reshape(len(guides), -1), rules.background_is_object)
    areas = np.bincount(dense.ravel())
    weights = _voxel_weights(areas, rules.object_weight)
    if not rules.background_is_object:
        means[0], weights[0] = 0.0, 0.0
    cells = _cells(dense, stride)
    coarse = cells.max((2, 4)) if stride > 1 else dense
    target = np.empty((len(guides) + stride**2 + 1, *coarse.shape), np.float32)
    for channel, column in zip(target, means.T, strict=False):
        np.take(column, coarse, out=channel, mode="clip")
    folded = np.moveaxis(cells > 0, (2, 4), (0, 1))
    target[len(guides) : -1] = folded.reshape(-1, *coarse.shape)
    np.take(weights, coarse, out=target[-1], mode="clip")
    if rules.edge_weight:
        near = _cells(near_other_labels(dense), stride).max((2, 4))
        target[-1] += rules.edge_weight * (near & (target[-1] > 0))
    return target


def _cells(values: NDArray[Any], stride: int) -> NDArray[Any]:
    """Return (Z, Y / stride, stride, X / stride, stride), a view."""
    z, y, x = values.shape
    return values.reshape(z, y // stride, stride, x // stride, stride)


def _means(dense: NDArray[Any], maps: NDArray[np.float32], with_background: bool) -> NDArray[np.float32]:
    if with_background:
        return object_means(dense, maps)
    # Objects often cover a small part of a frame; the rest need not be summed.
    inside = np.flatnonzero(dense)
    if not len(inside):
        return np.zeros((1, len(maps)), np.float32)
    return object_means(dense.ravel()[inside], maps[:, inside])


@functools.lru_cache(maxsize=8)
def kept_maps(guides: tuple[Guide, ...], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return `guide_maps`, remembered: a training asks for the same ones again and again."""
    maps = guide_maps(guides, shape)
    maps.setflags(write=False)
    return maps


def _voxel_weights(areas: NDArray[np.int64], rule: ObjectWeight) -> NDArray[np.float32]:
    if rule == "equal":
        return np.ones(len(areas), np.float32)
    size = np.maximum(areas, 2).astype(np.float64)
    shapes = {"logarithm": _LOGARITHM_GAIN / np.log(size), "cube-root": size ** (-1 / 3), "area": 1 / size}
    weights = shapes[rule]
    # Scaled so that the mean over the objects' voxels is one, and rates mean the same under every rule.
    in_objects = areas[1:].sum()
    mean = (weights[1:] * areas[1:]).sum() / in_objects if in_objects else 1.0
    return np.asarray(weights / mean, np.float32)


def near_other_labels(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the voxels at most two away, along each axis, from a voxel of another label."""
    from scipy import ndimage

    changes = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        ahead = (slice(None),) * axis + (slice(1, None),)
        behind = (slice(None),) * axis + (slice(None, -1),)
        differ = labels[ahead] != labels[behind]
        changes[ahead] |= differ
        changes[behind] |= differ
    size = [2 * (_EDGE_REACH_VOX - 1) + 1 if n > 1 else 1 for n in labels.shape]
    wide: NDArray[np.uint8] = ndimage.maximum_filter(changes.astype(np.uint8), size=size)
    return wide > 0
