"""The layering family as settings: how many layers, which U-Net, which loss, and what a perfect network would say.

Examples
--------
>>> family = LayeringFamily(feature_maps=(4, 8))
>>> family.grid_vox, [output.name for output in family.outputs], len(family.outputs[0].channels)
((1, 2, 2), ['layers', 'foreground'], 8)
>>> family.targets(np.ones((1, 16, 16), np.uint32), None).shape
(9, 1, 16, 16)
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from plantseg_app.algorithms.layering import LayerRules, decode_layers, paint_layers
from plantseg_app.core.volume import Kind, VoxelSize
from plantseg_app.networks.family import NetworkFamily, Output
from plantseg_app.networks.layering.loss import LossRules, layering_terms
from plantseg_app.networks.layering.network import LayeringUNet, input_interval

PUBLISHED_FEATURE_MAPS: dict[str, tuple[int, ...]] = {
    name: tuple(64 * 2**level for level in range(depth + 1)) for name, depth in (("S", 3), ("M", 4), ("L", 5))
}
"""The U-Nets of the publication; an output pixel of S, M, L sees 108, 220, 444 pixels."""


class LayeringFamily(NetworkFamily):
    """A U-Net that sorts objects into a few layers, those that touch or overlap into different ones.

    Each object is then a connected piece of one layer, complete where another one crosses it.

    References
    ----------
    Chen, Wu and Merhof, BMVC 2022.
    """

    kind: ClassVar[str] = "layering"
    title: ClassVar[str] = "Layering network"

    image_channels: int = Field(1, ge=1, le=64, description="Number of image channels the network reads.")
    n_layers: int = Field(8, ge=2, le=64, description="Number of layers; 8 as published.")
    feature_maps: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (16, 32, 64, 128, 128),
        min_length=2,
        max_length=8,
        description="Channels of each level, finest first; the published networks double from 64 over 4 (S), 5 (M) or "
        "6 (L) levels.",
    )
    stride: Literal[1, 2, 4] = Field(
        1, description="The network works on a grid this much coarser along Y and X, for large objects."
    )
    norm_momentum: float = Field(
        0.01,
        gt=0,
        le=1,
        description="Share of each batch in the running statistics of batch norm; more for short trainings.",
    )
    neighbour_distance_vox: float = Field(
        15.0,
        gt=0,
        le=1000,
        description="Objects closer than this are kept in different layers.",
        json_schema_extra={"unit": "voxel"},
    )
    mean_of: Literal["activations", "directions"] = Field(
        "activations",
        description="What the mean of an object is taken of: activations, as published; directions (activations of "
        "length 1), as in the published program.",
    )
    repulsion_mean: Literal["objects", "pairs"] = Field(
        "objects",
        description="objects: mean over objects of the mean over their neighbours, as published; pairs: mean over "
        "pairs, as in the published program.",
    )
    sparsity: Literal["foreground", "image"] = Field(
        "foreground",
        description="foreground: how far from one layer alone, mean over the objects, as published; image: squared, "
        "mean over the image, as in the published program.",
    )
    sparsity_weight: float = Field(0.1, ge=0, le=100, description="Weight of the sparsity in the loss.")
    overlap_sum: Literal["objects", "pixels"] = Field(
        "objects",
        description="In overlap completion a pixel counts once for each object over it, as published, or once, as in "
        "the published program.",
    )

    @property
    def in_channels(self) -> int:
        """Number of image channels the network reads."""
        return self.image_channels

    @property
    def is_2d(self) -> bool:
        """True: it sees single slices."""
        return True

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The layers, and where objects are at all."""
        return (
            Output("layers", Kind.LAYERS, tuple(range(self.n_layers))),
            Output("foreground", Kind.FOREGROUND, (self.n_layers,)),
        )

    @property
    def default_workflow(self) -> str:
        """Name of the ready-made workflow."""
        return "overlapping-objects"

    @property
    def learns_overlaps(self) -> bool:
        """True: its objects may overlap."""
        return True

    @property
    def mirrors_borders(self) -> bool:
        """False: mirrored objects would be parts of their originals, far away from them."""
        return False

    @property
    def grid_vox(self) -> tuple[int, int, int]:
        """Pooling grid (Z, Y, X) in voxels."""
        size = self.stride * 2 ** (len(self.feature_maps) - 1)
        return 1, size, size

    @property
    def receptive_radius_vox(self) -> tuple[int, int, int]:
        """How far (Z, Y, X) an output voxel sees at most, in voxels."""
        spans = [(at, *input_interval(at, at, len(self.feature_maps), self.stride)) for at in range(self.grid_vox[1])]
        radius = max(max(at - low, high - at) for at, low, high in spans)
        return 0, radius, radius

    @property
    def tile_halo_vox(self) -> tuple[int, int, int]:
        """Context (Z, Y, X) in voxels with which tiles on the pooling grid are exact."""
        grid = self.grid_vox[1]
        low, high = input_interval(0, grid - 1, len(self.feature_maps), self.stride)
        reach = max(-low, high - (grid - 1))
        halo = -(-reach // grid) * grid
        return 0, halo, halo

    @property
    def tiles_exactly(self) -> bool:
        """True: batch norm does not look beyond a pixel once trained."""
        return True

    @property
    def loss_rules(self) -> LossRules:
        """Which form of each term of the loss is meant."""
        return LossRules(
            neighbour_distance_vox=self.neighbour_distance_vox,
            mean_of=self.mean_of,
            repulsion_mean=self.repulsion_mean,
            sparsity=self.sparsity,
            sparsity_weight=self.sparsity_weight,
            overlap_sum=self.overlap_sum,
        )

    def build(self) -> LayeringUNet:
        """Return the untrained network; it maps (N, C, Y, X) to logits of layers and foreground."""
        return LayeringUNet(self.image_channels, self.n_layers, self.feature_maps, self.stride, self.norm_momentum)

    def activate(self, logits: torch.Tensor) -> torch.Tensor:
        """Return how surely a pixel lies in each layer, and in the foreground; 0 to 1 each."""
        return torch.sigmoid(logits)

    def painted(self, labels: NDArray[Any]) -> NDArray[np.uint32]:
        """Return (N, Z, Y, X) with every object of `labels` ([L,] Z, Y, X) in one of the layers, under its id."""
        return paint_layers(labels if labels.ndim == 4 else labels[None], self.n_layers)

    def targets(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return (N + 1, Z, Y, X) float32, 1 where a layer and the foreground should be active.

        Parameters
        ----------
        labels
            (Z, Y, X), or (L, Z, Y, X) with each id in one layer.
        voxel_size_um
            Not used: distances are in pixels.
        """
        del voxel_size_um
        layers = self.painted(labels) > 0
        return np.concatenate([layers, layers.any(0, keepdims=True)]).astype(np.float32)

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the terms of both phases, against what `targets` made: objects are the pieces of its layers."""
        flat = target.reshape(len(target), target.shape[1], *target.shape[-2:])
        pieces = [
            decode_layers(one[:-1, None], one[-1:], LayerRules(min_size=1)) for one in flat.detach().cpu().numpy()
        ]
        planes = np.zeros((len(pieces), self.n_layers, *flat.shape[-2:]), np.float32)
        for plane, found in zip(planes, pieces, strict=True):
            plane[: len(found)] = found[:, 0]
        wanted = torch.from_numpy(planes).to(logits.device)
        return layering_terms(logits.reshape(flat.shape), wanted, self.loss_rules, overlap=True)
