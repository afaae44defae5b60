"""The look of the window: themes, the size of the font, icons in the colour of the theme."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QGroupBox,
    QLabel,
    QLineEdit,
    QListWidget,
    QPushButton,
    QSpinBox,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot

from plantseg_app.errors import RequestError
from plantseg_app.gui import style
from plantseg_app.gui.icons import icon, icon_names
from plantseg_app.gui.palette import THEMES


@pytest.fixture
def look(qapp: QApplication) -> Iterator[style.Style]:
    before = qapp.font(), qapp.palette(), qapp.styleSheet()
    made = style.Style(qapp)
    yield made
    made.deleteLater()
    qapp.setFont(before[0])
    qapp.setPalette(before[1])
    qapp.setStyleSheet(before[2])


@pytest.fixture
def widgets(qtbot: QtBot) -> QWidget:
    window = QWidget()
    qtbot.addWidget(window)
    column = QVBoxLayout(window)
    sorts = (QLabel, QPushButton, QToolButton, QCheckBox, QComboBox, QLineEdit, QSpinBox, QListWidget, QGroupBox)
    for sort in (*sorts, QTabWidget):
        column.addWidget(sort())
    window.show()
    return window


@pytest.mark.parametrize("size", [8, 14, 20])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_theme_and_font_reach_every_widget(look: style.Style, widgets: QWidget, theme: str, size: int) -> None:
    look.apply(theme, size)
    QApplication.processEvents()
    for widget in widgets.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
        assert widget.font().pointSize() == size, widget
    shown = widgets.grab().toImage().pixelColor(2, 2).name()
    assert shown == THEMES[theme].background
    assert "{{" not in QApplication.instance().styleSheet()


def test_a_change_of_theme_is_told_once(look: style.Style, qtbot: QtBot) -> None:
    look.apply("dark", 10)
    with qtbot.waitSignal(look.theme_changed) as heard:
        look.apply("light", 10)
    assert heard.args == ["light"]
    with qtbot.assertNotEmitted(look.theme_changed):
        look.apply("light", 12)
    assert look.colours == THEMES["light"]


def test_the_theme_of_the_system_is_followed_where_that_is_wished(
    look: style.Style, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints = QGuiApplication.styleHints()
    monkeypatch.setattr(style, "system_theme", lambda: "light")
    look.apply("system", 10)
    assert look.theme == "light"
    monkeypatch.setattr(style, "system_theme", lambda: "dark")
    hints.colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    assert look.theme == "dark"
    look.apply("light", 10)
    hints.colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    assert look.theme == "light"


def colour_of(made: QIcon, mode: QIcon.Mode = QIcon.Mode.Normal) -> str:
    """The colour of the most opaque pixel."""
    image = made.pixmap(QSize(48, 48), mode).toImage()
    pixels = [image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height())]
    return max(pixels, key=lambda colour: colour.alpha()).name()


def test_icons_have_the_colour_of_the_theme(look: style.Style) -> None:
    made = icon("run")
    for theme in ("dark", "light"):
        look.apply(theme, 10)
        assert colour_of(made) == THEMES[theme].icon
        assert colour_of(made, QIcon.Mode.Disabled) == THEMES[theme].disabled


@pytest.mark.parametrize("name", icon_names())
def test_every_icon_draws_something_within_its_square(qapp: QApplication, name: str) -> None:
    image = icon(name).pixmap(QSize(48, 48)).toImage()
    alpha = [[image.pixelColor(x, y).alpha() for x in range(image.width())] for y in range(image.height())]
    drawn = sum(value > 128 for row in alpha for value in row)
    assert 60 < drawn < 48 * 48 / 2
    edge = alpha[0] + alpha[-1] + [row[0] for row in alpha] + [row[-1] for row in alpha]
    assert max(edge) == 0


def test_an_unknown_icon_is_answered_with_the_nearest(qapp: QApplication) -> None:
    with pytest.raises(RequestError, match='Did you mean "undo"'):
        icon("unod")
