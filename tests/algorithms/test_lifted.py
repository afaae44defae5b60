"""The lifted multicut: nuclei overrule weak and strong boundaries."""

from __future__ import annotations

import itertools

import numpy as np

from plantseg_app.algorithms.lifted import (
    NUCLEUS_WEIGHT,
    LiftedEdges,
    find_lifted_edges,
    label_nuclei,
    lifted_multicut,
    nuclei_of_superpixels,
)
from plantseg_app.algorithms.partition import multicut, multicut_costs
from plantseg_app.algorithms.region_graph import RegionGraph


def chain(evidence: list[float]) -> RegionGraph:
    n = len(evidence)
    edges = np.array([[i, i + 1] for i in range(1, n + 1)])
    return RegionGraph(edges, np.array(evidence), np.full(n, 4.0), np.array([0] + [9] * (n + 1)))


def test_different_nuclei_part_what_the_boundary_joins() -> None:
    graph = chain([0.1, 0.3, 0.1])
    assert multicut(graph, 0.5).tolist() == [0, 1, 1, 1, 1]
    edges = find_lifted_edges(graph, np.array([0, 1, 0, 0, 2]), 4)
    assert edges.pairs.tolist() == [[1, 4]]
    assert lifted_multicut(graph, edges, 0.5).tolist() == [0, 1, 1, 2, 2]


def test_one_nucleus_joins_what_the_boundary_parts() -> None:
    graph = chain([0.9, 0.1])
    edges = find_lifted_edges(graph, np.array([0, 7, 7, 0]), 4)
    assert lifted_multicut(graph, edges, 0.5).tolist() == [0, 1, 1, 1]


def test_nuclei_speak_only_as_far_as_asked() -> None:
    graph = chain([0.1] * 5)
    owners = np.array([0, 1, 0, 0, 0, 0, 2])
    assert len(find_lifted_edges(graph, owners, 4).pairs) == 0
    assert len(find_lifted_edges(graph, owners, 5).pairs) == 1
    assert find_lifted_edges(graph, np.array([0, 1, 2, 0, 0, 0, 0]), 1).pairs.tolist() == [[1, 2]]


def test_without_nuclei_it_is_a_multicut() -> None:
    graph = chain([0.2, 0.8, 0.3, 0.6])
    nothing = LiftedEdges(np.empty((0, 2), np.int64), np.empty(0, bool))
    assert np.array_equal(lifted_multicut(graph, nothing, 0.5), multicut(graph, 0.5))


EDGES = np.array([[1, 2], [1, 3], [2, 3], [2, 4], [3, 4], [3, 5], [4, 5]])


def is_connected(labels: np.ndarray) -> bool:
    for label in set(labels[1:]):
        members = set(np.flatnonzero(labels == label)) - {0}
        reached = {min(members)}
        for _ in range(5):
            reached |= {v for u, v in EDGES if u in reached and v in members}
            reached |= {u for u, v in EDGES if v in reached and u in members}
        if reached != members:
            return False
    return True


def test_it_mostly_finds_the_optimum_of_small_graphs() -> None:
    every = [np.array([0, *rest]) for rest in itertools.product(range(1, 6), repeat=5)]
    feasible = [labels for labels in every if is_connected(labels)]
    hits = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        graph = RegionGraph(EDGES, rng.random(7), rng.integers(1, 9, 7).astype(float), np.array([0] + [5] * 5))
        lifted = find_lifted_edges(graph, np.array([0, *rng.integers(0, 3, 5)]), 4)
        costs = multicut_costs(graph.evidence, 0.5, graph.lengths)
        nuclei_costs = np.where(lifted.same, 1, -1) * NUCLEUS_WEIGHT * abs(costs).max()

        def energy(labels: np.ndarray, lifted: LiftedEdges = lifted, near=costs, far=nuclei_costs) -> float:
            cut = labels[EDGES[:, 0]] != labels[EDGES[:, 1]]
            return near[cut].sum() + far[labels[lifted.pairs[:, 0]] != labels[lifted.pairs[:, 1]]].sum()

        found = lifted_multicut(graph, lifted, 0.5)
        assert is_connected(found)
        hits += energy(found) <= min(map(energy, feasible)) + 1e-6
    # Local search: not always the optimum.
    assert hits >= 17


def test_a_nucleus_has_to_cover_enough() -> None:
    labels = np.repeat(np.array([1, 2], np.uint32), 10).reshape(1, 1, 20)
    nuclei = np.zeros(labels.shape, np.uint64)
    nuclei[..., 7:11] = 2**50
    assert nuclei_of_superpixels(labels, nuclei, 3, 0.2).tolist() == [0, 1, 0]
    assert nuclei_of_superpixels(labels, nuclei, 3, 0.05).tolist() == [0, 1, 1]
    assert nuclei_of_superpixels(labels, nuclei, 3, 0.5).tolist() == [0, 0, 0]


def test_nuclei_of_a_map_are_its_large_parts() -> None:
    probability = np.zeros((1, 10, 20), np.float32)
    probability[0, 2:6, 2:6] = 0.9
    probability[0, 2:6, 12:16] = 0.8
    probability[0, 8, 8] = 1.0
    found = label_nuclei(probability, 0.5, 5)
    assert sorted(np.bincount(found.ravel()).tolist()) == [16, 16, 168]
