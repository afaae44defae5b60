"""The loss of harmonic networks: how far embeddings are from where they should be. Knows tensors alone.

>>> target = torch.zeros(1, 4, 2, 2)                     # two guides, the foreground, the weight
>>> target[:, 2:, 0] = 1.0
>>> right = torch.cat([target[:, :2], 60 * (target[:, 2:3] - 0.5)], 1)
>>> {name: round(float(term), 3) for name, term in harmonic_terms(right, target, 2, 1.0).items()}
{'embedding': 0.0, 'foreground': 0.0}
"""

from __future__ import annotations

import torch
from torch import Tensor

from plantseg_app.networks.boundary.loss import bce_dice_terms


def harmonic_terms(
    answer: Tensor, target: Tensor, n_guides: int, foreground_weight: float, known: Tensor | None = None
) -> dict[str, Tensor]:
    """Return the terms of the loss, each a scalar that includes its weight.

    Parameters
    ----------
    answer
        (N, guides [+ K], ...): embedding and, if the network predicts it, logits of the foreground.
    target
        (N, guides + K + 1, ...), as `frame_target` makes it.
    n_guides
        Channels of the embedding.
    foreground_weight
        Of cross entropy and Dice of the foreground.
    known
        (N, 1, ...), 1 where the target is known; None: everywhere.

    Returns
    -------
    dict[str, Tensor]
        `embedding`: the L1 distance (Eq. 5 of the publication), divided by the number of guides, over the voxels that
        count; `foreground`, if it is predicted.
    """
    answer, target = answer.float(), target.float()
    weight = target[:, -1:] if known is None else target[:, -1:] * known
    distance = (answer[:, :n_guides] - target[:, :n_guides]).abs().mean(1, keepdim=True)
    terms = {"embedding": (distance * weight).sum() / weight.sum().clamp(min=1e-6)}
    if answer.shape[1] > n_guides and foreground_weight:
        parts = bce_dice_terms(answer[:, n_guides:], target[:, n_guides:-1], known)
        terms["foreground"] = foreground_weight * torch.stack(list(parts.values())).sum()
    return terms
