"""Cut a box out of an image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

import numpy as np
from pydantic import field_validator, model_validator

from plantseg_app.algorithms.boxes import EVERYTHING, Box, box_in_full_image, checked_box, parse_box
from plantseg_app.core.context import Context
from plantseg_app.core.fields import PerAxis
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Place, Shape3, Volume
from plantseg_app.errors import RequestError


class Crop(Step):
    """Cut a box out of an image. The crop remembers its place, so that a result can be pasted back with paste-back."""

    id = "crop"
    title = "Crop"
    reads = {"image": Port(tuple(Kind), "The image or labels to crop.")}
    makes = SameAs("image")
    keeps_grid = False

    box: str = Field(
        ":, :, :",
        description='The box as start:stop for Z, Y, X, for example "4:20, :, 10:100"; the stop is not included, '
        "negative numbers count from the end, and two ranges are Y and X of all slices.",
    )
    start_vox: PerAxis[int] | None = Field(
        None,
        description="Instead of the box: its first voxel along Z, Y, X.",
        json_schema_extra={"unit": "voxel", "empty": "as the box says"},
    )
    stop_vox: PerAxis[int] | None = Field(
        None,
        description="Instead of the box: its end along Z, Y, X, not included.",
        json_schema_extra={"unit": "voxel", "empty": "as the box says"},
    )

    @field_validator("box")
    @classmethod
    def _check_box(cls, text: str) -> str:
        try:
            parse_box(text)
        except RequestError as error:
            raise ValueError(str(error).removesuffix(".")) from error
        return text

    @model_validator(mode="after")
    def _check_one_way(self) -> Self:
        if parse_box(self.box) != EVERYTHING and (self.start_vox is not None or self.stop_vox is not None):
            raise ValueError("give either box or start_vox and stop_vox, not both")
        return self

    def _parsed(self) -> Box:
        if self.start_vox is None and self.stop_vox is None:
            return parse_box(self.box)
        start = self.start_vox or (None, None, None)
        stop = self.stop_vox or (None, None, None)
        return (start[0], stop[0]), (start[1], stop[1]), (start[2], stop[2])

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the box as an array of its own, with its place in the outermost image."""
        context.check()
        image = inputs["image"]
        try:
            slices = checked_box(self._parsed(), image.shape_vox)
        except RequestError as error:
            raise RequestError(f"crop: {error}") from error
        place, exact = _place_of(image, slices)
        if not exact:
            context.message(
                "crop: the image was rescaled since it was first cropped and the new corners fall between voxels "
                "of the full image; pasting back is off by up to half a voxel."
            )
        # A copy, because a view would keep the whole image in memory.
        return image.replace(data=np.array(image.data[(..., *slices)]), place=place)

    def made_shape(self, shape_vox: Shape3) -> Shape3:
        """Return the size of the box; that of the image where the box does not fit it."""
        try:
            z, y, x = checked_box(self._parsed(), shape_vox)
        except RequestError:
            return shape_vox
        return z.stop - z.start, y.stop - y.start, x.stop - x.start

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the crop alone; all of the image where the box does not fit it."""
        n_voxels = math.prod(self.made_shape(shape_vox))
        return Cost(memory_bytes=4 * n_voxels, seconds=1e-9 * n_voxels)


def _place_of(image: Volume, slices: tuple[slice, slice, slice]) -> tuple[Place, bool]:
    """Return the place of a box in the outermost image, and whether its corners are exact."""
    shape = image.shape_vox
    outer = image.place or Place((0, 0, 0), shape, shape, image.voxel_size_um)
    start, stop, exact = box_in_full_image(
        [s.start for s in slices], [s.stop for s in slices], shape, outer.start_vox, outer.stop_vox
    )
    return Place(start, stop, outer.full_shape_vox, outer.full_voxel_size_um), exact
