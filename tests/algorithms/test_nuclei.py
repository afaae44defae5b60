"""One nucleus, one cell: on cells that were merged and split on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import adapted_rand_error

from plantseg_app.algorithms.nuclei import NucleiRules, correct_by_nuclei


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return len(np.unique(np.stack([a.ravel(), b.ravel()]), axis=1).T) == len(np.unique(a)) == len(np.unique(b))


@pytest.fixture
def tissue_with_nuclei(make_tissue: Callable[..., Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels, boundary = make_tissue((20, 48, 48), 16, seed=8)
    depth = ndimage.distance_transform_edt(boundary < 0.3)
    # Nuclei have names of their own, and a little debris lies about.
    nuclei = np.where(depth > 2.5, labels.astype(np.uint64) + 2**33, 0)
    return labels, boundary, nuclei


@pytest.mark.parametrize("plane", [False, True])
def test_merged_and_split_cells_are_put_right(
    tissue_with_nuclei: tuple[np.ndarray, np.ndarray, np.ndarray], plane: bool
) -> None:
    labels, boundary, nuclei = (image[10:11] if plane else image for image in tissue_with_nuclei)
    ids = np.unique(labels[nuclei > 0])
    broken = labels.copy()
    x = np.arange(labels.shape[2])
    centre = ndimage.center_of_mass(nuclei > 0, labels, ids[0])
    broken[(labels == ids[0]) & (x > centre[2])] = 5000  # one cell cut through its nucleus
    broken[labels == ids[2]] = ids[1]  # two cells run together
    rules = NucleiRules(ignore_smallest=0.0, ignore_largest=0.0)
    mended = correct_by_nuclei(broken, nuclei, rules, boundary)
    assert adapted_rand_error(labels, mended.astype(np.int64))[0] < 0.02
    assert adapted_rand_error(labels, broken)[0] > 0.02
    # Only the cells concerned have changed.
    others = ~np.isin(labels, ids[:3])
    assert np.array_equal(mended[others], broken[others])
    assert np.array_equal(mended, correct_by_nuclei(broken, nuclei, rules, boundary))


def test_right_cells_stay_as_they_are(tissue_with_nuclei: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    labels, _, nuclei = tissue_with_nuclei
    assert np.array_equal(correct_by_nuclei(labels, nuclei, NucleiRules()), labels)
    assert np.array_equal(correct_by_nuclei(labels, np.zeros_like(nuclei), NucleiRules()), labels)


def test_without_boundary_a_cell_is_split_halfway() -> None:
    cells = np.full((1, 5, 21), 3, np.uint32)
    nuclei = np.zeros_like(cells)
    nuclei[0, 2, 3:6], nuclei[0, 2, 15:18] = 8, 9
    parts = correct_by_nuclei(cells, nuclei, NucleiRules())
    assert (parts[..., :10] == 3).all()
    assert (parts[..., 11:] == 4).all()


def test_large_cells_are_counted_in_full() -> None:
    # 216,000 voxels: more than a 16-bit counter holds, where a third of the nucleus would seem to be nothing.
    cells = np.ones((60, 60, 60), np.uint32)
    cells[:, :, 40:] = 2
    nuclei = np.ones_like(cells)
    assert (correct_by_nuclei(cells, nuclei, NucleiRules(merge_threshold=0.33)) == 1).all()
    assert np.array_equal(correct_by_nuclei(cells, nuclei, NucleiRules(merge_threshold=0.34)), cells)


def test_merging_then_splitting_follows_the_nuclei() -> None:
    cells = np.repeat(np.array([1, 2], np.uint32), 10).reshape(1, 1, 20)
    nuclei = np.zeros_like(cells)
    nuclei[..., 7:13] = 5  # shared
    nuclei[..., 16:19] = 6  # wholly in the second
    result = correct_by_nuclei(cells, nuclei, NucleiRules())
    assert (result[..., :13] == result[0, 0, 0]).all()
    assert (result[..., 16:] == result[0, 0, -1]).all()
    assert result[0, 0, 0] != result[0, 0, -1]


def test_debris_has_no_say_but_few_nuclei_all_have() -> None:
    cells = np.ones((1, 1, 2000), np.uint32)
    nuclei = np.zeros_like(cells)
    for number in range(500):
        nuclei[..., 4 * number : 4 * number + (1 if number == 7 else 3)] = number + 1
    everyone = correct_by_nuclei(cells, nuclei, NucleiRules(ignore_smallest=0, ignore_largest=0))
    without_debris = correct_by_nuclei(cells, nuclei, NucleiRules(ignore_smallest=0.002, ignore_largest=0))
    assert len(np.unique(everyone)) == 500
    assert len(np.unique(without_debris)) == 499
    few = correct_by_nuclei(cells[..., :20], nuclei[..., :20], NucleiRules())
    assert len(np.unique(few)) == 5


def test_new_names_widen_the_labels_when_they_must() -> None:
    cells = np.full((1, 1, 10), 2**32 - 1, np.uint32)
    nuclei = np.zeros_like(cells)
    nuclei[..., 1], nuclei[..., 8] = 1, 2
    parts = correct_by_nuclei(cells, nuclei, NucleiRules())
    assert parts.dtype == np.uint64
    assert same(parts, (np.arange(10) > 4)[None, None]) or len(np.unique(parts)) == 2
