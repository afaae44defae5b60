"""One nucleus, one cell: what to merge and to split so that it is so, as suggestions to be taken one by one or all.

The same rules as the step split-merge-by-nuclei, looked up nucleus by nucleus; nothing is suggested for locked cells.

>>> from plantseg_app.proofread.session import ProofreadSession
>>> labels = np.array([[[1, 1, 1, 2, 2, 2]]], np.uint32)
>>> session = ProofreadSession(labels, nuclei=np.array([[[0, 0, 5, 5, 0, 0]]], np.uint32))
>>> [suggestion.words for suggestion in suggest(session.tissue)]
['Cells 1 and 2 share a nucleus: merge them']
>>> apply_all(session).n_done, labels.tolist()
(1, [[[1, 1, 1, 1, 1, 1]]])
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Sequence

import numpy as np

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.algorithms.nuclei import NucleiRules
from plantseg_app.proofread.findings import examine
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tissue import Tissue
from plantseg_app.proofread.tool import Tool, listed
from plantseg_app.proofread.tools.merge import Merge
from plantseg_app.proofread.tools.nuclei import SplitByNuclei


class NucleusProblem(enum.StrEnum):
    """What is wrong between cells and nuclei."""

    SHARED = "shared"
    """Several cells hold a part of one nucleus."""
    SEVERAL = "several"
    """A cell holds several nuclei."""
    NONE = "none"
    """A cell holds no nucleus, and is not cut off by the border of the image."""


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """What to do about a cell.

    Attributes
    ----------
    problem
        What is wrong.
    cells
        Whose.
    tool
        What would mend it; None where nothing can be suggested.
    words
        The same for people.
    """

    problem: NucleusProblem
    cells: tuple[int, ...]
    tool: Tool | None
    words: str


@dataclasses.dataclass(frozen=True)
class Applied:
    """What came of taking all suggestions.

    Attributes
    ----------
    n_done
        How many corrections were made; each can be undone by itself.
    refused
        Why others were not, a sentence each.
    """

    n_done: int
    refused: tuple[str, ...]


def suggest(
    tissue: Tissue,
    rules: NucleiRules | None = None,
    problems: Iterable[NucleusProblem] = tuple(NucleusProblem),
    check: Check = never_stop,
) -> list[Suggestion]:
    """Return suggestions: merges first, then splits, then cells without a nucleus, each in the order of the ids.

    Parameters
    ----------
    tissue
        With nuclei.
    rules
        When nuclei overrule cells; the usual ones by default.
    problems
        Which to look for.
    check
        Called between nuclei and cells; may raise to stop.

    Raises
    ------
    Refused
        If there are no nuclei, or objects overlap.
    """
    if tissue.nuclei is None:
        raise Refused("There are no nuclei; open them first.")
    if tissue.is_layered:
        raise Refused("Objects that overlap may share a nucleus; nothing can be suggested for them.")
    rules = NucleiRules() if rules is None else rules
    ignored = _ignored(tissue, rules)
    wanted, found = set(problems), list[Suggestion]()
    if NucleusProblem.SHARED in wanted:
        found += _shared(tissue, rules, ignored, check)
    if wanted & {NucleusProblem.SEVERAL, NucleusProblem.NONE}:
        by_cell = _by_cell(tissue, rules, ignored, wanted, check)
        found += sorted(by_cell, key=lambda suggestion: suggestion.problem is NucleusProblem.NONE)
    return found


def apply_all(
    session: ProofreadSession,
    rules: NucleiRules | None = None,
    problems: Iterable[NucleusProblem] = (NucleusProblem.SHARED, NucleusProblem.SEVERAL),
    check: Check = never_stop,
) -> Applied:
    """Take all suggestions: first merges, then the splits that are needed after them, then what is left.

    Raises
    ------
    Refused
        As `suggest`.
    """
    wanted, n_done, refused = set(problems), 0, list[str]()
    for problem in NucleusProblem:
        if problem not in wanted:
            continue
        for suggestion in suggest(session.tissue, rules, (problem,), check):
            check()
            if suggestion.tool is None:
                refused.append(suggestion.words)
                continue
            try:
                session.do(suggestion.tool)
                n_done += 1
            except Refused as refusal:
                refused.append(str(refusal))
    return Applied(n_done, tuple(refused))


def _ignored(tissue: Tissue, rules: NucleiRules) -> frozenset[int]:
    """Return the smallest and largest nuclei, which are taken for debris and clumps."""
    table = tissue.nucleus_index.table()
    n_nuclei = len(table["id"])
    order = table["id"][np.argsort(table["size"], kind="stable")].tolist()
    first, last = int(rules.ignore_smallest * n_nuclei), int(rules.ignore_largest * n_nuclei)
    return frozenset([*order[:first], *order[n_nuclei - last :]])


def _shared(tissue: Tissue, rules: NucleiRules, ignored: frozenset[int], check: Check) -> list[Suggestion]:
    """Return a merge for each group of cells that nuclei hold together."""
    group: dict[int, set[int]] = {}
    for nucleus in tissue.nucleus_index.ids():
        check()
        if nucleus in ignored:
            continue
        holders = [cell for cell, share in tissue.cells_of_nucleus(nucleus).items() if share >= rules.merge_threshold]
        together = set(holders).union(*(group.get(cell, {cell}) for cell in holders))
        for cell in together:
            group[cell] = together
    found = []
    for together in {id(cells): cells for cells in group.values() if len(cells) > 1}.values():
        # The largest gives its name, the smaller id of equals.
        cells = tuple(sorted(together, key=lambda cell: (-tissue.index.size(cell), cell)))
        if not any(tissue.is_locked(cell) for cell in cells):
            words = f"{listed(tuple(sorted(cells))).capitalize()} share a nucleus: merge them"
            found.append(Suggestion(NucleusProblem.SHARED, cells, Merge(cells=cells), words))
    return sorted(found, key=lambda suggestion: min(suggestion.cells))


def _by_cell(
    tissue: Tissue, rules: NucleiRules, ignored: frozenset[int], wanted: set[NucleusProblem], check: Check
) -> list[Suggestion]:
    found = []
    for cell in tissue.index.ids():
        check()
        if tissue.is_locked(cell):
            continue
        shares = {name: share for name, share in tissue.nuclei_in(cell).items() if name not in ignored}
        held = [name for name, share in shares.items() if share >= rules.split_threshold]
        if len(held) > 1 and NucleusProblem.SEVERAL in wanted:
            tool = SplitByNuclei(cell=cell, split_threshold=rules.split_threshold, ignore=_among(tissue, cell, ignored))
            words = f"Cell {cell} holds {len(held)} nuclei: divide it between them"
            found.append(Suggestion(NucleusProblem.SEVERAL, (cell,), tool, words))
        is_empty = all(share < rules.merge_threshold for share in shares.values())
        if is_empty and NucleusProblem.NONE in wanted and not tissue.is_at_border(cell):
            found.append(_without_nucleus(tissue, cell))
    return found


def _among(tissue: Tissue, cell: int, ignored: frozenset[int]) -> tuple[int, ...]:
    return tuple(name for name in tissue.nuclei_in(cell) if name in ignored)


def _without_nucleus(tissue: Tissue, cell: int) -> Suggestion:
    """Return what to do with a cell without nucleus: merge it behind its weakest face to a cell that is not locked."""
    neighbours: Sequence[int] = [face.neighbour for face in examine(tissue, cell).faces]
    free = [other for other in neighbours if not tissue.is_locked(other)]
    if not free:
        words = f"Cell {cell} holds no nucleus, and no cell beside it can be merged with it"
        return Suggestion(NucleusProblem.NONE, (cell,), None, words)
    words = f"Cell {cell} holds no nucleus: merge it with cell {free[0]}"
    return Suggestion(NucleusProblem.NONE, (cell,), Merge(cells=(free[0], cell)), words)
