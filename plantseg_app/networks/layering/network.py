"""The U-Net of the layering method: convolution, ReLU, batch norm; one branch for layers and one for the foreground.

Knows tensors alone.

>>> network = LayeringUNet(1, 8, (4, 8)).eval()
>>> network(torch.zeros(1, 1, 16, 16)).shape
torch.Size([1, 9, 16, 16])

References
----------
Chen, Wu and Merhof, BMVC 2022, section 3.1.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_EPSILON = 1e-3
_CONVOLUTIONS = 2


class Convolutions(nn.Sequential):
    """Convolutions of one width, each followed by ReLU and then batch norm."""

    def __init__(self, channels_in: int, channels_out: int, momentum: float, width: int = 3, count: int = 2) -> None:
        layers: list[nn.Module] = []
        for number in range(count):
            first = channels_in if number == 0 else channels_out
            layers += [
                nn.Conv2d(first, channels_out, width, padding=width // 2),
                nn.ReLU(inplace=True),
                nn.BatchNorm2d(channels_out, eps=_EPSILON, momentum=momentum),
            ]
        super().__init__(*layers)


class LayeringUNet(nn.Module):
    """A U-Net with two branches on its finest features.

    Parameters
    ----------
    in_channels
        Channels of the image.
    n_layers
        Layers that objects are sorted into.
    feature_maps
        Channels of each level, finest first.
    stride
        The U-Net works on a grid this much coarser; its answer is interpolated back.
    momentum
        Share of each batch in the running statistics of batch norm.
    """

    def __init__(
        self,
        in_channels: int,
        n_layers: int,
        feature_maps: Sequence[int],
        stride: int = 1,
        momentum: float = 0.01,
    ) -> None:
        super().__init__()
        self.stride = stride
        finest = feature_maps[0]
        before = (in_channels * stride**2, *feature_maps)
        pairs = list(zip(before, feature_maps, strict=False))
        self.encoders = nn.ModuleList(Convolutions(a, b, momentum) for a, b in pairs)
        fine_and_coarse = list(itertools.pairwise(feature_maps))[::-1]
        self.narrow = nn.ModuleList(
            Convolutions(coarse, fine, momentum, 1, count=1) for fine, coarse in fine_and_coarse
        )
        self.decoders = nn.ModuleList(Convolutions(2 * fine, fine, momentum) for fine, _ in fine_and_coarse)
        self.layers = nn.Sequential(Convolutions(finest, finest, momentum), nn.Conv2d(finest, n_layers, 1))
        self.foreground = nn.Sequential(Convolutions(finest, finest, momentum), nn.Conv2d(finest, 1, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, n_layers + 1, Y, X) of an image (N, C, Y, X): the layers, then the foreground."""
        if self.stride > 1:
            # Every pixel reaches the network, in channels of its own.
            x = F.pixel_unshuffle(x, self.stride)
        skips: list[Tensor] = []
        for encoder in self.encoders:
            x = encoder(x if not skips else F.max_pool2d(x, 2))
            skips.append(x)
        for narrow, decoder, skip in zip(self.narrow, self.decoders, skips[-2::-1], strict=True):
            x = narrow(F.interpolate(x, size=skip.shape[2:], mode="bilinear"))
            x = decoder(torch.cat([x, skip], 1))
        answer = torch.cat([self.layers(x), self.foreground(x)], 1)
        if self.stride > 1:
            answer = F.interpolate(answer, scale_factor=float(self.stride), mode="bilinear")
        return answer


def input_interval(first: int, last: int, n_levels: int, stride: int) -> tuple[int, int]:
    """Return the pixels (first, last, along one axis) of the image that the answers `first..last` can depend on.

    Positions count from a multiple of the pooling grid, ``stride * 2 ** (n_levels - 1)``, and may be negative.
    """
    low, high = first, last
    if stride > 1:
        low, high = low // stride - 1, high // stride + 1
    low, high = low - _CONVOLUTIONS, high + _CONVOLUTIONS
    needed = []
    for level in range(n_levels):
        low, high = low - _CONVOLUTIONS, high + _CONVOLUTIONS
        needed.append((low, high))
        if level < n_levels - 1:
            # Interpolation looks at one neighbour beside the coarse pixel that holds a fine one.
            low, high = low // 2 - 1, high // 2 + 1
    low, high = needed[-1]
    for low_skip, high_skip in reversed(needed[:-1]):
        low, high = min(2 * low, low_skip), max(2 * high + 1, high_skip)
        low, high = low - _CONVOLUTIONS, high + _CONVOLUTIONS
    return stride * low, stride * high + stride - 1
