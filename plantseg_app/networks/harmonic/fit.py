"""Guides that keep the objects of some label images apart: drawn at random, then moved by gradient descent.

The loss is the mean, over pairs of objects of one frame, of how much closer than the margin their embeddings are
(Eq. 4 of the publication). Knows arrays and torch, no files.

>>> labels = np.zeros((1, 64, 64), np.uint32)
>>> labels[0, 4:12, 4:12], labels[0, 40:60, 30:40] = 1, 2
>>> objects = [sample_objects(labels, FitRules(), np.random.default_rng(0))]
>>> guides = fit_guides(draw_guides(4, 2, (0, 30), "general", np.random.default_rng(1)), objects, FitRules())
>>> share_of_close_pairs(guides, objects, FitRules())
0.0
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from plantseg_app.algorithms.region_graph import make_dense
from plantseg_app.networks.harmonic.guides import Guide, Guides, as_guides, draw_guides

__all__ = ["FitRules", "Objects", "draw_guides", "fit_guides", "sample_objects", "share_of_close_pairs"]

Distance = Literal["l2", "l1", "l2sq"]

# The gradient of a root at zero is none.
_ROOT_FLOOR = 1e-12


@dataclasses.dataclass(frozen=True)
class FitRules:
    """How guides are fitted.

    Attributes
    ----------
    margin
        How far apart two objects of a frame should be.
    distance
        ``"l2"``, the Euclidean distance, in which mean shift works; ``"l1"`` as published; or ``"l2sq"``, the square of
        the Euclidean one, as in the published program.
    iterations, rate
        Steps of gradient descent, and their size; the published program takes 400 and, for l2sq, 100.
    voxels
        At most this many voxels of an object stand for it.
    min_size
        Objects with fewer voxels in a frame are left out: they are cut off by its border.
    frames
        Frames that each step looks at.
    """

    margin: float = 1.0
    distance: Distance = "l2"
    iterations: int = 400
    rate: float = 10.0
    voxels: int = 128
    min_size: int = 12
    frames: int = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one frame: (K, voxels, axes) float32, positions in the frame from 0 to 1."""

    positions: NDArray[np.float32]


def sample_objects(frame: NDArray[Any], rules: FitRules, rng: np.random.Generator) -> Objects:
    """Return some voxels of every object of a frame of labels (Z, Y, X), as positions; one slice has two axes."""
    labels = frame[0] if len(frame) == 1 else frame
    dense, names = make_dense(labels[None] if labels.ndim == 2 else labels)
    flat = dense.ravel()
    order = np.argsort(flat, kind="stable")
    bounds = np.searchsorted(flat[order], np.arange(len(names) + 1))
    scale = np.array([max(n - 1, 1) for n in labels.shape], np.float32)
    found = []
    for name in range(1, len(names)):
        members = order[bounds[name] : bounds[name + 1]]
        if len(members) >= rules.min_size:
            # Drawn with replacement, so that every object has as many.
            chosen = rng.choice(members, rules.voxels)
            found.append(np.stack(np.unravel_index(chosen, labels.shape), 1).astype(np.float32) / scale)
    return Objects(np.stack(found) if found else np.empty((0, rules.voxels, labels.ndim), np.float32))


def fit_guides(guides: Guides, objects: Sequence[Objects], rules: FitRules, seed: int = 0) -> Guides:
    """Return the guides moved until no pair of objects of a frame is closer than the margin, or the steps are over.

    Parameters
    ----------
    guides
        Where to begin.
    objects
        The objects of some frames; those with fewer than two say nothing.
    rules, seed
        How; which frames a step looks at is drawn.
    """
    tensors = [torch.from_numpy(one.positions) for one in objects if len(one.positions) > 1]
    if not tensors:
        return guides
    table = torch.tensor(guides, dtype=torch.float32, requires_grad=True)
    optimiser = torch.optim.SGD([table], lr=rules.rate)
    rng = np.random.default_rng(seed)
    best, best_share = guides, share_of_close_pairs(guides, objects, rules)
    quiet = 0
    for _ in range(rules.iterations):
        chosen = rng.permutation(len(tensors))[: rules.frames]
        loss = torch.stack([_crowding(table, tensors[i], rules) for i in chosen]).mean()
        quiet = quiet + 1 if float(loss.detach()) == 0.0 else 0
        if quiet * rules.frames >= 2 * len(tensors):
            break
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    fitted = as_guides(table.detach().numpy())
    return fitted if share_of_close_pairs(fitted, objects, rules) <= best_share else best


def _means(table: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Return the embeddings (K, N) of objects given by the positions of their voxels (K, voxels, axes)."""
    return torch.sin(positions @ table[:, :-1].T + table[:, -1]).mean(1)


def _distances(embeddings: torch.Tensor, distance: Distance) -> torch.Tensor:
    difference = embeddings[:, None] - embeddings[None]
    if distance == "l1":
        return difference.abs().sum(-1)
    squares = difference.square().sum(-1)
    return squares if distance == "l2sq" else (squares + _ROOT_FLOOR).sqrt()


def _crowding(table: torch.Tensor, positions: torch.Tensor, rules: FitRules) -> torch.Tensor:
    """Return the mean hinge loss over the pairs of different objects of one frame."""
    n_objects = len(positions)
    missing = torch.relu(rules.margin - _distances(_means(table, positions), rules.distance))
    return (missing.sum() - missing.diagonal().sum()) / (n_objects * (n_objects - 1))


def share_of_close_pairs(guides: Sequence[Guide], objects: Sequence[Objects], rules: FitRules) -> float:
    """Return the share of pairs of objects of one frame that are closer than the margin; 0 without any pair."""
    table = torch.tensor(np.asarray(guides), dtype=torch.float32)
    close = total = 0
    for one in objects:
        n_objects = len(one.positions)
        distances = _distances(_means(table, torch.from_numpy(one.positions)), rules.distance)
        close += int((distances < rules.margin).sum()) - n_objects if n_objects else 0
        total += n_objects * (n_objects - 1)
    return close / total if total else 0.0
