"""Which segment is which reference object: one-to-one matching, average precision, and the table of objects.

The average precision of the 2018 Data Science Bowl, AP = TP / (TP + FP + FN), at one threshold of the intersection
over union (IoU). A pair may match when its IoU is *at least* the threshold (``strict=True``: greater). Label 0 is
never an object.

>>> import numpy as np
>>> from plantseg_app.evaluate.contingency import count_contingency
>>> table = count_contingency(np.array([1, 1, 1, 2, 0, 3]), np.array([7, 7, 7, 7, 0, 0]))
>>> count_matches(table, 0.75)
MatchCounts(true_positives=1, false_positives=2, false_negatives=0)
>>> for row in match_objects(table, 0.5).rows():
...     print(row.reference, row.segment, row.iou)
7 1 0.75
0 2 0.0
0 3 0.0
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import RequestError
from plantseg_app.evaluate.contingency import Contingency, ObjectOverlaps
from plantseg_app.evaluate.inputs import check_fraction
from plantseg_app.evaluate.objects import choose_segments

# Literals, not np.arange: its 0.6000000000000001 would refuse a pair whose IoU is exactly 3/5.
IOU_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)

Matching = Literal["optimal", "overlap"]
_Number = TypeVar("_Number", np.uint64, np.int64, np.float64)


@dataclass(frozen=True)
class MatchCounts:
    """Numbers of matched and unmatched objects; add those of several images for the scores of a data set.

    Attributes
    ----------
    true_positives
        Reference objects with a matching segment.
    false_positives
        Segments without a reference object.
    false_negatives
        Reference objects without a segment.
    """

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def average_precision(self) -> float:
        """TP / (TP + FP + FN) in [0, 1]; 1 when there is no object at all."""
        total = self.true_positives + self.false_positives + self.false_negatives
        return self.true_positives / total if total else 1.0

    @property
    def precision(self) -> float:
        """TP / (TP + FP) in [0, 1]; 1 when there is no segment."""
        total = self.true_positives + self.false_positives
        return self.true_positives / total if total else 1.0

    @property
    def recall(self) -> float:
        """TP / (TP + FN) in [0, 1]; 1 when there is no reference object."""
        total = self.true_positives + self.false_negatives
        return self.true_positives / total if total else 1.0

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN) in [0, 1]; 1 when there is no object at all."""
        total = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / total if total else 1.0

    def __add__(self, other: MatchCounts) -> MatchCounts:
        return MatchCounts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )


class MatchRow(NamedTuple):
    """One line of the table of objects; label 0 says that there is no such object, IoU and sizes then are 0."""

    reference: int
    segment: int
    iou: float
    overlap: int
    reference_size: int
    segment_size: int


@dataclass(frozen=True, eq=False)
class MatchTable:
    """Which segment matches which reference object: all reference objects in order, then the surplus segments.

    Attributes
    ----------
    reference, segment
        Labels, ``(N,)`` uint64; 0 where there is none.
    iou
        Intersection over union of a matched pair, ``(N,)`` float64; 0 for the others.
    overlap, reference_size, segment_size
        Numbers of voxels, ``(N,)`` int64.
    """

    reference: NDArray[np.uint64]
    segment: NDArray[np.uint64]
    iou: NDArray[np.float64]
    overlap: NDArray[np.int64]
    reference_size: NDArray[np.int64]
    segment_size: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.reference)

    @property
    def matched(self) -> NDArray[np.bool_]:
        """Lines that hold a pair, ``(N,)``."""
        return np.logical_and(self.reference, self.segment)

    @property
    def missed(self) -> NDArray[np.uint64]:
        """Labels of the reference objects without a segment."""
        return np.extract(self.segment == 0, self.reference)

    @property
    def surplus(self) -> NDArray[np.uint64]:
        """Labels of the segments without a reference object."""
        return np.extract(self.reference == 0, self.segment)

    def rows(self) -> Iterator[MatchRow]:
        """Yield the table line by line as plain Python numbers."""
        columns = (self.reference, self.segment, self.iou, self.overlap, self.reference_size, self.segment_size)
        yield from (MatchRow(*values) for values in zip(*(column.tolist() for column in columns), strict=True))


def count_matches(
    table: Contingency, iou: float, *, matching: Matching = "optimal", strict: bool = False
) -> MatchCounts:
    """Count matched and unmatched objects at one IoU threshold.

    Parameters
    ----------
    table
        Of label images or layered instances.
    iou
        Threshold in (0, 1].
    matching
        ``"optimal"``: as many one-to-one pairs as possible. For label images and thresholds above 0.5 at most one
        partner qualifies, so every rule gives the same. ``"overlap"``: the layering method's rule for overlapping
        instances: each reference object takes the segment of greatest intersection (perhaps one already taken) and
        is a true positive if their IoU suffices; a segment that nobody took is a false positive.
    strict
        Ask for an IoU greater than the threshold instead of at least equal.

    Raises
    ------
    RequestError
        When the threshold or the name of the rule is not allowed.

    References
    ----------
    Caicedo et al. (2019), Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl,
    https://doi.org/10.1038/s41592-019-0612-7
    """
    objects = table.objects
    threshold = check_fraction(iou, "IoU threshold")
    if matching == "overlap":
        chosen = choose_segments(objects, by="overlap")
        hits = int(np.count_nonzero(_qualifies(objects.iou[chosen], threshold, strict)))
        taken = len(np.unique(objects.segment_index[chosen]))
        return MatchCounts(hits, objects.n_segments - taken, objects.n_references - hits)
    if matching != "optimal":
        raise RequestError(f'The matching can be "optimal" or "overlap", not "{matching}".')
    hits = _most_pairs(objects, _qualifies(objects.iou, threshold, strict))
    return MatchCounts(hits, objects.n_segments - hits, objects.n_references - hits)


def average_precision(table: Contingency, iou: float, *, matching: Matching = "optimal", strict: bool = False) -> float:
    """Compute AP = TP / (TP + FP + FN) at one IoU threshold; see `count_matches`.

    Returns
    -------
    float
        In [0, 1]; 1 when both images are empty, 0 when one is.
    """
    return count_matches(table, iou, matching=matching, strict=strict).average_precision


def mean_average_precision(
    table: Contingency,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    *,
    matching: Matching = "optimal",
    strict: bool = False,
) -> float:
    """Compute the mean of `average_precision` over several IoU thresholds, 0.5, 0.55 ... 0.95 by default."""
    if len(thresholds) == 0:
        raise RequestError("No IoU threshold was given; give at least one, for example 0.5.")
    scores = [average_precision(table, iou, matching=matching, strict=strict) for iou in thresholds]
    return float(np.mean(scores))


def match_objects(table: Contingency, iou: float = 0.5) -> MatchTable:
    """Match segments and reference objects one to one, for a table of objects.

    As many pairs as possible with at least the given IoU; of all such matchings the one with the greatest sum of IoU.

    Parameters
    ----------
    table
        Of label images or layered instances.
    iou
        Threshold in (0, 1].

    Returns
    -------
    MatchTable
        One line for each reference object, then one for each segment that matches none.
    """
    objects = table.objects
    qualified = _qualifies(objects.iou, check_fraction(iou, "IoU threshold"), strict=False)
    pairs = _best_pairs(objects, np.flatnonzero(qualified))
    segment_of = np.full(objects.n_references, -1, dtype=np.int64)
    segment_of[objects.reference_index[pairs]] = objects.segment_index[pairs]
    pair_of = np.full(objects.n_references, -1, dtype=np.int64)
    pair_of[objects.reference_index[pairs]] = pairs
    surplus = np.setdiff1d(np.arange(objects.n_segments), segment_of)
    n_surplus = len(surplus)
    pair_of = np.concatenate([pair_of, np.full(n_surplus, -1)])
    segment_index = np.concatenate([segment_of, surplus])
    return MatchTable(
        reference=_padded(objects.reference_ids, n_surplus),
        segment=_take_or_zero(objects.segment_ids, segment_index),
        iou=_take_or_zero(objects.iou, pair_of),
        overlap=_take_or_zero(objects.overlaps, pair_of),
        reference_size=_padded(objects.reference_sizes, n_surplus),
        segment_size=_take_or_zero(objects.segment_sizes, segment_index),
    )


def _qualifies(iou: NDArray[np.float64], threshold: float, strict: bool) -> NDArray[np.bool_]:
    return iou > threshold if strict else iou >= threshold


def _most_pairs(objects: ObjectOverlaps, qualified: NDArray[np.bool_]) -> int:
    """Return the greatest number of one-to-one pairs among the qualified ones."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    rows, columns = objects.reference_index[qualified], objects.segment_index[qualified]
    if rows.size == len(np.unique(rows)) == len(np.unique(columns)):
        return int(rows.size)
    shape = (objects.n_references, objects.n_segments)
    graph = csr_array((np.ones(rows.size, dtype=np.int8), (rows, columns)), shape=shape)
    return int(np.count_nonzero(maximum_bipartite_matching(graph, perm_type="column") >= 0))


def _best_pairs(objects: ObjectOverlaps, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of the pairs of the largest one-to-one matching with the greatest sum of IoU."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = objects.reference_index[candidates], objects.segment_index[candidates]
    n_nodes = objects.n_references + objects.n_segments
    graph = csr_array((np.ones(rows.size), (rows, objects.n_references + columns)), shape=(n_nodes, n_nodes))
    group = connected_components(graph, directed=False)[1][rows]
    # Almost all objects have one candidate only; the solver sees the few tangles, each by itself.
    alone = np.bincount(group, minlength=1)[group] == 1
    tangled = np.flatnonzero(~alone)
    tangled = tangled[np.argsort(group[tangled], kind="stable")]
    bounds = np.flatnonzero(np.diff(group[tangled])) + 1
    chosen = [
        tangle[_assign(rows[tangle], columns[tangle], objects.iou[candidates[tangle]])]
        for tangle in np.split(tangled, bounds)
        if tangle.size
    ]
    return np.sort(candidates[np.concatenate([np.flatnonzero(alone), *chosen])])


def _assign(rows: NDArray[np.int64], columns: NDArray[np.int64], iou: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of the pairs of the largest matching with the greatest sum of IoU; pairs sorted by row."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    row_ids, rows = np.unique(rows, return_inverse=True)
    column_ids, columns = np.unique(columns, return_inverse=True)
    n_rows, n_columns = len(row_ids), len(column_ids)
    # Each reference object gets a stand-in of its own, dearer than any gain in IoU elsewhere: a full matching
    # exists and leaves as few objects as possible without a segment.
    costs = np.concatenate([1.0 - iou / (2 * n_rows), np.full(n_rows, 2.0)])
    stand_ins = np.arange(n_rows)
    graph = csr_array(
        (costs, (np.append(rows, stand_ins), np.append(columns, n_columns + stand_ins))),
        shape=(n_rows, n_columns + n_rows),
    )
    matched_rows, matched_columns = min_weight_full_bipartite_matching(graph)
    real = matched_columns < n_columns
    keys = rows * n_columns + columns
    found: NDArray[np.int64] = np.searchsorted(keys, matched_rows[real] * n_columns + matched_columns[real])
    return found


def _padded(values: NDArray[_Number], n_zeros: int) -> NDArray[_Number]:
    return np.concatenate([values, np.zeros(n_zeros, dtype=values.dtype)])


def _take_or_zero(values: NDArray[_Number], index: NDArray[np.int64]) -> NDArray[_Number]:
    """Return the values at the given places, 0 where the place is -1."""
    return np.take(_padded(values, 1), index)
