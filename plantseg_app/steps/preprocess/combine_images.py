"""Combine two images voxel by voxel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.intensity import Operation
from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Shape3, Volume
from plantseg_app.errors import InputError
from plantseg_app.steps.preprocess.grey_images import IMAGE_KINDS, on_each_channel


class CombineImages(Step):
    """Add, subtract, multiply, divide or compare two images voxel by voxel, in float32, so that nothing overflows."""

    id = "combine-images"
    title = "Combine two images"
    reads = {
        "first": Port(IMAGE_KINDS, "The first image; the result is of its kind."),
        "second": Port(IMAGE_KINDS, "The second image, of the same shape."),
    }
    makes = SameAs("first")

    operation: Operation = Field("add", description="What to do with each pair of values; dividing by 0 gives 0.")
    normalise_inputs: bool = Field(
        False, description="Stretch each channel of both images to 0 .. 1 first, so that they weigh the same."
    )
    clip_output: bool = Field(False, description="Cut the result off below 0 and above 1.")
    normalise_output: bool = Field(False, description="Stretch each channel of the result to 0 .. 1.")

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the result as float32."""
        from plantseg_app.algorithms.intensity import combine
        from plantseg_app.algorithms.normalise import unit_range

        first, second = inputs["first"], inputs["second"]
        if first.data.shape != second.data.shape:
            raise InputError(
                f"combine-images: the images have the shapes {first.data.shape} and {second.data.shape}, so one has "
                "more channels; take single channels with the step select-channel."
            )
        context.check()
        result: NDArray[Any] = combine(self._prepared(first.data), self._prepared(second.data), self.operation)
        if self.clip_output:
            np.clip(result, 0.0, 1.0, out=result)
        if self.normalise_output:
            result = on_each_channel(result, unit_range)
        return first.replace(data=result)

    def _prepared(self, data: NDArray[Any]) -> NDArray[Any]:
        from plantseg_app.algorithms.normalise import unit_range

        return on_each_channel(data, unit_range) if self.normalise_inputs else data

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count both images and the result as float32."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=(16 if self.normalise_inputs else 8) * n_voxels, seconds=1e-8 * n_voxels)
