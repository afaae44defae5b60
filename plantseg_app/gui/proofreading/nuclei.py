"""Nuclei that help to correct: which labels they are, what they suggest, and taking suggestions one by one or all.

Cells are compared with nuclei in the computing process, as they were when that began; suggestions for cells that were
corrected since are dropped.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer, Signal

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.gui.proofreading.corrections import CORRECTED, Corrections
from plantseg_app.gui.qt_runner import BUSY
from plantseg_app.proofread.cell_index import CellIndex
from plantseg_app.proofread.edit import Edit
from plantseg_app.proofread.nuclei_help import NucleusProblem, Suggestion
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tool import Tool
from plantseg_app.run.store import VolumeRef
from plantseg_app.run.suggest_by_nuclei import SuggestByNuclei
from plantseg_app.run.workflow_edit import nodes_in_group

_ALL_OF = (NucleusProblem.SHARED, NucleusProblem.SEVERAL)


class NucleiHelp(QObject):
    """Nuclei of the session that is corrected, and what they suggest.

    Signals
    -------
    changed
        Other nuclei, other suggestions, or something began or ended.
    nuclei_changed
        Other labels are the nuclei now.
    told
        How it went, in a sentence.

    Attributes
    ----------
    name
        Of the labels that are the nuclei; "" for none.
    suggestions
        That can be taken now; None until cells were compared with nuclei.
    is_looking
        Whether they are being compared, or the nuclei being read.
    n_applied
        How many corrections the last taking of all made that were not taken back.
    """

    changed = Signal()
    nuclei_changed = Signal()
    told = Signal(str)

    def __init__(self, corrections: Corrections, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.corrections = corrections
        self._bench = corrections.bench
        self.name = ""
        self.suggestions: list[Suggestion] | None = None
        self.is_looking = False
        self.n_applied = 0
        self._session: ProofreadSession | None = None
        self._touched: set[int] = set()
        self._waiting: list[Tool] = []
        self._is_changed = False
        self._then: list[NucleusProblem] = []
        self._n_refused = 0
        self._steps = QTimer(self)
        self._steps.setInterval(0)
        self._steps.timeout.connect(self._step)
        self._undoing = 0
        corrections.changed.connect(self._follow_session)
        corrections.edited.connect(self._follow_edit)
        self._bench.runner.stopped.connect(self._end_looking)

    # ------------------------------------------------------------------------------------------------ which nuclei

    def offered(self) -> dict[str, Volume]:
        """Return labels that may be the nuclei of the cells that are corrected, by name."""
        beginning, document = self.corrections.beginning, self._bench.document
        if beginning is None or beginning.cells.kind is not Kind.LABELS:
            return {}
        # Superpixels are no nuclei, and neither are the cells themselves.
        others = {CORRECTED, *nodes_in_group(document.workflow, "superpixels")}
        held = {name: image.volume for name, image in document.images.items()}
        held |= {name: result.volume for name, result in document.results.items()}
        return {
            name: volume
            for name, volume in held.items()
            if name not in others
            and volume.kind is Kind.LABELS
            and volume is not beginning.cells
            and volume.shape_vox == beginning.cells.shape_vox
        }

    def take(self, name: str) -> None:
        """Take labels of the document for the nuclei, none for ""."""
        volume, session = self.offered().get(name), self.corrections.session
        if session is None or name == self.name or self.is_busy:
            return
        if volume is None:
            self._set_nuclei(session, "", None, None)
            return
        self.is_looking = True
        self.changed.emit()
        read = functools.partial(CellIndex, volume.data[None])
        self._bench.beside.ask(read, functools.partial(self._set_nuclei, session, name, volume), self._give_up)

    def _set_nuclei(self, session: ProofreadSession, name: str, volume: Volume | None, index: CellIndex | None) -> None:
        self.is_looking = False
        if session is self.corrections.session:
            self.name, self.suggestions = name, None
            self.corrections.take_nuclei(volume, index)
            self.nuclei_changed.emit()
        self.changed.emit()

    # ------------------------------------------------------------------------------------------------ suggestions

    @property
    def is_busy(self) -> bool:
        """Whether something is under way here."""
        return self.is_looking or self._steps.isActive()

    def compare(self) -> None:
        """Compare the cells as they are now with the nuclei, in the computing process."""
        if self.corrections.session is None or not self.name or self.is_busy:
            return
        if self._bench.runner.is_busy or self.corrections.is_keeping:
            self._give_up(BUSY)
            return
        self.is_looking, self._touched = True, set()
        self.corrections.copy(self._keep, self._give_up)
        self.changed.emit()

    def _keep(self, labels: Volume) -> None:
        beginning = self.corrections.beginning
        if beginning is None:
            self._give_up("")
            return
        bench, maps = self._bench, (beginning.nuclei, beginning.boundary)

        def refs() -> list[VolumeRef | None]:
            # The labels are of no use afterwards, so they may make room.
            return [bench.runner.store.add(labels), *bench.refs_of(maps)]

        self._bench.beside.ask(refs, self._start, self._give_up)

    def _start(self, refs: Sequence[VolumeRef | None]) -> None:
        labels, nuclei, boundary = refs
        session = self.corrections.session
        if session is None or labels is None or nuclei is None:
            self._give_up("")
            return
        locked = tuple(cell for cell in session.marks if session.tissue.is_locked(cell))
        if self._bench.start(SuggestByNuclei(labels, nuclei, boundary, locked), self._take_suggestions):
            self.is_looking = True
        else:
            self._give_up(BUSY)

    def _give_up(self, reason: str) -> None:
        self.is_looking, self._then = False, []
        self.told.emit(reason)
        self.changed.emit()

    def _end_looking(self, _token: int) -> None:
        if self.is_looking:
            self.is_looking, self._then = False, []
            self.changed.emit()

    def _take_suggestions(self, found: Sequence[Suggestion]) -> None:
        self.is_looking = False
        if self._session is None:
            return
        self.suggestions = [one for one in found if self._touched.isdisjoint(one.cells)]
        self._go_on()
        self.changed.emit()

    def _go_on(self) -> None:
        """Take what is to be taken next, or say how it went."""
        if self._then:
            self._apply(self._then.pop(0))
            return
        count = len(self.suggestions or ())
        words = {0: "Each cell has its nucleus", 1: "1 suggestion"}.get(count, f"{count} suggestions")
        self.told.emit(f"{self._made_in_words()}{words}.")

    # ------------------------------------------------------------------------------------------------ taking them

    def show(self, suggestion: Suggestion) -> None:
        """Bring the cells of a suggestion into the middle of the canvas."""
        first, *others = suggestion.cells
        other = others[0] if others else 0
        if suggestion.problem is NucleusProblem.NONE and suggestion.tool is not None:
            other = getattr(suggestion.tool, "cells", (0,))[0]
        self.corrections.look_at(first, other)

    def apply(self, suggestion: Suggestion) -> None:
        """Take one suggestion."""
        if suggestion.tool is not None and not self.is_busy:
            self.corrections.do_tool(suggestion.tool)

    def apply_all(self) -> None:
        """Take all suggestions: merges, then the splits that are needed after them; cells without nucleus are left."""
        if self.suggestions is not None and not self.is_busy:
            self.n_applied = self._n_refused = 0
            self._then = list(_ALL_OF[1:])
            self._apply(_ALL_OF[0])

    def take_back(self) -> None:
        """Undo what taking all suggestions did."""
        hand = self.corrections.hand
        if self.n_applied and hand is not None and not self.is_busy:
            # Strokes that wait would be taken back first.
            hand.drop()
            self._undoing, self.suggestions = self.n_applied, None
            self._steps.start()
            self.changed.emit()

    def _apply(self, problem: NucleusProblem) -> None:
        wanted = [one.tool for one in self.suggestions or () if one.problem is problem]
        self._waiting, self._is_changed = [tool for tool in wanted if tool is not None], False
        self._steps.start()
        self.changed.emit()

    def _step(self) -> None:
        """Make one correction; the window lives on between them."""
        if self.corrections.hand is None:
            # The page was left; what was made stays.
            self._steps.stop()
            self._waiting, self._then, self._undoing = [], [], 0
            self.changed.emit()
        elif self.corrections.is_keeping:
            return
        elif self._undoing:
            self.corrections.undo()
            self._undoing -= 1
            self.n_applied -= 1
            if not self._undoing:
                self._steps.stop()
                self.told.emit("All of it was taken back.")
                self.changed.emit()
        elif self._waiting:
            made = self.corrections.do_tool(self._waiting.pop(0))
            self.n_applied += made
            self._n_refused += not made
            self._is_changed = self._is_changed or made
        else:
            self._steps.stop()
            if self._is_changed:
                # Merged cells may hold several nuclei, which is found out by another look.
                self.compare()
            else:
                self._go_on()

    def _made_in_words(self) -> str:
        if not self.n_applied:
            return ""
        made = "1 correction was made" if self.n_applied == 1 else f"{self.n_applied} corrections were made"
        return f"{made}, {self._n_refused} refused. " if self._n_refused else f"{made}. "

    # ------------------------------------------------------------------------------------------------ following

    def _follow_session(self) -> None:
        session = self.corrections.session
        if session is self._session:
            return
        self._session = session
        self._steps.stop()
        self._waiting, self._then, self._undoing, self.n_applied = [], [], 0, 0
        self.suggestions = None
        beginning = self.corrections.beginning
        nuclei = None if beginning is None else beginning.nuclei
        self.name = next((name for name, volume in self.offered().items() if volume is nuclei), "")
        self.changed.emit()

    def _follow_edit(self, edit: Edit) -> None:
        changed = {*edit.entries, *edit.marks}
        self._touched |= changed
        if not self._steps.isActive():
            # Other corrections came on top; they cannot be taken back together any more.
            self.n_applied = 0
        if self.suggestions is not None:
            self.suggestions = [one for one in self.suggestions if changed.isdisjoint(one.cells)]
            self.changed.emit()
