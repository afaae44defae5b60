"""Keep what lies in a mask."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume
from plantseg_app.steps.preprocess.grey_images import IMAGE_KINDS


class MaskImage(Step):
    """Keep an image, or labels, inside a mask and set everything else to 0. The mask is labels or a foreground map."""

    id = "mask-image"
    title = "Mask image"
    reads = {
        "image": Port((*IMAGE_KINDS, Kind.LABELS, Kind.LAYERED_LABELS), "What to keep inside the mask."),
        "mask": Port(
            (Kind.FOREGROUND, Kind.LABELS, Kind.NUCLEI, Kind.BOUNDARY, Kind.RAW),
            "Labels, where any label is inside, or a map, where values at the threshold or above are inside.",
        ),
    }
    makes = SameAs("image")

    threshold: float = Field(
        0.5, ge=-1e9, le=1e9, description="From which value of a map on a voxel is inside; not used for labels."
    )
    keep_outside: bool = Field(False, description="Keep what lies outside the mask instead.")

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the image with its type of numbers."""
        context.check()
        image, mask = inputs["image"], inputs["mask"]
        data = mask.data.max(axis=0) if mask.data.ndim == 4 else mask.data
        inside = data > 0 if mask.kind.is_labels else data >= self.threshold
        if self.keep_outside:
            np.logical_not(inside, out=inside)
        return image.replace(data=np.where(inside, image.data, image.data.dtype.type(0)))

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the result and a mask of one byte."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=5 * n_voxels, seconds=2e-9 * n_voxels)
