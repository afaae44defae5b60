"""Proofreading of one segmentation: tools are done, undone and redone, and every correction is in the journal at once.

Knows no window; a window listens to `changed`, and shows the labels, which are changed in place.

>>> import numpy as np
>>> from plantseg_app.proofread.tools.merge import Merge
>>> labels = np.array([[[1, 1, 2, 2, 5]]], np.uint32)
>>> session = ProofreadSession(labels)
>>> session.do(Merge(cells=(1, 2))).words, labels.tolist()
('Merged cells 1 and 2', [[[1, 1, 1, 1, 5]]])
>>> session.undo().number, labels.tolist()
(1, [[[1, 1, 2, 2, 5]]])
"""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from psygnal import Signal

from plantseg_app.algorithms.flooding import Spacing
from plantseg_app.proofread import tools as _  # noqa: F401 - the journal and the window name tools by their ids
from plantseg_app.proofread.delta import Delta
from plantseg_app.proofread.edit import Edit, Entries, Marks, corners, now
from plantseg_app.proofread.history import MEMORY_BYTES, History
from plantseg_app.proofread.journal import open_journal, saved_record
from plantseg_app.proofread.log import Log
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Mark, Tissue
from plantseg_app.proofread.tool import Tool


class ProofreadSession:
    """Labels that are being corrected.

    Attributes
    ----------
    labels
        (Z, Y, X) or, for objects that overlap, (L, Z, Y, X); changed in place, and by nothing else.
    tissue
        The same with where each cell is, marks, and the maps that help; to be read only.
    author
        Whose name corrections get.
    changed
        Signal: an `Edit` was done, undone or redone; its `box` is to be shown anew.

    Parameters
    ----------
    labels
        uint32 or uint64.
    boundary, superpixels, nuclei
        (Z, Y, X) maps that tools use where they are given: real numbers high between cells, and two labels.
    spacing
        Edge lengths of a voxel (z, y, x).
    author
        By default the name of the account.
    memory_bytes
        What undo may take in memory; the rest lies on the disk.

    Raises
    ------
    InputError
        If labels or maps do not fit.
    """

    changed = Signal(Edit)

    def __init__(
        self,
        labels: NDArray[Any],
        *,
        boundary: NDArray[Any] | None = None,
        superpixels: NDArray[Any] | None = None,
        nuclei: NDArray[Any] | None = None,
        spacing: Spacing = (1.0, 1.0, 1.0),
        author: str | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self.labels = labels
        self.tissue = Tissue(labels, boundary=boundary, superpixels=superpixels, nuclei=nuclei, spacing=spacing)
        self.author = _account() if author is None else author
        self.history = History(Log.temporary(), memory_bytes)
        self._memory_bytes = memory_bytes

    # ------------------------------------------------------------------------------------------------ the journal

    def open_journal(self, path: Path, name: str = "", check: Callable[[], None] = lambda: None) -> int:
        """Keep all corrections in a journal from now on; those that it holds already are made first.

        Parameters
        ----------
        path
            Of the journal; see `plantseg_app.proofread.journal.journal_path` for the usual one.
        name
            The name of the labels, for people; no path.
        check
            Called between corrections; may raise to stop.

        Returns
        -------
        int
            How many corrections the journal brought.

        Raises
        ------
        Refused
            If corrections were made already.
        RequestError
            If another window has the journal open.
        InputError
            If it is damaged, or belongs to other labels (`plantseg_app.proofread.journal.Conflict`).
        ResourceError
            If it cannot be read or written.
        """
        if self.history.n_edits:
            raise Refused("A journal is opened before the first correction.")
        opened = open_journal(path, self.labels, name)
        history = History(opened.log, self._memory_bytes)
        try:
            for place, record in opened.records:
                check()
                followed = history.follow(place, record)
                if followed is not None:
                    edit, deltas, forward = followed
                    self._follow(edit, deltas, forward, place.offset < opened.contained_up_to)
        except BaseException:
            opened.log.close()
            raise
        self.history.log.close()
        self.history = history
        return len(history.done)

    def note_saved(self) -> None:
        """Tell the journal that the labels are about to be written to their file as they are now.

        The journal then fits that file, too. To be called before the file is written, so that whenever the program ends
        the file and the journal belong together.
        """
        self.history.log.append(saved_record(self.labels, self.author, now()))

    def close(self) -> None:
        """Let the journal go."""
        self.history.log.close()

    # ------------------------------------------------------------------------------------------------ correcting

    def do(self, tool: Tool) -> Edit:
        """Make a correction; once this returns it is in the journal.

        Raises
        ------
        Refused
            If it cannot be made or would change nothing; in one sentence why. Nothing has changed then.
        ResourceError
            If the journal cannot be written to. Nothing has changed then.
        """
        tissue = self.tissue
        tissue.begin()
        deltas: list[Delta] = []
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._give_up, deltas, tissue.next_id)
            for change in tool.changes(tissue):
                deltas.extend(tissue.apply(change))
            marks = self._marks_after(tool)
            if not deltas and not marks:
                raise Refused(self._nothing_changes())
            edit = self._described(tool, deltas, marks)
            self.history.add(edit, deltas)
            on_failure.pop_all()
        self._set_marks(edit.marks, forward=True)
        self.changed.emit(edit)
        return edit

    def undo(self) -> Edit:
        """Take the last correction back, and return it; Refused when there is none."""
        edit, deltas = self.history.next_undo()
        self._move(edit, deltas, False, self.history.note_undo)
        return edit

    def redo(self) -> Edit:
        """Make the correction again that was undone last, and return it; Refused when there is none."""
        edit, deltas = self.history.next_redo()
        self._move(edit, deltas, True, self.history.note_redo)
        return edit

    # ------------------------------------------------------------------------------------------------ asking

    @property
    def marks(self) -> Mapping[int, Mark]:
        """What has been said of cells, by id."""
        return self.tissue.marks

    @property
    def edits(self) -> Sequence[Edit]:
        """The corrections that are done, in their order."""
        return self.history.done

    # ------------------------------------------------------------------------------------------------ inside

    def _move(self, edit: Edit, deltas: Sequence[Delta], forward: bool, note: Callable[[str, str], None]) -> None:
        """Do an edit or take it back and note it, or do neither."""
        moved: list[Delta] = []
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._take_back, moved, not forward)
            for delta in deltas if forward else reversed(deltas):
                self.tissue.move(delta, forward)
                moved.append(delta)
            note(self.author, now())
            on_failure.pop_all()
        self._set_entries(edit.entries, forward)
        self._set_marks(edit.marks, forward)
        self.changed.emit(edit)

    def _take_back(self, deltas: Sequence[Delta], forward: bool) -> None:
        for delta in reversed(deltas):
            self.tissue.move(delta, forward)

    def _give_up(self, deltas: Sequence[Delta], next_id: int) -> None:
        """Bring everything back to before the edit that failed."""
        self._take_back(deltas, forward=False)
        for cell, entry in self.tissue.touched.items():
            self.tissue.index.put(cell, entry)
        self.tissue.next_id = next_id

    def _follow(self, edit: Edit, deltas: Sequence[Delta], forward: bool, contained: bool) -> None:
        """Do what the journal says; when it is contained in the labels already, take over its marks alone."""
        if not contained:
            for delta in deltas if forward else reversed(deltas):
                self.tissue.move(delta, forward)
            self._set_entries(edit.entries, forward)
        self._set_marks(edit.marks, forward)
        self.tissue.next_id = max(self.tissue.next_id, edit.next_id)

    def _set_entries(self, entries: Entries, forward: bool) -> None:
        for cell, (before, after) in entries.items():
            self.tissue.index.put(cell, after if forward else before)

    def _marks_after(self, tool: Tool) -> dict[int, tuple[Mark | None, Mark | None]]:
        """Return the marks that change: those that the tool sets, and those of cells that are gone."""
        wanted = dict(tool.marks(self.tissue))
        gone = [cell for cell in self.tissue.touched if cell not in self.tissue.index]
        wanted |= dict.fromkeys(gone)
        pairs = {cell: (self.marks.get(cell), mark) for cell, mark in wanted.items()}
        return {cell: pair for cell, pair in pairs.items() if pair[0] is not pair[1]}

    def _set_marks(self, marks: Marks, forward: bool) -> None:
        for cell, (before, after) in marks.items():
            mark = after if forward else before
            if mark is None:
                self.tissue.marks.pop(cell, None)
            else:
                self.tissue.marks[cell] = mark

    def _described(self, tool: Tool, deltas: Sequence[Delta], marks: Marks) -> Edit:
        start, stop = corners(deltas)
        return Edit(
            number=self.history.n_edits + 1,
            tool=tool.id,
            settings=tool.settings(),
            words=tool.words,
            author=self.author,
            at=now(),
            cells=tuple(sorted({*self.tissue.touched, *marks})),
            start=start,
            stop=stop,
            n_voxels=self.tissue.n_changed,
            n_kept=self.tissue.n_kept,
            entries={cell: (entry, self.tissue.index.entry(cell)) for cell, entry in self.tissue.touched.items()},
            marks=marks,
            next_id=self.tissue.next_id,
        )

    def _nothing_changes(self) -> str:
        if self.tissue.n_kept:
            return "All of it belongs to cells that are locked as correct; unlock them first."
        return "This would change nothing."


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
