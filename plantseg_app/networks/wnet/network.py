"""The two U-Nets in a row of the W-Net, and the U-Net with two heads that it is compared with. Know tensors alone.

>>> network = WNet(Layout(feature_maps=(4, 8), embedding_channels=6)).eval()
>>> tuple(network(torch.zeros(2, 1, 8, 12)).shape)                    # six embedding channels and the distance
(2, 7, 8, 12)

References
----------
Wu, Chen and Merhof, ECCV workshops 2020, doi:10.1007/978-3-030-66415-2_14, Fig. 1 and 3.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plantseg_app.networks.folding import fold, start_alike, unfold
from plantseg_app.networks.unet import UNet, UNet2D, UNet3D
from plantseg_app.networks.unet_blocks import LAYER_ORDER, Norm, convolution

PassedOn = Literal["distance-features", "distance-map", "embedding-features", "both-features", "nothing"]


@dataclasses.dataclass(frozen=True)
class Layout:
    """The plan of a network.

    Attributes
    ----------
    image_channels
        Channels of the image.
    feature_maps
        Channels of each level of each U-Net, finest first.
    embedding_channels
        Channels of the embedding.
    is_2d
        Whether it sees single slices.
    norm
        What stands before each convolution.
    stride
        How much coarser the grid along Y and X is on which it works; what it says is on that of the image.
    passes_on
        What of the first U-Net the second one is shown beside the image; with ``nothing`` there is no second one, and
        both heads are on the first.
    passed_channels
        How many channels that are, but for the distance map.
    first_embedding
        Whether the first U-Net learns an embedding, too.
    has_coordinates
        Whether the image gets the place along each axis, from -1 to 1, as further channels.
    """

    image_channels: int = 1
    feature_maps: tuple[int, ...] = (16, 32, 64, 128)
    embedding_channels: int = 8
    is_2d: bool = True
    norm: Norm = "batch"
    stride: int = 1
    passes_on: PassedOn = "distance-features"
    passed_channels: int = 32
    first_embedding: bool = False
    has_coordinates: bool = False


class Answer(NamedTuple):
    """What the network says on the grid of the image, (N, C, ...): embeddings of any length, and logits of the depth.

    `first` is the embedding of the first U-Net, where it learns one.
    """

    embedding: Tensor
    distance: Tensor
    first: Tensor | None


class WNet(nn.Module):
    """Maps an image (N, C, [Z,] Y, X) to an embedding of any length and logits of the distance, of the same size."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        n_axes = 2 if layout.is_2d else 3
        cell, features = layout.stride**2, layout.feature_maps[0]
        seen = (layout.image_channels + n_axes * layout.has_coordinates) * cell
        self.first = self._trunk(seen)
        self.distance = self._head(features, cell)
        self.first_embedding: nn.Conv2d | nn.Conv3d | None = None
        if layout.first_embedding:
            # A decoder of its own, so that features of the distance and of the embedding are different ones.
            self.first_decoders = self._trunk(seen).decoders
            self.first_embedding = self._head(features, layout.embedding_channels * cell)
        self.passing = nn.ModuleList(self._head(features, channels) for channels in self._passed())
        self.second: UNet | None = None
        if layout.passes_on != "nothing":
            handed = cell if layout.passes_on == "distance-map" else layout.passed_channels
            self.second = self._trunk(seen + handed)
        self.embedding = self._head(features, layout.embedding_channels * cell)
        for module in self.modules():
            # Where there is no memory there is nothing to fill, and torch would load its compiler for it.
            if isinstance(module, (nn.Conv2d, nn.Conv3d)) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        for head in (self.embedding, self.distance, self.first_embedding):
            if head is not None:
                start_alike(head, layout.stride)
        # A rectifier that starts below zero everywhere would never learn.
        cast("Tensor", self.distance.bias).data.fill_(1.0)

    def _passed(self) -> tuple[int, ...]:
        """Return the channels of each kind of features that the second U-Net is shown."""
        count = self.layout.passed_channels
        table: dict[PassedOn, tuple[int, ...]] = {
            "distance-features": (count,),
            "embedding-features": (count,),
            "both-features": (count - count // 2, count // 2),
        }
        return table.get(self.layout.passes_on, ())

    def _trunk(self, channels_in: int) -> UNet:
        kind: type[UNet] = UNet2D if self.layout.is_2d else UNet3D
        unet = kind(channels_in, 1, self.layout.feature_maps, LAYER_ORDER[self.layout.norm])
        # Its features are wanted, not a map.
        unet.final_conv = nn.Identity()  # type: ignore[assignment]
        return unet

    def _head(self, channels_in: int, channels_out: int) -> nn.Conv2d | nn.Conv3d:
        return convolution(not self.layout.is_2d)(channels_in, channels_out, 1)

    def parts(self, x: Tensor) -> Answer:
        """Return everything that is said of an image."""
        stride = self.layout.stride
        if self.layout.has_coordinates:
            x = torch.cat([x, coordinates(x)], 1)
        seen = fold(x, stride)
        skips = encode(self.first, seen)
        of_distance = features = decode(self.first.decoders, skips)
        distance, first = self.distance(of_distance), None
        kinds = {"distance-features": [of_distance]}
        if self.first_embedding is not None:
            of_embedding = decode(self.first_decoders, skips)
            first = unfold(self.first_embedding(of_embedding), stride)
            kinds |= {"embedding-features": [of_embedding], "both-features": [of_distance, of_embedding]}
        if self.second is not None:
            chosen = zip(self.passing, kinds.get(self.layout.passes_on, []), strict=True)
            # Features of unlike length, from pixel to pixel, made training unstable for the authors.
            handed = [F.normalize(head(kind), dim=1) for head, kind in chosen] or [F.relu(distance)]
            features = self.second(torch.cat([seen, *handed], 1))
        return Answer(unfold(self.embedding(features), stride), unfold(distance, stride), first)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, embedding + 1, [Z,] Y, X)."""
        answer = self.parts(x)
        return torch.cat([answer.embedding, answer.distance], 1)


def encode(unet: UNet, x: Tensor) -> list[Tensor]:
    """Return the features of every level, finest first."""
    found: list[Tensor] = []
    for encoder in unet.encoders:
        x = encoder(x)
        found.append(x)
    return found


def decode(decoders: nn.ModuleList, features: list[Tensor]) -> Tensor:
    """Return the finest features of the decoders, from those of the encoders."""
    x = features[-1]
    for decoder, skip in zip(decoders, reversed(features[:-1]), strict=True):
        x = decoder(skip, x)
    return x


def coordinates(x: Tensor) -> Tensor:
    """Return the place of each pixel of (N, C, ...) along each axis, from -1 to 1, (N, axes, ...)."""
    shape = x.shape[2:]
    lines = [torch.linspace(-1, 1, size, device=x.device, dtype=x.dtype) for size in shape]
    grid = torch.stack(torch.meshgrid(*lines, indexing="ij"))
    return grid.expand(len(x), *grid.shape)
