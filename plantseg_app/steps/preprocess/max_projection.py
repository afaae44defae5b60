"""Project a stack onto one slice."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class MaxProjection(Step):
    """Project a stack along Z onto a single slice that shows the brightest value of each column."""

    id = "max-projection"
    title = "Maximum projection"
    reads = {"image": Port((Kind.RAW, Kind.BOUNDARY, Kind.FOREGROUND, Kind.NUCLEI), "The stack to project.")}
    makes = SameAs("image")
    keeps_grid = False

    first_slice: int = Field(0, ge=0, le=10**6, description="The first slice that counts, from 0.")
    n_slices: int = Field(0, ge=0, le=10**6, description="How many slices count; 0 means all from the first on.")

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the image with Z = 1, the voxel size and the type of numbers unchanged."""
        from plantseg_app.algorithms.boxes import checked_box

        context.check()
        image = inputs["image"]
        stop = self.first_slice + self.n_slices if self.n_slices else None
        z = checked_box(((self.first_slice, stop), (None, None), (None, None)), image.shape_vox)[0]
        projected = image.data[..., z, :, :].max(axis=-3, keepdims=True)
        origin, place = image.origin, image.place
        # The result has no depth any more, so neither has what it may be scaled or pasted back to.
        if origin.shape_vox is not None:
            origin = dataclasses.replace(origin, shape_vox=(1, *origin.shape_vox[1:]))
        if place is not None:
            place = dataclasses.replace(
                place,
                start_vox=(0, *place.start_vox[1:]),
                stop_vox=(1, *place.stop_vox[1:]),
                full_shape_vox=(1, *place.full_shape_vox[1:]),
            )
        return image.replace(data=projected, origin=origin, place=place)

    def made_shape(self, shape_vox: Shape3) -> Shape3:
        """Return a single slice."""
        return 1, shape_vox[1], shape_vox[2]

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count a single slice."""
        return Cost(
            memory_bytes=4 * shape_vox[1] * shape_vox[2], seconds=1e-9 * shape_vox[0] * shape_vox[1] * shape_vox[2]
        )
