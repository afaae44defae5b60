"""The W-Net family as settings: which U-Nets, what one tells the other, which loss, and what a perfect network says.

Examples
--------
>>> family = WNetFamily(feature_maps=(4, 8))
>>> family.grid_vox, [output.name for output in family.outputs], len(family.outputs[0].channels)
((1, 2, 2), ['embedding', 'distance'], 8)
>>> family.targets(np.ones((1, 16, 16), np.uint32), None).shape
(10, 1, 16, 16)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch.nn import functional as F

from plantseg_app.algorithms.layers import close_pairs, colour_objects
from plantseg_app.algorithms.region_graph import make_dense
from plantseg_app.core.fields import PerAxis
from plantseg_app.core.volume import Kind, Shape3, VoxelSize
from plantseg_app.networks.embedding_family import EmbeddingFamily
from plantseg_app.networks.family import Output
from plantseg_app.networks.unet import UNet
from plantseg_app.networks.unet_blocks import Norm
from plantseg_app.networks.wnet.loss import EmbeddingRules, distance_loss, embedding_terms
from plantseg_app.networks.wnet.network import Answer, Layout, PassedOn, WNet
from plantseg_app.networks.wnet.targets import relative_depth

ANGLE_DEG = 45.0
"""Embeddings of one object lie within this angle around their mean."""

_VOXEL: dict[str, Any] = {"unit": "voxel"}
_Weight = Annotated[float, Field(ge=0, le=1000)]


class WNetFamily(EmbeddingFamily):
    """Two U-Nets in a row: one learns how deep each pixel lies in its object, and helps the other embed the pixels.

    The embeddings of one object have one direction, those of its neighbours others; the depth gives a seed in each.

    References
    ----------
    Wu, Chen and Merhof, ECCV workshops 2020, doi:10.1007/978-3-030-66415-2_14.
    """

    kind: ClassVar[str] = "wnet"
    title: ClassVar[str] = "Pixel embeddings with distance (W-Net)"

    feature_maps: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (16, 32, 64, 128),
        min_length=2,
        max_length=8,
        description="Channels of each level of both U-Nets, finest first; published: 32 to 512.",
    )
    norm: Norm = Field(
        "batch",
        description="Normalisation before each convolution: none, as published; batch, which learns faster; group, "
        "with which tiles are not exact.",
    )
    embedding_channels: int = Field(8, ge=2, le=256, description="Channels of the embedding.")
    passes_on: PassedOn = Field(
        "distance-features",
        description="What the second U-Net is shown of the first one: its features for the distance, the distance map, "
        "features for an embedding of its own, or both kinds; nothing: one U-Net with two heads.",
    )
    passed_channels: int = Field(32, ge=2, le=1024, description="Number of features passed on; published: 8 and 32.")
    first_embedding: bool = Field(
        False, description="The first U-Net learns an embedding, too, as in the published program."
    )
    coordinates_frame_vox: PerAxis[Annotated[int, Field(ge=1, le=4096)]] | None = Field(
        None,
        description="Frame Z, Y, X over which the image gets its coordinates as further channels (CoordConv), and to "
        "which the network is then tied; empty: no coordinates.",
        json_schema_extra={**_VOXEL, "empty": "no coordinates"},
    )
    constraints: Literal["local", "global"] = Field(
        "local", description="local: neighbours get different embeddings; global: all objects of an image do."
    )
    neighbour_distance_vox: float = Field(
        10.0, gt=0, le=1000, description="Objects closer than this are neighbours.", json_schema_extra=_VOXEL
    )
    background: Literal["object", "ignored"] = Field(
        "object",
        description="object: the background has an embedding, too, and is everybody's neighbour; ignored: it has none.",
    )
    within_mean: Literal["objects", "pixels"] = Field(
        "objects", description="How pixels count within objects: objects, as published; pixels, as in the program."
    )
    between_mean: Literal["objects", "pairs"] = Field(
        "objects", description="How neighbours count: objects, as published; pairs, as in the program."
    )
    likeness: Literal["cosine", "absolute"] = Field(
        "cosine",
        description="What neighbours must not have: a like direction, as published; a like or opposite one, as in the "
        "program.",
    )
    between_weight: _Weight = Field(1.0, description="Weight of the difference between objects.")
    distance_weight: _Weight = Field(1.0, description="Weight of the distance in the loss.")
    distance_scale: float = Field(10.0, gt=0, le=1000, description="The distance is learned times this.")

    @model_validator(mode="after")
    def _check_buildable(self) -> Self:
        if self.first_embedding and self.passes_on == "nothing":
            raise ValueError("with passes_on nothing there is one U-Net alone, so first_embedding must be false")
        frame = self.coordinates_frame_vox
        if frame is None:
            return self
        if any(size % grid for size, grid in zip(frame, self.grid_vox, strict=True)):
            raise ValueError(f"coordinates_frame_vox {frame} must be multiples of {self.grid_vox} (Z, Y, X)")
        if self.is_2d and frame[0] != 1:
            raise ValueError(f"a 2D network has frames of one slice, not {frame[0]}")
        return self

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The embedding, and how deep pixels lie in their objects."""
        n_channels = self.embedding_channels
        return (
            Output("embedding", Kind.EMBEDDING, tuple(range(n_channels))),
            Output("distance", Kind.DISTANCE, (n_channels,)),
        )

    @property
    def default_workflow(self) -> str:
        """Name of the ready-made workflow."""
        return "wnet-objects"

    def unets(self) -> Sequence[UNet]:
        """Return the first U-Net, and the second one if there are two."""
        network = self.build()
        return [network.first] if network.second is None else [network.first, network.second]

    @property
    def receptive_radius_vox(self) -> Shape3:
        """How far (Z, Y, X) an output voxel sees at most, in voxels; with coordinates the frame."""
        if self.coordinates_frame_vox is not None:
            z, y, x = self.coordinates_frame_vox
            return (0 if self.is_2d else z, y, x)
        return super().receptive_radius_vox

    @property
    def tiles_exactly(self) -> bool:
        """Whether tiling can equal the untiled network; not with group norm, nor with coordinates."""
        return super().tiles_exactly and self.coordinates_frame_vox is None

    @property
    def frame_vox(self) -> Shape3 | None:
        """The frame of the coordinates, None without them."""
        return self.coordinates_frame_vox

    @property
    def cluster_bandwidth(self) -> float:
        """The distance between two directions that enclose the angle within which one object's embeddings lie."""
        return 2 * math.sin(math.radians(ANGLE_DEG) / 2)

    @property
    def cluster_separation(self) -> float:
        """The distance between two directions at right angles."""
        return math.sqrt(2)

    @property
    def embedding_rules(self) -> EmbeddingRules:
        """Which form of the loss of embeddings is meant."""
        names = EmbeddingRules.__dataclass_fields__
        return EmbeddingRules(**{name: value for name, value in self.model_dump().items() if name in names})

    def build(self) -> WNet:
        """Return the untrained network."""
        learns_first = self.first_embedding or self.passes_on in ("embedding-features", "both-features")
        return WNet(
            Layout(
                image_channels=self.image_channels,
                feature_maps=self.feature_maps,
                embedding_channels=self.embedding_channels,
                is_2d=self.is_2d,
                norm=self.norm,
                stride=self.stride,
                passes_on=self.passes_on,
                passed_channels=self.passed_channels,
                first_embedding=learns_first,
                has_coordinates=self.coordinates_frame_vox is not None,
            )
        )

    def activate(self, logits: torch.Tensor) -> torch.Tensor:
        """Return embeddings of length 1, and the relative depth: 0 outside, about 1 in the middle of an object."""
        n_channels = self.embedding_channels
        depth = F.relu(logits[:, n_channels:]) / self.distance_scale
        return torch.cat([F.normalize(logits[:, :n_channels], dim=1), depth], 1)

    def targets(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return (embedding + 2, Z, Y, X) float32: what could be said of `labels` at least loss, depth, and ids.

        Neighbours, and the background, point along different axes as far as there are axes enough.
        """
        said = self.truth(labels, voxel_size_um)
        ids = said[1].astype(np.int64)
        n_axes = self.embedding_channels
        pairs = close_pairs(ids[None], self.neighbour_distance_vox if self.constraints == "local" else math.inf)
        names = list(range(1, int(ids.max(initial=0)) + 1))
        axes = np.zeros(len(names) + 1, np.int64)
        for name, colour in colour_objects(names, pairs, n_axes - 1).items():
            axes[name] = 1 + colour
        embedding = np.moveaxis(np.eye(n_axes, dtype=np.float32)[axes[ids]], -1, 0)
        return np.concatenate([embedding, said])

    def truth(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return (2, Z, Y, X) float32: the relative depth, and ids from 1 without gaps."""
        return np.stack([relative_depth(labels, voxel_size_um, self.is_2d), make_dense(labels)[0].astype(np.float32)])

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the terms of the final embedding and of the distance, against what `targets` made."""
        n_channels = self.embedding_channels
        return self.terms(Answer(logits[:, :n_channels], logits[:, n_channels:], None), target[:, -2:], None)

    def terms(self, answer: Answer, truth: torch.Tensor, known: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Return all terms of the loss, against `truth` (N, 2, ...) where it is known (N, 1, ...)."""
        depth, ids = truth[:, :1], truth[:, 1:]
        terms = embedding_terms(answer.embedding, ids, self.embedding_rules, known)
        if answer.first is not None:
            first = embedding_terms(answer.first, ids, self.embedding_rules, known)
            terms |= {f"first_{name}": term for name, term in first.items()}
        error = distance_loss(answer.distance, depth, self.distance_scale, known)
        return {**terms, "distance": self.distance_weight * error}


__all__ = ["ANGLE_DEG", "WNetFamily"]
