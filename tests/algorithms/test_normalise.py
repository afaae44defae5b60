"""Normalisation against numpy's own statistics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plantseg_app.algorithms.normalise import percentile_normalise, percentiles, zscore
from plantseg_app.errors import InputError

whole = st.sampled_from([np.uint8, np.uint16, np.int8, np.int16, np.int32]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, max_side=6))
)
real = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=4, max_side=6),
    elements=st.floats(-1e6, 1e6, width=32, allow_nan=False),
)


@given(st.one_of(whole, real), st.floats(0, 100))
@settings(max_examples=200, deadline=None)
def test_percentiles_are_those_of_numpy(image, percentile):
    expected = np.percentile(image.astype(np.float64), percentile)
    assert percentiles(image, (percentile,))[0] == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.one_of(whole, real))
@settings(max_examples=100, deadline=None)
def test_percentile_normalise_is_linear_and_finite(image):
    before = image.copy()
    result = percentile_normalise(image, 1, 99.8)
    low, high = np.percentile(image.astype(np.float64), (1, 99.8))
    assert result.dtype == np.float32
    assert result.shape == image.shape
    assert np.isfinite(result).all()
    assert (image == before).all()
    if high - low > 1e-3:
        np.testing.assert_allclose(result, (image.astype(np.float64) - low) / (high - low), rtol=1e-3, atol=1e-3)


@given(whole)
@settings(max_examples=100, deadline=None)
def test_zscore_is_that_of_numpy(image):
    image64 = image.astype(np.float64)
    expected = (image64 - image64.mean()) / (image64.std() or 1)
    np.testing.assert_allclose(zscore(image), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_constant_image_becomes_zero(value):
    image = np.full((2, 3, 4), value, np.uint16)
    assert not percentile_normalise(image, 1, 99).any()
    assert not zscore(image).any()


def test_few_bright_voxels_on_black_stay_in_range():
    image = np.zeros((10, 100, 100), np.uint8)
    image[5, 50, 50] = 200
    result = percentile_normalise(image, 1, 99.8)
    assert (result.min(), result.max()) == (0, 1)


def test_small_contrast_on_a_large_offset_survives():
    image = np.array([1e6, 1e6 + 0.5, 1e6 + 1.0])
    assert percentile_normalise(image, 0, 100).tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(("low", "high"), [(50, 50), (99, 1), (-1, 50), (1, 101)])
def test_wrong_percentiles_are_refused(low, high):
    with pytest.raises(InputError, match="Percentiles"):
        percentile_normalise(np.zeros(3), low, high)
