"""The region graph against brute force, and what follows from its definition."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from plantseg_app.algorithms import region_graph
from plantseg_app.algorithms.region_graph import (
    RegionGraph,
    absorb_small,
    build_region_graph,
    make_dense,
    number_from_one,
)

small_labels = arrays(np.uint32, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(0, 4))


def brute_force(labels: np.ndarray, boundary: np.ndarray) -> dict[tuple[int, int], list[float]]:
    values = defaultdict(list)
    for place in np.ndindex(labels.shape):
        for axis in range(labels.ndim):
            other = tuple(p + (a == axis) for a, p in enumerate(place))
            if other[axis] == labels.shape[axis]:
                continue
            a, b = sorted((int(labels[place]), int(labels[other])))
            if a != b and a > 0:
                values[a, b].append((float(boundary[place]) + float(boundary[other])) / 2)
    return values


@given(labels=small_labels, seed=st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_evidence_is_the_mean_over_shared_faces(labels: np.ndarray, seed: int) -> None:
    boundary = np.random.default_rng(seed).random(labels.shape, dtype=np.float32)
    graph = build_region_graph(labels, boundary)
    expected = brute_force(labels, boundary)
    assert [tuple(edge) for edge in graph.edges.tolist()] == sorted(expected)
    assert graph.lengths.tolist() == [len(expected[key]) for key in sorted(expected)]
    assert np.allclose(graph.evidence, [np.mean(expected[key]) for key in sorted(expected)])
    assert np.array_equal(graph.sizes, np.bincount(labels.ravel()))


@pytest.mark.parametrize("n_threads", [1, 3])
def test_blocks_and_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch, n_threads: int) -> None:
    rng = np.random.default_rng(3)
    labels = np.kron(rng.integers(0, 30, (4, 5, 6)), np.ones((5, 5, 5))).astype(np.uint32)
    boundary = rng.random(labels.shape, dtype=np.float32)
    whole = build_region_graph(labels, boundary)
    monkeypatch.setattr(region_graph, "BLOCK_VOX", 7)
    pieces = build_region_graph(labels, boundary, n_threads)
    assert np.array_equal(whole.edges, pieces.edges)
    assert np.allclose(whole.evidence, pieces.evidence)
    assert np.array_equal(whole.lengths, pieces.lengths)
    assert np.array_equal(whole.sizes, pieces.sizes)


@given(labels=small_labels, seed=st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_contracting_the_graph_is_relabelling_the_image(labels: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, _ = make_dense(labels)
    boundary = rng.random(labels.shape, dtype=np.float32)
    graph = build_region_graph(labels, boundary)
    table = number_from_one(np.concatenate([[0], rng.integers(1, 3, graph.n_nodes - 1)]))
    contracted, direct = graph.contract(table), build_region_graph(table[labels], boundary)
    assert np.array_equal(contracted.edges, direct.edges)
    assert np.allclose(contracted.evidence, direct.evidence)
    assert np.array_equal(contracted.sizes, direct.sizes)


def test_background_has_no_edges() -> None:
    labels = np.array([[[0, 1, 0, 2]]], np.uint32)
    assert build_region_graph(labels, np.ones(labels.shape)).edges.shape == (0, 2)


def test_small_objects_join_over_the_weakest_boundary() -> None:
    graph = RegionGraph(np.array([[1, 2], [2, 3]]), np.array([0.6, 0.2]), np.ones(2), np.array([0, 50, 1, 40]))
    assert absorb_small(graph, 10).tolist() == [0, 1, 2, 2]
    assert absorb_small(graph, 0).tolist() == [0, 1, 2, 3]


def test_small_objects_alone_become_one() -> None:
    graph = RegionGraph(np.array([[1, 2]]), np.array([0.6]), np.ones(1), np.array([0, 3, 2, 1]))
    assert absorb_small(graph, 10).tolist() == [0, 1, 1, 2]


@given(labels=small_labels, min_size=st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_absorbing_leaves_nothing_small_that_could_join(labels: np.ndarray, min_size: int) -> None:
    graph = build_region_graph(labels, np.random.default_rng(0).random(labels.shape))
    merged = graph.contract(absorb_small(graph, min_size))
    has_neighbour = np.unique(merged.edges)
    assert (merged.sizes[has_neighbour] >= min_size).all()


@pytest.mark.parametrize(
    "names", [[0, 1, 2], [0, 5, 9], [3, 4, 4_000_000_000], [0, 2**63, 2**64 - 1], [0, 0, 0], [7, 7, 7]], ids=str
)
def test_dense_names_lead_back(names: list[int]) -> None:
    labels = np.array([[names]], np.uint64)
    dense, back = make_dense(labels)
    assert dense.dtype == np.uint32
    assert np.array_equal(back[dense], labels)
    assert dense.max() == len(back) - 1


def test_more_labels_than_16_bits_can_name() -> None:
    labels = np.arange(1, 80_001, dtype=np.uint64).reshape(2, 200, 200) * 3 + 2**40
    dense, names = make_dense(labels)
    graph = build_region_graph(dense, np.zeros(labels.shape, np.float32))
    assert graph.n_nodes == 80_001
    assert len(graph.edges) == 200 * 200 + 2 * 2 * 199 * 200
    assert np.array_equal(names[dense], labels)
