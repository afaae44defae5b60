"""The window that F1 opens: every key of the program, and a field to search them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.gui.actions import ACTIONS, Action


@dataclasses.dataclass(frozen=True)
class Shortcut:
    """One key and what it does.

    Attributes
    ----------
    group
        Where it works, for example ``"Canvas"``.
    keys
        As people read them, for example ``"Shift+drag"``.
    text
        What happens.
    """

    group: str
    keys: str
    text: str


def shortcuts_of(actions: Sequence[Action] = ACTIONS) -> list[Shortcut]:
    """Return the keys of `actions`, as this system writes them."""
    native = QKeySequence.SequenceFormat.NativeText
    return [
        Shortcut(action.menu.replace("&", ""), QKeySequence(action.shortcut).toString(native), action.tip)
        for action in actions
        if action.shortcut
    ]


class ShortcutsWindow(QDialog):
    """A list of keys by group that shrinks while a person types; it stays open beside the work.

    Parameters
    ----------
    shortcuts
        All keys, those of the canvas as well.
    """

    def __init__(self, shortcuts: Sequence[Shortcut], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Shortcuts")
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search, for example: undo, Ctrl, canvas")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search shortcuts")
        self.search.setToolTip("Shows only what contains these words.")
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["What it does", "Keys"])
        self.tree.setAccessibleName("Shortcuts")
        self.tree.setToolTip("Every key of the program.")
        self.tree.setRootIsDecorated(False)
        self.tree.setIndentation(12)
        self.tree.setUniformRowHeights(True)
        self.nothing = QLabel("No key does that.")
        self.nothing.setProperty("role", "help")
        column = QVBoxLayout(self)
        column.addWidget(self.search)
        column.addWidget(self.tree, 1)
        column.addWidget(self.nothing)
        self._fill(shortcuts)
        self.search.textChanged.connect(self._filter)
        self._filter("")
        width = self.fontMetrics().horizontalAdvance("n") * 90
        self.resize(min(width, 900), self.fontMetrics().height() * 34)

    def visible_keys(self) -> list[str]:
        """Return the keys that are listed now."""
        return [row.text(1) for group in self._groups() for row in self._rows(group) if not row.isHidden()]

    def _fill(self, shortcuts: Sequence[Shortcut]) -> None:
        for name in dict.fromkeys(shortcut.group for shortcut in shortcuts):
            group = QTreeWidgetItem(self.tree, [name])
            font = group.font(0)
            font.setBold(True)
            group.setFont(0, font)
            group.setFlags(Qt.ItemFlag.ItemIsEnabled)
            for shortcut in shortcuts:
                if shortcut.group == name:
                    QTreeWidgetItem(group, [shortcut.text, shortcut.keys])
        self.tree.expandAll()
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)

    def _filter(self, text: str) -> None:
        words = text.casefold().split()
        found = 0
        for group in self._groups():
            here = 0
            for row in self._rows(group):
                content = f"{group.text(0)} {row.text(0)} {row.text(1)}".casefold()
                fits = all(word in content for word in words)
                row.setHidden(not fits)
                here += fits
            group.setHidden(not here)
            found += here
        self.nothing.setVisible(not found)

    def _groups(self) -> list[QTreeWidgetItem]:
        items = (self.tree.topLevelItem(place) for place in range(self.tree.topLevelItemCount()))
        return [item for item in items if item is not None]

    @staticmethod
    def _rows(group: QTreeWidgetItem) -> list[QTreeWidgetItem]:
        items = (group.child(place) for place in range(group.childCount()))
        return [item for item in items if item is not None]
