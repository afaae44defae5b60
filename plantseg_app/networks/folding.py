"""Pixels of a slice as channels of a coarser grid, and back: how a network works on a coarser grid without losing any.

>>> x = torch.arange(16.0).view(1, 1, 4, 4)
>>> fold(x, 2).shape, torch.equal(unfold(fold(x, 2), 2), x)
(torch.Size([1, 4, 2, 2]), True)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def fold(x: Tensor, stride: int) -> Tensor:
    """Return (N, C stride^2, [Z,] Y / stride, X / stride): the pixels of each cell become channels."""
    return _by_slice(x, lambda planes: F.pixel_unshuffle(planes, stride)) if stride > 1 else x


def unfold(x: Tensor, stride: int) -> Tensor:
    """Undo `fold`."""
    return _by_slice(x, lambda planes: F.pixel_shuffle(planes, stride)) if stride > 1 else x


def start_alike(convolution: nn.Conv2d | nn.Conv3d, stride: int) -> None:
    """Let a convolution whose answer is unfolded say the same of all pixels of a cell at first.

    References
    ----------
    Aitken et al., Checkerboard artifact free sub-pixel convolution, 2017, arXiv:1707.02937.
    """
    with torch.no_grad():
        for parameter in (convolution.weight, convolution.bias):
            if parameter is not None:
                parameter.copy_(parameter[:: stride**2].repeat_interleave(stride**2, 0))


def pick(x: Tensor, choice: Tensor) -> Tensor:
    """Return (N, C, ..., Y / n, X / n): of each cell of n x n pixels one, whose number `choice` (Y / n, X / n) tells.

    >>> pick(torch.arange(16.0).view(1, 1, 4, 4), torch.tensor([[0, 1], [2, 3]])).tolist()
    [[[[0.0, 3.0], [12.0, 15.0]]]]
    """
    n_rows, n_columns = choice.shape
    n = x.shape[-1] // n_columns
    rows = torch.arange(n_rows, device=choice.device)[:, None] * n + choice // n
    columns = torch.arange(n_columns, device=choice.device) * n + choice % n
    # By the places of the pixels asked for: sorting all pixels into their cells would copy every one of them.
    picked = x.flatten(-2).index_select(-1, (rows * x.shape[-1] + columns).flatten())
    return torch.unflatten(picked, -1, (n_rows, n_columns))


def _by_slice(x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    if x.ndim == 4:
        return change(x)
    planes = change(x.movedim(2, 1).flatten(0, 1))
    return torch.unflatten(planes, 0, (len(x), x.shape[2])).movedim(1, 2)
