"""Stacks of layers whose objects may overlap: numbering masks, packing them into few planes, flattening, colouring.

A stack has shape (L, ...) with the same space in every plane; 0 means no object and each id lies in one plane. Knows
neither files nor networks.

>>> masks = np.array([[[1, 1, 0, 0]], [[0, 1, 1, 0]], [[0, 0, 0, 1]]])
>>> packed = pack_layers(number_masks(masks))
>>> packed.tolist()
[[[1, 1, 0, 3]], [[0, 2, 2, 0]]]
>>> codes, table = combine_layers(packed)
>>> codes.tolist(), table.tolist()
([[2, 3, 1, 4]], [[0, 0], [0, 2], [1, 0], [1, 2], [3, 0]])
>>> flatten_by_rule(packed, "last").tolist()
[[1, 2, 2, 3]]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

FlattenRule = Literal["nearest", "larger", "smaller", "last", "background"]
"""Whose an overlap is: of the object whose own part is nearest, of the larger or smaller one, of the one with the
highest layer, of none."""

# Up to this id a table of bounding boxes costs less than sorting the image.
_FEW_IDS = 10_000

FLATTEN_RULES: tuple[str, ...] = get_args(FlattenRule)


def number_masks(stack: NDArray[Any]) -> NDArray[Any]:
    """Return a stack in which each id lies in one layer, from such a stack or from one mask a layer.

    Parameters
    ----------
    stack
        (L, ...) whole numbers. Where one and the same value fills several layers and no other occurs, each layer is
        the mask of one object, and layer k becomes number k + 1.
    """
    names = [np.unique(layer[layer > 0]) for layer in stack]
    occurring = np.unique(np.concatenate(names)) if names else np.zeros(0)
    if len(occurring) == 1 and sum(map(len, names)) > 1:
        numbers = np.arange(1, len(stack) + 1, dtype=np.uint32).reshape(-1, *(1,) * (stack.ndim - 1))
        return np.asarray((stack != 0) * numbers)
    return stack


def objects_of(layer: NDArray[Any]) -> Iterator[tuple[int, tuple[slice, ...], NDArray[np.bool_]]]:
    """Yield id, bounding box, and mask within the box, of every object of one layer."""
    from scipy import ndimage

    largest = int(layer.max(initial=0))
    if largest <= _FEW_IDS:
        names, numbers = np.arange(1, largest + 1), layer.astype(np.int32)
    else:
        inside, numbers = layer > 0, np.zeros(layer.shape, np.int32)
        names, found = np.unique(layer[inside], return_inverse=True)
        numbers[inside] = found + 1
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        if box is not None:
            yield int(names[number - 1]), box, numbers[box] == number


def pack_layers(layers: NDArray[Any]) -> NDArray[np.uint32]:
    """Return the same objects under the same ids in as few planes as taking the first free one needs; at least one."""
    planes = [np.zeros(layers.shape[1:], np.uint32)]
    for layer in layers:
        for name, box, mask in objects_of(layer):
            for plane in planes:
                if not plane[box][mask].any():
                    break
            else:
                plane = np.zeros(layers.shape[1:], np.uint32)
                planes.append(plane)
            plane[box][mask] = name
    return np.stack(planes)


def without_empty_planes(layers: NDArray[Any]) -> NDArray[Any]:
    """Return the planes that hold an object; the first one where none does."""
    used = layers.any(tuple(range(1, layers.ndim)))
    return layers[used] if used.any() else layers[:1]


def with_spare_plane(layers: NDArray[Any]) -> NDArray[Any]:
    """Return the layers and an empty plane after them, for objects that no other plane has room for."""
    return layers if not layers[-1].any() else np.concatenate([layers, np.zeros_like(layers[:1])])


def combine_layers(layers: NDArray[Any]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return one image of codes, and what they mean, so that layers can be cut, turned and bent like labels.

    Returns
    -------
    codes
        (...) uint32, one number for each combination of objects that cover a voxel; 0 where there is none.
    table
        (K, L) uint32, the ids of each code in the layers; ``table[codes]`` are the layers again, last axis first.
    """
    inside = np.flatnonzero((layers > 0).any(0))
    found, table = np.zeros(len(inside), np.int64), np.zeros((1, 0), np.uint32)
    for layer in layers:
        names, numbers = np.unique(layer.reshape(-1)[inside], return_inverse=True)
        if not len(names):
            names = np.zeros(1, layer.dtype)
        pairs, found = np.unique(found * len(names) + numbers, return_inverse=True)
        column = names[pairs % len(names)].astype(np.uint32)
        table = np.concatenate([table[pairs // len(names)], column[:, None]], 1)
    codes = np.zeros(layers.shape[1:], np.uint32)
    codes.reshape(-1)[inside] = found + 1
    return codes, np.concatenate([np.zeros((1, len(layers)), np.uint32), table])


def separate_layers(codes: NDArray[Any], table: NDArray[Any]) -> NDArray[Any]:
    """Return the layers (L, ...) of an image of codes and its table."""
    return np.ascontiguousarray(np.moveaxis(table[codes], -1, 0))


def flatten_by_rule(layers: NDArray[Any], rule: FlattenRule) -> NDArray[np.uint32]:
    """Return plain labels (...) of a stack (L, ...); where objects overlap the rule says whose the voxels are.

    Parameters
    ----------
    layers
        Each id in one layer.
    rule
        nearest: of the covering object whose part without overlap is nearest (then of the highest layer); larger,
        smaller: of the covering object with more or fewer voxels; last: of the highest layer; background: of none.
    """
    covered = (layers > 0).sum(0)
    flat: NDArray[np.uint32] = layers.max(0, initial=0, where=covered[None] == 1).astype(np.uint32)
    crowded = covered > 1
    if rule == "background" or not crowded.any():
        return flat
    candidates = layers[:, crowded].astype(np.int64)
    if rule == "last":
        rank = np.broadcast_to(np.arange(len(layers))[:, None], candidates.shape).astype(float)
    elif rule == "nearest":
        rank = -_distances_to_own_part(layers, flat, crowded)
    else:
        names, counts = np.unique(layers[layers > 0], return_counts=True)
        rank = counts[np.searchsorted(names, candidates.clip(min=int(names[0])))].astype(float)
        rank *= 1 if rule == "larger" else -1
    rank = np.where(candidates > 0, rank, -np.inf)
    # The last of equals, like the rule "last".
    best = len(layers) - 1 - np.argmax(rank[::-1], axis=0)
    flat[crowded] = candidates[best, np.arange(candidates.shape[1])]
    return flat


def _distances_to_own_part(layers: NDArray[Any], flat: NDArray[Any], crowded: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (L, voxels) how far each crowded voxel is from the part of its object in each layer that is alone."""
    from scipy import ndimage

    result = np.full((len(layers), int(crowded.sum())), 1e12)
    place = np.zeros(crowded.shape, np.int64)
    place[crowded] = np.arange(result.shape[1])
    for number, layer in enumerate(layers):
        for name, box, mask in objects_of(layer):
            alone = mask & (flat[box] == name)
            shared = mask & crowded[box]
            if alone.any() and shared.any():
                distance = ndimage.distance_transform_edt(~alone)
                result[number, place[box][shared]] = distance[shared]
    return result


def overlapping_pairs(layers: NDArray[Any]) -> NDArray[np.int64]:
    """Return (K, 2), the ids a < b of objects that share a voxel, sorted."""
    found = [np.zeros((0, 2), np.int64)]
    for number, upper in enumerate(layers):
        for lower in layers[:number]:
            both = (upper > 0) & (lower > 0)
            if both.any():
                found.append(np.unique(np.stack([lower[both], upper[both]], 1).astype(np.int64), axis=0))
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def close_pairs(layers: NDArray[Any], distance: float) -> NDArray[np.int64]:
    """Return (K, 2), the ids a < b of objects whose shortest distance is less than `distance`, sorted.

    Parameters
    ----------
    layers
        (L, ...) with each id in one layer.
    distance
        Between the centres of voxels, in voxels; objects that overlap have the distance 0.
    """
    objects = [
        (name, box, _rim(mask) + [s.start for s in box]) for layer in layers for name, box, mask in objects_of(layer)
    ]
    pairs = {(int(a), int(b)) for a, b in overlapping_pairs(layers)} if distance > 0 else set()
    if objects:
        low = np.array([[s.start for s in box] for _, box, _ in objects])
        high = np.array([[s.stop - 1 for s in box] for _, box, _ in objects])
        gap = np.maximum(0, np.maximum(low[:, None] - high[None], low[None] - high[:, None]))
        near = np.triu((gap.astype(float) ** 2).sum(-1) < distance**2, 1)
        for i, j in np.argwhere(near):
            pair = (min(objects[i][0], objects[j][0]), max(objects[i][0], objects[j][0]))
            if pair not in pairs and _are_close(objects[i][2], objects[j][2], distance):
                pairs.add(pair)
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def _rim(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the voxels (n, axes) of a mask that have a neighbour along an axis outside of it."""
    padded = np.pad(mask, 1)
    middle = (slice(1, -1),) * mask.ndim
    inner = mask.copy()
    for axis in range(mask.ndim):
        for shift in (-1, 1):
            inner &= np.roll(padded, shift, axis)[middle]
    return np.argwhere(mask & ~inner)


def _are_close(first: NDArray[np.int64], second: NDArray[np.int64], distance: float) -> bool:
    """Return whether two sets of voxels come closer than `distance` to each other."""
    from scipy.spatial.distance import cdist

    # Only what lies near the bounding box of the other can be close to it.
    first = first[_near_box(first, second, distance)]
    second = second[_near_box(second, first, distance)] if len(first) else second[:0]
    return bool(len(second)) and bool(cdist(first, second, "sqeuclidean").min() < distance**2)


def _near_box(points: NDArray[np.int64], others: NDArray[np.int64], distance: float) -> NDArray[np.bool_]:
    return np.asarray(
        ((points > others.min(0) - distance) & (points < others.max(0) + distance)).all(1),
    )


def colour_objects(names: Sequence[int], pairs: NDArray[np.int64], n_colours: int) -> Mapping[int, int]:
    """Return a colour from 0 for each object, different ones for pairs wherever the colours suffice (DSATUR).

    Parameters
    ----------
    names
        Ids.
    pairs
        (K, 2) ids of objects that should not have the same colour.
    n_colours
        How many there are; where they do not suffice an object gets that of the fewest of its neighbours.

    References
    ----------
    Brélaz, Communications of the ACM 22, 1979, doi:10.1145/359094.359101.
    """
    neighbours: dict[int, set[int]] = {name: set() for name in names}
    for a, b in pairs.tolist():
        neighbours[a].add(b)
        neighbours[b].add(a)
    counts = {name: np.zeros(n_colours, np.int64) for name in names}
    chosen: dict[int, int] = {}
    left = set(names)
    while left:
        name = max(left, key=lambda one: (np.count_nonzero(counts[one]), len(neighbours[one]), -one))
        left.remove(name)
        chosen[name] = int(np.argmin(counts[name]))
        for other in neighbours[name]:
            counts[other][chosen[name]] += 1
    return chosen
