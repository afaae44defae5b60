"""Smooth an image with a Gaussian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from numpy.typing import NDArray

from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Shape3, Volume
from plantseg_app.steps.preprocess.grey_images import IMAGE_KINDS, LengthUnit, lengths_vox, on_each_channel


class Gaussian(Step):
    """Smooth an image with a Gaussian, equally far in all directions of space. Takes noise away, and fine detail."""

    id = "gaussian"
    title = "Gaussian smoothing"
    reads = {"image": Port(IMAGE_KINDS, "The image to smooth.")}
    makes = SameAs("image")

    sigma: Annotated[float, Field(ge=0.0, le=1000.0)] = Field(
        1.0, description="Width of the Gaussian (standard deviation), in the unit below; 0 changes nothing."
    )
    unit: LengthUnit = Field("voxel", description="Whether sigma is in voxels of the finest axis or in micrometres.")
    per_slice: bool = Field(False, description="Smooth each slice alone, not across slices.")

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the image as float32; float64 stays."""
        from plantseg_app.algorithms.filters import gaussian

        image = inputs["image"]
        sigma = lengths_vox(image, self.sigma, self.unit, self.per_slice)

        def smooth(data: NDArray[Any]) -> NDArray[Any]:
            context.check()
            return gaussian(data, sigma)

        return image.replace(data=on_each_channel(image.data, smooth))

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count two float32 images at a time."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=8 * n_voxels, seconds=2e-8 * n_voxels)
