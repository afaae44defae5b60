"""Two segmentations of one image compared cell by cell: which cells are the same, split, merged, or in one alone.

Cells belong together where one lies for more than half in the other. What belongs together, directly or through others,
is one group, and the group says what happened from the first segmentation to the second.

>>> import numpy as np
>>> first = Volume(np.array([[[1, 1, 1, 1, 2, 2]]], np.uint32), Kind.LABELS)
>>> second = Volume(np.array([[[7, 7, 8, 8, 9, 9]]], np.uint32), Kind.LABELS)
>>> compare_segmentations(first, second).sentence
'1 cell is the same, 1 was split into 2.'
"""

from __future__ import annotations

import dataclasses
import enum

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError
from plantseg_app.evaluate.contingency import ObjectOverlaps, count_contingency

SAME_IOU = 0.5
"""Two cells that belong to each other alone are the same from this intersection over union on."""

BELONGS_SHARE = 0.5
"""Cells belong together where one lies by more than this share in the other."""


class Change(enum.IntEnum):
    """What became of a cell; the numbers are those of the map of changes, where 0 is background in both."""

    SAME = 1
    RESIZED = 2
    SPLIT = 3
    MERGED = 4
    MIXED = 5
    ONLY_FIRST = 6
    ONLY_SECOND = 7


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """How a second segmentation differs from a first one.

    Attributes
    ----------
    first_ids, second_ids
        (N,) and (M,) the labels of either, ascending.
    first_changes, second_changes
        (N,) and (M,) uint8, a `Change` for each.
    """

    first_ids: NDArray[np.uint64]
    second_ids: NDArray[np.uint64]
    first_changes: NDArray[np.uint8]
    second_changes: NDArray[np.uint8]

    def n_first(self, change: Change) -> int:
        """Return how many cells of the first segmentation this became of."""
        return int(np.count_nonzero(self.first_changes == change))

    def n_second(self, change: Change) -> int:
        """Return how many cells of the second segmentation came of this."""
        return int(np.count_nonzero(self.second_changes == change))

    @property
    def sentence(self) -> str:
        """The numbers for people; what did not happen is left out."""
        same = self.n_first(Change.SAME)
        parts = [f"{same} {'cell is' if same == 1 else 'cells are'} the same"]
        if self.n_first(Change.RESIZED):
            parts.append(f"{self.n_first(Change.RESIZED)} changed size")
        for change, word in ((Change.SPLIT, "split"), (Change.MERGED, "merged"), (Change.MIXED, "cut anew")):
            count = self.n_first(change)
            if count:
                parts.append(f"{count} {'was' if count == 1 else 'were'} {word} into {self.n_second(change)}")
        for count, word in (
            (self.n_first(Change.ONLY_FIRST), "only in the first"),
            (self.n_second(Change.ONLY_SECOND), "only in the second"),
        ):
            if count:
                parts.append(f"{count} {'is' if count == 1 else 'are'} {word}")
        return ", ".join(parts) + "."

    def map_of_changes(self, first: Volume, second: Volume) -> NDArray[np.uint8]:
        """Return (Z, Y, X) uint8 with the `Change` of the cell at each voxel, for an overlay.

        Where the first segmentation has a cell, that of it; else that of the second; 0 where neither has one.

        Parameters
        ----------
        first, second
            The two that were compared.
        """
        codes = np.zeros(first.shape_vox, np.uint8)
        for z, (one, other) in enumerate(zip(first.data, second.data, strict=True)):
            codes[z] = _looked_up(other, self.second_ids, self.second_changes)
            inside = one != 0
            codes[z][inside] = _looked_up(one[inside], self.first_ids, self.first_changes)
        return codes


def _looked_up(labels: NDArray[np.uint32], ids: NDArray[np.uint64], changes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    table = np.concatenate([changes, np.zeros(1, np.uint8)])
    found = table[np.searchsorted(ids, labels)]
    return np.where(labels == 0, np.uint8(0), found)


def compare_segmentations(first: Volume, second: Volume, check: Check = never_stop) -> Comparison:
    """Compare two segmentations of the same voxels.

    Parameters
    ----------
    first, second
        Labels of the same shape.
    check
        Called between stages; may raise to stop.

    Raises
    ------
    InputError
        If one is no segmentation, or the shapes differ.
    """
    for volume in (first, second):
        if volume.kind is not Kind.LABELS:
            raise InputError(f"Labels are compared; {volume.name or 'this'} is {volume.kind.value}.")
    if first.shape_vox != second.shape_vox:
        raise InputError(
            f"The first segmentation has {first.shape_vox} voxels (Z, Y, X) and the second {second.shape_vox}; "
            "segmentations of the same image are compared."
        )
    check()
    # The contingency table calls the one a reference; neither is here.
    overlaps = count_contingency(second.data, first.data).objects
    check()
    first_changes, second_changes = _changes(overlaps)
    return Comparison(overlaps.reference_ids, overlaps.segment_ids, first_changes, second_changes)


def _changes(overlaps: ObjectOverlaps) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return what became of each object, by the numbers of firsts and seconds in its group."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n_first, n_second = overlaps.n_references, overlaps.n_segments
    one, other = overlaps.reference_index, overlaps.segment_index
    smaller = np.minimum(overlaps.reference_sizes[one], overlaps.segment_sizes[other])
    linked = overlaps.overlaps > BELONGS_SHARE * smaller
    one, other, iou = one[linked], other[linked], overlaps.iou[linked]
    size = n_first + n_second
    links = coo_matrix((np.ones(len(one), bool), (one, other + n_first)), shape=(size, size))
    n_groups, group = connected_components(links, directed=False) if size else (0, np.empty(0, np.int64))
    firsts = np.bincount(group[:n_first], minlength=n_groups)
    seconds = np.bincount(group[n_first:], minlength=n_groups)
    best = np.zeros(n_groups)
    np.maximum.at(best, group[one], iou)
    change = np.select(
        [
            (firsts == 1) & (seconds == 1) & (best >= SAME_IOU),
            (firsts == 1) & (seconds == 1),
            (firsts == 1) & (seconds > 1),
            (firsts > 1) & (seconds == 1),
            seconds == 0,
            firsts == 0,
        ],
        [Change.SAME, Change.RESIZED, Change.SPLIT, Change.MERGED, Change.ONLY_FIRST, Change.ONLY_SECOND],
        Change.MIXED,
    ).astype(np.uint8)
    return change[group[:n_first]], change[group[n_first:]]
