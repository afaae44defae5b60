from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.segmentation import find_boundaries

from plantseg_app.errors import InputError, RequestError
from plantseg_app.evaluate import boundary_f_score, find_label_boundaries

LABELS = hnp.arrays(np.int64, (3, 4, 5), elements=st.integers(0, 2))


def fraction_near(voxels: np.ndarray, others: np.ndarray, tolerance: float, spacing: tuple[float, ...]) -> float:
    a, b = np.argwhere(voxels) * spacing, np.argwhere(others) * spacing
    distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)).min(1)
    return float((distance <= tolerance + 1e-9).mean())


@given(LABELS)
@settings(deadline=None, max_examples=40)
def test_boundaries_equal_scikit_image(labels):
    expected = find_boundaries(labels, connectivity=1, mode="thick")
    np.testing.assert_array_equal(find_label_boundaries(labels), expected)


@given(LABELS, LABELS, st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0]), st.booleans())
@settings(deadline=None, max_examples=60)
def test_equals_measuring_every_distance(segmentation, reference, tolerance, anisotropic):
    spacing = (1.25, 0.5, 0.75) if anisotropic else (1.0, 1.0, 1.0)
    drawn = find_boundaries(segmentation, connectivity=1, mode="thick")
    wanted = find_boundaries(reference, connectivity=1, mode="thick")
    score = boundary_f_score(segmentation, reference, tolerance=tolerance, voxel_size=spacing if anisotropic else None)
    if not drawn.any() or not wanted.any():
        assert score == ((1.0,) * 3 if drawn.any() == wanted.any() else (0.0,) * 3)
        return
    precision = fraction_near(drawn, wanted, tolerance, spacing)
    recall = fraction_near(wanted, drawn, tolerance, spacing)
    assert score[:2] == pytest.approx((precision, recall))
    assert score.f1 == pytest.approx(2 * precision * recall / (precision + recall) if precision + recall else 0.0)


def test_surplus_boundaries_lower_precision_missing_ones_recall():
    reference = np.repeat([[1] * 10 + [2] * 10], 3, axis=0)
    split = np.repeat([[1] * 4 + [3] * 6 + [2] * 10], 3, axis=0)
    assert boundary_f_score(split, reference, tolerance=1.0) == pytest.approx((0.5, 1.0, 2 / 3))
    assert boundary_f_score(reference, split, tolerance=1.0) == pytest.approx((1.0, 0.5, 2 / 3))


def test_tolerance_is_in_the_unit_of_the_voxel_size():
    reference = np.repeat([[1] * 10 + [2] * 10], 3, axis=0)
    moved = np.roll(reference, 3, axis=1)
    moved[:, :3] = 1
    # Three voxels of 0.15 um: exactly 0.45, also when it is computed in float32.
    assert boundary_f_score(moved, reference, tolerance=0.45, voxel_size=(0.15, 0.15)).f1 == 1.0
    assert boundary_f_score(moved, reference, tolerance=0.44, voxel_size=(0.15, 0.15)).f1 == 0.5


def test_one_label_has_no_boundary():
    plain, split = np.ones((4, 4), dtype=int), np.repeat([[1, 1, 2, 2]], 4, axis=0)
    assert boundary_f_score(plain, plain * 5) == (1.0, 1.0, 1.0)
    assert boundary_f_score(plain, split) == (0.0, 0.0, 0.0)
    assert boundary_f_score(split, plain) == (0.0, 0.0, 0.0)


def test_wrong_requests_are_refused():
    labels = np.ones((3, 3), dtype=int)
    for tolerance in (-1.0, float("nan"), float("inf")):
        with pytest.raises(RequestError, match="tolerance"):
            boundary_f_score(labels, labels, tolerance=tolerance)
    for size in ((1.0,), (1.0, 0.0), (1.0, float("nan"))):
        with pytest.raises(RequestError, match="2 positive lengths"):
            boundary_f_score(labels, labels, voxel_size=size)
    with pytest.raises(RequestError, match="4 axes"):
        boundary_f_score(labels[None, None], labels[None, None])
    with pytest.raises(InputError, match="shape"):
        boundary_f_score(labels, labels[:2])
