"""The step that makes segments by a plain watershed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.probability import as_probability
from plantseg_app.algorithms.watershed import minima_watershed
from plantseg_app.core.context import Context
from plantseg_app.core.fields import DEFAULT_MIN_SIZE, Fraction, SigmaVox, VoxelCount
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class PlainWatershed(Step):
    """Cut a boundary map along its crests, one segment for each valley.

    The simplest segmentation of all: quick to judge and hard to repair. A gap in a wall joins two cells, a faint ripple
    cuts one in two unless it lies below the threshold.
    """

    id: ClassVar[str] = "watershed"
    title: ClassVar[str] = "Watershed (plain)"
    reads: ClassVar[dict[str, Port]] = {
        "boundary": Port((Kind.BOUNDARY,), "The boundary map, 0 inside cells and 1 on boundaries."),
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    threshold: Fraction = Field(
        0.1,
        description="Each connected part of the smoothed map below this is one segment; lower it where cells merge.",
    )
    sigma: SigmaVox = Field(
        1.0,
        description="Smoothing of the boundary map.",
    )
    min_size: VoxelCount = Field(
        DEFAULT_MIN_SIZE,
        description="Segments with fewer voxels join the neighbour behind their weakest boundary.",
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Flood the map."""
        boundary = inputs["boundary"]
        values = as_probability(boundary.data, "boundary map")
        labels = minima_watershed(
            values,
            self.threshold,
            self.sigma,
            self.min_size,
            tuple(boundary.spacing),
            context.n_threads,
            context.check,
        )
        return boundary.replace(data=labels, kind=Kind.LABELS)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count about three float32 maps at once."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=13 * n_voxels, seconds=1.5e-7 * n_voxels)
