"""Where a volume lies in the space of the image it came from, so that layers of different grids cover each other.

A crop lies at its place; a rescaled volume covers the same field of view with larger or smaller voxels.

>>> import numpy as np
>>> from plantseg_app.core.volume import Kind, Origin, Volume
>>> half = Volume(np.zeros((4, 4, 4)), Kind.RAW, origin=Origin(shape_vox=(4, 8, 8)))
>>> grid_of(half).scale, grid_of(half).translate
((1.0, 2.0, 2.0), (0.0, 0.5, 0.5))
"""

from __future__ import annotations

import dataclasses

from plantseg_app.core.volume import Shape3, Volume, VoxelSize

Vector3 = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Grid:
    """The voxels of a layer in world coordinates.

    Attributes
    ----------
    scale
        Edge lengths of a voxel along Z, Y, X.
    translate
        World position of the centre of the first voxel. The centre of the first voxel of the full image is 0.
    in_um
        Whether the world is measured in micrometres rather than in voxels of the full image.
    """

    scale: Vector3
    translate: Vector3
    in_um: bool


def grid_of(volume: Volume) -> Grid:
    """Return where the voxels of `volume` lie."""
    start, stop, unit = _field_of_view(volume)
    scale = _vector((b - a) * edge / n for a, b, edge, n in zip(start, stop, unit, volume.shape_vox, strict=True))
    # Voxels are named by their centres, so a coarser grid begins half of the difference later.
    translate = _vector(a * edge + (size - edge) / 2 for a, edge, size in zip(start, unit, scale, strict=True))
    return Grid(scale, translate, volume.voxel_size_um is not None)


def _field_of_view(volume: Volume) -> tuple[Shape3, Shape3, VoxelSize]:
    """Return first voxel, end and voxel size of the box that the volume covers, in voxels of the full image."""
    place, full_shape = volume.place, volume.origin.shape_vox or volume.shape_vox
    if place is not None:
        return place.start_vox, place.stop_vox, place.full_voxel_size_um or VoxelSize(1.0, 1.0, 1.0)
    if volume.voxel_size_um is None:
        return (0, 0, 0), full_shape, VoxelSize(1.0, 1.0, 1.0)
    # Not the voxel size as it was read: it may have been corrected since.
    lengths = zip(volume.voxel_size_um, volume.shape_vox, full_shape, strict=True)
    return (0, 0, 0), full_shape, VoxelSize(*(edge * n / full for edge, n, full in lengths))


def _vector(values: object) -> Vector3:
    z, y, x = (float(value) for value in values)  # type: ignore[attr-defined]
    return z, y, x
