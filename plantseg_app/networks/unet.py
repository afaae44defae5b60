"""U-Nets in 2D and 3D, plain and residual, with the parameter names of pytorch-3dunet.

A checkpoint of the PlantSeg zoo loads into these classes unchanged, because every module carries the name and the
shape it has there. The networks know nothing of tiles, files or methods: tensors in, logits out.

Examples
--------
>>> import torch
>>> from plantseg_app.networks.unet import UNet3D
>>> network = UNet3D(1, 1, f_maps=(8, 16), layer_order="bcr").eval()
>>> with torch.inference_mode():
...     network(torch.zeros(1, 1, 5, 16, 16)).shape
torch.Size([1, 1, 5, 16, 16])
>>> network.pooling_factor, network.receptive_field_radius_vox()
(2, 9)

References
----------
Çiçek et al., 3D U-Net, MICCAI 2016, doi:10.1007/978-3-319-46723-8_49.
Lee et al., Superhuman accuracy on the SNEMI3D connectomics challenge, 2017, arXiv:1706.00120 (residual U-Net).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from plantseg_app.errors import InputError, RequestError
from plantseg_app.networks.unet_blocks import (
    Decoder,
    DoubleConv,
    Encoder,
    Interpolation,
    LayerFactory,
    ResNetBlock,
    TransposedConvolution,
    Upsampler,
    convolution,
)

Upsampling = Literal["default", "nearest", "linear", "bilinear", "trilinear", "area", "deconv"]

_INTERPOLATIONS = {"nearest", "linear", "bilinear", "trilinear", "area"}
CONVOLUTIONS_PER_BLOCK = 2


def feature_maps_per_level(f_maps: int | Sequence[int], num_levels: int) -> tuple[int, ...]:
    """Return the channel count of each level, finest first.

    Parameters
    ----------
    f_maps
        Either the channels of the finest level, doubled at each coarser one, or all of them.
    num_levels
        Number of levels; used only when `f_maps` is one number.

    Raises
    ------
    RequestError
        With fewer than two levels or a channel count below one.
    """
    maps = tuple(f_maps * 2**level for level in range(num_levels)) if isinstance(f_maps, int) else tuple(f_maps)
    if len(maps) < 2 or min(maps) < 1:
        raise RequestError(f"A U-Net needs at least two levels of one channel or more, not f_maps={f_maps!r}.")
    return maps


def exclusive_logits(scores: Tensor) -> Tensor:
    """Return logits (N, C, ...) whose sigmoid is the softmax of `scores` over the channels; C is 2 or more.

    >>> import torch
    >>> scores = torch.tensor([[1.0, 2.0, -3.0]])
    >>> bool((torch.sigmoid(exclusive_logits(scores)) - torch.softmax(scores, 1)).abs().max() < 1e-6)
    True
    """
    others = [
        torch.logsumexp(torch.cat([scores[:, :channel], scores[:, channel + 1 :]], 1), 1, keepdim=True)
        for channel in range(scores.shape[1])
    ]
    return scores - torch.cat(others, 1)


class UNet(nn.Module):
    """Base of the four U-Nets; use one of them.

    Parameters
    ----------
    in_channels, out_channels
        Channels of the image and of the prediction.
    f_maps
        Channels of the finest level (doubled at each coarser one) or of every level.
    layer_order
        Layers of each convolution block by letter: c convolution, g group norm, b batch norm, r ReLU, l leaky
        ReLU, e ELU, d dropout, D channel dropout.
    num_groups
        Groups of the group norm; one group where a layer has fewer channels than this.
    num_levels
        Levels, when `f_maps` is one number. None: 4, residual networks 5.
    conv_padding
        Zero padding of each convolution; 1 keeps the size. Residual blocks always pad by 1.
    upsample
        "default" is nearest for plain and added transposed convolutions for residual networks. Residual networks
        allow "default" and "deconv" alone.
    dropout_prob
        Dropout probability of the letters d and D.
    exclusive
        The channels exclude each other: their logits are such that the sigmoid of each is the softmax of all.

    Raises
    ------
    RequestError
        When the settings describe no network that can run.
    """

    is_3d: bool = True
    is_residual: bool = False
    default_levels: int = 4

    def __init__(  # noqa: PLR0913 - the arguments that pytorch-3dunet has, so that its settings fit
        self,
        in_channels: int,
        out_channels: int,
        f_maps: int | Sequence[int] = 64,
        layer_order: str = "gcr",
        num_groups: int = 8,
        num_levels: int | None = None,
        conv_padding: int = 1,
        upsample: Upsampling = "default",
        dropout_prob: float = 0.1,
        exclusive: bool = False,
    ) -> None:
        super().__init__()
        self.exclusive = exclusive
        self.f_maps = feature_maps_per_level(f_maps, self.default_levels if num_levels is None else num_levels)
        self.upsample_mode = self._check_upsampling(upsample)
        if self.is_residual:
            conv_padding = 1
        factory = LayerFactory(layer_order, num_groups, conv_padding, dropout_prob, self.is_3d)
        channels = (in_channels, *self.f_maps)
        self.encoders = nn.ModuleList(
            Encoder(self._block(channels[i], channels[i + 1], factory, encoder=True), i > 0, self.is_3d)
            for i in range(len(self.f_maps))
        )
        self.decoders = nn.ModuleList(
            self._decoder(coarse, fine, factory)
            for coarse, fine in zip(self.f_maps[:0:-1], self.f_maps[-2::-1], strict=True)
        )
        self.final_conv = convolution(self.is_3d)(self.f_maps[0], out_channels, 1)

    def _check_upsampling(self, upsample: str) -> str:
        if upsample == "default":
            return "added deconv" if self.is_residual else "nearest"
        allowed = {"deconv"} if self.is_residual else {"deconv", *_INTERPOLATIONS}
        if upsample not in allowed:
            choices = ", ".join(sorted(allowed | {"default"}))
            raise RequestError(f"{type(self).__name__} cannot upsample with {upsample!r}; choose one of {choices}.")
        return upsample

    def _block(self, channels_in: int, channels_out: int, factory: LayerFactory, *, encoder: bool) -> nn.Module:
        if self.is_residual:
            return ResNetBlock(channels_in, channels_out, factory)
        first = max(channels_out // 2, channels_in) if encoder else channels_out
        return DoubleConv(channels_in, channels_out, factory, first)

    def _decoder(self, coarse: int, fine: int, factory: LayerFactory) -> Decoder:
        if self.upsample_mode in _INTERPOLATIONS:
            resize = Interpolation(self.upsample_mode, self.is_3d)
            return Decoder(Upsampler(resize), self._block(coarse + fine, fine, factory, encoder=False), True)
        added = self.upsample_mode == "added deconv"
        if not added and coarse != 2 * fine:
            raise RequestError("upsample='deconv' needs channel counts that double from level to level.")
        deconvolution = Upsampler(TransposedConvolution(coarse, fine, self.is_3d))
        block = self._block(fine if added else coarse, fine, factory, encoder=False)
        return Decoder(deconvolution, block, concatenate=not added)

    @property
    def pooling_factor(self) -> int:
        """Voxels of the finest grid per voxel of the coarsest one, along each axis (a power of two)."""
        return int(2 ** (len(self.f_maps) - 1))

    @property
    def tiles_exactly(self) -> bool:
        """Whether tiles can equal the whole: False with group norm, whose statistics depend on the tile."""
        return not any(isinstance(module, nn.GroupNorm) for module in self.modules())

    def input_interval(self, first: int, last: int) -> tuple[int, int]:
        """Return the input voxels (first, last, along one axis) that the output voxels `first..last` can depend on.

        Positions count from an arbitrary multiple of the pooling factor and may be negative: the image border is
        not considered. Group norm is not considered either, it couples all voxels.
        """
        # Voxels the interpolation may reach beyond the coarse voxel that holds a fine one.
        reach = 0 if self.upsample_mode in {"nearest", "area"} else 1
        low, high = first, last
        needed = []
        for level in range(len(self.f_maps)):
            low, high = low - CONVOLUTIONS_PER_BLOCK, high + CONVOLUTIONS_PER_BLOCK
            needed.append((low, high))
            if level < len(self.f_maps) - 1:
                low, high = low // 2 - reach, high // 2 + reach
        # `needed` ends with the coarsest encoder's input; every other level also feeds its skip connection.
        low, high = needed[-1]
        for low_skip, high_skip in reversed(needed[:-1]):
            low, high = min(2 * low, low_skip), max(2 * high + 1, high_skip)
            low, high = low - CONVOLUTIONS_PER_BLOCK, high + CONVOLUTIONS_PER_BLOCK
        return low, high

    def receptive_field_radius_vox(self) -> int:
        """Return how many voxels away (Chebyshev) an input voxel can influence an output voxel, at most."""
        intervals = [(at, *self.input_interval(at, at)) for at in range(self.pooling_factor)]
        return max(max(at - low, high - at) for at, low, high in intervals)

    def tile_halo_vox(self) -> int:
        """Return the halo in voxels, a multiple of the pooling factor, with which aligned tiles lose nothing.

        A tile whose origin and size are multiples of `pooling_factor`, predicted with this much context on each
        side, agrees with the untiled prediction.
        """
        factor = self.pooling_factor
        low, high = self.input_interval(0, factor - 1)
        reach = max(-low, high - (factor - 1))
        return -(-reach // factor) * factor

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, out_channels, [Z,] Y, X) for an image batch (N, in_channels, [Z,] Y, X)."""
        smallest = min(x.shape[2:])
        if smallest < self.pooling_factor:
            raise InputError(
                f"An image of {tuple(x.shape[2:])} voxels is too thin for this network: each axis needs "
                f"{self.pooling_factor}. Pad it first."
            )
        skips: list[Tensor] = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
        for decoder, skip in zip(self.decoders, reversed(skips[:-1]), strict=True):
            x = decoder(skip, x)
        logits = cast("Tensor", self.final_conv(x))
        return exclusive_logits(logits) if self.exclusive else logits


class UNet3D(UNet):
    """3D U-Net: double convolutions, concatenated skips. For the parameters see `UNet`."""


class UNet2D(UNet):
    """2D U-Net: double convolutions, concatenated skips. For the parameters see `UNet`."""

    is_3d = False


class ResidualUNet3D(UNet):
    """3D U-Net of residual blocks, skips added to transposed convolutions. For the parameters see `UNet`."""

    is_residual = True
    default_levels = 5


class ResidualUNet2D(UNet):
    """2D U-Net of residual blocks, skips added to transposed convolutions. For the parameters see `UNet`."""

    is_3d = False
    is_residual = True
    default_levels = 5
