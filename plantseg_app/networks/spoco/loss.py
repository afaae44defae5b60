"""The losses of SPOCO on embeddings: pull, push, masks of single objects, push from what is not labelled.

Objects come as a map of ids, with a mask of where anything is known. What is known and has no id is the background, an
object as well; what is not known may be anything but one of the labelled objects. So full supervision and that by a few
objects are one loss. The number of operations does not depend on the number of objects.

>>> embedding = torch.tensor([[[[0.0, 0.0, 4.0, 4.0]], [[0.0, 0.0, 0.0, 0.0]]]])
>>> ids = torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]]])
>>> terms = spoco_terms(embedding, ids, LossRules(regulariser_weight=0.0))
>>> {name: round(float(term), 4) for name, term in terms.items()}
{'pull': 0.0, 'push': 0.0, 'objects': 0.0}

References
----------
De Brabandere et al., 2017, arXiv:1708.02551 (pull and push); Wolny et al., CVPR 2022,
doi:10.1109/CVPR52688.2022.00426; Wolny, thesis, Heidelberg 2023, equations 3.1 to 3.9.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from plantseg_app.networks.batch_objects import BatchObjects, pixels_of
from plantseg_app.networks.spoco.masks import dice_loss, entropy_loss, soft_masks, squared_distances, two_sigma_squared
from plantseg_app.networks.spoco.reach import Boxes

_TINY = 1e-6


@dataclasses.dataclass(frozen=True)
class LossRules:
    """Margins, weights and forms.

    Attributes
    ----------
    pull_margin, push_margin
        delta_v: embeddings this close to the mean of their object are left alone. delta_d: means are pushed apart up to
        twice this, means and unlabelled pixels up to this.
    kernel_threshold
        t: what the soft mask of an object is at the distance delta_v from its anchor.
    pull_weight, push_weight, regulariser_weight, object_weight, unlabelled_weight
        Weights of the terms; 0 leaves one out.
    object_loss
        How the soft mask of an object is compared with the true one.
    anchor
        The embedding from which a soft mask is measured: the mean of the object, or that of a random pixel of it which
        lies within delta_v of the mean (the mean, where none does).
    reach_vox
        Objects are kept apart from other ones, and their masks compared, within this many voxels around their bounding
        boxes alone; None: everywhere. What is not labelled is pushed away at any distance.
    """

    pull_margin: float = 0.5
    push_margin: float = 2.0
    kernel_threshold: float = 0.9
    pull_weight: float = 1.0
    push_weight: float = 1.0
    regulariser_weight: float = 0.001
    object_weight: float = 1.0
    unlabelled_weight: float = 1.0
    object_loss: Literal["dice", "bce"] = "dice"
    anchor: Literal["mean", "random"] = "mean"
    reach_vox: float | None = None

    @property
    def two_sigma_squared(self) -> float:
        """Denominator of the kernel."""
        return two_sigma_squared(self.pull_margin, self.kernel_threshold)


def spoco_terms(embedding: Tensor, ids: Tensor, rules: LossRules, known: Tensor | None = None) -> dict[str, Tensor]:
    """Return the named terms, each a scalar that includes its weight: means over images of means over objects.

    Parameters
    ----------
    embedding
        (N, C, [Z,] Y, X).
    ids
        (N, 1, [Z,] Y, X), 0 where there is no labelled object.
    rules
        Margins, weights and forms.
    known
        (N, 1, [Z,] Y, X), 1 where labels say something; None: everywhere.

    Returns
    -------
    dict[str, Tensor]
        ``pull``, ``push``, ``regulariser`` (Eq. 3.1, 3.2), ``objects`` (Eq. 3.4), ``unlabelled`` (Eq. 3.7); those of
        weight 0 are left out, and ``unlabelled`` where everything is known.
    """
    embedding = embedding.float()
    objects = BatchObjects.of(ids, known, with_background=True)
    values = pixels_of(embedding)
    means = objects.means(values)
    boxes = Boxes.of(objects, embedding.shape[2:])
    terms: dict[str, Tensor] = {}
    if rules.pull_weight:
        terms["pull"] = rules.pull_weight * pull(values, means, objects, rules.pull_margin)
    if rules.push_weight:
        terms["push"] = rules.push_weight * push(means, objects, rules.push_margin, boxes.pairs(rules.reach_vox))
    if rules.regulariser_weight:
        terms["regulariser"] = rules.regulariser_weight * (_length(means) * objects.weight).sum()
    wants_unlabelled = rules.unlabelled_weight > 0 and known is not None
    if not rules.object_weight and not wants_unlabelled:
        return terms
    anchors = means if rules.anchor == "mean" else stable_anchors(values, means, objects, rules.pull_margin)
    views = list(_views(embedding, ids, known, _Labelled(objects, means, anchors, boxes), rules.reach_vox))
    if rules.object_weight:
        terms["objects"] = rules.object_weight * _mean([object_loss(view, rules) for view in views], embedding)
    if wants_unlabelled:
        each = [unlabelled_push(view, rules.push_margin) for view in views]
        terms["unlabelled"] = rules.unlabelled_weight * _mean(each, embedding)
    return terms


def _length(vectors: Tensor) -> Tensor:
    """Return the lengths of the columns of (C, K); the gradient of length 0 is 0."""
    return vectors.square().sum(0).add(_TINY**2).sqrt()


def _mean(each: list[Tensor], like: Tensor) -> Tensor:
    """Return the mean over images; without any a zero that gradients pass through."""
    return torch.stack(each).mean() if each else like.sum() * 0


def pull(values: Tensor, means: Tensor, objects: BatchObjects, margin: float) -> Tensor:
    """Return how far pixels (C, pixels) lie from the means (C, count) of their objects, beyond the margin (Eq. 3.1)."""
    distance = _length(values[:, objects.pixel] - means.index_select(1, objects.owner))
    return objects.mean_of((distance - margin).clamp(min=0).square())


def push(means: Tensor, objects: BatchObjects, margin: float, pairs: Tensor) -> Tensor:
    """Return how much less than twice the margin the means of pairs (2, K) lie apart, mean over pairs (Eq. 3.2)."""
    first, second = pairs
    lack = (2 * margin - _length(means[:, first] - means[:, second])).clamp(min=0).square()
    image = objects.image[first]
    n_pairs = torch.bincount(image, minlength=1)
    return (lack / n_pairs[image]).sum() / max(1, len(torch.unique(objects.image)))


def stable_anchors(values: Tensor, means: Tensor, objects: BatchObjects, margin: float) -> Tensor:
    """Return the embedding (C, count) of a random pixel within the margin of each mean, or the mean where none is."""
    near = _length((values[:, objects.pixel] - means.index_select(1, objects.owner)).detach()) < margin
    lot = torch.where(near, torch.rand(len(objects.pixel), device=values.device), -1.0)
    highest = torch.full((objects.count,), -1.0, device=values.device)
    highest = highest.scatter_reduce(0, objects.owner, lot, "amax")
    drawn = near & (lot == highest[objects.owner])
    place = torch.full((objects.count,), -1, device=values.device, dtype=torch.long)
    place[objects.owner[drawn]] = objects.pixel[drawn]
    return torch.where(place >= 0, values[:, place.clamp(min=0)], means)


class _Labelled(NamedTuple):
    """The objects of a batch with means and anchors (C, count), and their boxes."""

    objects: BatchObjects
    means: Tensor
    anchors: Tensor
    boxes: Boxes


class View(NamedTuple):
    """What of one image the terms over single objects need: K labelled objects, P pixels.

    Attributes
    ----------
    embedding
        (C, P).
    means, anchors
        (C, K).
    truth
        (K, P), 1 in the object.
    near
        (K, P) 1 where pixels count for the object; None: everywhere.
    unlabelled
        (P,), 1 where nothing is known.
    """

    embedding: Tensor
    means: Tensor
    anchors: Tensor
    truth: Tensor
    near: Tensor | None
    unlabelled: Tensor


def _views(
    embedding: Tensor, ids: Tensor, known: Tensor | None, labelled: _Labelled, reach: float | None
) -> Iterator[View]:
    """Yield a view of each image that has labelled objects."""
    objects = labelled.objects
    flat = ids.flatten(1).long()
    outside = torch.zeros_like(flat, dtype=torch.float32) if known is None else 1 - known.flatten(1).float()
    for number, (one, names) in enumerate(zip(embedding.flatten(2), flat, strict=True)):
        mine = torch.nonzero((objects.image == number) & ~objects.is_background)[:, 0]
        if len(mine):
            truth = objects.label[mine, None] == names
            if known is not None:
                truth &= outside[number] < 0.5
            near = labelled.boxes.near(mine, reach)
            yield View(one, labelled.means[:, mine], labelled.anchors[:, mine], truth.float(), near, outside[number])


def object_loss(view: View, rules: LossRules) -> Tensor:
    """Return the mean over the objects of an image of how their soft masks differ from the true ones (Eq. 3.4)."""
    masks = soft_masks(view.embedding, view.anchors, rules.two_sigma_squared)
    compare = dice_loss if rules.object_loss == "dice" else entropy_loss
    return compare(masks, view.truth, view.near).mean()


def unlabelled_push(view: View, margin: float) -> Tensor:
    """Return how much less than the margin unlabelled pixels lie from the means of the objects (Eq. 3.7)."""
    # Also far from the objects, or the background would be one thing near them and another elsewhere.
    distance = squared_distances(view.embedding, view.means).add(_TINY**2).sqrt()
    lack = (margin - distance).clamp(min=0).square()
    return ((lack * view.unlabelled).sum(-1) / view.unlabelled.sum().clamp(min=1)).mean()
