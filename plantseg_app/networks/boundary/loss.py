"""The loss of boundary networks: cross entropy plus Dice. Knows tensors alone.

Examples
--------
>>> import torch
>>> target = torch.tensor([[[0.0, 1.0, 1.0, 0.0]]])
>>> terms = bce_dice_terms(40 * (target - 0.5), target)
>>> bool(terms["bce"] < 1e-6), bool(terms["dice"] < 1e-6)
(True, True)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_EPSILON = 1e-6


def bce_dice_terms(logits: Tensor, target: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
    """Return the two terms of the loss, each a scalar.

    Parameters
    ----------
    logits
        Prediction before the sigmoid, (N, C, ...).
    target
        Values in [0, 1], the shape of `logits`.
    mask
        Where the target is known (1) and where it is to be ignored (0); broadcast to the shape of `logits`.
        None: known everywhere.

    Returns
    -------
    dict[str, Tensor]
        `bce`: mean binary cross entropy; `dice`: one minus the soft Dice coefficient (squared denominator) of
        each channel over the whole batch, averaged over the channels. A wholly masked batch gives 0 and 1.

    References
    ----------
    Milletari et al., V-Net, 3DV 2016, doi:10.1109/3DV.2016.79 (the squared denominator).
    """
    logits, target = logits.float(), target.float()
    weight = torch.ones_like(logits) if mask is None else mask.float().expand_as(logits)
    bce = F.binary_cross_entropy_with_logits(logits, target, weight=weight, reduction="sum")
    bce = bce / weight.sum().clamp(min=1)
    probability = torch.sigmoid(logits) * weight
    target = target * weight
    axes = [axis for axis in range(logits.ndim) if axis != 1]
    overlap = (probability * target).sum(axes)
    total = probability.square().sum(axes) + target.square().sum(axes)
    dice = 1 - 2 * overlap / total.clamp(min=_EPSILON)
    return {"bce": bce, "dice": dice.mean()}


def bce_dice_loss(logits: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the sum of the terms of `bce_dice_terms`, a scalar."""
    terms = bce_dice_terms(logits, target, mask)
    return terms["bce"] + terms["dice"]
