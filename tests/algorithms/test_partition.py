"""Partitions against exhaustive search and against the definitions of the linkages."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.algorithms.partition import Linkage, Solver, gasp, multicut, multicut_costs
from plantseg_app.algorithms.region_graph import RegionGraph
from plantseg_app.errors import Cancelled


def random_graph(seed: int, n_nodes: int = 7, density: float = 0.6) -> RegionGraph:
    rng = np.random.default_rng(seed)
    edges = np.array([pair for pair in itertools.combinations(range(1, n_nodes + 1), 2) if rng.random() < density])
    edges = edges.reshape(-1, 2)
    sizes = np.concatenate([[0], rng.integers(1, 50, n_nodes)])
    return RegionGraph(edges, rng.random(len(edges)), rng.integers(1, 20, len(edges)).astype(float), sizes)


def partitions(n: int) -> Iterator[tuple[int, ...]]:
    """All partitions of n things, as restricted growth strings."""

    def grow(prefix: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(prefix) == n:
            yield prefix
            return
        for label in range(max(prefix, default=-1) + 2):
            yield from grow((*prefix, label))

    return grow(())


def energy(graph: RegionGraph, labels: np.ndarray, beta: float) -> float:
    cut = labels[graph.edges[:, 0]] != labels[graph.edges[:, 1]]
    return float(multicut_costs(graph.evidence, beta, graph.lengths)[cut].sum())


def agglomerate(graph: RegionGraph, beta: float, linkage: Linkage) -> set[frozenset[int]]:
    """GASP by its definition: the pair with the largest absolute weight is joined, or forbidden for abs_max."""
    clusters = [frozenset([node]) for node in range(1, graph.n_nodes)]
    weights = {
        frozenset(edge): (1 - p - beta, size)
        for edge, p, size in zip(graph.edges.tolist(), graph.evidence, graph.lengths, strict=True)
    }

    def between(a: frozenset[int], b: frozenset[int]) -> float | None:
        found = [weights[key] for u in a for v in b if (key := frozenset((u, v))) in weights]
        if not found:
            return None
        values, sizes = np.array(found).T
        return {
            Linkage.AVERAGE: np.average(values, weights=sizes),
            Linkage.SUM: values.sum(),
            Linkage.MAX: values.max(),
            Linkage.MIN: values.min(),
            Linkage.ABS_MAX: values[np.argmax(abs(values))],
        }[linkage]

    while True:
        pairs = [(w, a, b) for a, b in itertools.combinations(clusters, 2) if (w := between(a, b)) is not None]
        attractive = [pair for pair in pairs if pair[0] > 0]
        if not attractive:
            return set(clusters)
        _, a, b = max(attractive, key=lambda pair: pair[0])
        clusters = [c for c in clusters if c not in (a, b)] + [a | b]


def as_sets(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels[1:])}


@pytest.mark.parametrize("linkage", list(Linkage))
@given(seed=st.integers(0, 2000), beta=st.sampled_from([0.3, 0.5, 0.7]))
@settings(max_examples=25, deadline=None)
def test_gasp_is_agglomeration_by_its_linkage(linkage: Linkage, seed: int, beta: float) -> None:
    graph = random_graph(seed)
    assert as_sets(gasp(graph, beta, linkage)) == agglomerate(graph, beta, linkage)


@given(seed=st.integers(0, 2000), beta=st.sampled_from([0.3, 0.5, 0.6, 0.8]))
@settings(max_examples=15, deadline=None)
def test_multicut_reaches_the_optimum_of_small_graphs(seed: int, beta: float) -> None:
    graph = random_graph(seed, n_nodes=6)
    best = min(energy(graph, np.array([0, *np.array(p) + 1]), beta) for p in partitions(6))
    greedy = energy(graph, multicut(graph, beta, Solver.GREEDY_ADDITIVE), beta)
    refined = energy(graph, multicut(graph, beta, Solver.KERNIGHAN_LIN), beta)
    assert refined <= greedy + 1e-6
    assert best - 1e-6 <= energy(graph, multicut(graph, beta, Solver.FUSION_MOVES, 5.0), beta) <= refined + 1e-6
    # Local search: not always the optimum, but never far on graphs this small.
    assert refined <= best + 0.15 * abs(best) + 1e-6


def test_kernighan_lin_mostly_finds_the_optimum() -> None:
    hits = 0
    for seed in range(40):
        graph = random_graph(seed, n_nodes=6)
        best = min(energy(graph, np.array([0, *np.array(p) + 1]), 0.5) for p in partitions(6))
        hits += energy(graph, multicut(graph, 0.5), 0.5) <= best + 1e-6
    assert hits >= 36


@pytest.mark.parametrize("solver", list(Solver))
def test_every_solver_finds_two_clear_cells(solver: Solver) -> None:
    graph = RegionGraph(
        np.array([[1, 2], [2, 3], [3, 4]]), np.array([0.1, 0.9, 0.1]), np.ones(3), np.array([0, 5, 5, 5, 5])
    )
    assert multicut(graph, 0.5, solver, time_limit_s=5, n_threads=2).tolist() == [0, 1, 1, 2, 2]


@pytest.mark.parametrize("method", [gasp, multicut])
def test_beta_from_one_cell_to_all_superpixels(method: object) -> None:
    graph = random_graph(1)
    counts = [int(method(graph, beta).max()) for beta in (0.0, 0.5, 1.0)]  # type: ignore[operator]
    assert counts == sorted(counts)
    assert counts[-1] == graph.n_nodes - 1


@pytest.mark.parametrize("method", [gasp, multicut])
def test_nodes_without_edges_stay_alone(method: object) -> None:
    lonely = RegionGraph(np.empty((0, 2), np.int64), np.empty(0), np.empty(0), np.array([4, 5, 6]))
    assert method(lonely, 0.6).tolist() == [0, 1, 2]  # type: ignore[operator]
    nothing = RegionGraph(np.empty((0, 2), np.int64), np.empty(0), np.empty(0), np.array([4]))
    assert method(nothing, 0.6).tolist() == [0]  # type: ignore[operator]


@given(seed=st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_names_of_superpixels_do_not_matter(seed: int) -> None:
    graph = random_graph(seed)
    rename = np.concatenate([[0], 1 + np.random.default_rng(seed).permutation(graph.n_nodes - 1)])
    renamed = graph.contract(rename)
    expected = {frozenset(rename[list(group)].tolist()) for group in as_sets(gasp(graph, 0.5))}
    assert as_sets(gasp(renamed, 0.5)) == expected


def test_a_time_limit_and_a_stop_are_heeded() -> None:
    graph = random_graph(3, n_nodes=60, density=0.2)
    in_no_time = multicut(graph, 0.5, Solver.FUSION_MOVES, time_limit_s=1e-9)
    assert np.array_equal(in_no_time, multicut(graph, 0.5, Solver.GREEDY_ADDITIVE))

    def stop() -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        multicut(graph, 0.5, check=stop)
