"""Even out contrast region by region."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Shape3, Volume
from plantseg_app.steps.preprocess.grey_images import IMAGE_KINDS, LengthUnit, lengths_vox, on_each_channel


class Clahe(Step):
    """Raise contrast where it is low (contrast-limited adaptive histogram equalisation, CLAHE), in slices or in 3D."""

    id = "clahe"
    title = "Local contrast (CLAHE)"
    reads = {"image": Port(IMAGE_KINDS, "The image with uneven contrast.")}
    makes = SameAs("image")

    region: float = Field(
        64.0,
        gt=0.0,
        le=1e5,
        description="Edge length of the regions that get a grey-value curve each, in the unit below; "
        "a few cells wide is good.",
    )
    unit: LengthUnit = Field(
        "voxel", description="Whether the region is in voxels of the finest axis or in micrometres."
    )
    max_slope: float = Field(
        3.0,
        ge=1.0,
        le=256.0,
        description="The most by which contrast is raised: 1 changes nothing, large values amplify noise.",
    )
    per_slice: bool = Field(
        True,
        description="Treat each slice alone, which evens out the loss of light with depth; "
        "else regions are boxes in 3D.",
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the image as float32 in 0 .. 1."""
        from plantseg_app.algorithms.intensity import clahe

        image = inputs["image"]
        region = [max(1, round(edge)) for edge in lengths_vox(image, self.region, self.unit, self.per_slice)]
        track = functools.partial(context.track, label="CLAHE")
        return image.replace(
            data=on_each_channel(image.data, lambda data: clahe(data, region, self.max_slope, track=track))
        )

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the result, and several float64 for each voxel of a slice or stack grown by half a region."""
        n_voxels = math.prod(shape_vox)
        region = (0.0 if self.per_slice else self.region, self.region, self.region)
        n_grown = math.prod(n + min(n, edge) for n, edge in zip(shape_vox, region, strict=True))
        n_at_once = n_grown / shape_vox[0] if self.per_slice else n_grown
        return Cost(memory_bytes=int(4 * n_voxels + 32 * n_at_once), seconds=2e-7 * n_grown)
