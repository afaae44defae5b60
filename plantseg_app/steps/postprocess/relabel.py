"""The step that renames objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.labels import number_consecutively, split_components
from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class Relabel(Step):
    """Number objects 1, 2, 3 ..., and give parts that do not touch numbers of their own.

    Label 0 stays background.
    """

    id: ClassVar[str] = "relabel"
    title: ClassVar[str] = "Relabel"
    reads: ClassVar[dict[str, Port]] = {"labels": Port((Kind.LABELS,), "The segmentation.")}
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    split_components: bool = Field(
        True,
        description="Give every connected part of an object a number of its own; otherwise parts stay together.",
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Rename them."""
        labels = inputs["labels"]
        context.check()
        rename = split_components if self.split_components else number_consecutively
        return labels.replace(data=rename(labels.data))

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count three copies of the labels."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=12 * n_voxels, seconds=2e-8 * n_voxels)
