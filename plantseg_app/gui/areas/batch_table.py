"""The files of a batch as a table: where each stands, how long it took, how many cells it has, and why it failed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionProgressBar, QStyleOptionViewItem

from plantseg_app.core.quantities import human_seconds
from plantseg_app.gui.areas.row_table import RowTable
from plantseg_app.run.jobs import JobResult

Index = QModelIndex | QPersistentModelIndex
State = Literal["waiting", "running", "done", "skipped", "failed"]

FRACTION = Qt.ItemDataRole.UserRole
"""The role under which a running row tells how far it is, 0 to 1."""

# A sign besides the word, so that colours are not needed to tell states apart.
_SIGNS = {"waiting": "", "running": "▸ ", "done": "✓ ", "skipped": "✓ ", "failed": "✗ "}


@dataclasses.dataclass(frozen=True)
class BatchRow:
    """One file.

    Attributes
    ----------
    path
        The image.
    state
        Where it stands.
    output
        Its result, once that is planned.
    doing, fraction
        What is being done with it, and how much of the file is done (0 to 1), while it runs.
    seconds, n_cells, error
        As in `plantseg_app.run.jobs.JobResult`.
    """

    path: Path
    state: State = "waiting"
    output: Path | None = None
    doing: str = ""
    fraction: float = 0.0
    seconds: float | None = None
    n_cells: int | None = None
    error: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it in this run."""
        return self.state in ("done", "skipped", "failed")

    @property
    def state_text(self) -> str:
        """Where it stands, in words."""
        if self.state == "failed":
            return f"failed: {self.error}"
        if self.state == "running" and self.doing:
            return self.doing
        return "finished earlier" if self.state == "skipped" else self.state

    def finished(self, result: JobResult) -> BatchRow:
        """Return the row after its result has come."""
        seconds = self.seconds if result.status == "skipped" else result.seconds
        return BatchRow(self.path, result.status, result.output, "", 1.0, seconds, result.n_cells, result.error)


class BatchTable(RowTable[BatchRow]):
    """The files, one a row."""

    COLUMNS = ("File", "State", "Time", "Cells")

    def add(self, paths: Iterable[Path]) -> int:
        """Add files that are not in the table yet, and return how many they were."""
        known = {row.path.resolve() for row in self.rows}
        new = [path for path in dict.fromkeys(paths) if path.resolve() not in known]
        return self.append(BatchRow(path) for path in new)

    def find(self, path: Path) -> int:
        """Return the number of the row of an image."""
        return next(number for number, row in enumerate(self.rows) if row.path == path)

    def wait_again(self, numbers: Sequence[int]) -> None:
        """Let rows wait for a new run."""
        for number in numbers:
            self.replace(number, dataclasses.replace(self.rows[number], state="waiting", error="", fraction=0.0))

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows, or says when the mouse rests on it."""
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._texts(row)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return str(row.path) if index.column() == 0 else row.error or row.state_text
        if role == FRACTION and index.column() == 1 and row.state == "running":
            return row.fraction
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() > 1:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    @staticmethod
    def _texts(row: BatchRow) -> tuple[str, ...]:
        seconds = "" if row.seconds is None else human_seconds(row.seconds)
        cells = "" if row.n_cells is None else str(row.n_cells)
        return row.path.name, _SIGNS[row.state] + row.state_text, seconds, cells


class ProgressDelegate(QStyledItemDelegate):
    """Draws the state of a running file as a bar."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw a bar where there is progress, and text elsewhere."""
        fraction = index.data(FRACTION)
        if fraction is None:
            super().paint(painter, option, index)
            return
        bar = QStyleOptionProgressBar()
        bar.rect = option.rect.adjusted(2, 3, -2, -3)
        bar.minimum, bar.maximum, bar.progress = 0, 1000, round(1000 * fraction)
        bar.text = index.data()
        bar.textVisible = True
        bar.textAlignment = Qt.AlignmentFlag.AlignCenter
        bar.state = QStyle.StateFlag.State_Enabled | QStyle.StateFlag.State_Horizontal
        widget = option.widget
        style = widget.style() if widget else QApplication.style()
        style.drawControl(QStyle.ControlElement.CE_ProgressBar, bar, painter, widget)
