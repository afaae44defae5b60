"""Soft masks: which pixels lie near an anchor in embedding space, differentiable; and how masks are compared.

>>> embedding = torch.tensor([[0.0, 0.5, 5.0]])
>>> masks = soft_masks(embedding, torch.tensor([[0.0]]), two_sigma_squared(margin=0.5, threshold=0.9))
>>> [round(value, 3) for value in masks[0].tolist()]                  # the threshold at the distance of the margin
[1.0, 0.9, 0.0]
>>> round(float(dice_loss(masks, torch.tensor([[1.0, 1.0, 0.0]]))), 3)
0.003
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TINY = 1e-6


def two_sigma_squared(margin: float, threshold: float) -> float:
    """Return the denominator of the kernel whose value is `threshold` at the distance `margin` (Eq. 3.3)."""
    return margin**2 / -math.log(threshold)


def squared_distances(embedding: Tensor, anchors: Tensor) -> Tensor:
    """Return the squared distances (K, P) of embeddings (C, P) to anchors (C, K)."""
    lengths = anchors.square().sum(0)[:, None] + embedding.square().sum(0)
    return (lengths - 2 * anchors.T @ embedding).clamp(min=0)


def soft_masks(embedding: Tensor, anchors: Tensor, two_sigma: float) -> Tensor:
    """Return (K, P) in (0, 1], how near embeddings (C, P) lie to each of the anchors (C, K)."""
    return torch.exp(-squared_distances(embedding, anchors) / two_sigma)


def dice_loss(masks: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return (K,), one minus the Dice coefficient (squared denominator) of each mask (K, P) with its own true one.

    Each mask is compared as a whole, whatever the shape of the image, and by itself, however large the others are.
    """
    overlap, total = masks * truth, masks.square() + truth.square()
    if weight is not None:
        overlap, total = overlap * weight, total * weight
    return 1 - 2 * overlap.sum(-1) / total.sum(-1).clamp(min=_TINY)


def entropy_loss(masks: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return (K,), the mean binary cross entropy of each mask (K, P) with its own true one."""
    sure = masks.clamp(_TINY, 1 - _TINY)
    values = -(truth * sure.log() + (1 - truth) * (1 - sure).log())
    if weight is None:
        return values.mean(-1)
    return (values * weight).sum(-1) / weight.sum(-1).clamp(min=_TINY)
