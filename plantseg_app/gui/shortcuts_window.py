"""The window that F1 opens: every key of the program, and a field to search them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QKeySequenceEdit,
    QLabel,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.gui.actions import ACTIONS, Action
from plantseg_app.gui.widgets import button, say, sentence

_ACTION = int(Qt.ItemDataRole.UserRole)


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
    action
        The key of its action, whose keys can be changed; "" where they cannot.
    """

    group: str
    keys: str
    text: str
    action: str = ""


def shortcuts_of(actions: Sequence[Action] = ACTIONS, chosen: Mapping[str, str] | None = None) -> list[Shortcut]:
    """Return the keys of `actions`, as this system writes them; `chosen` has those that a person has changed."""
    chosen = chosen or {}
    native = QKeySequence.SequenceFormat.NativeText
    return [
        Shortcut(
            action.menu.replace("&", ""),
            QKeySequence(chosen.get(action.key, action.shortcut)).toString(native),
            action.tip,
            action.key,
        )
        for action in actions
        if action.shortcut
    ]


class ShortcutsWindow(QDialog):
    """A list of keys by group that shrinks while a person types; it stays open beside the work.

    Parameters
    ----------
    shortcuts
        All keys, those of the canvas as well.
    change
        Called with an action and its new keys; without it keys cannot be changed.
    """

    def __init__(
        self,
        shortcuts: Sequence[Shortcut],
        parent: QWidget | None = None,
        change: Callable[[str, str], None] | None = None,
    ) -> None:
        super().__init__(parent)
        self._change = change
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
        column.addWidget(self._build_editor())
        self.tree.currentItemChanged.connect(self._show_chosen)
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
                    row = QTreeWidgetItem(group, [shortcut.text, shortcut.keys])
                    row.setData(0, _ACTION, shortcut.action)
        self.tree.expandAll()
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)

    # ------------------------------------------------------------------------------------------------ changing

    def _build_editor(self) -> QWidget:
        self.editor = QWidget()
        self.keys_edit = QKeySequenceEdit()
        self.keys_edit.setMaximumSequenceLength(1)
        self.keys_edit.setAccessibleName("New keys")
        self.keys_edit.setToolTip("Press the new keys here.")
        self.use_button = button("&Change", "Give the chosen action these keys.")
        self.usual_button = button("&Usual keys", "Give the chosen action its usual keys again.")
        self.said = sentence()
        self.use_button.clicked.connect(lambda: self._use(self.keys_edit.keySequence()))
        self.usual_button.clicked.connect(self._use_usual)
        # Return must reach the field for keys.
        for made in (self.use_button, self.usual_button):
            made.setAutoDefault(False)
        column = QVBoxLayout(self.editor)
        column.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        for widget in (self.keys_edit, self.use_button, self.usual_button):
            row.addWidget(widget)
        column.addWidget(self.said)
        column.addLayout(row)
        self.editor.setVisible(self._change is not None)
        self._show_chosen()
        return self.editor

    def _action(self) -> str:
        row = self.tree.currentItem()
        return "" if row is None else str(row.data(0, _ACTION) or "")

    def _show_chosen(self) -> None:
        row, can_change = self.tree.currentItem(), bool(self._action())
        for widget in (self.keys_edit, self.use_button, self.usual_button):
            widget.setEnabled(can_change)
        self.keys_edit.setKeySequence(QKeySequence(row.text(1)) if row is not None and can_change else QKeySequence())
        say(self.said, "" if can_change else "Choose an action to change its keys.", "help")

    def _use_usual(self) -> None:
        self._use(QKeySequence(next(action.shortcut for action in ACTIONS if action.key == self._action())))

    def _use(self, keys: QKeySequence) -> None:
        """Give the chosen action keys that no other has."""
        row, text = self.tree.currentItem(), keys.toString(QKeySequence.SequenceFormat.NativeText)
        if row is None or self._change is None:
            return
        taken = [other for group in self._groups() for other in self._rows(group) if other.text(1) == text]
        if not text:
            say(self.said, "Press the new keys first.", "warning")
        elif any(other is not row for other in taken):
            say(self.said, f"{text} is taken: {taken[0].text(0)}", "warning")
        else:
            self._change(self._action(), keys.toString(QKeySequence.SequenceFormat.PortableText))
            row.setText(1, text)
            self.keys_edit.setKeySequence(keys)
            say(self.said, f"{text}: {row.text(0)}", "good")

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
