"""The U-Net of harmonic embeddings, whose decoder is shown the guide functions (SinConv).

>>> network = HarmonicUNet(Layout(feature_maps=(4, 8, 8), guides=((9.0, 0.0, 0.1), (0.0, 7.0, 0.2))))
>>> tuple(network(torch.zeros(2, 1, 8, 12)).shape)        # two embedding channels and the foreground
(2, 3, 8, 12)
>>> released = Layout(3, (64, 128, 256, 512, 512), ((1.0, 1.0, 0.0),) * 12, predicts_foreground=False)
>>> sum(parameter.numel() for parameter in HarmonicUNet(released).parameters())
28837260

References
----------
Kulikov and Lempitsky, CVPR 2020, doi:10.1109/CVPR42600.2020.00390; Liu et al., An intriguing failing of convolutional
neural networks and the CoordConv solution, NeurIPS 2018, arXiv:1807.03247.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plantseg_app.networks.folding import fold, unfold
from plantseg_app.networks.harmonic.guides import Guides

Conditioning = Literal["guides", "coordinates", "nothing"]


@dataclasses.dataclass(frozen=True)
class Layout:
    """The plan of a network.

    Attributes
    ----------
    image_channels
        Channels of the image.
    feature_maps
        Channels of each level, finest first.
    guides
        The guide functions; their number is that of the embedding's channels, and two or three frequencies make the
        network a 2D or a 3D one.
    conditioning
        What the decoder is shown beside its features: the guides, the plain coordinates (CoordConv), or nothing.
    extra_convolution
        Whether guided convolutions come before the double convolution of each level and before the end, as in the
        published weights; otherwise they replace the first convolution of each level, as in the publication.
    kernel
        Width of the guided convolutions.
    predicts_foreground
        Whether a last channel says where objects are.
    stride
        How much coarser the grid is on which the network works; the foreground keeps the grid of the image.
    """

    image_channels: int = 1
    feature_maps: tuple[int, ...] = (16, 32, 64, 128, 128)
    guides: Guides = ()
    conditioning: Conditioning = "guides"
    extra_convolution: bool = True
    kernel: int = 7
    predicts_foreground: bool = True
    stride: int = 1

    @property
    def n_axes(self) -> int:
        """Axes of an image: 2 or 3."""
        return len(self.guides[0]) - 1

    @property
    def fold(self) -> int:
        """Pixels of the image in one of the network's grid."""
        return int(self.stride**2)


class Waves:
    """The maps that are shown to a layer, evaluated on that layer's own grid from one end of the frame to the other.

    No module and no weights: everything follows from the settings.
    """

    def __init__(self, guides: Guides, conditioning: Conditioning) -> None:
        n_axes = len(guides[0]) - 1
        self.guides = None if conditioning == "coordinates" else guides
        self.n_maps = {"nothing": 0, "coordinates": n_axes, "guides": len(guides)}[conditioning]

    def append_to(self, x: Tensor) -> Tensor:
        """Return `x` (N, C, ...) with the maps as further channels."""
        if not self.n_maps:
            return x
        maps = wave_maps(self.guides, tuple(x.shape[2:]), x.device, x.dtype)
        return torch.cat([x, maps.expand(len(x), *maps.shape)], 1)


@functools.lru_cache(maxsize=32)
def wave_maps(guides: Guides | None, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the guides (or, without any, the coordinates from -1 to 1) on a grid, (maps, *shape)."""
    # Remembered tensors serve training too, where those of inference mode are refused.
    with torch.inference_mode(False), torch.no_grad():
        grid = torch.stack(torch.meshgrid(*(torch.linspace(0, 1, size) for size in shape), indexing="ij"))
        if guides is None:
            maps = 2 * grid - 1
        else:
            table = torch.tensor(guides, dtype=torch.float32)
            angle = torch.tensordot(table[:, :-1], grid, dims=1)
            maps = torch.sin(angle + table[:, -1].view(-1, *[1] * len(shape)))
        return maps.to(device, dtype)


class SinConv(nn.Module):
    """A convolution that sees the guide functions beside its features."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, waves: Waves, n_axes: int) -> None:
        super().__init__()
        self.waves = waves
        convolution = nn.Conv3d if n_axes == 3 else nn.Conv2d
        self.conv = convolution(channels_in + waves.n_maps, channels_out, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels_out, ...) of the size of `x`."""
        return cast("Tensor", self.conv(self.waves.append_to(x)))


def _normed(convolution: nn.Module, channels: int, n_axes: int) -> list[nn.Module]:
    return [convolution, (nn.BatchNorm3d if n_axes == 3 else nn.BatchNorm2d)(channels), nn.ReLU(inplace=True)]


def double_convolution(
    channels_in: int, channels_out: int, n_axes: int, first: nn.Module | None = None
) -> nn.Sequential:
    """Return two convolutions of width 3, each with batch norm and ReLU; `first` may stand for the first one."""
    convolution = nn.Conv3d if n_axes == 3 else nn.Conv2d
    first = first or convolution(channels_in, channels_out, 3, padding=1)
    second = convolution(channels_out, channels_out, 3, padding=1)
    return nn.Sequential(*_normed(first, channels_out, n_axes), *_normed(second, channels_out, n_axes))


class Encoder(nn.Module):
    """The contracting half; any module with its `channels` and its answer can stand in for it."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        n_axes = layout.n_axes
        self.channels = layout.feature_maps
        sizes = (layout.image_channels * layout.fold, *self.channels)
        self.levels = nn.ModuleList(double_convolution(a, b, n_axes) for a, b in itertools.pairwise(sizes))
        self.pool = nn.MaxPool3d(2) if n_axes == 3 else nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features of every level, finest first, each half as wide as the one before."""
        features = [self.levels[0](x)]
        for level in list(self.levels)[1:]:
            features.append(level(self.pool(features[-1])))
        return features


class UpBlock(nn.Module):
    """Enlarge, join with the encoder's features, and convolve under the guides' eyes."""

    def __init__(self, coarse: int, skip: int, out: int, layout: Layout, waves: Waves) -> None:
        super().__init__()
        n_axes = layout.n_axes
        self.mode = "trilinear" if n_axes == 3 else "bilinear"
        guided = SinConv(coarse + skip, out, layout.kernel, waves, n_axes)
        self.block: nn.Module
        if layout.extra_convolution:
            self.block = nn.Sequential(guided, double_convolution(out, out, n_axes))
        else:
            self.block = double_convolution(coarse + skip, out, n_axes, first=guided)

    def forward(self, skip: Tensor, x: Tensor) -> Tensor:
        """Return features on the grid of `skip`."""
        # With aligned corners a coarse grid and a fine one see the guides at the same places.
        x = F.interpolate(x, size=skip.shape[2:], mode=self.mode, align_corners=True)
        return cast("Tensor", self.block(torch.cat([skip, x], 1)))


class HarmonicUNet(nn.Module):
    """Maps an image (N, C, [Z,] Y, X) to embeddings and, if planned, foreground logits, (N, guides [+ 1], [Z,] Y, X).

    Parameters
    ----------
    layout
        The plan.
    encoder
        Instead of the usual one: a module with `channels`, finest first, that answers with the features of each
        level, each half as wide as the one before. Pretrained backbones come in here.
    """

    def __init__(self, layout: Layout, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.layout = layout
        self.encoder = encoder or Encoder(layout)
        maps = cast("Sequence[int]", self.encoder.channels)
        waves = Waves(layout.guides, layout.conditioning)
        outs = [maps[max(level - 1, 0)] for level in range(len(maps) - 1)]
        below = [*outs[1:], maps[-1]]
        self.decoder = nn.ModuleList(
            UpBlock(below[level], maps[level], outs[level], layout, waves) for level in reversed(range(len(outs)))
        )
        n_axes, fine = layout.n_axes, outs[0]
        self.guided_end: nn.Module = nn.Identity()
        if layout.extra_convolution:
            self.guided_end = SinConv(fine, fine, layout.kernel, waves, n_axes)
        convolution = nn.Conv3d if n_axes == 3 else nn.Conv2d
        self.embedding = convolution(fine, len(layout.guides), 1)
        self.foreground: nn.Module | None = None
        if layout.predicts_foreground:
            self.foreground = convolution(fine, layout.fold, 1)

    def coarse(self, x: Tensor) -> Tensor:
        """Return the answer on the network's own grid: the embedding, then the foreground of each pixel of a cell."""
        x = fold(x, self.layout.stride)
        *skips, x = self.encoder(x)
        for block, skip in zip(self.decoder, reversed(skips), strict=True):
            x = block(skip, x)
        embedding = self.embedding(self.guided_end(x))
        if self.foreground is None:
            return cast("Tensor", embedding)
        return torch.cat([embedding, self.foreground(x)], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings and foreground logits on the grid of the image."""
        n_guides, stride = len(self.layout.guides), self.layout.stride
        answer = self.coarse(x)
        if stride == 1:
            return answer
        embedding = F.interpolate(answer[:, :n_guides], scale_factor=_steps(stride, x.ndim - 2), mode="nearest")
        if self.foreground is None:
            return embedding
        return torch.cat([embedding, unfold(answer[:, n_guides:], stride)], 1)


def _steps(stride: int, n_axes: int) -> tuple[float, ...]:
    return (1.0, float(stride), float(stride))[-n_axes:]
