"""Where objects are at all: a loss for images in which background is known, and for those in which only objects are.

Knows tensors alone.

>>> import torch
>>> ids = torch.tensor([[[[0.0, 1.0, 1.0, 0.0]]]])
>>> round(float(foreground_loss(40 * ((ids > 0).float() - 0.5), ids, known=None)), 6)
0.0
>>> known = torch.tensor([[[[0.0, 1.0, 0.0, 0.0]]]])
>>> round(float(foreground_loss(torch.zeros(1, 1, 1, 4), ids, known)), 4)
0.6931
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from plantseg_app.networks.boundary.loss import bce_dice_loss


def foreground_loss(logits: Tensor, ids: Tensor, known: Tensor | None) -> Tensor:
    """Return the loss of a foreground, a scalar.

    Where no background is known, all that is unknown stands for it, and both sides weigh the same however few objects
    are labelled. The objects that nobody labelled are then on the wrong side, which lowers the foreground of all
    objects alike and does not move where it passes one half.

    Parameters
    ----------
    logits
        The foreground before the sigmoid, (N, 1, ...).
    ids
        Numbers of objects, 0 where there is none, (N, 1, ...).
    known
        Where ids are known (1), (N, 1, ...); None: everywhere.

    References
    ----------
    Menon et al., Learning from corrupted binary labels via class-probability estimation, ICML 2015.
    """
    is_object = (ids > 0).float()
    if known is None or bool((known * (1 - is_object) > 0).any()) or not bool((known <= 0).any()):
        return bce_dice_loss(logits, is_object, known)
    positive = is_object * known
    weight = positive / positive.sum().clamp(min=1) + (1 - known) / (1 - known).sum()
    return F.binary_cross_entropy_with_logits(logits.float(), positive, weight=weight / 2, reduction="sum")


__all__ = ["foreground_loss"]
