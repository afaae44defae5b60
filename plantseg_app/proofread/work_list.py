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
from collections.abc import Mapping

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.proofread.doubt import Doubt, Usual, by_doubt, examine_all, judge
from plantseg_app.proofread.edit import Edit
from plantseg_app.proofread.findings import Findings, examine, usual_scale
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tools.marks import Lock


class WorkList:
    """Cells in the order of their doubt, and which of them is being looked at.

    Attributes
    ----------
    current
        The cell that is being looked at; None before the first, and when it is gone.

    Parameters
    ----------
    session
        Whose cells; its corrections are followed until `close`.
    findings
        Of all cells where they are known already, as from another process; else all are looked at now, which takes
        some 10 ms a cell.
    check
        Called between cells then; may raise to stop.
    """

    def __init__(
        self, session: ProofreadSession, findings: Mapping[int, Findings] | None = None, check: Check = never_stop
    ) -> None:
        self._session = session
        self._scale = usual_scale(session.tissue)
        found = examine_all(session.tissue, scale=self._scale, check=check) if findings is None else findings
        index = session.tissue.index
        self._findings = {cell: seen for cell, seen in found.items() if cell in index}
        # Judged once: the measure of what is usual does not follow every stroke.
        self._usual = Usual.of(self._findings.values(), session.tissue.shape_vox[0] == 1) if self._findings else None
        self._doubts: dict[int, Doubt] = {}
        self._order: list[Doubt] = []
        self._stale = {cell for cell in index.ids() if cell not in self._findings}
        for cell in self._findings:
            self._place(cell)
        self._trail: list[int] = []
        self._seen: set[int] = set()
        self.current: int | None = None
        session.changed.connect(self.follow)

    def close(self) -> None:
        """Follow the session no longer."""
        self._session.changed.disconnect(self.follow)

    # ------------------------------------------------------------------------------------------------ asking

    @property
    def doubts(self) -> list[Doubt]:
        """All cells that are not done, the most doubtful first; those that changed as they were judged before."""
        return [doubt for doubt in self._order if not self._is_done(doubt.cell)]

    @property
    def n_left(self) -> int:
        """How many cells nobody has said anything of."""
        index, marks = self._session.tissue.index, self._session.marks
        return len(index) - sum(1 for cell in marks if cell in index)

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
        return self._session.do(Lock(cells=(self.current,)))

    # ------------------------------------------------------------------------------------------------ following

    def follow(self, edit: Edit) -> None:
        """Take note of a correction that was made, undone or redone; called by the session."""
        index = self._session.tissue.index
        for cell in edit.entries:
            if cell in index:
                self._stale.add(cell)
                # It is another shape now, and worth another look.
                self._seen.discard(cell)
            else:
                self._drop(cell)
        if self.current is not None and self.current not in index:
            self.current = None

    def refresh(self, check: Check = never_stop) -> None:
        """Look again at all cells that changed; `check` is called between them and may raise to stop."""
        for cell in sorted(self._stale):
            check()
            self._look_again(cell)

    # ------------------------------------------------------------------------------------------------ inside

    def _is_done(self, cell: int) -> bool:
        return cell in self._session.marks

    def _top_unseen(self) -> Doubt | None:
        # New cells have no place yet.
        for cell in [cell for cell in self._stale if cell not in self._doubts]:
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
        self._stale.discard(cell)
        if cell not in self._session.tissue.index:
            return
        self._findings[cell] = examine(self._session.tissue, cell, self._scale)
        around = [face.neighbour for face in self._findings[cell].faces if face.neighbour in self._stale]
        for other in around:
            self._stale.discard(other)
            self._findings[other] = examine(self._session.tissue, other, self._scale)
        if self._usual is None:
            self._usual = Usual.of(self._findings.values(), self._session.tissue.shape_vox[0] == 1)
        for other in (cell, *around):
            self._place(other)

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
        self._seen.discard(cell)
