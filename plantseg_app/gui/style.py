"""How the window looks: theme, size of the font, icons. The only place that sets a style sheet.

napari's style sheet comes first, with our colours in place of its own, then ``resources/style/window.qss``. Widgets say
what they are (``setProperty("role", "error")``), never what colour they have.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from plantseg_app.gui.palette import THEMES, Colours, ThemeName
from plantseg_app.paths import resources_dir

ThemeWish = Literal["dark", "light", "system"]


class Style(QObject):
    """Puts a theme and a font on the whole application, and follows the system where that is wished.

    Signals
    -------
    theme_changed
        ``"dark"`` or ``"light"``: what is shown now, for parts that draw by themselves such as the canvas.
    """

    theme_changed = Signal(str)

    def __init__(self, application: QApplication) -> None:
        super().__init__(application)
        self._application = application
        self._wish: ThemeWish = "system"
        self._theme: ThemeName = "dark"
        self._font_size_pt = 10
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_system)

    @property
    def theme(self) -> ThemeName:
        """What is shown now."""
        return self._theme

    @property
    def colours(self) -> Colours:
        """The colours that are shown now."""
        return THEMES[self._theme]

    def apply(self, theme: ThemeWish, font_size_pt: int) -> None:
        """Show the application in this theme and size of font."""
        self._wish, self._font_size_pt = theme, font_size_pt
        self._show()

    def refresh(self) -> None:
        """Show it again, because there are widgets of napari now."""
        self._show()

    def _follow_system(self) -> None:
        if self._wish == "system":
            self._show()

    def _show(self) -> None:
        theme = system_theme() if self._wish == "system" else self._wish
        changed, self._theme = theme != self._theme, theme
        font = self._application.font()
        font.setPointSize(self._font_size_pt)
        self._application.setFont(font)
        self._application.setPalette(qt_palette(THEMES[theme]))
        self._application.setStyleSheet(style_sheet(theme, self._font_size_pt))
        if changed:
            self.theme_changed.emit(theme)


def system_theme() -> ThemeName:
    """Return what the desktop is set to; dark where it does not say, since images are looked at."""
    return "light" if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Light else "dark"


def style_sheet(theme: ThemeName, font_size_pt: int) -> str:
    """Return the style sheet of the whole application; without napari's part until napari has been imported.

    Importing napari takes longer than a person waits for a window to appear, and its widgets are not there before.
    """
    folder = resources_dir() / "style"
    variables = {**THEMES[theme].variables(), "font_size": f"{font_size_pt}pt"}
    places = {"theme": theme, "pictures": folder.as_posix()}
    own = _filled((folder / "window.qss").read_text(encoding="utf-8"), variables | places, font_size_pt)
    if "napari.qt" not in sys.modules:
        return own
    from napari.qt import get_qapp, get_stylesheet

    get_qapp()  # makes the pictures that napari's style sheet names known to Qt
    return f"{get_stylesheet(theme, extra_variables=variables)}\n{own}"


def _filled(template: str, variables: Mapping[str, str], font_size_pt: int) -> str:
    """Return the style sheet with values for the names in double braces, in the manner of napari's own.

    >>> _filled("a { color: {{ text }}; font-size: {{ increase(font_size, 2) }}; }", {"text": "#fff"}, 10)
    'a { color: #fff; font-size: 12pt; }'
    """
    larger = re.sub(
        r"\{\{ increase\(font_size, (\d+)\) \}\}", lambda found: f"{font_size_pt + int(found[1])}pt", template
    )
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: variables[found[1]], larger)


def qt_palette(colours: Colours) -> QPalette:
    """Return the palette of what Qt draws without a style sheet, such as icons, links and selected text."""
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: colours.background,
        QPalette.ColorRole.WindowText: colours.text,
        QPalette.ColorRole.Base: colours.field,
        QPalette.ColorRole.AlternateBase: colours.background,
        QPalette.ColorRole.Text: colours.text,
        QPalette.ColorRole.PlaceholderText: colours.muted,
        QPalette.ColorRole.Button: colours.primary,
        QPalette.ColorRole.ButtonText: colours.icon,
        QPalette.ColorRole.ToolTipBase: colours.foreground,
        QPalette.ColorRole.ToolTipText: colours.text,
        QPalette.ColorRole.Highlight: colours.current,
        QPalette.ColorRole.HighlightedText: colours.text,
        QPalette.ColorRole.Link: colours.focus,
        QPalette.ColorRole.LinkVisited: colours.focus,
    }
    for role, colour in roles.items():
        palette.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(colours.disabled))
    return palette
