"""From predicted maps to objects, in the fastest way that tells a good network from a bad one, and their score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import map_ids
from plantseg_app.algorithms.mask_outline import ObjectSettings, segment_mask_and_outline
from plantseg_app.algorithms.partition import gasp
from plantseg_app.algorithms.watershed import WatershedSettings, oversegment
from plantseg_app.core.context import Context
from plantseg_app.core.volume import VoxelSize
from plantseg_app.evaluate import adapted_rand, average_precision, count_contingency
from plantseg_app.train.settings import ValidationSettings

_SIGMA_SEEDS = 2.0


def quick_segmentation(
    maps: Mapping[str, NDArray[np.float32]],
    settings: ValidationSettings,
    voxel_size_um: VoxelSize | None,
    context: Context,
) -> NDArray[np.uint32]:
    """Return objects (Z, Y, X) from predicted maps by name.

    A map named ``nuclei`` or ``foreground`` that comes first is a mask; ``boundary`` beside it is the outline. A
    boundary map alone, or first, is cut into superpixels that GASP joins. Other maps give one object.
    """
    first = next(iter(maps))
    boundary = maps.get("boundary")
    if first in ("nuclei", "foreground"):
        outline = np.zeros_like(maps[first]) if boundary is None else boundary
        objects = ObjectSettings(min_size=settings.min_size)
        return segment_mask_and_outline(maps[first], outline, objects, voxel_size_um, context.n_threads, context.check)
    if boundary is None:
        return np.ones(maps[first].shape, np.uint32)
    watershed = WatershedSettings(settings.threshold, _SIGMA_SEEDS, min_size=settings.min_size)
    superpixels, graph = oversegment(boundary, watershed, voxel_size_um, context.n_threads, context.check)
    context.check()
    return np.asarray(map_ids(superpixels, gasp(graph, settings.beta), context.n_threads))


def rand_error(labels: NDArray[Any], reference: NDArray[Any], known: NDArray[np.bool_] | None) -> float:
    """Return the adapted Rand error over labelled voxels, background left out."""
    return float(adapted_rand(count_contingency(labels, reference, mask=known)).error)


def average_precision_at_half(labels: NDArray[Any], reference: NDArray[Any], known: NDArray[np.bool_] | None) -> float:
    """Return TP / (TP + FP + FN) at an intersection over union of 0.5."""
    return float(average_precision(count_contingency(labels, reference, mask=known), 0.5))
