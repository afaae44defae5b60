"""Affinities of embeddings against the formula, one after the other, and the graphs made of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.algorithms.affinity_clustering import (
    ByAffinities,
    Partition,
    affinity_graph,
    axis_offsets,
    boundary_of,
    embedding_affinities,
    flood_affinities,
)
from plantseg_app.algorithms.frames import View
from plantseg_app.algorithms.mutex import NEIGHBOURS


def view_of(embedding):
    z, y, x = (slice(0, size) for size in embedding.shape[1:])
    return View((z, y, x), embedding)


def squares(n_blocks, edge):
    """Return a chequered plane of squares, each with an embedding far from those of all others."""
    rng = np.random.default_rng(0)
    names = np.arange(n_blocks**2).reshape(n_blocks, n_blocks)
    labels = np.kron(names, np.ones((edge, edge), int))[None]
    vectors = 8 * rng.normal(size=(n_blocks**2, 16))
    return labels, np.moveaxis(vectors[labels], -1, 0).astype(np.float32)


@given(st.integers(0, 1000), st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)), st.floats(0.2, 5))
@settings(max_examples=40, deadline=None)
def test_affinities_are_those_of_the_formula(seed, shape, separation):
    embedding = np.random.default_rng(seed).normal(size=(3, *shape)).astype(np.float32)
    offsets = [*NEIGHBOURS, (0, -2, 0), (0, 1, -1)]
    found = embedding_affinities(embedding, offsets, separation)
    for channel, offset in zip(found, offsets, strict=True):
        for place in np.ndindex(*shape):
            partner = tuple(p + o for p, o in zip(place, offset, strict=True))
            expected = 0.0
            if all(0 <= p < size for p, size in zip(partner, shape, strict=True)):
                apart = np.linalg.norm(embedding[(slice(None), *place)] - embedding[(slice(None), *partner)])
                weight = 1 - max((separation - apart) / separation, 0) ** 2
                expected = 1 - weight
            assert channel[place] == pytest.approx(expected, abs=1e-5)


def test_offsets_are_in_voxels_of_the_finest_axis_and_fit_the_image():
    assert axis_offsets((3, 9, 27), (1, 1, 1), (1, 20, 30)) == [
        (0, -3, 0),
        (0, 0, -3),
        (0, -9, 0),
        (0, 0, -9),
        (0, 0, -27),
    ]
    assert axis_offsets((3,), (3.0, 1.0, 1.0), (9, 9, 9)) == [(0, -3, 0), (0, 0, -3)]


@pytest.mark.parametrize("partition", list(Partition))
def test_squares_come_out_to_the_pixel(partition):
    # A weight stored one pixel off gives hundreds of segments here instead of sixteen.
    labels, embedding = squares(4, 12)
    found = ByAffinities(4.0, partition=partition)(view_of(embedding), np.ones(labels.shape, bool))
    pairs = np.unique(np.stack([labels.ravel(), found.ravel()]), axis=1)
    assert pairs.shape[1] == 16 == found.max()


def test_the_mutex_watershed_is_that_of_another_program():
    mwatershed = pytest.importorskip("mwatershed")
    rng = np.random.default_rng(1)
    embedding = rng.normal(size=(4, 1, 20, 22)).astype(np.float32)
    offsets = [*NEIGHBOURS, *axis_offsets((3, 9), (1, 1, 1), (1, 20, 22))]
    found = ByAffinities(8.0, reach=(3, 9), stride=(1, 1, 1), min_thickness=0)(
        view_of(embedding), np.ones((1, 20, 22), bool)
    )
    affinities = embedding_affinities(embedding, offsets, 8.0).astype(np.float64)
    signed = np.concatenate([affinities[1:3, 0], affinities[3:, 0] - 1])
    # It takes every edge there is, so edges that lead out of the image must be none.
    steps = [list(offset[1:]) for offset in offsets[1:]]
    for channel, (down, right) in zip(signed, steps, strict=True):
        channel[: -down or None if down else 0] = np.nan
        channel[:, : -right or None if right else 0] = np.nan
    other = mwatershed.agglom(np.nan_to_num(signed), steps)
    pairs = np.unique(np.stack([found.ravel(), other.ravel().astype(np.int64)]), axis=1)
    assert pairs.shape[1] == len(np.unique(found)) == len(np.unique(other))


def test_a_mask_is_kept_and_nothing_joins_across_it():
    embedding = np.zeros((2, 1, 9, 9), np.float32)
    inside = np.ones((1, 9, 9), bool)
    inside[:, :, 4] = False
    for partition in Partition:
        found = ByAffinities(4.0, partition=partition)(view_of(embedding), inside)
        assert ((found > 0) == inside).all()
        assert found[0, 0, 0] != found[0, 0, 8]


def test_beta_cuts():
    rng = np.random.default_rng(2)
    embedding = np.repeat(np.repeat(rng.normal(0, 1, (2, 1, 6, 6)), 6, axis=2), 6, axis=3).astype(np.float32)
    for partition in Partition:
        counts = [
            ByAffinities(4.0, beta=beta, partition=partition)(view_of(embedding), np.ones((1, 36, 36), bool)).max()
            for beta in (0.1, 0.5, 0.9)
        ]
        assert counts == sorted(counts)
        assert counts[0] < counts[-1]


def test_the_boundary_marks_both_sides():
    embedding = np.zeros((1, 1, 2, 5), np.float32)
    embedding[..., 3:] = 4
    boundary = boundary_of(embedding_affinities(embedding, NEIGHBOURS, 4.0))
    assert boundary[0].tolist() == [[0, 0, 1, 1, 0]] * 2


def test_the_graph_counts_all_pairs_of_touching_superpixels():
    labels = np.array([[[1, 1, 2, 0, 3]]], np.uint32)
    embedding = np.array([[[[0, 0, 1, 9, 9]]]], np.float32)
    offsets = [*NEIGHBOURS, (0, 0, -2)]
    graph = affinity_graph(labels, embedding_affinities(embedding, offsets, 2.0), offsets)
    assert graph.edges.tolist() == [[1, 2]]
    assert graph.lengths.tolist() == [2]
    assert graph.evidence.tolist() == pytest.approx([1 - 0.25])
    assert graph.sizes.tolist() == [1, 2, 1, 1]


def test_flooding_keeps_what_no_seed_reaches():
    affinities = np.ones((3, 1, 1, 5), np.float32)
    seeds = np.array([[[0, 7, 0, 0, 0]]], np.uint32)
    inside = np.array([[[1, 1, 1, 0, 1]]], bool)
    assert flood_affinities(affinities, seeds, inside).tolist() == [[[1, 1, 1, 0, 2]]]


def test_gasp_and_multicut_do_without_a_single_edge():
    for partition in Partition:
        found = ByAffinities(4.0, partition=partition)(
            view_of(np.zeros((2, 1, 1, 1), np.float32)), np.ones((1, 1, 1), bool)
        )
        assert found.tolist() == [[[1]]]
