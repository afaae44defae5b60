"""Exchange bright and dark."""

from __future__ import annotations

from collections.abc import Mapping

from plantseg_app.algorithms.intensity import InvertRange
from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Shape3, Volume
from plantseg_app.steps.preprocess.grey_images import IMAGE_KINDS


class Invert(Step):
    """Exchange bright and dark, for example when membranes are dark; the type of the numbers stays."""

    id = "invert"
    title = "Invert"
    reads = {"image": Port(IMAGE_KINDS, "The image to invert.")}
    makes = SameAs("image")

    within: InvertRange = Field(
        "auto",
        description="What is exchanged: the limits of the type of number (type), the smallest and largest value "
        "present (image), 0 and 1 (one). auto takes type for unsigned whole numbers, one for fractions within 0 .. 1, "
        "else image.",
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the image with its type of numbers."""
        from plantseg_app.algorithms.intensity import invert

        context.check()
        return inputs["image"].replace(data=invert(inputs["image"].data, self.within))

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count one image more."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=4 * n_voxels, seconds=1e-9 * n_voxels)
