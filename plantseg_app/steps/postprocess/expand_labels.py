"""The step that grows objects into the background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.label_shapes import expand_labels
from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class ExpandLabels(Step):
    """Grow objects into the background by a distance, each voxel to the nearest object.

    Objects never overlap. Distances are in micrometres where the voxel size is known, else in voxels.
    """

    id: ClassVar[str] = "expand-labels"
    title: ClassVar[str] = "Expand objects"
    reads: ClassVar[dict[str, Port]] = {"labels": Port((Kind.LABELS,), "The segmentation.")}
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    distance_um: float = Field(
        1.0,
        ge=0.0,
        le=1e6,
        description="How far to grow; in voxels if the voxel size is not known.",
        json_schema_extra={"unit": "um"},
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Grow them."""
        labels = inputs["labels"]
        if labels.voxel_size_um is None:
            context.message("The voxel size is not known, so the distance is taken in voxels.")
        context.check()
        return labels.replace(data=expand_labels(labels.data, self.distance_um, tuple(labels.spacing)))

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the labels, distances and three indices."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=25 * n_voxels, seconds=1e-7 * n_voxels)
