"""Tiles: every voxel exactly once, always on the grid, for any shape."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.core.tiles import Tiling, best_tiling, blend_windows, mirror_indices, round_up
from plantseg_app.errors import RequestError


def triple(low, high):
    return st.tuples(*[st.integers(low, high)] * 3)


tilings = st.builds(
    Tiling,
    triple(1, 40),
    grid_vox=st.tuples(*[st.sampled_from([1, 2, 4, 8, 16])] * 3),
    halo_vox=triple(0, 20),
    tile_vox=st.one_of(st.none(), triple(1, 50)),
    margin_vox=triple(0, 17),
)


@given(tilings)
@settings(max_examples=150, deadline=None)
def test_cores_cover_every_voxel_exactly_once(tiling):
    count = np.zeros(tiling.shape_vox, int)
    for tile in tiling:
        count[tile.core_slices] += 1
        assert all(0 <= a < b <= n for (a, b), n in zip(tile.core, tiling.shape_vox, strict=True))
    assert (count == 1).all()


@given(tilings)
@settings(max_examples=150, deadline=None)
def test_what_the_network_sees_lies_on_the_grid_of_the_padded_volume(tiling):
    before, padded = tiling.pad_before_vox, tiling.padded_shape_vox
    for tile in tiling:
        for axis in range(3):
            start, stop = (v + before[axis] for v in tile.outer[axis])
            assert start % tiling.grid_vox[axis] == 0
            assert stop % tiling.grid_vox[axis] == 0
            assert 0 <= start < stop <= padded[axis]


@given(tilings)
@settings(max_examples=150, deadline=None)
def test_each_core_has_its_halo_or_reaches_the_padded_border(tiling):
    before, padded = tiling.pad_before_vox, tiling.padded_shape_vox
    for tile in tiling:
        for axis in range(3):
            (core_start, core_stop), (start, stop) = tile.core[axis], tile.outer[axis]
            assert core_start - start >= tiling.halo_vox[axis] or start == -before[axis]
            assert stop - core_stop >= tiling.halo_vox[axis] or stop == padded[axis] - before[axis]


@given(tilings)
@settings(max_examples=100, deadline=None)
def test_padding_is_whole_cells_and_no_more_than_asked_for(tiling):
    for size, grid, margin, padded, before in zip(
        tiling.shape_vox,
        tiling.grid_vox,
        tiling.margin_vox,
        tiling.padded_shape_vox,
        tiling.pad_before_vox,
        strict=True,
    ):
        assert padded % grid == 0
        assert padded - 2 * margin - size < grid
        assert margin <= before <= padded - size - margin


@given(tilings)
@settings(max_examples=100, deadline=None)
def test_cores_are_near_equal_and_within_the_wanted_size(tiling):
    wanted = tiling.tile_vox or tiling.shape_vox
    for axis in range(3):
        grid = tiling.grid_vox[axis]
        before = tiling.pad_before_vox[axis]
        cells = {-(-(b + before) // grid) - (a + before) // grid for a, b in (tile.core[axis] for tile in tiling)}
        assert max(cells) - min(cells) <= 1
        assert max(cells) * grid <= round_up(wanted[axis], grid) + grid * (tiling.tile_vox is None)


@given(tilings)
@settings(max_examples=100, deadline=None)
def test_counts_agree_with_the_tiles(tiling):
    tiles = list(tiling)
    sizes = [math.prod(tile.outer_shape_vox) for tile in tiles]
    assert len(tiling) == len(tiles)
    assert tiling.largest_outer_vox == max(sizes)
    assert tiling.computed_vox == sum(sizes)


@given(tilings, st.integers(1, 60_000))
@settings(max_examples=60, deadline=None)
def test_best_tiling_fits_the_memory_and_computes_least(tiling, budget):
    best = best_tiling(tiling, budget)
    all_sizes = itertools.product(
        *[range(g, round_up(n, g) + g + 1, g) for n, g in zip(tiling.shape_vox, tiling.grid_vox, strict=True)]
    )
    least = math.inf
    for size in itertools.islice(all_sizes, 400):
        other = Tiling(tiling.shape_vox, tiling.grid_vox, tiling.halo_vox, size, tiling.margin_vox)
        if other.largest_outer_vox <= budget:
            least = min(least, other.computed_vox)
    if best.largest_outer_vox <= budget:
        assert best.computed_vox <= least
    else:
        assert least == math.inf
        assert best.tile_vox == tiling.grid_vox


@given(tilings, st.tuples(*[st.integers(20, 60)] * 3), st.integers(1, 60_000))
@settings(max_examples=60, deadline=None)
def test_no_tile_is_larger_than_a_network_can_be_shown(tiling, most, budget):
    least = [g + 2 * h for g, h in zip(tiling.grid_vox, tiling.halo_vox, strict=True)]
    most = tuple(max(pair) for pair in zip(most, least, strict=True))
    limited = dataclasses.replace(tiling, margin_vox=(0, 0, 0), largest_input_vox=most)
    for tiles in (limited, best_tiling(limited, budget)):
        for tile in tiles:
            assert all(seen <= limit for seen, limit in zip(tile.outer_shape_vox, most, strict=True))
    covered = sum(math.prod(b - a for a, b in tile.core) for tile in limited)
    assert covered == math.prod(limited.shape_vox)


def test_an_image_that_fits_is_one_tile_and_a_halo_that_leaves_nothing_is_refused():
    assert len(Tiling((1, 512, 512), halo_vox=(0, 32, 32), largest_input_vox=(9, 512, 512))) == 1
    assert len(Tiling((1, 512, 513), halo_vox=(0, 32, 32), largest_input_vox=(9, 512, 512))) == 2
    with pytest.raises(RequestError, match="leaves nothing"):
        Tiling((1, 512, 513), halo_vox=(0, 0, 256), largest_input_vox=(9, 512, 512))


def test_enough_memory_means_one_tile():
    assert len(best_tiling(Tiling((64, 256, 256), (8, 8, 8), (48, 48, 48)), 64 * 256 * 256)) == 1


def test_no_tiny_remainder():
    tiling = Tiling((1, 1, 260), tile_vox=(1, 1, 128))
    assert [tile.core[2] for tile in tiling] == [(0, 86), (86, 173), (173, 260)]


@given(st.integers(1, 9), st.integers(-40, 10), st.integers(1, 50))
def test_mirror_indices_are_those_of_numpy(size, start, length):
    stop = start + length
    before, after = max(0, -start), max(0, stop - size)
    padded = np.pad(np.arange(size), (before, after), mode="reflect")
    expected = padded[start + before : stop + before]
    assert mirror_indices((start, stop), size).tolist() == expected.tolist()


@given(tilings)
@settings(max_examples=100, deadline=None)
def test_windows_add_up_to_one(tiling):
    total = np.zeros(tiling.shape_vox)
    for tile, window in blend_windows(tiling, tiling.halo_vox):
        z, y, x = window.weights
        total[tuple(slice(*span) for span in window.spans)] += z[:, None, None] * y[None, :, None] * x[None, None, :]
        for (a, b), (o, p) in zip(window.spans, tile.outer, strict=True):
            assert o <= a < b <= p
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_windows_fall_smoothly():
    tiling = Tiling((1, 1, 64), (1, 1, 1), (0, 0, 8), (1, 1, 32))
    (_, first), (_, second) = blend_windows(tiling, (0, 0, 8))
    assert first.spans[2] == (0, 40)
    assert second.spans[2] == (24, 64)
    fall = first.weights[2][24:]
    assert (np.diff(fall) < 0).all()
    assert np.abs(np.diff(fall)).max() < 0.11


@pytest.mark.parametrize(
    "wrong", [{"tile_vox": (0, 1, 1)}, {"grid_vox": (0, 1, 1)}, {"halo_vox": (-1, 0, 0)}, {"shape_vox": (4, 4)}]
)
def test_impossible_tilings_are_refused(wrong):
    with pytest.raises(RequestError):
        Tiling(**{"shape_vox": (4, 4, 4), **wrong})


def test_windows_beyond_the_halo_are_refused():
    with pytest.raises(RequestError, match="halo"):
        list(blend_windows(Tiling((8, 8, 8)), (1, 1, 1)))
