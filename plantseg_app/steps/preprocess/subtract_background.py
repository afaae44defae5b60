"""Take away uneven background light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from numpy.typing import NDArray

from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume
from plantseg_app.steps.preprocess.grey_images import LengthUnit, lengths_vox, on_each_channel


class SubtractBackground(Step):
    """Estimate slowly varying background light and subtract it; what would be negative becomes 0."""

    id = "subtract-background"
    title = "Subtract background"
    reads = {
        "image": Port((Kind.RAW, Kind.BOUNDARY, Kind.FOREGROUND, Kind.NUCLEI), "The image with uneven background.")
    }
    makes = SameAs("image")

    method: Literal["rolling-ball", "top-hat", "gaussian"] = Field(
        "rolling-ball",
        description="rolling-ball: how high a ball reaches from below (as in ImageJ); top-hat: what is wider than "
        "a box; gaussian: the mean of the surroundings.",
    )
    radius: float = Field(
        50.0,
        gt=0.0,
        le=1e4,
        description="Radius of the ball, half width of the box or sigma, in the unit below; larger than half the "
        "widest bright structure.",
    )
    unit: LengthUnit = Field(
        "voxel", description="Whether the radius is in voxels of the finest axis or in micrometres."
    )
    per_slice: bool = Field(True, description="Estimate the background of each slice alone, not across slices.")

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the image with its type of numbers."""
        from plantseg_app.algorithms.intensity import (
            ball_background,
            gaussian_background,
            opening_background,
            subtract_background,
        )

        image = inputs["image"]
        radius = lengths_vox(image, self.radius, self.unit, self.per_slice)
        background = {
            "rolling-ball": ball_background,
            "top-hat": opening_background,
            "gaussian": gaussian_background,
        }[self.method]

        def subtract(data: NDArray[Any]) -> NDArray[Any]:
            context.check()
            return subtract_background(data, background(data, radius))

        return image.replace(data=on_each_channel(image.data, subtract))

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Take the method into account: the ball is the slowest."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        seconds = {"rolling-ball": 4e-7, "top-hat": 2e-7, "gaussian": 3e-7}[self.method]
        return Cost(memory_bytes=16 * n_voxels, seconds=seconds * n_voxels)
