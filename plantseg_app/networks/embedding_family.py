"""What families of pixel embeddings have in common, whose U-Nets work on a grid as coarse as wanted.

A family says which U-Nets an image goes through; tiles and borders follow from them. Knows no loss and no target.

>>> from plantseg_app.networks.spoco.family import SpocoFamily
>>> family = SpocoFamily(feature_maps=(4, 8), stride=2)
>>> family.grid_vox, family.receptive_radius_vox, family.tile_halo_vox
((1, 4, 4), (0, 19, 19), (0, 16, 16))
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field

from plantseg_app.core.volume import Shape3
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.networks.unet import UNet
from plantseg_app.networks.unet_blocks import Norm
from plantseg_app.networks.unet_geometry import Geometry


class EmbeddingFamily(NetworkFamily):
    """Settings of U-Nets that embed pixels, and the geometry that follows from them."""

    dimensions: Literal["2D", "3D"] = Field("2D", description="Whether the network sees slices or whole stacks.")
    image_channels: int = Field(1, ge=1, le=64, description="Number of image channels the network reads.")
    feature_maps: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (16, 32, 64, 128), min_length=2, max_length=8, description="Channels of each level, finest first."
    )
    norm: Norm = Field("batch", description="Normalisation before each convolution.")
    stride: Literal[1, 2, 4] = Field(
        1, description="The network works on a grid this much coarser along Y and X, for large objects."
    )

    @property
    def in_channels(self) -> int:
        """Number of image channels the network reads."""
        return self.image_channels

    @property
    def is_2d(self) -> bool:
        """Whether the network sees single slices."""
        return self.dimensions == "2D"

    @abc.abstractmethod
    def unets(self) -> Sequence[UNet]:
        """Return new U-Nets in the order in which an image goes through them."""

    @functools.cached_property
    def _geometry(self) -> Geometry:
        # On the "meta" device a network has shapes and no memory.
        with torch.device("meta"):
            return Geometry(self.unets(), self.stride, self.is_2d)

    @property
    def grid_vox(self) -> Shape3:
        """Pooling grid (Z, Y, X) in voxels, the stride included."""
        return self._geometry.grid_vox

    @property
    def receptive_radius_vox(self) -> Shape3:
        """How far (Z, Y, X) an output voxel sees at most, in voxels."""
        return self._geometry.radius_vox

    @property
    def tile_halo_vox(self) -> Shape3:
        """Context (Z, Y, X) in voxels with which tiles on the pooling grid are exact."""
        return self._geometry.halo_vox

    @property
    def tiles_exactly(self) -> bool:
        """Whether tiling can equal the untiled network; not with group norm."""
        return self.norm != "group"

    @property
    def mirrors_borders(self) -> bool:
        """False: the mirror image of an object would be taken for a part of it."""
        return False
