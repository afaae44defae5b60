"""The loss of the W-Net: embeddings of one object in one direction, those of neighbours in others; and the distance.

Pixels of all objects of a batch are treated at once, whatever the number of objects.

>>> planes = torch.tensor([[[[1.0, 1.0, 2.0, 2.0]]]])
>>> embedding = torch.tensor([[[[3.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 2.0, 1.0]]]])
>>> terms = embedding_terms(embedding, planes, EmbeddingRules())
>>> {name: round(float(term), 4) for name, term in terms.items()}
{'within': 0.0, 'between': 0.0}

References
----------
Wu, Chen and Merhof, ECCV workshops 2020, doi:10.1007/978-3-030-66415-2_14, equation 1; Chen, Strauch and Merhof, MICCAI
2019, doi:10.1007/978-3-030-32239-7_50.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from plantseg_app.algorithms.layers import close_pairs
from plantseg_app.networks.batch_objects import BatchObjects, pixels_of

_TINY = 1e-6


@dataclasses.dataclass(frozen=True)
class EmbeddingRules:
    """Which form of each term is meant.

    Attributes
    ----------
    constraints
        Whether neighbours alone are to differ, or all objects of an image.
    neighbour_distance_vox
        Objects closer than this are neighbours.
    background
        Whether the background is an object, too, the neighbour of every other one, or does not count.
    within_mean
        Over objects of the mean over their pixels, or over pixels.
    between_mean
        Over objects of the mean over their neighbours, or over pairs.
    likeness
        Of two directions: their cosine, or how far from orthogonal they are.
    between_weight
        Weight of the term between objects.
    """

    constraints: Literal["local", "global"] = "local"
    neighbour_distance_vox: float = 10.0
    background: Literal["object", "ignored"] = "object"
    within_mean: Literal["objects", "pixels"] = "objects"
    between_mean: Literal["objects", "pairs"] = "objects"
    likeness: Literal["cosine", "absolute"] = "cosine"
    between_weight: float = 1.0


def embedding_terms(
    embedding: Tensor, ids: Tensor, rules: EmbeddingRules, known: Tensor | None = None
) -> dict[str, Tensor]:
    """Return the terms within and between objects, each a scalar that includes its weight.

    Parameters
    ----------
    embedding
        (N, C, [Z,] Y, X), of any length.
    ids
        (N, 1, [Z,] Y, X), 0 is background.
    rules
        Which form.
    known
        (N, 1, [Z,] Y, X), 1 where labels say something; None: everywhere.
    """
    objects = BatchObjects.of(ids, known, with_background=rules.background == "object")
    directions = F.normalize(pixels_of(embedding.float()), dim=0, eps=_TINY)
    means = F.normalize(objects.means(directions), dim=0, eps=_TINY)
    apart = 1 - (directions[:, objects.pixel] * means.index_select(1, objects.owner)).sum(0)
    within = objects.mean_of(apart) if rules.within_mean == "objects" else apart.sum() / max(1, len(apart))
    pairs = neighbours(ids, objects, rules)
    return {"within": within, "between": rules.between_weight * between(means, objects, pairs, rules)}


def neighbours(ids: Tensor, objects: BatchObjects, rules: EmbeddingRules) -> Tensor:
    """Return (2, K) the objects that are to differ, each pair in both orders."""
    together = objects.image[:, None] == objects.image
    together.fill_diagonal_(False)
    if rules.constraints == "global":
        return torch.nonzero(together).T
    # The background is everybody's neighbour.
    together &= objects.is_background | objects.is_background[:, None]
    planes = ids.detach().cpu().numpy()[:, 0].astype(np.int64)
    place = {(int(i), int(n)): k for k, (i, n) in enumerate(zip(objects.image, objects.label, strict=True))}
    close = [
        (place[i, a], place[i, b])
        for i, plane in enumerate(planes)
        for a, b in close_pairs(plane[None], rules.neighbour_distance_vox).tolist()
        # Objects that lie where nothing is known have no place.
        if (i, a) in place and (i, b) in place
    ]
    first, second = torch.tensor(close, dtype=torch.long, device=together.device).reshape(-1, 2).T
    together[first, second] = together[second, first] = True
    return torch.nonzero(together).T


def between(means: Tensor, objects: BatchObjects, pairs: Tensor, rules: EmbeddingRules) -> Tensor:
    """Return how alike the directions (C, count) of the objects of `pairs` are, mean over images."""
    first, second = pairs
    likeness = (means[:, first] * means[:, second]).sum(0)
    if rules.likeness == "absolute":
        likeness = likeness.abs()
    if rules.between_mean == "objects":
        degree = torch.bincount(first, minlength=objects.count).clamp(min=1)
        return (likeness * (objects.weight / degree)[first]).sum()
    image = objects.image[first]
    n_pairs = torch.bincount(image, minlength=1)
    return (likeness / n_pairs[image]).sum() / max(1, len(torch.unique(objects.image)))


def distance_loss(logits: Tensor, depth: Tensor, scale: float, known: Tensor | None = None) -> Tensor:
    """Return the mean squared error of the rectified logits against the relative depth times `scale`."""
    error = (F.relu(logits.float()) - scale * depth).square()
    if known is None:
        return error.mean()
    return (error * known).sum() / known.sum().clamp(min=1)
