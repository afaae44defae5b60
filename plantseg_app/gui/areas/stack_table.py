"""The labelled stacks of a training as a table; ticks say whose objects overlap, and which stacks only judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt

from plantseg_app.gui.areas.row_table import RowTable
from plantseg_app.train.settings import StackFiles

Index = QModelIndex | QPersistentModelIndex

_OVERLAP, _JUDGES = 2, 3


@dataclasses.dataclass(frozen=True)
class StackRow:
    """One labelled stack, and whether the network is judged on it instead of learning from it."""

    files: StackFiles
    judges: bool = False

    @property
    def image_name(self) -> str:
        """The file of the image."""
        return Path(self.files.path or self.files.image).name

    @property
    def labels_name(self) -> str:
        """The file of the labels."""
        return "in the same file" if self.files.path else Path(self.files.labels).name


class StackTable(RowTable[StackRow]):
    """The stacks, one a row."""

    COLUMNS = ("Image", "Cells", "Overlap", "Judges")

    def add(self, stacks: Iterable[StackFiles]) -> None:
        """Add stacks that are not in the table yet."""
        known = {_place(row.files) for row in self.rows}
        self.append(StackRow(files) for files in dict.fromkeys(stacks) if _place(files) not in known)

    def learning(self) -> tuple[StackFiles, ...]:
        """Return the stacks to learn from."""
        return tuple(row.files for row in self.rows if not row.judges)

    def judging(self) -> tuple[StackFiles, ...]:
        """Return the stacks to judge on."""
        return tuple(row.files for row in self.rows if row.judges)

    @property
    def has_overlaps(self) -> bool:
        """Whether a stack holds objects that may overlap."""
        return any(row.files.layered for row in self.rows)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Return what a person can do with a cell: the last columns are ticked."""
        usual = super().flags(index)
        return usual | Qt.ItemFlag.ItemIsUserCheckable if index.column() in (_OVERLAP, _JUDGES) else usual

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows, or says when the mouse rests on it."""
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.CheckStateRole and index.column() in (_OVERLAP, _JUDGES):
            is_ticked = row.files.layered if index.column() == _OVERLAP else row.judges
            return Qt.CheckState.Checked if is_ticked else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.DisplayRole:
            return (row.image_name, row.labels_name, "", "")[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            files = row.files
            overlap = (
                "Ticked: each plane of the cells shows one object, or objects of which those in other planes may lie "
                "over them. Not ticked: plain labels, a plane a slice."
            )
            judges = "Tick it to judge the network on this stack instead of learning from it."
            return (files.path or files.image, files.path or files.labels, overlap, judges)[index.column()]
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:  # noqa: N802 - Qt's name
        """Tick a stack or take the tick off."""
        if role != Qt.ItemDataRole.CheckStateRole or index.column() not in (_OVERLAP, _JUDGES):
            return False
        is_ticked, row = Qt.CheckState(value) is Qt.CheckState.Checked, self.rows[index.row()]
        if index.column() == _JUDGES:
            row = dataclasses.replace(row, judges=is_ticked)
        else:
            row = dataclasses.replace(row, files=row.files.model_copy(update={"layered": is_ticked}))
        self.rows[index.row()] = row
        self.dataChanged.emit(index, index)
        return True


def _place(files: StackFiles) -> StackFiles:
    """Return what makes two stacks the same, however their cells are read."""
    return files.model_copy(update={"layered": False})
