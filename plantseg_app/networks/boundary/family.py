"""The boundary family as settings: which U-Net, what it predicts, its targets and its loss.

Examples
--------
>>> family = BoundaryFamily(feature_maps=(16, 32))
>>> family.grid_vox, family.receptive_radius_vox
((2, 2, 2), (9, 9, 9))
>>> family.targets(np.array([[[1, 1, 1, 2, 2, 2]] * 4] * 4), None).shape
(1, 4, 4, 6)
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator

from plantseg_app.core.volume import Kind, VoxelSize
from plantseg_app.networks.boundary.loss import bce_dice_terms
from plantseg_app.networks.boundary.targets import boundary_target
from plantseg_app.networks.family import NetworkFamily, Output, workflow_for_maps
from plantseg_app.networks.unet import ResidualUNet2D, ResidualUNet3D, UNet, UNet2D, UNet3D, Upsampling

_NETWORKS: dict[tuple[str, bool], type[UNet]] = {
    ("2D", False): UNet2D,
    ("3D", False): UNet3D,
    ("2D", True): ResidualUNet2D,
    ("3D", True): ResidualUNet3D,
}
_KINDS = {
    "boundary": Kind.BOUNDARY,
    "foreground": Kind.FOREGROUND,
    "nuclei": Kind.FOREGROUND,
    # No step looks for it: what is not background is the foreground.
    "background": Kind.RAW,
}
Meaning = Literal["boundary", "foreground", "nuclei", "background"]
"""What an output channel can mean."""


class BoundaryFamily(NetworkFamily):
    """A U-Net that says for each voxel how probably it lies on a cell boundary (and, if asked, inside a cell).

    Compatible with the networks of pytorch-3dunet and the PlantSeg zoo: same parameters, same output.

    References
    ----------
    Wolny et al., eLife 2020, doi:10.7554/eLife.57613.
    """

    kind: ClassVar[str] = "boundary"
    title: ClassVar[str] = "Boundary network"

    dimensions: Literal["2D", "3D"] = Field("3D", description="Whether the network sees stacks or single slices.")
    residual: bool = Field(False, description="Residual blocks with added skips instead of a plain U-Net.")
    image_channels: int = Field(1, ge=1, le=64, description="Number of image channels the network reads.")
    predicts: tuple[Meaning, ...] = Field(
        ("boundary",), min_length=1, description="What each output channel means, in their order."
    )
    feature_maps: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (32, 64, 128, 256), min_length=2, max_length=8, description="Channels of each level, finest first."
    )
    layer_order: str = Field(
        "bcr",
        pattern="^[cgbrledD]+$",
        description="Layers of a convolution block: c convolution, g group norm, b batch norm, r ReLU, "
        "l leaky ReLU, e ELU, d dropout, D channel dropout.",
    )
    norm_groups: int = Field(8, ge=1, description="Groups of the group norm.")
    upsampling: Upsampling = Field("default", description="How the decoder enlarges its features.")
    dropout_probability: float = Field(0.1, ge=0, lt=1, description="For the layers d and D, in training.")
    exclusive: bool = Field(
        False, description="Each voxel belongs to one channel (softmax); otherwise each channel is judged by itself."
    )

    @model_validator(mode="after")
    def _check_buildable(self) -> Self:
        if len(set(self.predicts)) != len(self.predicts):
            raise ValueError("predicts must not name a channel twice")
        if self.exclusive and len(self.predicts) < 2:
            raise ValueError("a single channel has none to exclude; exclusive needs two or more")
        return self

    @cached_property
    def outline(self) -> UNet:
        """The network without memory (on the device "meta"): enough to ask it for names, shapes and geometry."""
        with torch.device("meta"):
            return self.build()

    @property
    def in_channels(self) -> int:
        """Number of image channels the network reads."""
        return self.image_channels

    @property
    def is_2d(self) -> bool:
        """Whether the network sees single slices."""
        return self.dimensions == "2D"

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What it predicts: one output for each channel, the background last."""
        found = [Output(name, _KINDS[name], (i,)) for i, name in enumerate(self.predicts)]
        return tuple(sorted(found, key=lambda output: output.name == "background"))

    @property
    def default_workflow(self) -> str:
        """Name of the ready-made workflow: cells from boundaries, or objects from a mask and perhaps their outlines."""
        return workflow_for_maps(self.outputs)

    def _per_axis(self, size: int, flat: int) -> tuple[int, int, int]:
        return (flat if self.is_2d else size, size, size)

    @property
    def grid_vox(self) -> tuple[int, int, int]:
        """Pooling grid (Z, Y, X) in voxels."""
        return self._per_axis(2 ** (len(self.feature_maps) - 1), 1)

    @property
    def receptive_radius_vox(self) -> tuple[int, int, int]:
        """How far (Z, Y, X) an output voxel sees at most, in voxels."""
        return self._per_axis(self.outline.receptive_field_radius_vox(), 0)

    @property
    def tile_halo_vox(self) -> tuple[int, int, int]:
        """Context (Z, Y, X) in voxels with which tiles on the pooling grid are exact."""
        return self._per_axis(self.outline.tile_halo_vox(), 0)

    @property
    def tiles_exactly(self) -> bool:
        """Whether tiling can equal the untiled network; not with group norm."""
        return "g" not in self.layer_order

    def build(self) -> UNet:
        """Return the untrained network; it maps (N, C, [Z,] Y, X) to logits.

        Raises
        ------
        RequestError
            When the settings fit no network, for example a group count that divides no channel count.
        """
        return _NETWORKS[self.dimensions, self.residual](
            self.image_channels,
            len(self.predicts),
            f_maps=self.feature_maps,
            layer_order=self.layer_order,
            num_groups=self.norm_groups,
            upsample=self.upsampling,
            dropout_prob=self.dropout_probability,
            exclusive=self.exclusive,
        )

    def activate(self, logits: torch.Tensor) -> torch.Tensor:
        """Return probabilities in [0, 1], channel by channel."""
        return torch.sigmoid(logits)

    def targets(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return (C, Z, Y, X) float32 of 0 and 1: boundaries of, or voxels inside, the `labels` (Z, Y, X).

        The voxel size is not used: a boundary is two voxels thick at every magnification. A 2D network gets the
        boundaries of each slice.
        """
        del voxel_size_um
        pieces = labels if self.is_2d else labels[np.newaxis]
        boundary = np.concatenate([boundary_target(piece)[np.newaxis] for piece in pieces]).reshape(labels.shape)
        made = {"boundary": boundary, "foreground": labels > 0, "nuclei": labels > 0, "background": labels == 0}
        return np.stack([made[name] for name in self.predicts]).astype(np.float32)

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return cross entropy and Dice loss; their sum is minimised."""
        return bce_dice_terms(logits, target)
