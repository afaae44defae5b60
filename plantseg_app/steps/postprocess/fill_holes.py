"""The step that fills holes in objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.labels import fill_holes
from plantseg_app.core.context import Context
from plantseg_app.core.fields import VoxelCount
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class FillHoles(Step):
    """Fill background that a single object encloses on all sides.

    Space between several objects is not a hole and stays.
    """

    id: ClassVar[str] = "fill-holes"
    title: ClassVar[str] = "Fill holes"
    reads: ClassVar[dict[str, Port]] = {"labels": Port((Kind.LABELS,), "The segmentation.")}
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    max_size: VoxelCount | None = Field(
        None,
        description="Larger holes stay; empty to fill all.",
        json_schema_extra={"empty": "fill all"},
    )
    by_slice: bool = Field(
        False,
        description="Fill what is closed within a slice, even if it is open above or below.",
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Fill them."""
        labels = inputs["labels"]
        context.check()
        return labels.replace(data=fill_holes(labels.data, self.max_size, self.by_slice))

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count five copies of the labels."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=20 * n_voxels, seconds=6e-8 * n_voxels)
