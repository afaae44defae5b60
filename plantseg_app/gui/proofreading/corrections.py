"""The cells that are being corrected in the window: session, layers over the cells, tool in hand, journal.

Every correction goes through `Corrections.do`, is in the journal when that returns, and is drawn where it changed
something. The document gets a copy of the corrected cells when the page is left.
"""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from plantseg_app.core.volume import Volume
from plantseg_app.errors import PlantSegError
from plantseg_app.gui.document import Result
from plantseg_app.gui.geometry import grid_of
from plantseg_app.gui.likeness import Likeness
from plantseg_app.gui.proofreading.beginning import Beginning, Begun, beginning_of
from plantseg_app.gui.proofreading.hand import Hand
from plantseg_app.gui.proofreading.overlay import Overlay
from plantseg_app.gui.proofreading.picking import Spot, middle_of
from plantseg_app.gui.proofreading.pointer import Pointer
from plantseg_app.gui.workbench import Workbench
from plantseg_app.io.atomic import replacing
from plantseg_app.proofread.cell_index import CellIndex
from plantseg_app.proofread.edit import Edit
from plantseg_app.proofread.journal import journal_path
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tissue import Mark
from plantseg_app.proofread.tool import TOOLS, Tool

CORRECTED = "corrected cells"

T = TypeVar("T")


class Corrections(QObject):
    """What is corrected, if something is.

    Signals
    -------
    changed
        Correcting began or ended, a correction was made or taken back, or is being kept.
    edited
        An `Edit` was made, undone or redone.
    hovered
        The cursor points at something else: a `Spot` or None.
    told, refused
        What happened, or why something was not done, in a sentence.

    Attributes
    ----------
    session
        None while nothing is corrected.
    beginning
        What it was made of, as long as there is a session.
    hand, pointer
        The tool in hand and the mouse, as long as there is a session.
    is_beginning
        Whether a session is being made.
    """

    changed = Signal()
    edited = Signal(object)
    hovered = Signal(object)
    told = Signal(str)
    refused = Signal(str)

    def __init__(self, bench: Workbench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.bench = bench
        self.session: ProofreadSession | None = None
        self.beginning: Beginning | None = None
        self.hand: Hand | None = None
        self.pointer: Pointer | None = None
        self.is_beginning = False
        self.base: Result | None = None
        self._kept: Result | None = None
        self._n_kept = 0
        self._n_readers = 0
        self._overlay: Overlay | None = None
        self._looked_at = 0
        bench.viewer.on_view_change(self._outline)
        self._likeness = Likeness(bench.viewer, self)
        bench.document.file_written.connect(self._note_written)

    # ------------------------------------------------------------------------------------------------ begin and end

    def is_of(self, cells: Result | None) -> bool:
        """Whether these cells are the ones that are being corrected, as they were or as they became."""
        known = [result.volume for result in (self.base, self._kept) if result is not None]
        return self.session is not None and cells is not None and any(cells.volume is volume for volume in known)

    def can_go_on(self, cells: Result) -> bool:
        """Whether corrections of earlier may be there to go on with."""
        return beginning_of(self.bench.document, cells, self.bench.folder).has_journal()

    def begin(self, cells: Result) -> None:
        """Make the session of a copy of these cells, beside the window."""
        if self.is_beginning or self.is_of(cells):
            return
        self.end()
        self.is_beginning = True
        beginning = beginning_of(self.bench.document, cells, self.bench.folder)
        self.bench.beside.ask(
            functools.partial(beginning.begin, self.bench.runner.store),
            functools.partial(self._take_begun, cells, beginning),
            self._fail_to_begin,
        )
        self.changed.emit()

    def end(self) -> None:
        """Let session and journal go, and take everything off the canvas that only serves correcting."""
        session = self.session
        if session is None:
            return
        # First of all: who hears that the tools are put away looks at once what is corrected.
        self.session = self.beginning = self.base = self._kept = None
        self._looked_at = 0
        self._put_away()
        session.close()
        if CORRECTED not in self.bench.document.results:
            self.bench.viewer.remove(CORRECTED)
        self.changed.emit()

    def _take_begun(self, cells: Result, beginning: Beginning, begun: Begun) -> None:
        self.is_beginning = False
        now = self.bench.document.cells
        if now is None or now.volume is not cells.volume:
            # Other cells came meanwhile.
            begun.session.close()
            self.changed.emit()
            return
        self.session, self.beginning, self.base, self._kept = begun.session, beginning, cells, None
        self._n_kept = self._position()
        session = self.session
        session.changed.connect(self._show_edit)
        viewer = self.bench.viewer
        viewer.remove(CORRECTED)
        viewer.show_array(session.labels, cells.volume.kind, grid_of(cells.volume), CORRECTED)
        if cells.name != CORRECTED:
            viewer.set_visible(cells.name, False)
        self.show_layers(True)
        if begun.problem:
            self.bench.warn(f"{begun.problem} Corrections are kept in this session meanwhile.")
        if begun.n_brought:
            # They are in no result yet.
            self._n_kept = -1 if cells.name != CORRECTED else self._n_kept
            count = "1 correction" if begun.n_brought == 1 else f"{begun.n_brought} corrections"
            self.told.emit(f"Went on with {count} of earlier.")
        self.changed.emit()

    def _fail_to_begin(self, problem: str) -> None:
        self.is_beginning = False
        self.bench.warn(problem)
        self.changed.emit()

    def show_layers(self, on: bool) -> None:
        """Put the tools on the canvas, or away."""
        session, viewer = self.session, self.bench.viewer
        if session is None or self.base is None or on == (self.hand is not None):
            return
        if not on:
            self._put_away()
            return
        grid = grid_of(self.base.volume)
        tissue = session.tissue
        self._overlay = Overlay(viewer, grid, tissue)
        for layer in viewer.labels_planes(CORRECTED):
            # napari's own brush would change the labels behind the session's back.
            layer.editable = False
        viewer.choose(viewer.labels_planes(CORRECTED)[-1].name)
        self.pointer = Pointer(viewer, CORRECTED, tissue.planes, self)
        self.pointer.hovered.connect(self._hover)
        self.hand = Hand(viewer, self.pointer, self._overlay, tissue, grid.scale, self.do, self)
        self.hand.told.connect(self.told)
        self.hand.refused.connect(self.refused)
        self.hand.changed.connect(self.changed)
        self.hand.changed.connect(self._show_likeness)
        self.hand.changed.connect(lambda: self._hover(self.pointer.spot if self.pointer else None))

    def _show_likeness(self) -> None:
        """Show what is like the pixel under the cursor while the tool that adds it is in hand."""
        if self.hand is None or self.session is None or self.base is None:
            return
        wanted = self.hand.tool.key == "alike" and not self.is_keeping
        embedded = self.session.tissue.embedding if wanted else None
        if embedded is None:
            self._likeness.stop()
        elif not self._likeness.is_on:
            layer = self.bench.viewer.labels_planes(CORRECTED)[-1].name
            self._likeness.start(embedded, grid_of(self.base.volume), layer)

    def _put_away(self) -> None:
        self._likeness.stop()
        if self.hand is not None and self.pointer is not None and self._overlay is not None:
            hand, pointer, overlay = self.hand, self.pointer, self._overlay
            self.hand = self.pointer = self._overlay = None
            hand.close()
            pointer.close()
            overlay.remove()
            for leaving in (hand, pointer):
                leaving.deleteLater()

    # ------------------------------------------------------------------------------------------------ correcting

    def do(self, tool: str, fields: Mapping[str, Any]) -> bool:
        """Make a correction; returns whether it was made, and says why where it was not."""
        return self._attempt(lambda session: session.do(TOOLS.get(tool)(**fields)), "")

    def do_tool(self, tool: Tool) -> bool:
        """Make a correction that is ready; as `do`."""
        return self._attempt(lambda session: session.do(tool), "")

    def undo(self) -> None:
        """Take the last stroke back that waits, else the last correction."""
        if self.hand is None or not self.hand.take_back_stroke():
            self._attempt(lambda session: session.undo(), "Undone: ")

    def redo(self) -> None:
        """Make the correction again that was undone last."""
        self._attempt(lambda session: session.redo(), "Done again: ")

    def _attempt(self, act: Callable[[ProofreadSession], Edit], prefix: str) -> bool:
        if self.session is None:
            return False
        if self.is_keeping:
            self.refused.emit("The corrections are just being kept; try again in a moment.")
            return False
        try:
            edit = act(self.session)
        except PlantSegError as error:
            self.refused.emit(str(error))
            return False
        spared = f"; {edit.n_kept} voxels of locked cells stayed" if edit.n_kept else ""
        self.told.emit(f"{prefix}{edit.words}{spared}.")
        return True

    def _show_edit(self, edit: Edit) -> None:
        session, viewer = self.session, self.bench.viewer
        if session is None:
            return
        if edit.box is not None and edit.start is not None and edit.stop is not None:
            viewer.refresh_box(CORRECTED, edit.box, slice(edit.start[0], edit.stop[0]))
        if self._overlay is not None and self.pointer is not None:
            self._overlay.show_edit(edit)
            self.pointer.look_again()
            self._outline()
            self.hovered.emit(self.pointer.spot)
        self.edited.emit(edit)
        self.changed.emit()

    # ------------------------------------------------------------------------------------------------ maps and copies

    def take_nuclei(self, nuclei: Volume | None, index: CellIndex | None) -> None:
        """Let tools and the work list use other nuclei, or none; see `Tissue.take_nuclei`."""
        if self.session is not None and self.beginning is not None:
            self.session.tissue.take_nuclei(None if nuclei is None else nuclei.data, index)
            self.beginning = dataclasses.replace(self.beginning, nuclei=nuclei)
            self.changed.emit()

    def copy(self, then: Callable[[Volume], None], otherwise: Callable[[str], None]) -> None:
        """Copy the labels as they are now beside the window; corrections wait meanwhile.

        Parameters
        ----------
        then
            Gets the copy.
        otherwise
            Gets the reason why there is none, in a sentence.
        """
        base = self.base
        if base is None or self.is_keeping:
            return

        def copied(session: ProofreadSession) -> NDArray[Any]:
            return session.labels.copy()

        self.read_labels(copied, lambda data: then(base.volume.replace(data=data)), otherwise)
        self.changed.emit()

    # ------------------------------------------------------------------------------------------------ the canvas

    def look_at(self, cell: int, neighbour: int = 0) -> None:
        """Bring a cell into the middle of the canvas and outline it; 0 takes the outline away.

        Parameters
        ----------
        neighbour
            Another cell that should be in sight as well, 0 for none.
        """
        session = self.session
        if session is None or self.pointer is None:
            return
        self._looked_at = cell
        if cell in session.tissue.index:
            box = session.tissue.box_around((cell,))
            masks = [session.tissue.mask_of((one,), box) for one in (cell, neighbour) if one in session.tissue.index]
            middle = middle_of(masks, self.pointer.across)
            place = [part.start + at for part, at in zip(box, middle, strict=True)]
            self.bench.viewer.centre_on(CORRECTED, place, [part.stop - part.start for part in box])
            # A key must not act on a cell that was under the cursor before.
            self.pointer.forget()
        self._outline()

    def _hover(self, spot: Spot | None) -> None:
        if self._overlay is not None:
            self._outline()
            self.hovered.emit(spot)

    def _outline(self) -> None:
        """Outline what the cursor points at, and the cell that is looked at, on the slice that is shown."""
        if self.session is None or self._overlay is None or self.pointer is None or self.hand is None:
            return
        spot, across = self.pointer.spot, self.pointer.across
        shown = 0 if across is None else self._shown_slice(across)
        self._overlay.outline_looked_at(self._looked_at, across, shown)
        cell = spot.cell if spot is not None and spot.cell else self.hand.chosen
        place = shown if across is None or spot is None else spot.voxel[across]
        self._overlay.outline(cell, across, place, is_chosen=cell == self.hand.chosen)

    def _shown_slice(self, across: int) -> int:
        layer = self.bench.viewer.labels_planes(CORRECTED)[0]
        return round(float(layer.world_to_data(self.bench.viewer.model.dims.point)[across]))

    def words_for(self, cell: int) -> str:
        """Return id, size and mark of a cell, "" when there is none."""
        if self.session is None or self.base is None or cell not in self.session.tissue.index:
            return ""
        n_voxels = self.session.tissue.index.size(cell)
        parts = [f"Cell {cell}", f"{n_voxels:,} voxels".replace(",", "\u2009")]
        size_um = self.base.volume.voxel_size_um
        if size_um is not None:
            flat = self.base.volume.is_2d
            area = size_um.y * size_um.x
            parts.append(f"{n_voxels * (area if flat else area * size_um.z):.4g} {'µm²' if flat else 'µm³'}")
        mark = self.session.marks.get(cell)
        if mark is not None:
            parts.append("correct" if mark is Mark.CORRECT else "unsure")
        return " · ".join(parts)

    # ------------------------------------------------------------------------------------------------ keeping

    @property
    def is_keeping(self) -> bool:
        """Whether something just reads the labels beside the window, so that they must not change."""
        return self._n_readers > 0

    def read_labels(
        self, work: Callable[[ProofreadSession], T], then: Callable[[T], None], otherwise: Callable[[str], None]
    ) -> None:
        """Do something beside the window with labels that do not change meanwhile.

        Parameters
        ----------
        work
            Gets the session, in another thread.
        then, otherwise
            Get what came of it, or why nothing did, in the window's thread.
        """
        if self.session is None:
            return
        self._n_readers += 1

        def end(tell: Callable[[Any], None], made: Any) -> None:
            self._n_readers -= 1
            tell(made)
            self.changed.emit()

        self.bench.beside.ask(
            functools.partial(work, self.session), functools.partial(end, then), functools.partial(end, otherwise)
        )

    def _position(self) -> int:
        """Return a number that is the same where the labels are."""
        return self.session.edits[-1].number if self.session is not None and self.session.edits else 0

    @property
    def is_kept(self) -> bool:
        """Whether the document has the cells as they are now."""
        return self.session is None or self._position() == self._n_kept

    def keep(self) -> None:
        """Give the document a copy of the corrected cells, unless it has it."""
        session, base = self.session, self.base
        if session is None or base is None or self.is_kept:
            return
        self._n_kept = self._position()
        # Before anything else writes these labels to the disk, so that they and the journal belong together.
        self.read_labels(ProofreadSession.note_saved, lambda _: None, self.bench.warn)
        volume = base.volume.replace(data=session.labels.copy())
        original = base.inputs.get("corrected by hand", base.name)
        self._kept = Result(CORRECTED, volume, base.workflow, {**base.inputs, "corrected by hand": original})
        self.bench.document.set_result(self._kept)

    def _note_written(self, name: str, file: Path) -> None:
        """Put the journal beside a file that the corrected cells were written to."""
        journal = None if self.session is None else self.session.history.log.path
        if name != CORRECTED or journal is None or not self.is_kept or journal == journal_path(file):
            return
        try:
            with replacing(journal_path(file)) as partial:
                shutil.copyfile(journal, partial)
        except OSError as error:
            self.bench.tell(f"The journal of corrections could not be written beside {file.name}: {error}.")
