"""What BioImage.IO's operations do to grey values, against numpy and against cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from plantseg_app.algorithms.operations import apply_operations, read_operations, split_at_whole_image

IMAGES = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 5), st.integers(2, 5)),
    elements=st.floats(-1e3, 1e3, width=32),
)  # fmt: skip


def done(image, **entry):
    return apply_operations(np.asarray(image, np.float32), read_operations([entry]))


@given(IMAGES, st.booleans(), st.booleans(), st.floats(0, 40), st.floats(60, 100))
@settings(max_examples=60, deadline=None)
def test_percentiles_are_those_of_what_is_looked_at(image, jointly, by_slice, low, high):
    got = done(image, do="scale-range", low=low, high=high, jointly=jointly, over="slice" if by_slice else "stack")
    groups = image.transpose(1, 0, 2, 3) if by_slice else image[None]
    expected = np.empty_like(groups, dtype=np.float64)
    for group, out in zip(groups, expected, strict=True):
        for part, to in [(group, out)] if jointly else list(zip(group, out, strict=True)):
            bottom, top = np.percentile(part.astype(float), [low, high])
            to[...] = (part - bottom) / (top - bottom + 1e-6)
    expected = expected.transpose(1, 0, 2, 3) if by_slice else expected[0]
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3 * max(1, np.abs(expected).max()))


@given(IMAGES, st.booleans())
@settings(max_examples=60, deadline=None)
def test_unit_variance_has_it(image, jointly):
    got = done(image, do="zero-mean-unit-variance", jointly=jointly, epsilon=0)
    for part in [got] if jointly else list(got):
        assert abs(part.mean(dtype=float)) < 1e-3
        # A constant image stays 0, where dividing would give no number.
        assert abs(part.std(dtype=float) - 1) < 1e-3 or not part.any()


def test_small_operations_by_hand():
    image = [[[[-1.0, 0.5, 3.7]]], [[[2.0, 2.0, 300.0]]]]
    assert done(image, do="clip", low=0, high=2).tolist() == [[[[0.0, 0.5, 2.0]]], [[[2.0, 2.0, 2.0]]]]
    assert done(image, do="clip", high=2.5).ravel()[0] == -1
    assert done(image, do="binarise", threshold=[0.4]).tolist() == [[[[0, 1, 1]]], [[[1, 1, 1]]]]
    assert done(image, do="binarise", threshold=[0.5, 2.0]).tolist() == [[[[0, 0, 1]]], [[[0, 0, 1]]]]
    scaled = done(image, do="scale-linear", gain=[2, 10], offset=[1])
    np.testing.assert_allclose(scaled.ravel(), [-1, 2, 8.4, 21, 21, 3001], rtol=1e-6)
    fixed = done(image, do="fixed-zero-mean-unit-variance", mean=[1, 2], std=[2, 4])
    np.testing.assert_allclose(fixed.ravel(), [-1, -0.25, 1.35, 0, 0, 74.5], rtol=1e-6)
    assert done(image, do="cast", to="uint8").ravel().tolist() == [255, 0, 3, 2, 2, 300 - 256]
    assert done(image, do="cast", to="bool").ravel().tolist() == [1] * 6
    np.testing.assert_allclose(done([[[[0.0, 800.0, -800.0]]]], do="sigmoid").ravel(), [0.5, 1, 0])
    np.testing.assert_allclose(done([[[[800.0]]], [[[800.0]]]], do="softmax").ravel(), [0.5, 0.5])
    values = np.arange(11.0).reshape(1, 1, 1, 11)
    assert done(values, do="clip-percentiles", low=20, high=75).ravel().tolist() == [2, 2, 2, 3, 4, 5, 6, 7, 8, 8, 8]


def test_operations_go_in_order_and_touch_the_channels_they_name_alone():
    image = np.stack([np.full((1, 1, 2), 4.0), np.full((1, 1, 2), 8.0)]).astype(np.float32)
    steps = read_operations(
        [
            {"do": "scale-linear", "offset": [1], "channels": [1]},
            {"do": "scale-linear", "gain": [2], "channels": [0, 1]},
        ]
    )
    assert apply_operations(image, steps)[:, 0, 0, 0].tolist() == [8, 18]
    assert image[:, 0, 0, 0].tolist() == [4, 8]


def test_what_needs_the_whole_image_waits_for_it():
    steps = read_operations([{"do": "sigmoid"}, {"do": "scale-range"}, {"do": "clip", "low": 0}])
    now, later = split_at_whole_image(steps)
    assert ([step.do for step in now], [step.do for step in later]) == (["sigmoid"], ["scale-range", "clip"])


@pytest.mark.parametrize(
    "entry",
    [
        {"do": "eval"},
        {"do": "scale-range", "low": 50, "high": 50},
        {"do": "scale-linear", "gain": []},
        {"do": "cast", "to": "object"},
        {"do": "clip", "low": float("nan")},
        {"do": "sigmoid", "axis": 1},
        {},
    ],
)
def test_other_operations_are_refused(entry):
    with pytest.raises(ValidationError):
        read_operations([entry])
