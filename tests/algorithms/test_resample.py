"""Resampling against scipy, one axis at a time, and what the definition says."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import make_interp_spline

from plantseg_app.algorithms.resample import (
    nearest_indices,
    resample,
    shape_for_spacing,
    spacing_for_shape,
)
from plantseg_app.errors import RequestError

SHAPES = st.tuples(*[st.integers(1, 12)] * 3)


def random_image(shape, dtype=np.float32, seed=0):
    values = np.random.default_rng(seed).random(shape)
    return (values * 250).astype(dtype) if np.dtype(dtype).kind in "iu" else values.astype(dtype)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((20, 30, 40), (7, 15, 61)),
        ((1, 64, 64), (1, 31, 100)),
        ((3, 5, 200), (9, 2, 7)),
        ((2, 3, 4), (1, 1, 1)),
        ((5, 1, 33), (5, 4, 66)),
    ],
)
def test_linear_equals_interpolating_one_axis_after_the_other(old, new):
    image = random_image(old)
    for anti_aliasing in (True, False):
        expected = image.astype(float)
        for axis, (a, b) in enumerate(zip(old, new, strict=True)):
            if anti_aliasing and b < a:
                expected = ndi.gaussian_filter1d(expected, (a / b - 1) / 2, axis)
            # What lies beyond the outer centres is mirrored, so it is as bright as the outer voxel.
            place = (np.arange(b) + 0.5) * a / b - 0.5
            expected = np.apply_along_axis(
                lambda line, p=place: np.interp(p, np.arange(len(line)), line), axis, expected
            )
        np.testing.assert_allclose(resample(image, new, 1, anti_aliasing=anti_aliasing), expected, atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(SHAPES, SHAPES)
def test_nearest_equals_scikit_image_where_no_centre_lies_on_a_border(old, new):
    from skimage.transform import resize

    if any(((2 * np.arange(b) + 1) * a % (2 * b) == 0).any() for a, b in zip(old, new, strict=True)):
        return
    image = np.arange(np.prod(old)).reshape(old)
    expected = resize(image, new, order=0, mode="edge", anti_aliasing=False, preserve_range=True)
    np.testing.assert_array_equal(resample(image, new, 0), expected)


def test_cubic_is_a_spline_through_the_old_values_of_the_mirrored_image():
    image = random_image((12, 13, 14), np.float64)
    tripled = resample(image, (36, 39, 42), 3)
    np.testing.assert_allclose(tripled[1::3, 1::3, 1::3], image, atol=1e-12)
    # A spline through 30 voxels more on each side hardly knows where the image ends.
    line = image[0, 0]
    outer = np.pad(line, 30, mode="symmetric")
    spline = make_interp_spline(np.arange(-30, len(line) + 30), outer, k=3)
    expected = spline((np.arange(15) + 0.5) * len(line) / 15 - 0.5).clip(line.min(), line.max())
    np.testing.assert_allclose(resample(line[None, None], (1, 1, 15), 3)[0, 0], expected, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(SHAPES, SHAPES, st.sampled_from([0, 1, 3]), st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]))
def test_shape_dtype_and_range_hold_for_any_grid(old, new, order, dtype):
    image = random_image(old, dtype)
    result = resample(image, new, order)
    assert result.shape == new
    assert result.dtype == dtype
    slack = 1e-6 if np.dtype(dtype).kind == "f" else 0
    assert result.min() >= image.min() - slack
    assert result.max() <= image.max() + slack


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.tuples(*[st.integers(1, 5)] * 3))
def test_labels_survive_up_and_down_by_whole_factors(shape, factors):
    labels = np.random.default_rng(0).integers(0, 2**32, shape, dtype=np.uint32)
    large = tuple(n * k for n, k in zip(shape, factors, strict=True))
    up = resample(labels, large, 0)
    expected = labels
    for axis, k in enumerate(factors):
        expected = expected.repeat(k, axis)
    np.testing.assert_array_equal(up, expected)
    np.testing.assert_array_equal(resample(up, shape, 0), labels)


@given(st.integers(1, 50), st.integers(1, 50))
def test_nearest_voxel_holds_the_centre(n_old, n_new):
    from fractions import Fraction

    for i, index in enumerate(nearest_indices(n_old, n_new)):
        centre = Fraction(2 * i + 1, 2 * n_new)
        assert Fraction(int(index), n_old) <= centre < Fraction(int(index) + 1, n_old)


@pytest.mark.parametrize("order", [1, 3])
def test_a_straight_line_stays_where_it_is(order):
    position = (np.arange(40) + 0.5) / 40
    image = position[None, None]
    for n_new in (80, 60, 30, 20):
        result = resample(image, (1, 1, n_new), order)[0, 0]
        inner = slice(n_new // 5, -n_new // 5)
        # The kink that mirroring makes at the border is felt by a spline, less and less with the distance.
        accuracy = 1e-9 if order == 1 else 2e-6
        np.testing.assert_allclose(result[inner], ((np.arange(n_new) + 0.5) / n_new)[inner], atol=accuracy)


def test_constant_and_mean_are_kept():
    assert np.allclose(resample(np.full((4, 9, 31), 3.5, np.float32), (9, 4, 10), 1), 3.5, atol=1e-6)
    image = random_image((8, 8, 64), np.float64)
    assert resample(image, (8, 8, 16), 1).mean() == pytest.approx(image.mean(), abs=1e-3)


def test_shrinking_fades_what_the_new_grid_cannot_show():
    stripes = np.tile(np.array([0.0, 1.0], np.float32), 64)[None, None]
    shrunk = resample(stripes, (1, 1, 32), 1)
    assert np.ptp(shrunk[..., 3:-3]) < 0.01
    aliased = resample(
        np.tile(np.array([0.0, 1, 1, 0, 1], np.float32), 20)[None, None], (1, 1, 33), 1, anti_aliasing=False
    )
    assert np.ptp(aliased) > 0.5


def test_the_same_shape_is_the_same_array():
    image = random_image((3, 4, 5))
    for order in (0, 1, 3):
        assert resample(image, image.shape, order) is image


def test_leading_axes_are_resampled_one_by_one():
    image = random_image((2, 6, 8, 10))
    result = resample(image, (3, 8, 25), 1)
    for channel in range(2):
        np.testing.assert_allclose(result[channel], resample(image[channel], (3, 8, 25), 1), atol=1e-6)


def test_whole_numbers_are_rounded_and_do_not_wrap():
    edge = np.array([0, 0, 255, 255], np.uint8)[None, None]
    linear = resample(edge, (1, 1, 16), 1)[0, 0].tolist()
    assert linear == [0] * 6 + [32, 96, 159, 223] + [255] * 6
    cubic = resample(edge, (1, 1, 16), 3)[0, 0].astype(int)
    # A spline swings around an edge; what swings below 0 or above 255 is cut off.
    assert cubic[:7].max() < 30
    assert cubic[-7:].min() > 225
    assert (np.diff(cubic[5:11]) >= 0).all()
    np.testing.assert_array_equal(cubic + cubic[::-1], 255)
    np.testing.assert_array_equal(resample(np.array([[[1, 2]]], np.uint8), (1, 1, 1), 1), [[[2]]])
    big = np.full((1, 1, 4), 2**31 + 1, np.uint32)
    assert (resample(big, (1, 1, 3), 1) == 2**31 + 1).all()


def test_truth_values_stay_truth_values():
    mask = np.array([[[False, True]]])
    np.testing.assert_array_equal(resample(mask, (1, 1, 4), 1), [[[False, False, True, True]]])
    assert resample(mask, (1, 1, 4), 3).dtype == bool


def test_spacing_and_shape_agree():
    shape, spacing = (32, 128, 100), (0.235, 0.15, 0.15)
    new = shape_for_spacing(shape, spacing, (0.25, 0.3, 1000.0))
    assert new == (30, 64, 1)
    for n, old, m, size in zip(shape, spacing, new, spacing_for_shape(shape, spacing, new), strict=True):
        assert m * size == pytest.approx(n * old, rel=1e-15)


@pytest.mark.parametrize(("shape", "order"), [((1, 0, 3), 1), ((2, 2, 2, 2), 1), ((2, 2, 2), 2)])
def test_impossible_requests_are_refused(shape, order):
    with pytest.raises(RequestError):
        resample(np.zeros((2, 2, 3)), shape, order)
