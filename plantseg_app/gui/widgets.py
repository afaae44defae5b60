"""The small pieces that pages, areas and dialogs are made of: buttons, headings, sentences, boxes."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QWidget


def keep_narrow(box: QComboBox) -> None:
    """Let a box be narrower than its longest entry, which the list shows in full."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(10)


def sentence(text: str = "") -> QLabel:
    """Return a label that wraps its text."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def say(label: QLabel, text: str, role: str = "") -> None:
    """Show `text` in a label, as ``"warning"``, ``"error"``, ``"good"``, ``"help"`` or plainly."""
    label.setText(text)
    dress(label, "role", role)


def dress(widget: QWidget, name: str, value: str) -> None:
    """Set a property by which the style sheet chooses colours, and let it look again."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        # A style sheet looks at properties once only.
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def row_of(*widgets: QWidget | None) -> QHBoxLayout:
    """Return widgets in a row; None stands for the gap that takes the spare room."""
    row = QHBoxLayout()
    for widget in widgets:
        if widget is None:
            row.addStretch(1)
        else:
            row.addWidget(widget)
    return row


def row_widget(*widgets: QWidget | None) -> QWidget:
    """Return `row_of` as a widget without margins, which can be hidden as a whole."""
    whole, row = QWidget(), row_of(*widgets)
    row.setContentsMargins(0, 0, 0, 0)
    whole.setLayout(row)
    return whole


def heading(text: str) -> QLabel:
    """Return a label that begins a section of a page."""
    label = QLabel(f"<b>{text}</b>")
    label.setWordWrap(True)
    label.setContentsMargins(0, 8, 0, 0)
    return label


def button(text: str, tip: str, main: bool = False) -> QPushButton:
    """Return a button with tool tip and accessible name; `main` marks the one that carries the work on."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.setAccessibleName(text.replace("&", "").rstrip("…"))
    if main:
        made.setProperty("main", True)
    return made
