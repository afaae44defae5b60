"""The loss of the layering method on logits: foreground, attraction, repulsion, sparsity, overlap completion.

Objects come as planes of ids (each id in one plane). Everything over pixels is a few tensor operations an image,
whatever the number of objects.

>>> planes = torch.tensor([[[[1.0, 1.0, 1.0, 0.0]], [[0.0, 0.0, 2.0, 2.0]]]])
>>> logits = torch.full((1, 3, 1, 4), -30.0)
>>> logits[0, 0, 0, :3], logits[0, 1, 0, 2:], logits[0, 2] = 30.0, 30.0, 30.0
>>> terms = layering_terms(logits, planes, LossRules(), overlap=True)
>>> {name: round(abs(float(term)), 4) for name, term in terms.items()}
{'foreground': 0.0, 'attraction': 0.0, 'repulsion': 0.0, 'sparsity': 0.0, 'overlap': 0.0}

References
----------
Chen, Wu and Merhof, BMVC 2022, equations 2 to 6.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from plantseg_app.algorithms.layers import close_pairs

_TINY = 1e-6


@dataclasses.dataclass(frozen=True)
class LossRules:
    """Which form of each term is meant; `paper` or `code` where publication and published program differ.

    Attributes
    ----------
    neighbour_distance_vox
        Objects closer than this repel each other.
    mean_of
        What the mean of an object is taken of: the activations, or these brought to length 1.
    repulsion_mean
        Over objects of the mean over their neighbours, or over pairs.
    sparsity
        max of the unit vector over the foreground, or of its square over the image.
    sparsity_weight
        Weight of that term.
    overlap_sum
        In overlap completion a pixel counts once for each object that covers it, or once.
    """

    neighbour_distance_vox: float = 15.0
    mean_of: Literal["activations", "directions"] = "activations"
    repulsion_mean: Literal["objects", "pairs"] = "objects"
    sparsity: Literal["foreground", "image"] = "foreground"
    sparsity_weight: float = 0.1
    overlap_sum: Literal["objects", "pixels"] = "objects"


@dataclasses.dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one image (Y, X), made ready for tensor operations.

    Attributes
    ----------
    count
        How many there are; they are numbered from 0.
    alone, owner
        Pixels (flat) that one object covers alone, and the object.
    pixel, covering
        Pixels that any object covers, once for each of them, and the object.
    pairs
        (2, K) neighbours, each in both orders.
    """

    count: int
    alone: Tensor
    owner: Tensor
    pixel: Tensor
    covering: Tensor
    pairs: Tensor

    @classmethod
    def of(cls, planes: NDArray[np.int64], distance: float, device: torch.device) -> Objects:
        """Find them in planes of ids (P, Y, X)."""
        plane, pixel = np.nonzero(planes.reshape(len(planes), -1))
        ids = planes.reshape(len(planes), -1)[plane, pixel]
        table = np.zeros(int(ids.max(initial=0)) + 1, np.int64)
        names = np.flatnonzero(np.bincount(ids, minlength=1))
        table[names] = np.arange(len(names))
        covering = table[ids]
        alone = np.bincount(pixel, minlength=planes[0].size)[pixel] == 1
        close = table[close_pairs(planes, distance)]
        pairs = np.concatenate([close, close[:, ::-1]]).T
        arrays = (pixel[alone], covering[alone], pixel, covering, pairs)
        return cls(len(names), *(torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays))


def layering_terms(
    logits: Tensor, planes: Tensor, rules: LossRules, overlap: bool, known: Tensor | None = None
) -> dict[str, Tensor]:
    """Return the named terms whose sum is minimised.

    Parameters
    ----------
    logits
        (N, C + 1, Y, X): C layers and the foreground.
    planes
        (N, P, Y, X): planes of ids, each id of an image in one plane; 0 where there is no object.
    rules
        Which form of the terms.
    overlap
        Whether overlaps are completed (the second phase).
    known
        (N, 1, Y, X), 1 where the objects are known; elsewhere there must be none, and the foreground is not judged.
    """
    logits = logits.float()
    foreground = (planes > 0).any(1).float()
    cross = F.binary_cross_entropy_with_logits(logits[:, -1], foreground, reduction="none")
    if known is not None:
        judged = known[:, 0].float()
        terms = {"foreground": (cross * judged).sum() / judged.sum().clamp(min=1)}
    else:
        terms = {"foreground": cross.mean()}
    ids = planes.detach().cpu().numpy().astype(np.int64)
    images = [Objects.of(image, rules.neighbour_distance_vox, logits.device) for image in ids]
    found = [
        _image_terms(one[:-1].flatten(1), objects, rules, overlap) for one, objects in zip(logits, images, strict=True)
    ]
    for name in found[0]:
        terms[name] = torch.stack([one[name] for one in found]).mean()
    return terms


def _image_terms(logits: Tensor, objects: Objects, rules: LossRules, overlap: bool) -> dict[str, Tensor]:
    """Return the terms of one image: logits (C, pixels)."""
    activations = torch.sigmoid(logits[:, objects.alone])
    directions = F.normalize(activations, dim=0, eps=_TINY)
    means, sizes = _object_means(activations if rules.mean_of == "activations" else directions, objects)
    unit = F.normalize(means, dim=0, eps=_TINY)
    n_alone = max(1, len(objects.alone))
    cosine = (directions * unit[:, objects.owner]).sum(0)
    strongest = directions.amax(0) if len(objects.alone) else directions.sum(0)
    if rules.sparsity == "foreground":
        sparsity = (1 - strongest).sum() / n_alone
    else:
        sparsity = (1 - strongest.square()).sum() / logits.shape[1]
    terms = {
        "attraction": (1 - cosine.square()).sum() / n_alone,
        "repulsion": _repulsion(unit, sizes > 0, objects, rules),
        "sparsity": rules.sparsity_weight * sparsity,
    }
    if overlap:
        terms["overlap"] = _overlap(logits, means.detach(), sizes > 0, objects, rules)
    return terms


def _object_means(values: Tensor, objects: Objects) -> tuple[Tensor, Tensor]:
    """Return the mean (C, objects) of values (C, pixels alone), and of how many pixels it is."""
    sums = values.new_zeros(len(values), objects.count).index_add(1, objects.owner, values)
    sizes = torch.bincount(objects.owner, minlength=objects.count)
    return sums / sizes.clamp(min=1), sizes


def _repulsion(unit: Tensor, visible: Tensor, objects: Objects, rules: LossRules) -> Tensor:
    """Return how alike neighbours are; objects without a pixel of their own are nobody's."""
    first, second = objects.pairs[:, visible[objects.pairs].all(0)]
    likeness = (unit[:, first] * unit[:, second]).sum(0).square()
    if rules.repulsion_mean == "pairs":
        return likeness.sum() / max(1, len(first))
    degree = torch.bincount(first, minlength=objects.count).clamp(min=1)
    return (likeness / degree[first]).sum() / visible.sum().clamp(min=1)


def _overlap(logits: Tensor, means: Tensor, visible: Tensor, objects: Objects, rules: LossRules) -> Tensor:
    """Return one minus a Dice coefficient of the layers with every object whole in the layer where most of it lies."""
    covered, place = torch.unique(objects.pixel, return_inverse=True)
    activations = torch.sigmoid(logits[:, covered])
    if not bool(visible.all()):
        # An object that is nowhere alone lies where its pixels are most active, taken together.
        every = activations.detach()[:, place]
        whole = torch.zeros_like(means).index_add(1, objects.covering, every)
        means = torch.where(visible, means, whole)
    layer = means.argmax(0) if objects.count else means.new_zeros(0, dtype=torch.long)
    wanted = torch.zeros_like(activations)
    wanted[layer[objects.covering], place] = 1.0
    weight: Tensor | float = 1.0
    if rules.overlap_sum == "objects":
        weight = torch.bincount(place, minlength=len(covered)).float()
    both = (activations * wanted * weight).sum()
    total = ((activations + wanted) * weight).sum()
    return 1 - (2 * both + 1) / (total + 1)
