"""Looks over a window for what people with a keyboard, a screen reader or poor eyes would miss.

`unnamed_widgets` lists controls without accessible name or tool tip, `cut_off_widgets` those whose text does not fit.
Test folders are no packages; the fixtures ``unnamed_widgets`` and ``cut_off_widgets`` of ``conftest.py`` hand them out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtGui import QAccessible, QTextDocumentFragment
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QGroupBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QProgressBar,
    QScrollArea,
    QScrollBar,
    QSlider,
    QTabBar,
    QWidget,
)

_INTERACTIVE = (
    QAbstractButton,
    QComboBox,
    QAbstractSpinBox,
    QSlider,
    QLineEdit,
    QAbstractItemView,
    QProgressBar,
    QTabBar,
)
_SLACK_PX = 1


def unnamed_widgets(root: QWidget) -> list[str]:
    """Return every control in `root`, shown or not, that has no accessible name or no tool tip, and which of them."""
    found = []
    for widget in _inside(root):
        if not isinstance(widget, _INTERACTIVE) or _is_part_of_another(widget):
            continue
        missing = [word for word, text in (("name", _name(widget)), ("tool tip", widget.toolTip())) if not text.strip()]
        if missing:
            found.append(f"{_path(widget, root)}: no {' and no '.join(missing)}")
    return found


def unreachable_widgets(root: QWidget) -> list[str]:
    """Return every control in `root` that the Tab key cannot reach; buttons in tool bars have menu and shortcut."""
    return [
        _path(widget, root)
        for widget in _inside(root)
        if isinstance(widget, _INTERACTIVE)
        and not isinstance(widget, QProgressBar)
        and not _is_part_of_another(widget)
        and not _has_another_way(widget)
        and not widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]


def cut_off_widgets(root: QWidget, size: QSize | None = None) -> list[str]:
    """Return every visible widget in `root` whose text does not fit when the window has this size (1280 x 800).

    `root` must be shown; the font is that of the application, so set 14 pt before. A window that cannot be made as
    small as `size` is itself the first entry.
    """
    window, size = root.window(), size or QSize(1280, 800)
    window.resize(size)
    for _ in range(3):
        QApplication.processEvents()
    found = []
    if window.width() > size.width() or window.height() > size.height():
        found.append(f"{_path(window, root)}: needs {window.width()} x {window.height()}")
    for widget in _inside(root):
        if not widget.isVisible() or _is_part_of_another(widget):
            continue
        problem = _lack_of_room(widget) or _sticking_out(widget)
        if problem:
            found.append(f"{_path(widget, root)}: {problem}")
    return found


def _inside(root: QWidget) -> Iterator[QWidget]:
    yield root
    for child in root.findChildren(QWidget):
        window = child.window()
        if window is root.window() and not isinstance(child, QMenu):
            yield child


def _is_part_of_another(widget: QWidget) -> bool:
    """Whether Qt itself made `widget` as a part of a control that is looked at as a whole."""
    if isinstance(widget, (QScrollBar, QHeaderView)) or widget.objectName().startswith("qt_"):
        return True
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, (QAbstractSpinBox, QComboBox, QLineEdit, QTabBar, QHeaderView)):
            return True
        parent = parent.parentWidget()
    return isinstance(widget, QAbstractButton) and isinstance(widget.parentWidget(), QAbstractItemView)


def _has_another_way(widget: QWidget) -> bool:
    action = getattr(widget, "defaultAction", lambda: None)()
    return action is not None and not action.shortcut().isEmpty()


def _name(widget: QWidget) -> str:
    interface = QAccessible.queryAccessibleInterface(widget)
    name = interface.text(QAccessible.Text.Name) if interface is not None else ""
    return widget.accessibleName() or name


def _lack_of_room(widget: QWidget) -> str:
    """Say by how much the text of `widget` is larger than its place; "" when it fits or there is none."""
    needed = _needed(widget)
    if needed is None:
        return ""
    if widget.width() + _SLACK_PX < needed.width():
        return f'"{_text(widget)}" needs a width of {needed.width()} and has {widget.width()}'
    if widget.height() + _SLACK_PX < needed.height():
        return f'"{_text(widget)}" needs a height of {needed.height()} and has {widget.height()}'
    return ""


def _needed(widget: QWidget) -> QSize | None:
    metrics = widget.fontMetrics()
    if isinstance(widget, QLabel):
        if not widget.text() or not widget.pixmap().isNull():
            return None
        if widget.wordWrap():
            longest = max((metrics.horizontalAdvance(word) for word in _words(widget)), default=0)
            # The height of a label holds its margins; a line that is missing is more than a quarter of one.
            return QSize(longest, widget.heightForWidth(widget.width()) - metrics.lineSpacing() // 4)
        return QSize(widget.sizeHint().width(), metrics.height())
    if isinstance(widget, (QAbstractButton, QGroupBox)):
        shown = widget.text() if isinstance(widget, QAbstractButton) else widget.title()
        if not shown:
            return None
        return widget.minimumSizeHint() if isinstance(widget, (QCheckBox, QGroupBox)) else _button_size(widget)
    if isinstance(widget, QAbstractSpinBox):
        text = metrics.horizontalAdvance(widget.text())
        edit = widget.findChild(QLineEdit)
        frame = widget.width() - edit.width() if edit is not None else 0
        return QSize(text + frame, metrics.height())
    if isinstance(widget, (QComboBox, QLineEdit, QProgressBar)):
        # Long contents may scroll or end in dots; a line of text must fit in height.
        return QSize(0, metrics.height())
    if isinstance(widget, QTabBar):
        return QSize(0, widget.sizeHint().height())
    return None


def _button_size(button: QAbstractButton) -> QSize:
    hint = button.sizeHint()
    least = button.fontMetrics().horizontalAdvance(button.text().replace("&", ""))
    return QSize(min(hint.width(), max(least, button.minimumSizeHint().width())), button.fontMetrics().height())


def _words(label: QLabel) -> list[str]:
    rich = label.textFormat() != Qt.TextFormat.PlainText and re.search(r"<\w+[^>]*>", label.text())
    plain = QTextDocumentFragment.fromHtml(label.text()).toPlainText() if rich else label.text()
    # Qt breaks long words such as paths at these signs, too.
    for sign in "/\\-_":
        plain = plain.replace(sign, sign + " ")
    return plain.split()


def _sticking_out(widget: QWidget) -> str:
    """Say that `widget` reaches beyond the widget around it, where nothing can be scrolled to see it."""
    parent = widget.parentWidget()
    if parent is None or widget.isWindow() or not isinstance(widget, (QLabel, *_INTERACTIVE)):
        return ""
    area = _scroll_area_of(widget)
    if area is not None and area.horizontalScrollBarPolicy() == Qt.ScrollBarPolicy.ScrollBarAlwaysOff:
        end, room = widget.mapTo(area.viewport(), QPoint(0, 0)).x() + widget.width(), area.viewport().width()
        if end > room + _SLACK_PX:
            return f"ends at {end} in a page of {room} that does not scroll sideways"
    if isinstance(parent.parentWidget(), QAbstractScrollArea):
        return ""
    left, right = widget.x(), widget.x() + widget.width()
    if right > parent.width() + _SLACK_PX or left < -_SLACK_PX:
        return f"reaches from {left} to {right} in a width of {parent.width()}"
    return ""


def _scroll_area_of(widget: QWidget) -> QScrollArea | None:
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QScrollArea):
        parent = parent.parentWidget()
    return parent


def _text(widget: QWidget) -> str:
    for getter in ("text", "title", "currentText"):
        if hasattr(widget, getter):
            return str(getattr(widget, getter)())[:60]
    return widget.accessibleName()


def _path(widget: QWidget, root: QWidget) -> str:
    """Return where `widget` stands, from the outside in, by class and name."""
    parts = []
    inner: QWidget | None = widget
    while inner is not None:
        name = inner.objectName() or inner.accessibleName() or (_text(inner) if inner is widget else "")
        parts.append(f"{type(inner).__name__}({name})" if name else type(inner).__name__)
        if inner is root:
            break
        inner = inner.parentWidget()
    return " > ".join(reversed(parts))
