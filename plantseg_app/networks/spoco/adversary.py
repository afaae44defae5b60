"""What a critic learns (WGAN with gradient penalty): to tell soft masks of objects from true ones. Knows tensors alone.

>>> critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1), torch.nn.Flatten(0))
>>> masks = torch.rand(3, 1, 2, 2)
>>> sorted(critic_terms(critic, masks, masks, penalty=10.0))
['critic', 'penalty']

References
----------
Gulrajani et al., 2017, arXiv:1704.00028; Wolny, thesis, Heidelberg 2023, equations 3.11 to 3.13.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from plantseg_app.networks.batch_objects import BatchObjects, pixels_of
from plantseg_app.networks.spoco.loss import LossRules
from plantseg_app.networks.spoco.masks import soft_masks

MOST_MASKS = 40
"""Batches with more objects than this are left to the other losses."""


def object_masks(
    embedding: Tensor, ids: Tensor, rules: LossRules, known: Tensor | None = None
) -> tuple[Tensor, Tensor] | None:
    """Return the soft masks of all labelled objects of a batch and the true ones, (M, 1, [Z,] Y, X) each.

    Parameters
    ----------
    embedding, ids, known
        (N, C, [Z,] Y, X), (N, 1, [Z,] Y, X), and where ids say something.
    rules
        The kernel of the soft masks, which start at the mean of each object.

    Returns
    -------
    tuple or None
        None where there is no object, or too many for the memory.
    """
    embedding = embedding.float()
    objects = BatchObjects.of(ids, known, with_background=False)
    if not 0 < objects.count < MOST_MASKS:
        return None
    means = objects.means(pixels_of(embedding))
    flat, names = embedding.flatten(2), ids.flatten(1).long()
    if known is not None:
        names = names * (known.flatten(1) > 0.5)
    shape = (-1, 1, *embedding.shape[2:])
    soft, true = [], []
    for number in torch.unique(objects.image).tolist():
        mine = objects.image == number
        soft.append(soft_masks(flat[number], means[:, mine], rules.two_sigma_squared))
        true.append((objects.label[mine, None] == names[number]).float())
    return torch.cat(soft).reshape(shape), torch.cat(true).reshape(shape)


def critic_terms(critic: Callable[[Tensor], Tensor], soft: Tensor, true: Tensor, penalty: float) -> dict[str, Tensor]:
    """Return what the critic minimises: how true it finds soft masks, and how unlike 1 its slope is (Eq. 3.11)."""
    soft = soft.detach()
    share = torch.rand(len(true), *[1] * (true.ndim - 1), device=true.device)
    between = (share * true + (1 - share) * soft).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    steepness = slope.flatten(1).square().sum(1).add(1e-12).sqrt()
    return {
        "critic": critic(soft).mean() - critic(true).mean(),
        "penalty": penalty * (steepness - 1).square().mean(),
    }
