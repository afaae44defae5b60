"""The step that smooths the outlines of objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.label_shapes import smooth_labels
from plantseg_app.core.context import Context
from plantseg_app.core.fields import SigmaVox
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class SmoothLabels(Step):
    """Smooth the outlines of objects, without gaps or overlaps between them.

    Each voxel goes to the object with the largest share of its surroundings. An object too thin to survive keeps the
    voxels it had.
    """

    id: ClassVar[str] = "smooth-labels"
    title: ClassVar[str] = "Smooth outlines"
    reads: ClassVar[dict[str, Port]] = {"labels": Port((Kind.LABELS,), "The segmentation.")}
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    sigma: SigmaVox = Field(
        2.0,
        description="Width of the surroundings; larger is smoother.",
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Smooth them."""
        labels = inputs["labels"]
        return labels.replace(data=smooth_labels(labels.data, self.sigma, tuple(labels.spacing), context.check))

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count five copies of the labels; each object is smoothed in its own box."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=24 * n_voxels, seconds=2e-7 * n_voxels)
