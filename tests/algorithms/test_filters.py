"""Smoothing against scipy and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.algorithms.filters import ellipsoid, gaussian, in_voxels, median
from plantseg_app.errors import Cancelled

SHAPES = st.tuples(*[st.integers(1, 9)] * 3)


def random_image(shape, dtype=np.float32, seed=0):
    return (np.random.default_rng(seed).random(shape) * 200).astype(dtype)


@settings(max_examples=50, deadline=None)
@given(SHAPES, st.tuples(*[st.sampled_from([0.0, 0.4, 1.0, 3.3])] * 3))
def test_gaussian_equals_scipy(shape, sigma):
    image = random_image(shape)
    expected = ndi.gaussian_filter(image, sigma, mode="reflect", truncate=4.0)
    np.testing.assert_array_equal(gaussian(image, sigma), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, ">f4", bool])
def test_gaussian_of_any_type_is_float32(dtype):
    image = random_image((4, 70, 33), dtype)
    result = gaussian(image, (1.0, 2.0, 2.0))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, ndi.gaussian_filter(image.astype(float), (1, 2, 2)), rtol=1e-5)


def test_gaussian_keeps_double_precision_where_it_is_there():
    image = random_image((5, 6, 7), np.float64)
    np.testing.assert_allclose(gaussian(image, (1.0, 1.0, 1.0)), ndi.gaussian_filter(image, 1.0), rtol=1e-12)


def test_gaussian_keeps_the_mean_and_leaves_flat_axes_alone():
    image = random_image((1, 20, 30), np.float64)
    assert gaussian(image, (9.0, 2.0, 2.0)).mean() == pytest.approx(image.mean(), rel=1e-12)
    flat = random_image((1, 1, 1))
    assert gaussian(flat, (1.0, 1.0, 1.0)) is flat
    still = random_image((2, 3, 4))
    assert gaussian(still, (0.0, 0.0, 0.0)) is still


def brute_force_median(image, radius):
    """The median of the mirrored neighbourhood, voxel by voxel."""
    footprint = ellipsoid(radius)
    reach = [n // 2 for n in footprint.shape]
    padded = np.pad(image, [(r, r) for r in reach], mode="symmetric")
    result = np.empty_like(image)
    for index in np.ndindex(image.shape):
        box = padded[tuple(slice(i, i + n) for i, n in zip(index, footprint.shape, strict=True))]
        values = np.sort(box[footprint])
        result[index] = values[len(values) // 2]
    return result


@pytest.mark.parametrize("shape", [(1, 9, 9), (7, 6, 5), (12, 3, 3)])
@pytest.mark.parametrize("radius", [(1.0, 1.0, 1.0), (0.5, 2.0, 2.0)])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_median_equals_brute_force(shape, radius, n_threads):
    for dtype in (np.uint16, np.float32):
        image = random_image(shape, dtype)
        effective = tuple(r if n > 1 else 0.0 for r, n in zip(radius, shape, strict=True))
        result = median(image, radius, n_threads=n_threads)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, brute_force_median(image, effective))


@settings(max_examples=20, deadline=None)
@given(SHAPES, st.integers(1, 4))
def test_median_does_not_depend_on_how_the_work_is_cut(shape, n_threads):
    image = random_image(shape, np.uint8)
    footprint = ellipsoid([2.0 if n > 1 else 0.0 for n in shape])
    expected = ndi.median_filter(image, footprint=footprint, mode="reflect")
    np.testing.assert_array_equal(median(image, (2.0, 2.0, 2.0), n_threads=n_threads), expected)


def test_median_can_be_stopped():
    def stop_at_once(items):
        raise Cancelled("stopped")
        yield from items

    with pytest.raises(Cancelled):
        median(random_image((20, 20, 20)), (1.0, 1.0, 1.0), track=stop_at_once)


def test_half_precision_is_taken():
    image = random_image((3, 5, 6)).astype(np.float16)
    np.testing.assert_array_equal(median(image, (1.0, 1.0, 1.0)), brute_force_median(image, (1.0, 1.0, 1.0)))


def test_ellipsoid_is_a_ball_for_equal_radii():
    from skimage.morphology import ball

    for radius in (1, 2, 3):
        np.testing.assert_array_equal(ellipsoid((radius,) * 3), ball(radius))
    assert ellipsoid((0.2, 3.0, 3.0)).shape == (1, 7, 7)


def test_lengths_in_voxels_of_the_finest_axis_or_in_micrometres():
    assert in_voxels(2.0, (1.0, 0.5, 0.25), physical=False) == (0.5, 1.0, 2.0)
    assert in_voxels(2.0, (1.0, 0.5, 0.25), physical=True) == (2.0, 4.0, 8.0)
