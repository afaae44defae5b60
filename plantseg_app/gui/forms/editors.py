"""The controls of single fields: each shows plain data, gives it back, and says when a person has changed it.

They check nothing: what was typed goes to the step as it is, so that the step's own sentence says what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QMouseEvent, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.core.describe import FieldDescription
from plantseg_app.gui.forms.choices import CHOICES

UNITS = {"um": "µm", "voxel": "voxels", "1/um": "1/µm"}
"""How units are written for people, where that is not the word of the files."""

_LONG_WORD = 14


class Editor(QWidget):
    """The control of one field.

    Signals
    -------
    edited
        A person, not the program, has changed the value.
    """

    edited = Signal()
    is_wide = False
    """Whether it takes a line of its own below the label."""

    def __init__(self, field: FieldDescription) -> None:
        super().__init__()
        self.field = field

    def value(self) -> Any:
        """Return what is shown as plain data, checked by nobody."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show `value` without saying that it was edited."""
        raise NotImplementedError

    def controls(self) -> Sequence[tuple[QWidget, str]]:
        """Return what a person operates, the first one first, each with what its name adds to the field's title."""
        raise NotImplementedError

    def _hold(self, *widgets: QWidget) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in widgets:
            row.addWidget(widget, 1)


class WheelGuard(QObject):
    """Keeps a control that has not the keyboard from changing when a person scrolls past it."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Leave the wheel to the scroll area unless the control was clicked before."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


def guard_wheel(widget: QWidget) -> None:
    """Let `widget` follow the wheel only while it has the keyboard."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(WheelGuard(widget))


class _TickTitle(QLabel):
    """The title of a tick: it can take several lines, which the text of a QCheckBox cannot, and a click ticks."""

    clicked = Signal()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Pass a click on."""
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.clicked.emit()


class BooleanEditor(Editor):
    """A tick; it carries the title of the field itself."""

    def __init__(self, field: FieldDescription) -> None:
        super().__init__(field)
        self.box = QCheckBox()
        title = _TickTitle(field.title.replace("&", "&&"))
        title.setWordWrap(True)
        title.setBuddy(self.box)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box)
        row.addWidget(title, 1)
        self.box.clicked.connect(self.edited)
        title.clicked.connect(self.box.click)

    def value(self) -> bool:
        """Whether it is ticked."""
        return self.box.isChecked()

    def set_value(self, value: Any) -> None:
        """Tick it or not."""
        self.box.setChecked(bool(value))

    def controls(self) -> Sequence[tuple[QWidget, str]]:
        """Return the tick."""
        return [(self.box, "")]


class ChoiceEditor(Editor):
    """One of a few words or numbers."""

    def __init__(self, field: FieldDescription) -> None:
        super().__init__(field)
        self.box = QComboBox()
        for choice in field.choices:
            word = str(choice)
            self.box.addItem(UNITS.get(word, word), choice)
        self.is_wide = max(len(str(choice)) for choice in field.choices) > _LONG_WORD
        guard_wheel(self.box)
        self._hold(self.box)
        self.box.activated.connect(self.edited)

    def value(self) -> Any:
        """Return the word or number."""
        return self.box.currentData()

    def set_value(self, value: Any) -> None:
        """Choose a word or number."""
        self.box.setCurrentIndex(self.box.findData(value))

    def controls(self) -> Sequence[tuple[QWidget, str]]:
        """Return the list of words."""
        return [(self.box, "")]


class TextEditor(Editor):
    """Free text."""

    is_wide = True

    def __init__(self, field: FieldDescription) -> None:
        super().__init__(field)
        self.line = QLineEdit()
        if not field.nullable:
            self.line.setPlaceholderText(str(field.hint.get("empty", "")))
        self._hold(self.line)
        self.line.editingFinished.connect(self._finish)
        self._told = ""

    def value(self) -> Any:
        """Return the text."""
        return self.line.text()

    def set_value(self, value: Any) -> None:
        """Show a text."""
        self._told = "" if value is None else str(value)
        self.line.setText(self._told)

    def controls(self) -> Sequence[tuple[QWidget, str]]:
        """Return the line."""
        return [(self.line, "")]

    def _finish(self) -> None:
        # Qt also calls it when the keyboard only passes through.
        if self.line.text() != self._told:
            self._told = self.line.text()
            self.edited.emit()


class ListEditor(TextEditor):
    """Any count of values, separated by commas; lists of lists are separated by semicolons."""

    def value(self) -> list[Any]:
        """Return the parts as text; the step knows what they should be."""
        if self.field.length is None:
            return _parts(self.line.text(), ",")
        return [_parts(entry, ",") for entry in _parts(self.line.text(), ";")]

    def set_value(self, value: Any) -> None:
        """Show the values."""
        if self.field.length is None:
            super().set_value(", ".join(str(part) for part in value or ()))
        else:
            super().set_value("; ".join(",".join(str(part) for part in entry) for entry in value or ()))


class FolderEditor(TextEditor):
    """A folder, to be typed or looked for."""

    def __init__(self, field: FieldDescription) -> None:
        super().__init__(field)
        self.line.setClearButtonEnabled(True)
        self.browse_button = QPushButton("Browse…")
        self.browse_button.setAutoDefault(False)
        row = self.layout()
        if row is not None:
            row.addWidget(self.browse_button)
        self.browse_button.clicked.connect(self._browse)

    def controls(self) -> Sequence[tuple[QWidget, str]]:
        """Return the line, then the button that looks for a folder."""
        return [(self.line, ""), (self.browse_button, "browse")]

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self.field.title, self.line.text())
        if folder:
            self.line.setText(folder)
            self._finish()


class SourcedEditor(Editor):
    """A text with choices from a source, such as the installed models; anything else may be typed, such as a folder."""

    is_wide = True

    def __init__(self, field: FieldDescription) -> None:
        super().__init__(field)
        self._source = CHOICES.get(str(field.hint["choices"]))
        self._told = ""
        self.box = QComboBox()
        self.box.setEditable(bool(field.hint.get("free", True)))
        self.box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(12)
        guard_wheel(self.box)
        self._hold(self.box)
        self.box.activated.connect(self._finish)
        line = self.box.lineEdit()
        if line is not None:
            line.editingFinished.connect(self._finish)

    def value(self) -> str:
        """Return the id of what is chosen, or the text that was typed."""
        if not self.box.isEditable():
            return str(self.box.currentData() or self._told)
        text = self.box.currentText().strip()
        place = self.box.findText(text, Qt.MatchFlag.MatchFixedString | Qt.MatchFlag.MatchCaseSensitive)
        return text if place < 0 else str(self.box.itemData(place))

    def set_value(self, value: Any) -> None:
        """Show the title of an id, or the text itself."""
        self._told = "" if value is None else str(value)
        place = self.box.findData(self._told)
        self.box.setCurrentIndex(place)
        if place < 0 and self.box.isEditable():
            self.box.setEditText(self._told)

    def controls(self) -> Sequence[tuple[QWidget, str]]:
        """Return the list, in which one can write."""
        return [(self.box, "")]

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Ask the source anew: models may have been added since."""
        self.refresh()
        super().showEvent(event)

    def refresh(self) -> None:
        """Fill in what there is to choose now; what is chosen stays."""
        value = self.value()
        self.box.clear()
        for choice in self._source():
            self.box.addItem(choice.title, choice.id)
            self.box.setItemData(self.box.count() - 1, choice.help, Qt.ItemDataRole.ToolTipRole)
        self.set_value(value)

    def _finish(self) -> None:
        if self.value() != self._told:
            self._told = self.value()
            self.edited.emit()


class OptionalEditor(Editor):
    """Another editor with a tick for having no value, which says what that means."""

    is_wide = True

    def __init__(self, field: FieldDescription, inner: Editor) -> None:
        super().__init__(field)
        self.inner = inner
        self.empty_box = QCheckBox(str(field.hint.get("empty", "automatic")))
        layout = QVBoxLayout(self) if inner.is_wide else QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.empty_box)
        layout.addWidget(inner, 1)
        self.inner.set_value(_something(field))
        self.empty_box.toggled.connect(self._show_inner)
        self.empty_box.clicked.connect(self.edited)
        self.inner.edited.connect(self.edited)

    def value(self) -> Any:
        """Return None when there is no value."""
        return None if self.empty_box.isChecked() else self.inner.value()

    def set_value(self, value: Any) -> None:
        """Show a value or that there is none; the last value stays at hand."""
        if value is not None:
            self.inner.set_value(value)
        self.empty_box.setChecked(value is None)
        self._show_inner(value is None)

    def controls(self) -> Sequence[tuple[QWidget, str]]:
        """Return the tick, then the controls of the value."""
        return [(self.empty_box, self.empty_box.text()), *self.inner.controls()]

    def _show_inner(self, is_empty: bool) -> None:
        self.inner.setEnabled(not is_empty)
        if self.inner.is_wide:
            self.inner.setVisible(not is_empty)


def _parts(text: str, separator: str) -> list[str]:
    return [part.strip() for part in text.split(separator) if part.strip()]


def _something(field: FieldDescription) -> Any:
    """Return a value to begin with when a person unticks "automatic"."""
    if field.type not in ("number", "integer", "numbers", "integers"):
        return field.default
    single = 1 if field.minimum is None else max(1, field.minimum)
    if field.maximum is not None:
        single = min(single, field.maximum)
    return [single] * field.length if field.length else single
