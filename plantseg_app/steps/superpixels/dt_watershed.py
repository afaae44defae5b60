"""The step that makes superpixels by a distance transform watershed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.probability import as_probability
from plantseg_app.algorithms.watershed import DEFAULTS, WatershedSettings, distance_transform_watershed
from plantseg_app.core.context import Context
from plantseg_app.core.fields import Fraction, SigmaVox, VoxelCount
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class DistanceTransformWatershed(Step):
    """Cut a boundary map into superpixels, small pieces of cells that a partition step then joins.

    Seeds are the points farthest from every boundary; from them the boundary map is flooded. The result has no
    background and a few pieces to each cell.
    """

    id: ClassVar[str] = "dt-watershed"
    title: ClassVar[str] = "Superpixels (distance transform watershed)"
    reads: ClassVar[dict[str, Port]] = {
        "boundary": Port((Kind.BOUNDARY,), "The boundary map, 0 inside cells and 1 on boundaries."),
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    threshold: Fraction = Field(
        DEFAULTS.threshold,
        description="Voxels with a boundary value above this are boundary; lower it where cells leak into each other.",
    )
    sigma_seeds: SigmaVox = Field(
        DEFAULTS.sigma_seeds,
        description="Smoothing of the distance map before seeds are taken from it; larger gives fewer superpixels.",
    )
    sigma_weights: SigmaVox = Field(
        DEFAULTS.sigma_weights,
        description="Smoothing of the boundary map before it is flooded.",
        json_schema_extra={"advanced": True},
    )
    min_size: VoxelCount = Field(
        DEFAULTS.min_size,
        description="Superpixels with fewer voxels join the neighbour behind their weakest boundary.",
    )
    alpha: Fraction = Field(
        DEFAULTS.alpha,
        description="Share of the boundary map in what is flooded; the rest is the distance to the boundary.",
        json_schema_extra={"advanced": True},
    )
    stacked: bool = Field(
        DEFAULTS.stacked,
        description="Do every slice by itself; better where slices lie far apart compared with the pixel size.",
    )
    apply_nonmax_suppression: bool = Field(
        DEFAULTS.apply_nonmax_suppression,
        description="Let a seed give way to a stronger one nearby, for fewer superpixels in oddly shaped cells.",
        json_schema_extra={"advanced": True},
    )
    use_voxel_size: bool = Field(
        True,
        description="Let thick slices count as thick when distances are measured, where the voxel size is known.",
        json_schema_extra={"advanced": True},
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Make the superpixels."""
        boundary = inputs["boundary"]
        settings = WatershedSettings(**self.model_dump(exclude={"use_voxel_size"}))
        spacing = tuple(boundary.spacing) if self.use_voxel_size else None
        values = as_probability(boundary.data, "boundary map")
        labels = distance_transform_watershed(values, settings, spacing, context.n_threads, context.check)
        return boundary.replace(data=labels, kind=Kind.LABELS)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """About four float32 maps at once; one core does five million voxels a second."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=16 * n_voxels, seconds=2e-7 * n_voxels)
