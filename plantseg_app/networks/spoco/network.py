"""The U-Net of SPOCO, and the critic that tells predicted masks of objects from true ones. Know tensors alone.

>>> import torch
>>> network = SpocoUNet(Layout(feature_maps=(4, 8), embedding_channels=6, predicts_foreground=True, stride=2)).eval()
>>> tuple(network(torch.zeros(2, 1, 8, 12)).shape)               # six embedding channels and the foreground
(2, 7, 8, 12)
>>> published = Layout(3, (16, 32, 64, 128, 256, 512), 16)
>>> sum(parameter.numel() for parameter in SpocoUNet(published).parameters())
5507262
>>> critic = Critic((1, 8, 12), (4, 8), is_2d=True)
>>> tuple(critic(torch.zeros(5, 1, 8, 12)).shape)
(5,)

References
----------
Wolny et al., CVPR 2022, doi:10.1109/CVPR52688.2022.00426; Wolny, thesis, Heidelberg 2023, Table 3.15.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from plantseg_app.core.volume import Shape3
from plantseg_app.networks.folding import fold, start_alike, unfold
from plantseg_app.networks.unet import UNet, UNet2D, UNet3D
from plantseg_app.networks.unet_blocks import LAYER_ORDER, DoubleConv, Encoder, LayerFactory, Norm, convolution


@dataclasses.dataclass(frozen=True)
class Layout:
    """The plan of a network.

    Attributes
    ----------
    image_channels
        Channels of the image.
    feature_maps
        Channels of each level, finest first.
    embedding_channels
        Channels of the embedding.
    is_2d
        Whether it sees single slices.
    norm
        What stands before each convolution.
    predicts_foreground
        Whether a last channel says where objects are.
    stride
        How much coarser the grid along Y and X is on which it works; what it says is on that of the image.
    """

    image_channels: int = 1
    feature_maps: tuple[int, ...] = (16, 32, 64, 128)
    embedding_channels: int = 16
    is_2d: bool = True
    norm: Norm = "batch"
    predicts_foreground: bool = False
    stride: int = 1


class SpocoUNet(nn.Module):
    """Maps an image (N, C, [Z,] Y, X) to embeddings and, if planned, logits of the foreground, of the same size."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.stride = layout.stride
        cell = layout.stride**2
        channels = layout.embedding_channels + layout.predicts_foreground
        kind: type[UNet] = UNet2D if layout.is_2d else UNet3D
        self.unet = kind(layout.image_channels * cell, channels * cell, layout.feature_maps, LAYER_ORDER[layout.norm])
        start_alike(self.unet.final_conv, layout.stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, embedding [+ 1], [Z,] Y, X)."""
        # Every pixel of a cell has channels of its own, on the way in and on the way out.
        return unfold(self.unet(fold(x, self.stride)), self.stride)


class Critic(nn.Module):
    """Says how true a mask looks, as a number without limits; for masks (M, 1, [Z,] Y, X) of one fixed size.

    Parameters
    ----------
    shape_vox
        The size (Z, Y, X) in voxels; Z is 1 in 2D.
    feature_maps
        Channels of each level, finest first; those of the generator as published.
    is_2d
        Whether the masks are single slices.
    """

    def __init__(self, shape_vox: Shape3, feature_maps: Sequence[int], is_2d: bool) -> None:
        super().__init__()
        factory = LayerFactory("cl", num_groups=1, padding=1, dropout_prob=0.0, is_3d=not is_2d)
        pairs = itertools.pairwise((1, *feature_maps))
        self.encoders = nn.ModuleList(
            Encoder(DoubleConv(a, b, factory, max(b // 2, a)), level > 0, not is_2d)
            for level, (a, b) in enumerate(pairs)
        )
        self.narrow = convolution(not is_2d)(feature_maps[-1], 1, 1)
        factor = 2 ** (len(feature_maps) - 1)
        sizes = [size // factor for size in shape_vox[-2 if is_2d else -3 :]]
        self.judge = nn.Linear(math.prod(sizes), 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (M,)."""
        for encoder in self.encoders:
            x = encoder(x)
        return cast("Tensor", self.judge(self.narrow(x).flatten(1))[:, 0])
