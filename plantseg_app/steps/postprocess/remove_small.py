"""The step that removes small objects."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.labels import drop_small, merge_small
from plantseg_app.core.context import Context
from plantseg_app.core.fields import DEFAULT_MIN_SIZE, VoxelCount
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class SmallObjects(enum.StrEnum):
    """What becomes of a small object."""

    MERGE = "merge"
    DROP = "drop"


class RemoveSmall(Step):
    """Merge objects below a size into their best neighbour, or make them background.

    The best neighbour is the one behind the weakest boundary when a boundary map is given, and the one with the longest
    contact otherwise. An object that touches only background is left alone unless it is dropped.
    """

    id: ClassVar[str] = "remove-small"
    title: ClassVar[str] = "Remove small objects"
    reads: ClassVar[dict[str, Port]] = {
        "labels": Port((Kind.LABELS,), "The segmentation."),
        "boundary": Port((Kind.BOUNDARY,), "The boundary map, to choose the neighbour by.", optional=True),
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    min_size: VoxelCount = Field(
        DEFAULT_MIN_SIZE,
        description="Objects with fewer voxels are removed.",
    )
    how: SmallObjects = Field(
        SmallObjects.MERGE,
        description="Merge small objects into a neighbour, or drop them to background.",
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Remove them."""
        labels = inputs["labels"]
        if self.how is SmallObjects.DROP:
            return labels.replace(data=drop_small(labels.data, self.min_size))
        boundary = inputs["boundary"].data if "boundary" in inputs else None
        merged = merge_small(labels.data, self.min_size, boundary, context.n_threads, context.check)
        return labels.replace(data=merged)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count three copies of the labels."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=12 * n_voxels, seconds=5e-8 * n_voxels)
