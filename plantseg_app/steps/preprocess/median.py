"""Smooth an image with a median."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Shape3, Volume
from plantseg_app.steps.preprocess.grey_images import IMAGE_KINDS, LengthUnit, lengths_vox, on_each_channel


class Median(Step):
    """Replace each voxel by the median of the ball around it. Takes specks away, keeps edges sharp; slow when large."""

    id = "median"
    title = "Median filter"
    reads = {"image": Port(IMAGE_KINDS, "The image to smooth.")}
    makes = SameAs("image")

    radius: float = Field(
        1.0,
        ge=0.0,
        le=20.0,
        description="Radius of the ball, in the unit below; axes where it is below 1 voxel are left alone.",
    )
    unit: LengthUnit = Field(
        "voxel", description="Whether the radius is in voxels of the finest axis or in micrometres."
    )
    per_slice: bool = Field(False, description="Filter each slice alone, not across slices.")

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the image with its type of numbers."""
        from plantseg_app.algorithms.filters import median

        image = inputs["image"]
        radius = lengths_vox(image, self.radius, self.unit, self.per_slice)
        track = functools.partial(context.track, label="Median")
        filtered = on_each_channel(
            image.data, lambda data: median(data, radius, n_threads=context.n_threads, track=track)
        )
        return image.replace(data=filtered)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Let the time grow with the volume of the ball."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        ball = (2 * self.radius + 1) ** (2 if self.per_slice or shape_vox[0] == 1 else 3) / 2
        return Cost(memory_bytes=8 * n_voxels, seconds=2e-8 * n_voxels * max(1.0, ball))
