"""How many voxels each label of one image shares with each label of another, as a sparse table.

>>> import numpy as np
>>> table = count_overlaps(np.array([1, 1, 2], np.uint32), np.array([0, 7, 7], np.uint32))
>>> table.first.tolist(), table.second.tolist(), table.counts.tolist()
([1, 1, 2], [0, 7, 7], [1, 1, 1])
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SLAB_VOX = 2**22


class Overlaps(NamedTuple):
    """Three (N,) int64 arrays, sorted by the first label, then the second.

    Attributes
    ----------
    first, second
        Labels, 0 included.
    counts
        Shared voxels, at least 1.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    counts: NDArray[np.int64]


def count_overlaps(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> Overlaps:
    """Count shared voxels, a slab at a time so that little memory is needed.

    Parameters
    ----------
    first, second
        uint32 labels of the same shape.
    """
    flat_first, flat_second = np.ravel(first), np.ravel(second)
    keys, counts = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for start in range(0, flat_first.size, SLAB_VOX):
        part = slice(start, start + SLAB_VOX)
        key, count = _count_keys(flat_first[part].astype(np.uint64) << np.uint64(32) | flat_second[part])
        keys.append(key)
        counts.append(count)
    unique, place = np.unique(np.concatenate(keys), return_inverse=True)
    total = np.zeros(len(unique), np.int64)
    np.add.at(total, place, np.concatenate(counts))
    return Overlaps((unique >> np.uint64(32)).astype(np.int64), (unique & np.uint64(2**32 - 1)).astype(np.int64), total)


def _count_keys(keys: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return unique keys and their counts; runs of equal keys are joined first, which leaves little to sort."""
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    lengths = np.diff(np.append(starts, len(keys)))
    unique, place = np.unique(keys[starts], return_inverse=True)
    total = np.zeros(len(unique), np.int64)
    np.add.at(total, place, lengths)
    return unique, total
