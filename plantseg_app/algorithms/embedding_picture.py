"""Embeddings as pictures: their principal components as red, green and blue, and how like one place all others are.

Pictures are computed where they are looked at: a `ColouredEmbedding` is an array of colours that reads and projects the
slices it is asked for, so that an embedding on the disk is shown at once. Knows arrays alone.

>>> embedding = np.zeros((4, 1, 8, 8), np.float32)
>>> embedding[0, ..., 4:], embedding[1, :, 4:] = 1, 2
>>> picture = ColouredEmbedding(embedding, fit_colours(embedding))
>>> picture.shape, picture[0].dtype, len(np.unique(picture[0].reshape(-1, 3), axis=0))
((1, 8, 8, 3), dtype('uint8'), 4)
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_SAMPLE = 30_000
_SHOWN_SHARE = (1.0, 99.0)
"""The percentiles of each component that are black and full colour."""


@dataclasses.dataclass(frozen=True, eq=False)
class Colours:
    """How an embedding becomes colours.

    Attributes
    ----------
    centre
        (C,) float32, the mean embedding.
    axes
        (3, C) float32, the directions that become red, green and blue; zeros where there are fewer.
    low, high
        (3,) float32, the components that become 0 and 255.
    """

    centre: NDArray[np.float32]
    axes: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def paint(self, embedding: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the colours (..., 3) of embeddings (C, ...)."""
        flat = np.asarray(embedding, np.float32).reshape(len(embedding), -1)
        components = self.axes @ flat - (self.axes @ self.centre + self.low)[:, None]
        components *= (255 / np.maximum(self.high - self.low, 1e-12))[:, None]
        colours = np.clip(components, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(colours.T).reshape(*embedding.shape[1:], 3)


def fit_colours(embedding: NDArray[Any], n_channels: int | None = None) -> Colours:
    """Return colours along the three directions in which an embedding varies most, from a part of its voxels.

    Parameters
    ----------
    embedding
        (C, Z, Y, X), or overlapping frames in layers (`plantseg_app.algorithms.frames`).
    n_channels
        C; None: there is one frame.
    """
    points = _sample(embedding, n_channels)
    centre = points.mean(0)
    # The signs of axes are free; those that point up keep their colours when the embedding changes a little.
    _, _, directions = np.linalg.svd(points - centre, full_matrices=False)
    found = directions[:3]
    found *= np.where(found.sum(1) < 0, -1, 1)[:, None]
    axes = np.zeros((3, len(centre)), np.float32)
    axes[: len(found)] = found
    components = (points - centre) @ axes.T
    low, high = np.percentile(components, _SHOWN_SHARE, axis=0).astype(np.float32)
    return Colours(centre.astype(np.float32), axes, low, high)


def _sample(embedding: NDArray[Any], n_channels: int | None) -> NDArray[np.float32]:
    """Return embeddings of voxels on a grid over the image, (N, C)."""
    shape = embedding.shape[1:]
    n_long = max(1, sum(size > 1 for size in shape))
    step = max(1, math.ceil((math.prod(shape) / _SAMPLE) ** (1 / n_long)))
    grid = tuple(slice(None, None, step if size > step else 1) for size in shape)
    part = np.asarray(embedding[(slice(None), *grid)], np.float32)
    return np.ascontiguousarray(_without_frames(part, n_channels).reshape(n_channels or len(part), -1).T)


def _without_frames(embedding: NDArray[Any], n_channels: int | None) -> NDArray[Any]:
    """Return one embedding (C, ...) for each voxel: that of the first layer of frames that has one."""
    if n_channels is None or len(embedding) == n_channels:
        return embedding
    layers = [embedding[first : first + 1 + n_channels] for first in range(0, len(embedding), n_channels + 1)]
    result = np.array(layers[-1][1:])
    for layer in reversed(layers[:-1]):
        there = layer[0] > 0
        result[:, there] = layer[1:, there]
    return result


class ColouredEmbedding:
    """An embedding as an array of colours, (Z, Y, X, 3) uint8, that is computed where it is indexed.

    Parameters
    ----------
    embedding
        (C, Z, Y, X), or overlapping frames in layers; may lie on the disk.
    colours
        How it is coloured.
    n_channels
        Channels of one frame; None: there is one frame.
    """

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(self, embedding: NDArray[Any], colours: Colours, n_channels: int | None = None) -> None:
        self._embedding = embedding
        self._colours = colours
        self._n_channels = n_channels
        self.shape: tuple[int, ...] = (*embedding.shape[1:], 3)
        self.size = math.prod(self.shape)

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        """Return the colours of a part; basic indices alone."""
        parts = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at : at + 1] = [slice(None)] * (self.ndim + 1 - len(parts))
        parts += [slice(None)] * (self.ndim - len(parts))
        values = _without_frames(np.asarray(self._embedding[(slice(None), *parts[:3])]), self._n_channels)
        return np.asarray(self._colours.paint(values)[..., parts[3]])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all colours, slice by slice to save memory."""
        if copy is False:
            raise ValueError("Colours are computed, so they are always a new array.")
        colours = np.stack([self[z] for z in range(self.shape[0])])
        return colours if dtype is None else colours.astype(dtype, copy=False)

    def __len__(self) -> int:
        return self.shape[0]


def likeness(embedding: NDArray[Any], anchor: NDArray[Any], bandwidth: float) -> NDArray[np.float32]:
    """Return how like an anchor each voxel is: the soft mask of the object that the anchor lies in.

    It is ``exp(-d ** 2 / (2 * sigma ** 2))`` of the Euclidean distance d (Wolny 2023, equation 3.3), 1 at the anchor
    and a half at the bandwidth.

    Parameters
    ----------
    embedding
        (C, ...).
    anchor
        (C,).
    bandwidth
        Distance within which embeddings of one object lie.

    Returns
    -------
    NDArray
        (...) float32 in [0, 1].
    """
    squares = np.zeros(embedding.shape[1:], np.float32)
    for channel, value in zip(embedding, anchor, strict=True):
        apart = np.subtract(channel, value, dtype=np.float32)
        squares += apart * apart
    squares *= np.float32(-math.log(2) / bandwidth**2)
    return np.asarray(np.exp(squares))
