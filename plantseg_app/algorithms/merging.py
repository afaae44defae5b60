"""Clusters of an embedding joined where their mean embeddings are close: touching ones, or all. Knows arrays alone.

>>> labels = np.array([[[1, 1, 2, 0, 3]]], np.uint32)
>>> embedding = np.array([[[[0, 0, 0.2, 5, 0.1]]]], np.float32)
>>> join_touching(labels, embedding, 0.5).tolist(), join_alike(labels, embedding, 0.5).tolist()
([[[1, 1, 1, 0, 3]]], [[[1, 1, 1, 0, 1]]])
"""

from __future__ import annotations

import heapq
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import map_ids

Sums = tuple[NDArray[np.float64], NDArray[np.float64]]


def join_touching(labels: NDArray[np.uint32], embedding: NDArray[Any], distance: float) -> NDArray[np.uint32]:
    """Return the labels after joining objects that touch and whose mean embeddings are close, the closest first.

    What a network is unsure about breaks into pieces whose embeddings lie near to each other; so do, more rarely,
    objects that are different. That the pieces touch in the image tells most of these cases apart.

    Parameters
    ----------
    labels
        (Z, Y, X), dense, 0 is background.
    embedding
        (C, Z, Y, X).
    distance
        Means closer than this are joined; after each joining the mean is that of both.
    """
    sums, sizes = embedding_sums(labels, embedding)
    neighbours: list[set[int]] = [set() for _ in sizes]
    for one, other in touching_pairs(labels).tolist():
        neighbours[one].add(other)
        neighbours[other].add(one)
    # An entry counts while both of its objects are as they were when it was written.
    changes = np.zeros(len(sizes), np.int64)

    def entry(one: int, other: int) -> tuple[float, int, int, int]:
        apart = float(np.linalg.norm(sums[one] / sizes[one] - sums[other] / sizes[other]))
        low, high = min(one, other), max(one, other)
        return apart, low, high, int(changes[low] + changes[high])

    target = np.arange(len(sizes))
    waiting = [entry(one, other) for one in range(len(sizes)) for other in neighbours[one] if one < other]
    heapq.heapify(waiting)
    while waiting and waiting[0][0] < distance:
        _, kept, gone, state = heapq.heappop(waiting)
        if gone not in neighbours[kept] or state != changes[kept] + changes[gone]:
            continue
        target[gone] = kept
        sums[kept] += sums[gone]
        sizes[kept] += sizes[gone]
        changes[kept] += 1
        neighbours[kept] = (neighbours[kept] | neighbours[gone]) - {kept, gone}
        for other in neighbours[gone]:
            neighbours[other].discard(gone)
        neighbours[gone] = set()
        for other in neighbours[kept]:
            neighbours[other].add(kept)
            heapq.heappush(waiting, entry(kept, other))
    return np.asarray(map_ids(labels, _ends(target)))


def join_alike(labels: NDArray[np.uint32], embedding: NDArray[Any], distance: float) -> NDArray[np.uint32]:
    """Return the labels after joining objects whose mean embeddings are close, wherever they lie.

    Taken by size, each object joins the first larger one whose mean embedding is closer than the distance. It mends
    objects that others hide in part; networks that only tell neighbours apart need `join_touching`.

    Parameters
    ----------
    labels, embedding, distance
        As in `join_touching`.
    """
    sums, sizes = embedding_sums(labels, embedding)
    target = np.arange(len(sizes))
    kept: list[int] = []
    means = sums / np.maximum(sizes, 1)[:, None]
    for name in np.argsort(-sizes, kind="stable"):
        if name == 0 or sizes[name] == 0:
            continue
        near = np.linalg.norm(means[kept] - means[name], axis=1) < distance if kept else np.zeros(0, bool)
        if near.any():
            target[name] = kept[int(near.argmax())]
        else:
            kept.append(int(name))
    return np.asarray(map_ids(labels, target.astype(np.uint32)))


def embedding_sums(labels: NDArray[Any], embedding: NDArray[Any]) -> Sums:
    """Return the sum of the embeddings of each object, (N + 1, C), and its voxels, (N + 1,); those of 0 are 0."""
    inside = np.flatnonzero(labels)
    names = labels.ravel()[inside].astype(np.int64)
    n_names = int(labels.max(initial=0)) + 1
    sizes = np.bincount(names, minlength=n_names).astype(np.float64)
    flat = embedding.reshape(len(embedding), -1)
    return np.stack([np.bincount(names, weights=row[inside], minlength=n_names) for row in flat], 1), sizes


def _ends(target: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return where each chain of ``target[target[...]]`` ends; targets are never larger than their place."""
    for name in range(len(target)):
        target[name] = target[target[name]]
    return target.astype(np.uint32)


def touching_pairs(labels: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the pairs of labels that touch over a face, an edge or a corner, (P, 2), the smaller first."""
    found = []
    for offset in itertools.product((-1, 0, 1), repeat=labels.ndim):
        if offset <= (0,) * labels.ndim:
            continue
        here = tuple(slice(max(-step, 0), size - max(step, 0)) for step, size in zip(offset, labels.shape, strict=True))
        there = tuple(
            slice(max(step, 0), size - max(-step, 0)) for step, size in zip(offset, labels.shape, strict=True)
        )
        one, other = labels[here], labels[there]
        differ = (one != other) & (one > 0) & (other > 0)
        found.append(np.stack([one[differ], other[differ]], 1).astype(np.int64))
    return np.unique(np.sort(np.concatenate(found), 1), axis=0)
