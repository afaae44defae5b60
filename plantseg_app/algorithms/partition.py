"""Partitions of a region graph: which superpixels belong to one cell.

Boundary evidence p becomes a signed weight: positive (attractive) below ``1 - beta``, negative (repulsive) above. A
larger beta therefore cuts more. Every function returns one label for each node, dense from 1, with node 0 kept as
background, and is deterministic.

>>> import numpy as np
>>> from plantseg_app.algorithms.region_graph import RegionGraph
>>> graph = RegionGraph(np.array([[1, 2], [2, 3]]), np.array([0.1, 0.9]), np.array([5.0, 5.0]), np.array([0, 9, 9, 9]))
>>> gasp(graph, beta=0.5).tolist(), multicut(graph, beta=0.5).tolist()
([0, 1, 1, 2], [0, 1, 1, 2])
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.algorithms.region_graph import RegionGraph, number_from_one

_NO_IMPROVEMENT_ROUNDS = 4
_MOST_ROUNDS = 100


class Linkage(enum.StrEnum):
    """How GASP weighs the boundary between two groups of superpixels (Bailoni et al., Table 1)."""

    AVERAGE = "average"
    SUM = "sum"
    MAX = "max"
    MIN = "min"
    ABS_MAX = "abs_max"


_NATIVE_LINKAGE = {
    Linkage.AVERAGE: "mean",
    Linkage.SUM: "sum",
    Linkage.MAX: "max",
    Linkage.MIN: "min",
    Linkage.ABS_MAX: "mutex_watershed",
}


class Solver(enum.StrEnum):
    """How a multicut is solved; all but the first are improvements of it."""

    GREEDY_ADDITIVE = "greedy-additive"
    KERNIGHAN_LIN = "kernighan-lin"
    FUSION_MOVES = "fusion-moves"
    DECOMPOSITION = "decomposition"


def signed_weights(evidence: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Return ``(1 - p) - beta``: from 1 - beta for no boundary down to -beta for a certain one."""
    return 1.0 - evidence - beta


def multicut_costs(
    evidence: NDArray[np.float64], beta: float, lengths: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the cost of cutting each edge: the log odds of no boundary, weighted by the length of the boundary.

    Parameters
    ----------
    evidence
        (E,) boundary probability in [0, 1].
    beta
        In [0, 1]; the cost is 0 where the evidence is 1 - beta.
    lengths
        (E,) weights, divided by the largest; none unless given.
    """
    least = 1e-3
    p = np.clip(evidence, 0, 1) * (1 - 2 * least) + least
    bias = min(max(beta, least), 1 - least)
    costs = np.log((1 - p) / p) + np.log((1 - bias) / bias)
    if lengths is not None and len(lengths):
        costs = costs * (lengths / lengths.max())
    return np.asarray(costs)


def gasp(graph: RegionGraph, beta: float, linkage: Linkage = Linkage.AVERAGE) -> NDArray[np.uint32]:
    """Join the most attractive pair of groups, again and again, until no pair attracts.

    Parameters
    ----------
    graph
        Superpixels and their boundaries.
    beta
        In [0, 1]; larger cuts more.
    linkage
        How parallel boundaries are weighed.

    References
    ----------
    .. [1] Bailoni et al. (2022), GASP, a generalized framework for agglomerative clustering of signed graphs,
           CVPR, https://doi.org/10.1109/CVPR52688.2022.01135
    """
    from bioimage_cpp.graph.agglomeration import GaspClusterPolicy

    if len(graph.edges) == 0:
        return np.arange(graph.n_nodes, dtype=np.uint32)
    policy = GaspClusterPolicy(linkage=_NATIVE_LINKAGE[Linkage(linkage)])
    weights = signed_weights(graph.evidence, beta)
    return number_from_one(np.asarray(policy.optimize(graph.as_native(), weights, edge_sizes=graph.lengths)))


def multicut(
    graph: RegionGraph,
    beta: float,
    solver: Solver = Solver.KERNIGHAN_LIN,
    time_limit_s: float | None = None,
    n_threads: int = 1,
    check: Check = never_stop,
) -> NDArray[np.uint32]:
    """Cut the graph at the least total cost, or near it: the exact problem is NP-hard.

    Parameters
    ----------
    graph
        Superpixels and their boundaries.
    beta
        In [0, 1]; larger cuts more.
    solver
        How.
    time_limit_s
        The best partition so far is returned after this time; a round that has begun is finished first.
    n_threads
        Threads to use; the result does not depend on it.
    check
        Called between rounds; may raise to stop.

    References
    ----------
    .. [1] Kappes et al. (2011), Globally optimal image partitioning by multicuts,
           https://doi.org/10.1007/978-3-642-23094-3_3
    .. [2] Beier et al. (2015), Fusion moves for correlation clustering, https://doi.org/10.1109/CVPR.2015.7298973
    """
    if len(graph.edges) == 0:
        return np.arange(graph.n_nodes, dtype=np.uint32)
    from bioimage_cpp.graph.multicut import MulticutObjective

    objective = MulticutObjective(graph.as_native(), multicut_costs(graph.evidence, beta, graph.lengths))
    return number_from_one(solve_multicut(objective, Solver(solver), time_limit_s, n_threads, check))


def solve_multicut(
    objective: Any, solver: Solver, time_limit_s: float | None, n_threads: int, check: Check
) -> NDArray[Any]:
    """Optimise a ``bioimage_cpp`` multicut objective and return its node labels."""
    from bioimage_cpp.graph import multicut as library

    deadline = None if time_limit_s is None else time.monotonic() + time_limit_s
    if solver is Solver.DECOMPOSITION:
        inner = library.KernighanLinMulticut()
        return np.asarray(library.MulticutDecomposer(inner, number_of_threads=n_threads).optimize(objective))
    library.GreedyAdditiveMulticut().optimize(objective)
    if solver is Solver.GREEDY_ADDITIVE:
        return np.asarray(objective.labels)
    # One round at a time, so that a person can stop and a time limit holds; the objective keeps the best labels.
    improve_in_rounds(objective, _kernighan_lin_round, 1, deadline, check)
    if solver is Solver.FUSION_MOVES:
        improve_in_rounds(objective, _fusion_round, _NO_IMPROVEMENT_ROUNDS, deadline, check)
    return np.asarray(objective.labels)


def _kernighan_lin_round(number: int) -> Any:
    from bioimage_cpp.graph.multicut import KernighanLinMulticut

    del number
    return KernighanLinMulticut(number_of_outer_iterations=1)


def _fusion_round(number: int) -> Any:
    from bioimage_cpp.graph import multicut as library

    return library.FusionMoveMulticut(
        # Two proposals a round take the seeds 2 n and 2 n + 1.
        proposal_generator=library.WatershedProposalGenerator(seed=2 * number),
        number_of_iterations=1,
        number_of_parallel_proposals=2,
    )


def improve_in_rounds(
    objective: Any, solver_of_round: Callable[[int], Any], patience: int, deadline: float | None, check: Check
) -> None:
    """Run solvers on an objective until `patience` rounds in a row gain nothing, or time is up.

    Parameters
    ----------
    objective
        Any ``bioimage_cpp`` objective with ``labels`` and ``energy()``; holds the best labels afterwards.
    solver_of_round
        Makes the solver of a round from its number.
    patience
        Rounds without gain after which to stop.
    deadline
        Time of ``time.monotonic`` after which no round begins.
    check
        Called before each round; may raise to stop.
    """
    best, idle = objective.energy(), 0
    for number in range(_MOST_ROUNDS):
        check()
        if idle >= patience or (deadline is not None and time.monotonic() >= deadline):
            return
        before = np.array(objective.labels)
        solver_of_round(number).optimize(objective)
        energy = objective.energy()
        if energy < best - 1e-6:
            best, idle = energy, 0
        else:
            idle += 1
            objective.labels = before
