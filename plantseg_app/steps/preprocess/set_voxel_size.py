"""Say how large the voxels are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from plantseg_app.core.context import Context
from plantseg_app.core.fields import Micrometre, PerAxis
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume, VoxelSize
from plantseg_app.errors import RequestError


class SetVoxelSize(Step):
    """Say how large the voxels are, where the file did not or was wrong. No voxel changes; to change them, rescale."""

    id = "set-voxel-size"
    title = "Set voxel size"
    reads = {"image": Port(tuple(Kind), "The image whose voxel size is wrong or unknown.")}
    makes = SameAs("image")

    voxel_size_um: PerAxis[Micrometre] | None = Field(
        None,
        description="Edge lengths of a voxel along Z, Y, X in micrometres; one number stands for all three.",
        json_schema_extra={"empty": "not given"},
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return the same array with the new voxel size."""
        context.check()
        if self.voxel_size_um is None:
            raise RequestError(
                "set-voxel-size needs voxel_size_um, three lengths in micrometres such as 0.235,0.15,0.15."
            )
        image = inputs["image"]
        place = image.place
        if place is not None:
            extent = (b - a for a, b in zip(place.start_vox, place.stop_vox, strict=True))
            full = [size * n / m for size, n, m in zip(self.voxel_size_um, image.shape_vox, extent, strict=True)]
            place = dataclasses.replace(place, full_voxel_size_um=VoxelSize(*full))
        return image.replace(voxel_size_um=VoxelSize(*self.voxel_size_um), place=place)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Nothing is computed."""
        del shape_vox
        return Cost(memory_bytes=1, seconds=0.0)
