"""Flooding of large cells: on every second voxel first, then anew where parts meet. Faster, and with less memory.

The relief is smooth, so that every second voxel tells where the walls are; where parts meet they are flooded again at
full resolution from what is a few voxels away. Pieces of a cell that are one voxel apart count as touching.

>>> inside = np.ones((1, 40, 40), bool)
>>> relief = np.zeros((1, 40, 40), np.float32); relief[0, :, 20:22] = 1
>>> seeds = np.zeros((1, 40, 40), np.uint32); seeds[0, 5, 5], seeds[0, 30, 35] = 1, 2
>>> parts = flood_coarsely(seeds, inside, lambda box: relief[box])
>>> np.unique(parts[0, :, :20]).tolist(), np.unique(parts[0, :, 22:]).tolist()
([1], [2])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Block, Slices, tile
from plantseg_app.algorithms.flooding import flood

Relief = Callable[[Slices], NDArray[np.float32]]
"""From a box (Z, Y, X) to the relief there."""

_LONG_VOX = 32
_READ_VOX = 64
_TILE_VOX, _HALO_VOX, _BAND_VOX = 32, 6, 3


def flood_coarsely(seeds: NDArray[np.uint32], inside: NDArray[np.bool_], relief: Relief) -> NDArray[Any]:
    """Return the parts that grow from seeds 1 ... N within `inside`, (Z, Y, X) unsigned; 0 where none can reach."""
    steps = tuple(2 if n >= _LONG_VOX else 1 for n in inside.shape)
    places = np.argwhere(seeds)
    numbers = seeds[tuple(places.T)]
    kind = np.uint8 if numbers.max(initial=0) < 256 else np.uint32
    coarse_inside = _any_of(inside, steps)
    coarse = np.zeros(coarse_inside.shape, np.uint32)
    coarse[tuple((places // steps).T)] = numbers
    coarse = flood(_sampled(relief, inside.shape, steps), coarse, coarse_inside).astype(kind)
    parts = _enlarged(coarse, steps, inside.shape)
    parts[~inside] = 0
    del coarse, coarse_inside
    parts[tuple(places.T)] = np.where(inside[tuple(places.T)], numbers, 0)
    return _refined(parts, inside, relief, places, numbers)


def _any_of(mask: NDArray[np.bool_], steps: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which groups of voxels hold a set one."""
    result = np.zeros([-(-n // step) for n, step in zip(mask.shape, steps, strict=True)], bool)
    for offset in np.ndindex(*steps):
        part = mask[tuple(slice(first, None, step) for first, step in zip(offset, steps, strict=True))]
        result[tuple(slice(0, n) for n in part.shape)] |= part
    return result


def _sampled(relief: Relief, shape: tuple[int, ...], steps: tuple[int, ...]) -> NDArray[np.float32]:
    """Return every second voxel of the relief, read in boxes."""
    result = np.zeros([-(-n // step) for n, step in zip(shape, steps, strict=True)], np.float32)
    for block in tile(shape, (_READ_VOX,) * 3):
        target = tuple(
            slice(part.start // step, -(-part.stop // step)) for part, step in zip(block.inner, steps, strict=True)
        )
        result[target] = relief(block.inner)[tuple(slice(None, None, step) for step in steps)]
    return result


def _enlarged(coarse: NDArray[Any], steps: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[Any]:
    for axis, step in enumerate(steps):
        coarse = np.repeat(coarse, step, axis=axis)
    return np.ascontiguousarray(coarse[tuple(slice(0, n) for n in shape)])


def _refined(
    parts: NDArray[Any], inside: NDArray[np.bool_], relief: Relief, places: NDArray[np.intp], numbers: NDArray[Any]
) -> NDArray[Any]:
    """Return the parts flooded anew where two of them meet."""
    result = parts.copy()
    for block in tile(parts.shape, (_TILE_VOX,) * parts.ndim, _HALO_VOX, _HALO_VOX):
        local = parts[block.outer]
        if local.max() == local[local > 0].min(initial=local.max()):
            continue
        band = _near_faces(local)
        if band is not None and band[block.core].any():
            result[block.inner] = _flooded_anew(local, band, inside, relief, block, places, numbers)
    return result


def _near_faces(parts: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return the voxels a few steps around faces between two parts; None when there is no such face."""
    near = np.zeros(parts.shape, bool)
    halves = [_halves(axis, parts.ndim) for axis in range(parts.ndim)]
    for low, high in halves:
        differ = (parts[low] != parts[high]) & (parts[low] > 0) & (parts[high] > 0)
        near[low] |= differ
        near[high] |= differ
    if not near.any():
        return None
    for _ in range(_BAND_VOX):
        before = near.copy()
        for low, high in halves:
            near[low] |= before[high]
            near[high] |= before[low]
    return near


def _halves(axis: int, ndim: int) -> tuple[Slices, Slices]:
    """Return all but the last and all but the first slice along an axis."""
    low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(ndim))
    high = tuple(slice(1, None) if a == axis else slice(None) for a in range(ndim))
    return low, high


def _flooded_anew(
    local: NDArray[Any],
    band: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    relief: Relief,
    block: Block,
    places: NDArray[np.intp],
    numbers: NDArray[Any],
) -> NDArray[Any]:
    seeds = np.where(band, 0, local).astype(np.uint32)
    start = [part.start for part in block.outer]
    here = ((places >= start) & (places < [part.stop for part in block.outer])).all(1)
    seeds[tuple((places[here] - start).T)] = numbers[here]
    # What no scribble reached on the coarse grid stays out.
    mask = np.ascontiguousarray(inside[block.outer] & (local > 0))
    return flood(np.ascontiguousarray(relief(block.outer)), seeds, mask)[block.core]
