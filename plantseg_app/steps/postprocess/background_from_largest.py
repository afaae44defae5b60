"""The step that makes the largest object background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.labels import largest_to_background
from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class BackgroundFromLargest(Step):
    """Make the largest object background, label 0.

    A partition fills the whole image, so what surrounds the tissue comes out as one very large cell.
    """

    id: ClassVar[str] = "background-from-largest"
    title: ClassVar[str] = "Largest object to background"
    reads: ClassVar[dict[str, Port]] = {"labels": Port((Kind.LABELS,), "The segmentation.")}
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Clear it."""
        labels = inputs["labels"]
        context.check()
        return labels.replace(data=largest_to_background(labels.data))

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count three copies of the labels."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=12 * n_voxels, seconds=2e-8 * n_voxels)
