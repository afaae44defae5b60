"""Names, tool tips and a way by keyboard for those controls of the canvas that come without.

The controls of a layer are napari's; beside most of them stands a label, which says what they do.
"""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QLayout,
    QLineEdit,
    QWidget,
)

_CONTROLS = (QAbstractButton, QAbstractItemView, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit)


def name_controls(root: QWidget) -> None:
    """Give every control in `root` that has none a name and a tool tip, and let the Tab key reach it."""
    for form in root.findChildren(QFormLayout):
        for row in range(form.rowCount()):
            _name_row(form, row)
    for control in _controls(root):
        _complete(control, control.toolTip() or control.objectName() or type(control).__name__)


def _name_row(form: QFormLayout, row: int) -> None:
    label, field = form.itemAt(row, QFormLayout.ItemRole.LabelRole), form.itemAt(row, QFormLayout.ItemRole.FieldRole)
    words = None if label is None else label.widget()
    if field is None or not isinstance(words, QLabel):
        return
    text = " ".join(words.text().replace("&", "").split()).rstrip(":").capitalize()
    for widget in _widgets_of(field.widget(), field.layout()):
        for control in _controls(widget):
            own = control.text() if isinstance(control, QAbstractButton) else ""
            _complete(control, f"{text}: {own}" if own else text)


def _widgets_of(widget: QWidget | None, layout: QLayout | None) -> list[QWidget]:
    if widget is not None:
        return [widget]
    if layout is None:
        return []
    items = [layout.itemAt(index) for index in range(layout.count())]
    return [inner for item in items if item is not None for inner in _widgets_of(item.widget(), item.layout())]


def _controls(root: QWidget) -> list[QWidget]:
    inside = [widget for sort in _CONTROLS for widget in root.findChildren(sort)]
    return [root, *inside] if isinstance(root, _CONTROLS) else inside


def _complete(control: QWidget, text: str) -> None:
    if not control.accessibleName():
        control.setAccessibleName(text)
    if not control.toolTip():
        control.setToolTip(text)
    if not control.focusPolicy() & Qt.FocusPolicy.TabFocus:
        control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
