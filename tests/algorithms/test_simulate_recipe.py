"""The random stacks that the shipped models were trained on are repeatable and honest."""

from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.algorithms.simulate.recipe import cells_from_volume, random_stack
from plantseg_app.errors import InputError


@pytest.fixture(scope="module")
def cubes():
    grid = np.indices((60, 90, 90)) // 20
    return (1 + grid[0] + 5 * grid[1] + 25 * grid[2]).astype(np.int32)


def test_a_stack_is_repeatable_and_holds_what_its_labels_say():
    shape = (16, 40, 40)
    first, again, other = (random_stack(np.random.default_rng(s), None, shape) for s in (5, 5, 6))
    np.testing.assert_array_equal(first.raw, again.raw)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.raw != other.raw).any()
    assert first.raw.shape == first.labels.shape == shape
    assert first.raw.dtype == np.uint8
    ids = np.unique(first.labels)
    assert len(ids) > 2
    np.testing.assert_array_equal(ids[ids > 0], np.arange(1, (ids > 0).sum() + 1))


def test_every_sort_of_stack_can_be_drawn(cubes):
    for seed in range(6):
        stack = random_stack(np.random.default_rng(seed), cubes if seed % 2 else None, (10, 32, 32), dense_share=0.5)
        assert stack.raw.max() > stack.raw.min()


def test_cells_cut_from_a_volume_have_its_sizes(cubes):
    sizes = []
    for seed in range(6):
        labels = cells_from_volume(np.random.default_rng(seed), cubes, (24, 48, 48))
        sizes.append(np.median(np.bincount(labels.ravel())[1:]))
    assert 400 < np.median(sizes) < 8 * 20**3


def test_a_volume_without_cells_is_refused():
    with pytest.raises(InputError, match="no cell"):
        cells_from_volume(np.random.default_rng(0), np.zeros((20, 40, 40), np.int32), (8, 16, 16))
