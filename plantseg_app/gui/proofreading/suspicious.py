"""The work list in the window: cells are looked at beside the window, then one goes through the doubtful ones.

All cells are looked at once, in the computing process; those that are corrected later on are looked at again in a
thread, a moment after the last correction.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from PySide6.QtCore import QObject, QTimer, Signal

from plantseg_app.gui.proofreading.corrections import Corrections
from plantseg_app.gui.qt_runner import BUSY
from plantseg_app.proofread.doubt import Doubt
from plantseg_app.proofread.edit import Edit
from plantseg_app.proofread.findings import Findings, Scale, Sight
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.work_list import Examination, WorkList
from plantseg_app.run.examine_cells import ExamineCells
from plantseg_app.run.store import VolumeRef

_LOOK_AGAIN_AFTER_MS = 250
_CELLS_AT_ONCE = 16
_MOST_SHOWN = 1000


class SuspiciousCells(QObject):
    """The work list of the session that is corrected.

    Signals
    -------
    changed
        Another order, another cell in sight, or cells are being looked at.
    told
        What to do, or how it went, in a sentence.

    Attributes
    ----------
    work
        None until all cells were looked at.
    is_looking
        Whether they are being looked at.
    """

    changed = Signal()
    told = Signal(str)

    def __init__(self, corrections: Corrections, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.corrections = corrections
        self._bench = corrections.bench
        self.work: WorkList | None = None
        self.is_looking = False
        self._session: ProofreadSession | None = None
        self._is_in_thread = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_LOOK_AGAIN_AFTER_MS)
        self._timer.timeout.connect(self._look_again)
        self._timer.timeout.connect(self.changed)
        corrections.changed.connect(self._follow_session)
        self._bench.runner.stopped.connect(self._end_looking)

    # ------------------------------------------------------------------------------------------------ all cells

    def find(self) -> None:
        """Look at all cells, in the computing process."""
        beginning, session = self.corrections.beginning, self.corrections.session
        if beginning is None or session is None or self.is_looking:
            return
        if self._bench.runner.is_busy:
            self.told.emit(BUSY)
            return
        self.is_looking, self._session = True, session
        self.changed.emit()
        maps = (beginning.cells, beginning.boundary, beginning.nuclei)
        self._bench.beside.ask(functools.partial(self._bench.refs_of, maps), self._start, self._give_up)

    def _start(self, refs: Sequence[VolumeRef | None]) -> None:
        labels, boundary, nuclei = refs
        # As they were at the beginning: what was corrected since is looked at again afterwards.
        if labels is None or not self._bench.start(ExamineCells(labels, boundary, nuclei), self._take):
            self._give_up(BUSY)
        else:
            self.is_looking = True

    def _give_up(self, reason: str) -> None:
        self.is_looking = False
        self.told.emit(reason)
        self.changed.emit()

    def _end_looking(self, _token: int) -> None:
        if self.is_looking:
            self.is_looking = False
            if self.work is None:
                self.told.emit("")
            self.changed.emit()

    def _take(self, seen: Examination) -> None:
        session = self.corrections.session
        if session is None or session is not self._session:
            # Other cells are corrected by now.
            return
        self._drop_work()
        self.work = WorkList(session, seen)
        for edit in session.edits:
            self.work.follow(edit)
        # After the list, which follows the session as well.
        session.changed.connect(self._follow_edit)
        self._timer.start()
        self.told.emit(f"Looked at {len(seen.findings)} cells; the most doubtful stand at the top.")
        self.changed.emit()

    # ------------------------------------------------------------------------------------------------ going

    @property
    def current(self) -> Doubt | None:
        """The cell that is in sight, None when there is none."""
        return None if self.work is None else self.work.current_doubt

    @property
    def doubts(self) -> list[Doubt]:
        """The most doubtful cells of which nobody has said anything, a thousand at most, the worst first."""
        return [] if self.work is None else [doubt for doubt in self.work.top(_MOST_SHOWN) if doubt.reasons]

    def next(self) -> None:
        """Go to the next cell; without a list, look at all cells first."""
        if self.is_looking:
            self.told.emit("All cells are being looked at; this takes a moment.")
        elif self.work is None:
            self.find()
        else:
            self._show(self.work.next(), "All cells were checked.")

    def previous(self) -> None:
        """Go back to the cell before."""
        if self.work is not None:
            self._show(self.work.previous(), "This is the first cell that you went to.")

    def go_to(self, cell: int) -> None:
        """Go to a cell of the list."""
        if self.work is not None:
            self._show(self.work.go_to(cell), f"There is no cell {cell} any more.")

    def accept(self) -> None:
        """Lock the cell in sight as correct, and go to the next one."""
        work = self.work
        if work is None or work.current is None:
            self.told.emit("Go to a cell first.")
        elif self.corrections.do("lock", {"cells": (work.current,)}):
            self.next()

    def _show(self, doubt: Doubt | None, otherwise: str) -> None:
        if doubt is None:
            self.told.emit(otherwise)
        else:
            self.corrections.look_at(doubt.cell, doubt.neighbour)
        self.changed.emit()

    # ------------------------------------------------------------------------------------------------ following

    def find_again(self) -> None:
        """Look at all cells again if there is a list, because there are other maps."""
        if self.work is not None:
            self._drop_work()
            self.changed.emit()
            self.find()

    def _follow_session(self) -> None:
        if self._session is not None and self.corrections.session is not self._session:
            self._session = None
            self._drop_work()
            self.changed.emit()

    def _drop_work(self) -> None:
        if self.work is not None:
            self.work.session.changed.disconnect(self._follow_edit)
            self.work.close()
            self.work = None

    def _follow_edit(self, _edit: Edit) -> None:
        if self.work is not None:
            if self.work.current is None:
                self.corrections.look_at(0)
            # The canvas comes first; the list follows when the timer ends.
            self._timer.start()

    def _look_again(self) -> None:
        """Look in a thread at some of the cells that were corrected."""
        work = self.work
        if work is None or self._is_in_thread:
            return
        sights = work.hand_out(_CELLS_AT_ONCE)
        if sights:
            self._is_in_thread = True
            answer = functools.partial(self._take_again, work)
            self._bench.beside.ask(functools.partial(_examine, sights, work.scale), answer, self._fail_again)

    def _take_again(self, work: WorkList, found: Mapping[int, Findings]) -> None:
        self._is_in_thread = False
        if work is self.work:
            work.take(found)
            self.changed.emit()
        self._look_again()

    def _fail_again(self, problem: str) -> None:
        self._is_in_thread = False
        self.told.emit(problem)


def _examine(sights: Sequence[Sight], scale: Scale) -> dict[int, Findings]:
    return {sight.cell: sight.examine(scale) for sight in sights}
