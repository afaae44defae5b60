"""Losses on logits, with a mask of what is known. Knows tensors alone.

Every loss takes what the network says before its activation, so that nothing is activated twice: a perfect
prediction costs (nearly) nothing, in training and in validation alike.

>>> target = torch.tensor([[[0.0, 1.0, 1.0, 0.0]]])
>>> all(float(sum(make_loss(LossSettings(name=name))(80 * (target - 0.5), target).values())) < 1e-6
...     for name in ("bce", "dice", "bce-dice", "generalised-dice", "mse", "l1", "smooth-l1"))
True
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from plantseg_app.errors import RequestError
from plantseg_app.train.settings import LossSettings

_EPSILON = 1e-6


class Loss(Protocol):
    """From logits (N, C, ...), target of that shape and mask (N, 1, ...) or None to named terms, to be summed."""

    def __call__(self, logits: Tensor, target: Tensor, known: Tensor | None = None) -> dict[str, Tensor]:
        """Return the terms, each a scalar that includes its weight."""


def make_loss(settings: LossSettings, activate: Callable[[Tensor], Tensor] = torch.sigmoid) -> Loss:
    """Return the loss that the settings describe.

    Parameters
    ----------
    settings
        Any name but ``"family"``.
    activate
        What turns logits into what the target shows; for the regression losses.

    Raises
    ------
    RequestError
        If the settings do not fit a loss of this module.
    """

    def compute(logits: Tensor, target: Tensor, known: Tensor | None = None) -> dict[str, Tensor]:
        logits, target = logits.float(), target.float()
        weight = _weights(settings, logits, known)
        return {name: term(logits, target, weight) for name, term in terms.items()}

    def regression(measure: Callable[..., Tensor], **options: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        def term(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
            return weighted_mean(measure(activate(logits), target, reduction="none", **options), weight)

        return term

    def bce(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return binary_cross_entropy(logits, target, weight, settings.positive_weight)

    def weighted_dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return settings.dice_weight * dice(logits, target, weight)

    tables: dict[str, dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
        "bce": {"bce": bce},
        "dice": {"dice": dice},
        "bce-dice": {"bce": bce, "dice": weighted_dice},
        "generalised-dice": {"generalised_dice": generalised_dice},
        "cross-entropy": {"cross_entropy": cross_entropy},
        "mse": {"mse": regression(F.mse_loss)},
        "l1": {"l1": regression(F.l1_loss)},
        "smooth-l1": {"smooth_l1": regression(F.smooth_l1_loss, beta=settings.smooth_l1_beta)},
    }
    if settings.name not in tables:
        raise RequestError(f'The loss "{settings.name}" belongs to a kind of network and is not made here.')
    terms = tables[settings.name]
    return compute


def _weights(settings: LossSettings, logits: Tensor, known: Tensor | None) -> Tensor:
    weight = torch.ones_like(logits) if known is None else known.float().expand_as(logits)
    if not settings.channel_weights:
        return weight
    if len(settings.channel_weights) != logits.shape[1]:
        raise RequestError(
            f"loss.channel_weights has {len(settings.channel_weights)} numbers, the network {logits.shape[1]} channels."
        )
    each = torch.tensor(settings.channel_weights, device=logits.device)
    return weight * (each * len(each) / each.sum().clamp(min=_EPSILON)).view(1, -1, *[1] * (logits.ndim - 2))


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean over what counts; 0 when nothing does."""
    return (values * weight).sum() / weight.sum().clamp(min=_EPSILON)


def binary_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Return the mean binary cross entropy; voxels that are 1 count `positive_weight` times."""
    heavier = None if positive_weight == 1.0 else torch.tensor(positive_weight, device=logits.device)
    values = F.binary_cross_entropy_with_logits(logits, target, pos_weight=heavier, reduction="none")
    return weighted_mean(values, weight)


def dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return one minus the soft Dice coefficient with squared denominator, channel by channel over the whole batch.

    A channel that is nowhere in the target and nowhere predicted costs nothing.

    References
    ----------
    Milletari et al., V-Net, 3DV 2016, doi:10.1109/3DV.2016.79.
    """
    probability = torch.sigmoid(logits)
    axes = [axis for axis in range(logits.ndim) if axis != 1]
    overlap = (probability * target * weight).sum(axes)
    total = ((probability.square() + target.square()) * weight).sum(axes)
    coefficient = (2 * overlap + _EPSILON) / (total + _EPSILON)
    # Channels weigh as much as their voxels do on average.
    share = weight.mean(axes)
    return ((1 - coefficient) * share).sum() / share.sum().clamp(min=_EPSILON)


def generalised_dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return one minus the Dice coefficient summed over channels, each weighted by its squared inverse volume.

    A single channel is completed by its complement, as in pytorch-3dunet.

    References
    ----------
    Sudre et al., DLMIA 2017, doi:10.1007/978-3-319-67558-9_28.
    """
    probability = torch.sigmoid(logits)
    if logits.shape[1] == 1:
        probability = torch.cat([probability, 1 - probability], 1)
        target = torch.cat([target, 1 - target], 1)
    axes = [axis for axis in range(logits.ndim) if axis != 1]
    volume = (target * weight).sum(axes)
    importance = 1 / volume.square().clamp(min=_EPSILON)
    overlap = (probability * target * weight).sum(axes) * importance
    total = ((probability + target) * weight).sum(axes) * importance
    return 1 - 2 * overlap.sum() / total.clamp(min=_EPSILON).sum()


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the cross entropy of channels that exclude each other; the target holds their probabilities.

    Raises
    ------
    RequestError
        If there is a single channel.
    """
    if logits.shape[1] < 2:
        raise RequestError("The loss cross-entropy needs two or more channels that exclude each other; use bce.")
    values = -(target * F.log_softmax(logits, 1) * weight).sum(1)
    return values.sum() / (weight.amax(1)).sum().clamp(min=_EPSILON)
