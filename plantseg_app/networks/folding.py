"""Pixels of a slice as channels of a coarser grid, and back: how a network works on a coarser grid without losing any.

>>> x = torch.arange(16.0).view(1, 1, 4, 4)
>>> fold(x, 2).shape, torch.equal(unfold(fold(x, 2), 2), x)
(torch.Size([1, 4, 2, 2]), True)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def fold(x: Tensor, stride: int) -> Tensor:
    """Return (N, C stride^2, [Z,] Y / stride, X / stride): the pixels of each cell become channels."""
    return _by_slice(x, lambda planes: F.pixel_unshuffle(planes, stride)) if stride > 1 else x


def unfold(x: Tensor, stride: int) -> Tensor:
    """Undo `fold`."""
    return _by_slice(x, lambda planes: F.pixel_shuffle(planes, stride)) if stride > 1 else x


def _by_slice(x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    if x.ndim == 4:
        return change(x)
    planes = change(x.movedim(2, 1).flatten(0, 1))
    return torch.unflatten(planes, 0, (len(x), x.shape[2])).movedim(1, 2)
