"""The blocks that U-Nets are made of: convolutions by letter, residual blocks, down- and upsampling.

Names and shapes of the parameters are those of pytorch-3dunet; see `plantseg_app.networks.unet` for the networks.

>>> import torch
>>> block = SingleConv(1, 8, LayerFactory("bcr", num_groups=8, padding=1, dropout_prob=0.1, is_3d=True))
>>> [name for name, _ in block.named_children()], tuple(block(torch.zeros(1, 1, 2, 3, 4)).shape)
(['batchnorm', 'conv', 'ReLU'], (1, 8, 2, 3, 4))
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plantseg_app.errors import RequestError

Norm = Literal["batch", "group", "none"]
LAYER_ORDER: dict[Norm, str] = {"batch": "bcr", "group": "gcr", "none": "cr"}
"""The letters of a block by what stands before its convolution."""

_ACTIVATIONS = "rle"
_LAYER_LETTERS = "cgbrledD"
_RESIDUAL_SLOPE = 0.1


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


def convolution(is_3d: bool) -> type[nn.Conv2d] | type[nn.Conv3d]:
    """Return the class of convolution for the dimension."""
    return nn.Conv3d if is_3d else nn.Conv2d


class LayerFactory:
    """Makes the layers of one convolution block by letter; holds what all blocks of a network share."""

    def __init__(self, order: str, num_groups: int, padding: int, dropout_prob: float, is_3d: bool) -> None:
        check_layer_order(order)
        self.order = order
        self.num_groups = num_groups
        self.padding = padding
        self.dropout_prob = dropout_prob
        self.is_3d = is_3d

    def with_order(self, order: str) -> LayerFactory:
        """Return a factory that differs in the order alone."""
        return LayerFactory(order, self.num_groups, self.padding, self.dropout_prob, self.is_3d)

    def layer(self, letter: str, channels_in: int, channels_out: int) -> tuple[str, nn.Module]:
        """Return the name and the layer that `letter` stands for."""
        if letter == "c":
            bias = "g" not in self.order and "b" not in self.order
            kernel = convolution(self.is_3d)(channels_in, channels_out, 3, padding=self.padding, bias=bias)
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

    def __init__(self, channels_in: int, channels_out: int, factory: LayerFactory) -> None:
        super().__init__()
        for letter in factory.order:
            self.add_module(*factory.layer(letter, channels_in, channels_out))


class DoubleConv(nn.Sequential):
    """Two convolutions; in the encoder the channels grow in two stages."""

    def __init__(self, channels_in: int, channels_out: int, factory: LayerFactory, first_channels: int) -> None:
        super().__init__()
        self.add_module("SingleConv1", SingleConv(channels_in, first_channels, factory))
        self.add_module("SingleConv2", SingleConv(first_channels, channels_out, factory))


class ResNetBlock(nn.Module):
    """A 1x1 convolution to the wanted channels, then two convolutions whose result is added to it."""

    def __init__(self, channels_in: int, channels_out: int, factory: LayerFactory) -> None:
        super().__init__()
        self.conv1: nn.Module = nn.Identity()
        if channels_in != channels_out:
            self.conv1 = convolution(factory.is_3d)(channels_in, channels_out, 1)
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


class Interpolation(nn.Module):
    """Enlarge by interpolation; every "linear" is the one of the network's dimension."""

    def __init__(self, mode: str, is_3d: bool) -> None:
        super().__init__()
        if mode in {"linear", "bilinear", "trilinear"}:
            mode = "trilinear" if is_3d else "bilinear"
        self.mode = mode

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        """Return `x` with the spatial `size`."""
        return F.interpolate(x, size=size, mode=self.mode)


class TransposedConvolution(nn.Module):
    """Enlarge by a learned convolution of stride two."""

    def __init__(self, channels_in: int, channels_out: int, is_3d: bool) -> None:
        super().__init__()
        kind = nn.ConvTranspose3d if is_3d else nn.ConvTranspose2d
        self.conv_transposed = kind(channels_in, channels_out, kernel_size=3, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        """Return `x` with the spatial `size`."""
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
