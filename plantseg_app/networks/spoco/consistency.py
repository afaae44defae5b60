"""The consistency of two networks' embeddings where nothing is labelled: whoever is chosen, both see the same object.

>>> one = torch.tensor([[[[0.0, 0.0, 4.0, 4.0]]]])
>>> two = one + 1                                                   # another place, the same objects
>>> unlabelled = torch.ones(1, 1, 1, 4)
>>> round(float(consistency_loss(one, two, unlabelled, ConsistencyRules())), 4)
0.0

References
----------
Wolny, thesis, Heidelberg 2023, equation 3.8.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from plantseg_app.networks.spoco.masks import dice_loss, entropy_loss, soft_masks, squared_distances, two_sigma_squared

_LEAST_SHARE = 0.05
"""Regions smaller than this share of the image count as nothing, before and after anchors are drawn."""


@dataclasses.dataclass(frozen=True)
class ConsistencyRules:
    """How objects are selected and compared.

    Attributes
    ----------
    pull_margin, kernel_threshold
        delta_v and t of the soft masks; pixels within delta_v of an anchor, in either embedding, are covered by it.
    most_anchors
        Anchors drawn in an image at most.
    compares_by_dice
        Whether soft masks are compared by Dice; otherwise by cross entropy.
    """

    pull_margin: float = 0.5
    kernel_threshold: float = 0.9
    most_anchors: int = 20
    compares_by_dice: bool = True


def consistency_loss(student: Tensor, teacher: Tensor, unlabelled: Tensor, rules: ConsistencyRules) -> Tensor:
    """Return the mean over images of the mean over anchors of how the soft masks of two embeddings differ.

    Parameters
    ----------
    student
        (N, C, [Z,] Y, X), which is to learn.
    teacher
        The same of another network that saw another view; no gradient goes there.
    unlabelled
        (N, 1, [Z,] Y, X), 1 where anchors are drawn. Images with hardly any such pixel count 0.
    rules
        How.
    """
    teacher = teacher.detach().float()
    images = zip(student.float().flatten(2), teacher.flatten(2), unlabelled.flatten(1) > 0.5, strict=True)
    each = [_of_image(one, two, where, rules) for one, two, where in images]
    return torch.stack(each).mean()


def _of_image(student: Tensor, teacher: Tensor, unlabelled: Tensor, rules: ConsistencyRules) -> Tensor:
    anchors = draw_anchors(student.detach(), teacher, unlabelled, rules)
    if not len(anchors):
        return student.sum() * 0
    kernel = two_sigma_squared(rules.pull_margin, rules.kernel_threshold)
    ours = soft_masks(student, student[:, anchors], kernel)
    theirs = soft_masks(teacher, teacher[:, anchors], kernel)
    return (dice_loss if rules.compares_by_dice else entropy_loss)(ours, theirs).mean()


@torch.no_grad()
def draw_anchors(student: Tensor, teacher: Tensor, unlabelled: Tensor, rules: ConsistencyRules) -> Tensor:
    """Return pixels (K,), drawn one after the other from what none before has covered, until hardly any is left.

    Parameters
    ----------
    student, teacher
        Embeddings (C, P).
    unlabelled
        (P,) bool, where pixels are drawn.
    rules
        What an anchor covers, and how many there are at most.
    """
    left, found = unlabelled.clone(), []
    for _ in range(rules.most_anchors):
        places = torch.nonzero(left)[:, 0]
        if len(places) < _LEAST_SHARE * len(left):
            break
        anchor = places[int(torch.randint(len(places), ()))]
        found.append(anchor)
        for embedding in (student, teacher):
            left &= squared_distances(embedding, embedding[:, anchor, None])[0] >= rules.pull_margin**2
        # The anchor covers itself whatever rounding says.
        left[anchor] = False
    return torch.stack(found) if found else torch.zeros(0, dtype=torch.long, device=left.device)
