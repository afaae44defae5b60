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
from torch.nn import functional as F

from plantseg_app.errors import InputError, RequestError

Upsampling = Literal["default", "nearest", "linear", "bilinear", "trilinear", "area", "deconv"]

_ACTIVATIONS = "rle"
_LAYER_LETTERS = "cgbrledD"
_INTERPOLATIONS = {"nearest", "linear", "bilinear", "trilinear", "area"}
_RESIDUAL_SLOPE = 0.1
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


def check_layer_order(order: str) -> None:
    """Refuse a `layer_order` that names no network.

    Raises
    ------
    RequestError
        For an unknown or repeated letter, no convolution, or an activation in front.
    """
    unknown = sorted(set(order) - set(_LAYER_LETTERS))
    if unknown:
        raise RequestError(f"Unknown letter {unknown[0]!r} in layer_order={order!r}; allowed are {_LAYER_LETTERS}.")
    if order.count("c") != 1 or len(set(order)) != len(order):
        raise RequestError(f"layer_order={order!r} must hold exactly one c (convolution) and no letter twice.")
    if order[0] in _ACTIVATIONS:
        raise RequestError(f"layer_order={order!r} must not start with an activation (r, l or e).")


def _convolution(is_3d: bool) -> type[nn.Conv2d] | type[nn.Conv3d]:
    return nn.Conv3d if is_3d else nn.Conv2d


class _LayerFactory:
    """Makes the layers of one convolution block by letter; holds what all blocks of a network share."""

    def __init__(self, order: str, num_groups: int, padding: int, dropout_prob: float, is_3d: bool) -> None:
        check_layer_order(order)
        self.order = order
        self.num_groups = num_groups
        self.padding = padding
        self.dropout_prob = dropout_prob
        self.is_3d = is_3d

    def with_order(self, order: str) -> _LayerFactory:
        return _LayerFactory(order, self.num_groups, self.padding, self.dropout_prob, self.is_3d)

    def layer(self, letter: str, channels_in: int, channels_out: int) -> tuple[str, nn.Module]:
        """Return the name and the layer that `letter` stands for."""
        if letter == "c":
            bias = "g" not in self.order and "b" not in self.order
            kernel = _convolution(self.is_3d)(channels_in, channels_out, 3, padding=self.padding, bias=bias)
            return "conv", kernel
        if letter in "gb":
            before = self.order.index(letter) < self.order.index("c")
            return self._norm(letter, channels_in if before else channels_out)
        simple: dict[str, tuple[str, nn.Module]] = {
            "r": ("ReLU", nn.ReLU(inplace=True)),
            "l": ("LeakyReLU", nn.LeakyReLU(inplace=True)),
            "e": ("ELU", nn.ELU(inplace=True)),
            "d": ("dropout", nn.Dropout(self.dropout_prob)),
            "D": ("dropout2d", nn.Dropout2d(self.dropout_prob)),
        }
        return simple[letter]

    def _norm(self, letter: str, channels: int) -> tuple[str, nn.Module]:
        if letter == "b":
            return "batchnorm", (nn.BatchNorm3d if self.is_3d else nn.BatchNorm2d)(channels)
        groups = self.num_groups if channels >= self.num_groups else 1
        if channels % groups:
            raise RequestError(
                f"Group normalisation splits {channels} channels into num_groups={groups}; "
                "choose a number of groups that divides every channel count."
            )
        return "groupnorm", nn.GroupNorm(groups, channels)


class SingleConv(nn.Sequential):
    """One convolution with its normalisation, activation and dropout, in the factory's order."""

    def __init__(self, channels_in: int, channels_out: int, factory: _LayerFactory) -> None:
        super().__init__()
        for letter in factory.order:
            self.add_module(*factory.layer(letter, channels_in, channels_out))


class DoubleConv(nn.Sequential):
    """Two convolutions; in the encoder the channels grow in two stages."""

    def __init__(self, channels_in: int, channels_out: int, factory: _LayerFactory, first_channels: int) -> None:
        super().__init__()
        self.add_module("SingleConv1", SingleConv(channels_in, first_channels, factory))
        self.add_module("SingleConv2", SingleConv(first_channels, channels_out, factory))


class ResNetBlock(nn.Module):
    """A 1x1 convolution to the wanted channels, then two convolutions whose result is added to it."""

    def __init__(self, channels_in: int, channels_out: int, factory: _LayerFactory) -> None:
        super().__init__()
        self.conv1: nn.Module = nn.Identity()
        if channels_in != channels_out:
            self.conv1 = _convolution(factory.is_3d)(channels_in, channels_out, 1)
        self.conv2 = SingleConv(channels_out, channels_out, factory)
        # The last activation follows the addition.
        linear_order = "".join(letter for letter in factory.order if letter not in _ACTIVATIONS)
        self.conv3 = SingleConv(channels_out, channels_out, factory.with_order(linear_order))
        self.non_linearity: nn.Module
        if "l" in factory.order:
            self.non_linearity = nn.LeakyReLU(_RESIDUAL_SLOPE, inplace=True)
        elif "e" in factory.order:
            self.non_linearity = nn.ELU(inplace=True)
        else:
            self.non_linearity = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's features, same spatial size as `x`."""
        residual = self.conv1(x)
        return cast("Tensor", self.non_linearity(self.conv3(self.conv2(residual)) + residual))


class Encoder(nn.Module):
    """Halve the grid (except at the finest level), then convolve."""

    def __init__(self, block: nn.Module, pool: bool, is_3d: bool) -> None:
        super().__init__()
        self.pooling: nn.Module | None = None
        if pool:
            self.pooling = nn.MaxPool3d(2) if is_3d else nn.MaxPool2d(2)
        self.basic_module = block

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of this level."""
        return cast("Tensor", self.basic_module(x if self.pooling is None else self.pooling(x)))


class _Interpolation(nn.Module):
    def __init__(self, mode: str, is_3d: bool) -> None:
        super().__init__()
        if mode in {"linear", "bilinear", "trilinear"}:
            mode = "trilinear" if is_3d else "bilinear"
        self.mode = mode

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        return F.interpolate(x, size=size, mode=self.mode)


class _TransposedConvolution(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, is_3d: bool) -> None:
        super().__init__()
        kind = nn.ConvTranspose3d if is_3d else nn.ConvTranspose2d
        self.conv_transposed = kind(channels_in, channels_out, kernel_size=3, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        # The transposed convolution yields 2n - 1 voxels; the nearest interpolation closes the gap.
        return F.interpolate(self.conv_transposed(x), size=size)


class Upsampler(nn.Module):
    """Bring coarse features to the grid of the finer ones."""

    def __init__(self, upsample: nn.Module) -> None:
        super().__init__()
        self.upsample = upsample

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        """Return `x` on the spatial grid of `like`."""
        return cast("Tensor", self.upsample(x, like.shape[2:]))


class Decoder(nn.Module):
    """Upsample, join with the encoder's features of that level (concatenated or added), convolve."""

    def __init__(self, upsampling: Upsampler, block: nn.Module, concatenate: bool) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.basic_module = block
        self.concatenate = concatenate

    def forward(self, skip: Tensor, x: Tensor) -> Tensor:
        """Return the decoded features on the grid of `skip`."""
        x = self.upsampling(x, skip)
        joined = torch.cat((skip, x), dim=1) if self.concatenate else skip + x
        return cast("Tensor", self.basic_module(joined))


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
    ) -> None:
        super().__init__()
        self.f_maps = feature_maps_per_level(f_maps, self.default_levels if num_levels is None else num_levels)
        self.upsample_mode = self._check_upsampling(upsample)
        if self.is_residual:
            conv_padding = 1
        factory = _LayerFactory(layer_order, num_groups, conv_padding, dropout_prob, self.is_3d)
        channels = (in_channels, *self.f_maps)
        self.encoders = nn.ModuleList(
            Encoder(self._block(channels[i], channels[i + 1], factory, encoder=True), i > 0, self.is_3d)
            for i in range(len(self.f_maps))
        )
        self.decoders = nn.ModuleList(
            self._decoder(coarse, fine, factory)
            for coarse, fine in zip(self.f_maps[:0:-1], self.f_maps[-2::-1], strict=True)
        )
        self.final_conv = _convolution(self.is_3d)(self.f_maps[0], out_channels, 1)

    def _check_upsampling(self, upsample: str) -> str:
        if upsample == "default":
            return "added deconv" if self.is_residual else "nearest"
        allowed = {"deconv"} if self.is_residual else {"deconv", *_INTERPOLATIONS}
        if upsample not in allowed:
            choices = ", ".join(sorted(allowed | {"default"}))
            raise RequestError(f"{type(self).__name__} cannot upsample with {upsample!r}; choose one of {choices}.")
        return upsample

    def _block(self, channels_in: int, channels_out: int, factory: _LayerFactory, *, encoder: bool) -> nn.Module:
        if self.is_residual:
            return ResNetBlock(channels_in, channels_out, factory)
        first = max(channels_out // 2, channels_in) if encoder else channels_out
        return DoubleConv(channels_in, channels_out, factory, first)

    def _decoder(self, coarse: int, fine: int, factory: _LayerFactory) -> Decoder:
        if self.upsample_mode in _INTERPOLATIONS:
            resize = _Interpolation(self.upsample_mode, self.is_3d)
            return Decoder(Upsampler(resize), self._block(coarse + fine, fine, factory, encoder=False), True)
        added = self.upsample_mode == "added deconv"
        if not added and coarse != 2 * fine:
            raise RequestError("upsample='deconv' needs channel counts that double from level to level.")
        deconvolution = Upsampler(_TransposedConvolution(coarse, fine, self.is_3d))
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
        return cast("Tensor", self.final_conv(x))


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
