"""One field in a form: its label, its control, its help, what is wrong with it, and the way back to its default."""

from __future__ import annotations

import html
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from plantseg_app.core.describe import FieldDescription
from plantseg_app.gui.forms.editors import UNITS, BooleanEditor
from plantseg_app.gui.forms.make import make_editor
from plantseg_app.gui.icons import icon


class FieldRow(QWidget):
    """One field.

    Signals
    -------
    edited
        A person has changed the value.
    """

    edited = Signal()

    def __init__(self, field: FieldDescription, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = field
        self.editor = make_editor(field)
        self.info_button = self._mark("about", "help", f"Help on {field.title}")
        self.info_button.setCheckable(True)
        self.reset_button = self._mark("reset", "reset", f"Reset {field.title}")
        self.help_label = self._note("help", help_text(field))
        self.problem_label = self._note("error", "")
        self._build()
        self._name_controls()
        self.editor.edited.connect(self.edited)
        self.info_button.toggled.connect(self.help_label.setVisible)
        self.reset_button.clicked.connect(self.reset)
        QShortcut(QKeySequence("Shift+F1"), self, self.info_button.toggle, context=_WITHIN)

    def value(self) -> Any:
        """Return what is shown, unchecked."""
        return self.editor.value()

    def set_value(self, value: Any) -> None:
        """Show `value`; `edited` is not emitted."""
        self.editor.set_value(value)
        self.show_whether_changed(value)

    def reset(self) -> None:
        """Show the default, as if a person had chosen it."""
        self.set_value(self.field.default)
        self.edited.emit()

    def show_whether_changed(self, value: Any) -> bool:
        """Offer the way back to the default if `value` is another one, and return whether it is."""
        changed = not self.field.required and value != self.field.default
        self.reset_button.setVisible(changed)
        return changed

    def set_problem(self, sentence: str) -> None:
        """Say what is wrong with the value; "" when nothing is."""
        self.problem_label.setText(sentence)
        self.problem_label.setVisible(bool(sentence))
        for widget, _ in self.editor.controls():
            widget.setAccessibleDescription(sentence or self.field.help)

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        top = QHBoxLayout()
        if isinstance(self.editor, BooleanEditor):
            top.addWidget(self.editor, 1)
        else:
            self.label = QLabel(label_text(self.field))
            self.label.setWordWrap(True)
            self.label.setBuddy(self.editor.controls()[0][0])
            self.label.setToolTip(tool_tip(self.field))
            top.addWidget(self.label, 1)
        top.addWidget(self.reset_button)
        if not (self.editor.is_wide or isinstance(self.editor, BooleanEditor)):
            top.addWidget(self.editor)
        top.addWidget(self.info_button)
        column.addLayout(top)
        if self.editor.is_wide:
            column.addWidget(self.editor)
        column.addWidget(self.problem_label)
        column.addWidget(self.help_label)

    def _name_controls(self) -> None:
        self.editor.setToolTip(tool_tip(self.field))
        for widget, part in self.editor.controls():
            widget.setAccessibleName(f"{self.field.title} {part}".strip())
            widget.setAccessibleDescription(self.field.help)
            widget.setToolTip(tool_tip(self.field))

    def _mark(self, picture: str, role: str, name: str) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon(picture))
        button.setProperty("role", role)
        button.setAutoRaise(True)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setAccessibleName(name)
        tips = {
            "help": "Show or hide the help (Shift+F1).",
            "reset": f"Back to {shown(self.field.default, self.field)}.",
        }
        button.setToolTip(tips[role])
        policy = button.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        button.setSizePolicy(policy)
        button.setVisible(role == "help")
        return button

    def _note(self, role: str, text: str) -> QLabel:
        label = QLabel(text)
        label.setProperty("role", role)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        label.setVisible(False)
        return label


_WITHIN = Qt.ShortcutContext.WidgetWithChildrenShortcut


def label_text(field: FieldDescription) -> str:
    """Return the title, with the unit where the control has no room for it."""
    unit = f" ({UNITS.get(field.unit, field.unit)})" if field.unit and field.type not in ("number", "integer") else ""
    return (field.title + unit).replace("&", "&&")


def help_text(field: FieldDescription) -> str:
    """Return what the field does, what it takes and what it is unless changed, in full sentences."""
    unit = UNITS.get(field.unit, field.unit)
    allowed = f"Allowed: {field.range_text}{' ' + unit if unit else ''}."
    default = "" if field.required else f"Default: {shown(field.default, field)}."
    # A range such as that of whole numbers up to 2**53 is none that anybody reaches.
    ranged = field.range_text and not field.choices and not (field.maximum is not None and field.maximum >= 2**53)
    return " ".join(part for part in (field.help, allowed if ranged else "", default) if part)


def tool_tip(field: FieldDescription) -> str:
    """Return the help as rich text, which Qt breaks into lines."""
    return f"<p>{html.escape(help_text(field))}</p>"


def shown(value: Any, field: FieldDescription | None = None) -> str:
    """Write a plain value as people do."""
    if value is None:
        return str(field.hint.get("empty", "automatic")) if field else "automatic"
    if isinstance(value, bool):
        return "on" if value else "off"
    if value == "" and field:
        return str(field.hint.get("empty", "empty"))
    if isinstance(value, list):
        return ", ".join(shown(part) for part in value) or "empty"
    return f"{value:g}" if isinstance(value, float) else str(value) or "empty"
