"""Grey values against scikit-image, numpy in exact arithmetic, and the definitions."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.exposure import equalize_adapthist

from plantseg_app.algorithms import intensity
from plantseg_app.algorithms.intensity import (
    Operation,
    ball_background,
    clahe,
    combine,
    gaussian_background,
    invert,
    opening_background,
    subtract_background,
)
from plantseg_app.algorithms.normalise import unit_range
from plantseg_app.errors import RequestError


def texture(shape, seed=0):
    noise = np.random.default_rng(seed).random(shape)
    smooth = ndi.gaussian_filter(noise, [min(2, n // 4) for n in shape])
    return unit_range(smooth)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("operation", get_args(Operation))
def test_combining_equals_exact_arithmetic(operation, dtype):
    rng = np.random.default_rng(1)
    first, second = ((rng.random((3, 4, 5)) * 250).astype(dtype) for _ in range(2))
    second[0, 0, :3] = 0
    a, b = first.astype(float), second.astype(float)
    expected = {
        "add": a + b,
        "subtract": a - b,
        "multiply": a * b,
        "divide": np.divide(a, b, out=np.zeros_like(a), where=b != 0),
        "maximum": np.maximum(a, b),
        "minimum": np.minimum(a, b),
        "mean": (a + b) / 2,
        "absolute-difference": abs(a - b),
    }[operation]
    kept = first.copy()
    result = combine(first, second, operation)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=2e-5)
    np.testing.assert_array_equal(first, kept)


def test_combining_is_always_finite():
    tiny, large = np.float32([[[1e-45, 0.0]]]), np.float32([[[3e38, 0.0]]])
    for operation in get_args(Operation):
        for pair in ((large, tiny), (large, large), (tiny, large), (-large, large)):
            assert np.isfinite(combine(*pair, operation)).all(), operation


def test_combining_refuses_other_shapes_and_words():
    with pytest.raises(RequestError, match="one shape"):
        combine(np.zeros((1, 2, 3)), np.zeros((1, 2, 4)), "add")
    with pytest.raises(RequestError, match="maximum"):
        combine(np.zeros(3), np.zeros(3), "max")  # type: ignore[arg-type]


@given(arrays(st.sampled_from([np.uint8, np.uint16, np.int8, np.int32, np.float32, bool]), (1, 2, 3)))
def test_inverting_twice_is_nothing(image):
    if image.dtype.kind == "f":
        image = np.nan_to_num(image.clip(-1000, 1000)).round(1)
    once = invert(image)
    assert once.dtype == image.dtype
    if image.dtype.kind == "f":
        np.testing.assert_allclose(invert(once), image, atol=1e-3)
    else:
        np.testing.assert_array_equal(invert(once), image)


@given(arrays(st.sampled_from([np.uint8, np.int8, np.uint16]), (5,)))
def test_inverting_within_the_image_keeps_its_range(image):
    exact = image.astype(int)
    np.testing.assert_array_equal(invert(image, "image"), exact.max() + exact.min() - exact)


def test_inverting_by_type():
    np.testing.assert_array_equal(invert(np.uint16([0, 65535, 1])), [65535, 0, 65534])
    np.testing.assert_allclose(invert(np.float32([0.25, 0.5])), [0.75, 0.5])
    np.testing.assert_allclose(invert(np.float32([2.0, 5.0])), [5.0, 2.0])
    np.testing.assert_allclose(invert(np.float32([0.25, 0.5]), "image"), [0.5, 0.25])
    for image, within in ((np.float32([1]), "type"), (np.uint8([1]), "one")):
        with pytest.raises(RequestError):
            invert(image, within)


@pytest.mark.parametrize(("shape", "region"), [((1, 96, 128), (1, 32, 32)), ((32, 48, 64), (16, 16, 32))])
def test_clahe_is_that_of_scikit_image(shape, region):
    image = texture(shape)
    kernel = [size for size, n in zip(region, shape, strict=True) if n > 1]
    expected = equalize_adapthist(image.squeeze(), kernel_size=kernel, clip_limit=0.01).reshape(shape)
    np.testing.assert_array_equal(clahe(image * 7 - 3, region, 0.01 * 256), expected)


def test_clahe_follows_the_curve_of_its_definition_in_a_single_region():
    image = texture((1, 60, 60))
    levels = np.floor(image[0] * 255.999).astype(int)
    counts = np.bincount(levels.ravel(), minlength=256).astype(float)
    for _ in range(100):  # What lies above the limit is spread evenly over all levels.
        excess = np.maximum(counts - 3.0 * 3600 / 256, 0)
        counts = counts - excess + excess.sum() / 256
    curve = np.cumsum(counts)[levels] / 3600
    assert abs(clahe(image, (1, 60, 60), 3.0)[0] - (curve - curve.min()) / np.ptp(curve)).max() < 0.025


def test_clahe_in_slices_is_clahe_of_each_slice():
    image = texture((5, 40, 40))
    image[0, 0, :2], image[3, 0, :2] = (0, 1), (0, 1)
    result = clahe(image, (1, 20, 20), 3.0)
    np.testing.assert_array_equal(result[3], clahe(image[3:4], (1, 20, 20), 3.0)[0])


@pytest.mark.parametrize("max_slope", [1.0, 4.0])
def test_clahe_does_not_make_an_image_of_the_noise_of_an_empty_slice(max_slope):
    image = texture((3, 48, 48))
    noise = np.random.default_rng(0).normal(0.1, 0.01, (48, 48))
    image[1], image[2] = noise, 0.25
    result = clahe(image, (1, 16, 16), max_slope)
    assert result[1].std() < 1.5 * max_slope * noise.std()
    assert result[0].std() >= 0.9 * image[0].std()
    assert not result[2].any()


def test_clahe_raises_local_contrast_and_stays_in_order_locally():
    rng = np.random.default_rng(3)
    dim_and_bright = np.concatenate([rng.random((1, 64, 64)) * 0.1, rng.random((1, 64, 64))], axis=2)
    result = clahe(dim_and_bright.astype(np.float32), (1, 32, 32), 8.0)
    assert result[..., :48].std() > 3 * dim_and_bright[..., :48].std()
    one_box = texture((1, 30, 30))
    order = np.argsort(one_box, axis=None)
    # The blend of equal curves is rounded to one of 2^14 grey levels, down or up.
    assert (np.diff(clahe(one_box, (1, 30, 30), 4.0).ravel()[order]) >= -1.01 / 2**14).all()


@pytest.mark.parametrize("width", [1, 3, 4])
@pytest.mark.parametrize("depth", [1, 5])
def test_clahe_of_an_image_as_wide_as_a_pixel_has_colours(depth, width):
    image = texture((depth, 30, 30))[..., :width]
    result = clahe(image, (depth, 16, 16), 4.0)
    assert result.shape == image.shape
    assert np.corrcoef(result.ravel(), image.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_clahe_takes_any_type_and_constant_images(dtype):
    image = (texture((3, 20, 20)) * 200).astype(dtype)
    for max_slope in (1.0, 3.0, 50.0):
        result = clahe(image, (2, 7, 300), max_slope)
        assert result.dtype == np.float32
        assert 0 <= result.min() <= result.max() <= 1 + 1e-6
    assert not clahe(np.full((2, 3, 4), 7, dtype), (1, 8, 8), 3.0).any()


def test_slope_of_one_keeps_the_contrast():
    image = texture((1, 64, 64))
    result = clahe(image, (1, 32, 32), 1.0)
    np.testing.assert_allclose(result, image, atol=0.02)


def test_opening_equals_scipy_and_lies_below():
    image = (texture((6, 30, 30)) * 255).astype(np.uint8)
    background = opening_background(image, (1.0, 4.0, 4.0))
    expected = ndi.maximum_filter(ndi.minimum_filter(image, (3, 9, 9), mode="nearest"), (3, 9, 9), mode="nearest")
    np.testing.assert_array_equal(background, expected)
    assert (background <= image).all()


def test_rolling_ball_equals_scikit_image_when_not_shrunk():
    from skimage.restoration import ball_kernel, rolling_ball

    image = texture((1, 40, 40))[0] * 255
    image[0, :2] = 0, 255
    expected = rolling_ball(image, kernel=ball_kernel(5, 2))
    np.testing.assert_allclose(ball_background(image[None], (0.0, 5.0, 5.0))[0], expected, atol=1e-3)


def test_rolling_ball_under_a_shrunken_image_is_nearly_the_full_one(monkeypatch):
    slope = np.linspace(0, 60, 120)[None, None] + np.zeros((1, 120, 1))
    rng = np.random.default_rng(0)
    spots = np.zeros((1, 120, 120))
    spots[0, rng.integers(0, 120, 40), rng.integers(0, 120, 40)] = 200
    image = (slope + ndi.gaussian_filter(spots, (0, 1, 1)) * 5).astype(np.float32)
    fast = ball_background(image, (0.0, 20.0, 20.0))
    monkeypatch.setattr(intensity, "_BALL_RADIUS", 1000.0)
    full = ball_background(image, (0.0, 20.0, 20.0))
    assert (fast <= image + 1e-3).all()
    assert abs(fast - full).mean() < 0.03 * np.ptp(image)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 13, 7), (5, 11, 17), (2, 1, 40)])
@pytest.mark.parametrize("make", [gaussian_background, opening_background, ball_background])
def test_backgrounds_of_small_and_constant_images(make, shape):
    image = (texture(shape) * 250).astype(np.uint8)
    background = make(image, (8.0, 8.0, 8.0))
    assert background.shape == shape
    assert background.dtype == np.float32
    constant = np.full(shape, 9, np.uint16)
    np.testing.assert_allclose(make(constant, (8.0, 8.0, 8.0)), 9, rtol=1e-6)


def test_subtracting_does_not_wrap():
    image = np.uint8([[[10, 20, 30]]])
    np.testing.assert_array_equal(subtract_background(image, np.float32([[[11, 5.4, 0]]])), [[[0, 15, 30]]])
    assert subtract_background(image, np.zeros((1, 1, 3), np.float32)).dtype == np.uint8


@settings(max_examples=30, deadline=None)
@given(arrays(np.int32, (2, 3, 4)))
def test_unit_range_is_0_to_1(image):
    result = unit_range(image)
    exact = image.astype(float)
    expected = (exact - exact.min()) / max(np.ptp(exact), 1e-30)
    np.testing.assert_allclose(result, expected, atol=1e-6)
