"""The list of cells to look at, the most doubtful first: next, previous, accept.

It follows the corrections: cells that are gone leave it, cells that changed are looked at again before they are shown,
and cells of which a person has said something are done.

>>> import numpy as np
>>> session = ProofreadSession(np.array([[[7, 0, 7, 7, 7, 7, 9, 9, 9]]], np.uint32))
>>> work = WorkList(session)
>>> work.next().cell, work.accept().words, work.next().cell, work.n_left
(7, 'Marked cell 7 as correct', 9, 1)
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from typing import Self

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.proofread.doubt import Doubt, Usual, by_doubt, examine_all, judge
from plantseg_app.proofread.edit import Edit
from plantseg_app.proofread.findings import Findings, Scale, Sight, examine, usual_scale
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tissue import Tissue
from plantseg_app.proofread.tools.marks import Lock

_MOST_NEW_AT_ONCE = 20


@dataclasses.dataclass(frozen=True)
class Examination:
    """What was seen of all cells, and what is thought of it; plain data that another process may make.

    Attributes
    ----------
    scale
        How closely they were looked at.
    findings
        Of each cell.
    usual
        What is usual among them; None where there are no cells.
    doubts
        Of each cell, the most doubtful first.
    """

    scale: Scale
    findings: Mapping[int, Findings]
    usual: Usual | None
    doubts: tuple[Doubt, ...]

    @classmethod
    def of(cls, tissue: Tissue, cells: Iterable[int] | None = None, check: Check = never_stop) -> Self:
        """Look at cells, all by default, some 10 ms each; `check` is called between them and may raise to stop."""
        scale = usual_scale(tissue)
        findings = examine_all(tissue, cells, scale, check)
        usual = Usual.of(findings.values(), tissue.shape_vox[0] == 1) if findings else None
        doubts = [] if usual is None else sorted((judge(cell, findings, usual) for cell in findings), key=by_doubt)
        return cls(scale, findings, usual, tuple(doubts))


class WorkList:
    """Cells in the order of their doubt, and which of them is being looked at.

    Attributes
    ----------
    current
        The cell that is being looked at; None before the first, and when it is gone.
    session
        Whose cells they are.
    scale
        How closely cells are looked at.

    Parameters
    ----------
    session
        Whose cells; its corrections are followed until `close`.
    examination
        Of its cells where that is done already, as in another process, perhaps before some were corrected; else all
        are looked at now.
    """

    def __init__(self, session: ProofreadSession, examination: Examination | None = None) -> None:
        self.session = session
        seen = Examination.of(session.tissue) if examination is None else examination
        index = session.tissue.index
        self.scale = seen.scale
        self._findings = {cell: found for cell, found in seen.findings.items() if cell in index}
        # Judged once: the measure of what is usual does not follow every stroke.
        self._usual = seen.usual
        self._order = [doubt for doubt in seen.doubts if doubt.cell in index]
        self._doubts = {doubt.cell: doubt for doubt in self._order}
        self._stale = {cell for cell in index.ids() if cell not in self._findings}
        self._handed_out: set[int] = set()
        self._trail: list[int] = []
        self._seen: set[int] = set()
        self.current: int | None = None
        session.changed.connect(self.follow)

    def close(self) -> None:
        """Follow the session no longer."""
        self.session.changed.disconnect(self.follow)

    # ------------------------------------------------------------------------------------------------ asking

    @property
    def doubts(self) -> list[Doubt]:
        """All cells that are not done, the most doubtful first; those that changed as they were judged before."""
        return self.top(len(self._order))

    def top(self, most: int) -> list[Doubt]:
        """Return the first so many of `doubts`, without looking through all."""
        open_ones = (doubt for doubt in self._order if not self._is_done(doubt.cell))
        return list(itertools.islice(open_ones, most))

    @property
    def n_left(self) -> int:
        """How many cells nobody has said anything of."""
        index, marks = self.session.tissue.index, self.session.marks
        return len(index) - sum(1 for cell in marks if cell in index)

    @property
    def current_doubt(self) -> Doubt | None:
        """Why the cell that is being looked at is doubted, as it was judged last; None when there is none."""
        return None if self.current is None else self._doubts.get(self.current)

    def doubt(self, cell: int) -> Doubt | None:
        """Return why a cell is doubted, after another look where it changed; None when there is no such cell."""
        if cell in self._stale:
            self._look_again(cell)
        return self._doubts.get(cell)

    # ------------------------------------------------------------------------------------------------ going

    def next(self) -> Doubt | None:
        """Go to the most doubtful cell that is neither done nor seen; when all were seen, from the top again.

        Returns
        -------
        Doubt | None
            None when every cell is done.
        """
        doubt = self._top_unseen()
        if doubt is None:
            self._seen.clear()
            doubt = self._top_unseen()
        self.current = None if doubt is None else doubt.cell
        if doubt is not None:
            self._seen.add(doubt.cell)
            self._trail.append(doubt.cell)
        return doubt

    def previous(self) -> Doubt | None:
        """Go back to the cell that was looked at before, done or not; None when there is none."""
        while self._trail:
            cell = self._trail[-1]
            if cell != self.current and (doubt := self.doubt(cell)) is not None:
                self.current = cell
                return doubt
            self._trail.pop()
        return None

    def go_to(self, cell: int) -> Doubt | None:
        """Go to a cell, as when a person clicks on it; None when it is not there."""
        doubt = self.doubt(cell)
        if doubt is not None:
            self.current = cell
            self._seen.add(cell)
            self._trail.append(cell)
        return doubt

    def accept(self) -> Edit:
        """Mark the cell that is being looked at as correct.

        Raises
        ------
        Refused
            If none is, or it is correct already.
        """
        if self.current is None:
            raise Refused("No cell is being looked at; go to the next one first.")
        return self.session.do(Lock(cells=(self.current,)))

    # ------------------------------------------------------------------------------------------------ following

    def follow(self, edit: Edit) -> None:
        """Take note of a correction that was made, undone or redone; called by the session."""
        index = self.session.tissue.index
        changed: set[int] = set(edit.entries)
        for cell in edit.entries:
            # What is said of a neighbour's face to this cell may hold no longer.
            faces = self._findings[cell].faces if cell in self._findings else ()
            changed.update(face.neighbour for face in faces)
            if cell in index:
                # It is another shape now, and worth another look.
                self._seen.discard(cell)
            else:
                self._drop(cell)
        self._stale.update(cell for cell in changed if cell in index)
        self._handed_out -= changed
        if self.current is not None and self.current not in index:
            self.current = None

    def refresh(self, check: Check = never_stop) -> None:
        """Look again at all cells that changed; `check` is called between them and may raise to stop."""
        for cell in sorted(self._stale):
            check()
            self._look_again(cell)

    def hand_out(self, most: int) -> list[Sight]:
        """Return what is to be seen of up to so many cells that changed, for another thread to look at."""
        waiting = sorted(self._stale - self._handed_out)[:most]
        self._handed_out.update(waiting)
        return [Sight.of(self.session.tissue, cell) for cell in waiting]

    def take(self, findings: Mapping[int, Findings]) -> None:
        """Judge by what another thread saw; cells that changed since they were handed out are left for another look."""
        fresh = {cell: found for cell, found in findings.items() if cell in self._handed_out and cell in self._stale}
        self._take({cell: found for cell, found in fresh.items() if cell in self.session.tissue.index})

    # ------------------------------------------------------------------------------------------------ inside

    def _is_done(self, cell: int) -> bool:
        return cell in self.session.marks

    def _top_unseen(self) -> Doubt | None:
        # New cells have no place yet; after hundreds of earlier corrections nobody waits for all of them.
        new = [cell for cell in self._stale if cell not in self._doubts]
        for cell in itertools.islice(new, _MOST_NEW_AT_ONCE):
            self._look_again(cell)
        place = 0
        while place < len(self._order):
            cell = self._order[place].cell
            if self._is_done(cell) or cell in self._seen:
                place += 1
            elif cell in self._stale:
                self._look_again(cell)
                place = 0
            else:
                return self._order[place]
        return None

    def _look_again(self, cell: int) -> None:
        """Examine a cell and those around it that changed as well, since it is judged with them."""
        tissue = self.session.tissue
        if cell not in tissue.index:
            self._stale.discard(cell)
            return
        found = {cell: examine(tissue, cell, self.scale)}
        around = [face.neighbour for face in found[cell].faces if face.neighbour in self._stale]
        self._take(found | {other: examine(tissue, other, self.scale) for other in around})

    def _take(self, findings: Mapping[int, Findings]) -> None:
        """Judge cells by what was seen of them."""
        self._findings |= findings
        self._stale.difference_update(findings)
        self._handed_out.difference_update(findings)
        if self._usual is None and self._findings:
            self._usual = Usual.of(self._findings.values(), self.session.tissue.shape_vox[0] == 1)
        for cell in findings:
            self._place(cell)

    def _place(self, cell: int) -> None:
        if self._usual is None:
            return
        self._take_out(cell)
        doubt = judge(cell, self._findings, self._usual)
        self._doubts[cell] = doubt
        bisect.insort(self._order, doubt, key=by_doubt)

    def _take_out(self, cell: int) -> None:
        old = self._doubts.pop(cell, None)
        if old is not None:
            del self._order[bisect.bisect_left(self._order, by_doubt(old), key=by_doubt)]

    def _drop(self, cell: int) -> None:
        self._take_out(cell)
        self._findings.pop(cell, None)
        self._stale.discard(cell)
        self._handed_out.discard(cell)
        self._seen.discard(cell)
