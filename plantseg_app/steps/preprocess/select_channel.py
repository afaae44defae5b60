"""Take one channel of an image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume
from plantseg_app.errors import RequestError


class SelectChannel(Step):
    """Take one channel of an image with several; an image without channels counts as one with a single channel."""

    id = "select-channel"
    title = "Select channel"
    reads = {"image": Port((Kind.RAW,), "The image with several channels.")}
    makes = SameAs("image")

    channel: int = Field(0, ge=0, le=9999, description="Which channel, counted from 0.")

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the channel as (Z, Y, X)."""
        context.check()
        image = inputs["image"]
        n_channels = 1 if image.data.ndim == 3 else len(image.data)
        if self.channel >= n_channels:
            raise RequestError(
                f"select-channel: channel {self.channel} was asked for, but the image has {n_channels}, "
                f"counted from 0 to {n_channels - 1}."
            )
        # A copy, because a view would keep all channels in memory.
        return image if image.data.ndim == 3 else image.replace(data=np.array(image.data[self.channel]))

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count one channel more."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=4 * n_voxels, seconds=1e-9 * n_voxels)
