"""Bring the grey values of an image to a standard range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from plantseg_app.core.context import Context
from plantseg_app.core.fields import Percentile
from plantseg_app.core.step import Field, Port, SameAs, Step
from plantseg_app.core.volume import Volume
from plantseg_app.steps.preprocess.grey_images import IMAGE_KINDS, on_each_channel


class Normalise(Step):
    """Bring grey values to a standard range, for each channel over the whole stack; a constant image becomes 0."""

    id = "normalise"
    title = "Normalise grey values"
    reads = {"image": Port(IMAGE_KINDS, "The image to normalise.")}
    makes = SameAs("image")

    method: Literal["percentile", "z-score", "min-max"] = Field(
        "percentile",
        description="percentile: the low percentile becomes 0, the high one 1; min-max: the smallest value "
        "becomes 0, the largest 1; z-score: mean 0, standard deviation 1.",
    )
    low_percentile: Percentile = Field(1.0, description="The percentile that becomes 0 (method percentile).")
    high_percentile: Percentile = Field(99.8, description="The percentile that becomes 1 (method percentile).")
    clip: bool = Field(False, description="Cut values below 0 and above 1 off (method percentile).")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low_percentile >= self.high_percentile:
            raise ValueError(
                f"low_percentile {self.low_percentile:g} must lie below high_percentile {self.high_percentile:g}"
            )
        return self

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the image as float32."""
        context.check()
        image = inputs["image"]
        return image.replace(data=on_each_channel(image.data, self._normalise))

    def _normalise(self, data: NDArray[Any]) -> NDArray[np.float32]:
        from plantseg_app.algorithms.normalise import percentile_normalise, unit_range, zscore

        if self.method == "z-score":
            return zscore(data)
        if self.method == "min-max":
            return unit_range(data)
        result = percentile_normalise(data, self.low_percentile, self.high_percentile)
        if self.clip:
            np.clip(result, 0.0, 1.0, out=result)
        return result
