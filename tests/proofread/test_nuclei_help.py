"""Suggestions by nuclei against the step that does the same at once, on large cells, and with locked ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from plantseg_app.algorithms.nuclei import NucleiRules, correct_by_nuclei
from plantseg_app.proofread.nuclei_help import NucleusProblem, apply_all, suggest
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tools.marks import Lock
from plantseg_app.proofread.tools.nuclei import SplitByNuclei

RULES = NucleiRules(ignore_smallest=0.05, ignore_largest=0.05)


def same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    pairs = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == pairs.shape[1] == len(np.unique(pairs[1]))


def tissue_with_nuclei(make_tissue: Callable[..., Any], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells of which some were joined and some cut, and the nuclei of the true ones under large numbers."""
    labels, boundary = make_tissue((16, 56, 56), 12.0, noise=0.03, seed=seed)
    nuclei = np.zeros(labels.shape, np.uint32)
    for cell in np.unique(labels):
        z, y, x = np.rint(np.argwhere(labels == cell).mean(0)).astype(int)
        nuclei[max(z - 1, 0) : z + 2, y - 1 : y + 2, x - 1 : x + 2] = 100_000 + 7 * cell
    cells = labels.copy()
    rng = np.random.default_rng(seed)
    for cell in rng.choice(np.unique(labels), 12, replace=False):
        places = np.argwhere(cells == cell)
        if len(places) and rng.random() < 0.5:
            middle = np.median(places[:, 2])
            part = places[places[:, 2] > middle]
            cells[tuple(part.T)] = cells.max() + 1
        elif len(places):
            box = tuple(
                slice(max(low - 1, 0), high + 2) for low, high in zip(places.min(0), places.max(0), strict=True)
            )
            other = next(name for name in np.unique(cells[box]) if name != cell)
            cells[cells == other] = cell
    return cells.astype(np.uint32), nuclei, boundary


@pytest.mark.parametrize("seed", [1, 2])
def test_taking_all_suggestions_is_what_the_step_does(make_tissue: Callable[..., Any], seed: int) -> None:
    cells, nuclei, boundary = tissue_with_nuclei(make_tissue, seed)
    expected = correct_by_nuclei(cells, nuclei, RULES, boundary)
    labels = cells.copy()
    session = ProofreadSession(labels, nuclei=nuclei, boundary=boundary)
    assert len(suggest(session.tissue, RULES)) > 5
    applied = apply_all(session, RULES)
    assert applied.n_done > 5
    assert not applied.refused
    assert same_partition(labels, expected)
    again = cells.copy()
    apply_all(ProofreadSession(again, nuclei=nuclei, boundary=boundary), RULES)
    np.testing.assert_array_equal(again, labels)
    for _ in range(applied.n_done):
        session.undo()
    np.testing.assert_array_equal(labels, cells)


def test_cells_and_nuclei_of_more_voxels_than_16_bits_count() -> None:
    labels = np.ones((48, 64, 96), np.uint32)
    nuclei = np.zeros_like(labels)
    nuclei[:, :, :40], nuclei[:, :, 60:] = 70_001, 70_002
    assert min((nuclei == name).sum() for name in (70_001, 70_002)) > 65_535
    session = ProofreadSession(labels, nuclei=nuclei)
    (suggestion,) = suggest(session.tissue)
    assert suggestion.words == "Cell 1 holds 2 nuclei: divide it between them"
    assert suggestion.tool is not None
    session.do(suggestion.tool)
    assert len(np.unique(labels[:, :, :40])) == len(np.unique(labels[:, :, 60:])) == 1
    assert labels[0, 0, 0] != labels[0, 0, -1]

    halves = np.ones((48, 64, 96), np.uint32)
    halves[:, 32:] = 2
    session = ProofreadSession(halves, nuclei=nuclei)
    assert suggest(session.tissue)[0].words == "Cells 1 and 2 share a nucleus: merge them"
    apply_all(session)
    assert same_partition(halves, labels)


def test_cells_without_a_nucleus_and_locked_ones() -> None:
    labels = np.zeros((1, 12, 40), np.uint32)
    for number in range(4):
        labels[:, 2:10, 2 + 9 * number : 11 + 9 * number] = number + 1
    nuclei = np.zeros_like(labels)
    nuclei[0, 5:7, 5:7], nuclei[0, 5:7, 34:36] = 9, 8
    boundary = np.zeros(labels.shape, np.float32)
    boundary[0, :, 10:12] = boundary[0, :, 28:30] = 1.0
    session = ProofreadSession(labels, nuclei=nuclei, boundary=boundary)
    session.do(Lock(cells=(4,)))
    words = [suggestion.words for suggestion in suggest(session.tissue)]
    assert words == ["Cell 2 holds no nucleus: merge it with cell 3", "Cell 3 holds no nucleus: merge it with cell 2"]
    session.do(Lock(cells=(2, 1)))
    (left,) = suggest(session.tissue, problems=(NucleusProblem.NONE,))
    assert left.tool is None
    assert apply_all(session, problems=tuple(NucleusProblem)).refused == (left.words,)


def test_without_nuclei_or_with_objects_that_overlap_nothing_is_suggested() -> None:
    labels = np.ones((1, 4, 4), np.uint32)
    with pytest.raises(Refused, match="no nuclei"):
        suggest(ProofreadSession(labels).tissue)
    with pytest.raises(Refused, match="no nuclei"):
        ProofreadSession(labels).do(SplitByNuclei(cell=1))
    nuclei = np.ones((1, 4, 4), np.uint32)
    with pytest.raises(Refused, match="one nucleus"):
        ProofreadSession(labels, nuclei=nuclei).do(SplitByNuclei(cell=1))
    with pytest.raises(Refused, match="overlap"):
        suggest(ProofreadSession(labels[None].copy(), nuclei=nuclei).tissue)
