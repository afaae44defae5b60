"""The small pieces that pages, areas and dialogs are made of: buttons, headings, sentences, boxes."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QLabel, QPushButton


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
    if label.property("role") != role:
        label.setProperty("role", role)
        # A style sheet looks at properties once only.
        label.style().unpolish(label)
        label.style().polish(label)


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
