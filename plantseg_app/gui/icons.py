"""Icons of the program: drawings in ``resources/icons``, painted in the colour of the theme that is shown.

An icon asks for its colour each time it is painted, so a change of theme needs nothing more.
"""

from __future__ import annotations

import functools

from PySide6.QtCore import QByteArray, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication

from plantseg_app.errors import RequestError, did_you_mean
from plantseg_app.paths import resources_dir

_COLOUR = "currentColor"


def icon(name: str) -> QIcon:
    """Return the icon called `name`.

    Raises
    ------
    RequestError
        If there is none.
    """
    return QIcon(_Drawing(name, _read(name)))


def icon_names() -> list[str]:
    """Return the names of all icons."""
    return sorted(path.stem for path in (resources_dir() / "icons").glob("*.svg"))


@functools.cache
def _read(name: str) -> str:
    path = resources_dir() / "icons" / f"{name}.svg"
    if not path.is_file():
        raise RequestError(f'There is no icon "{name}". {did_you_mean(name, icon_names())}')
    return path.read_text(encoding="utf-8")


class _Drawing(QIconEngine):
    def __init__(self, name: str, svg: str) -> None:
        super().__init__()
        self._name = name
        self._svg = svg

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        """Draw into `rect`, as a square in its middle."""
        del state
        disabled = mode == QIcon.Mode.Disabled
        group = QPalette.ColorGroup.Disabled if disabled else QPalette.ColorGroup.Active
        colour = QApplication.palette().color(group, QPalette.ColorRole.ButtonText).name()
        side = min(rect.width(), rect.height())
        square = QRectF(0, 0, side, side)
        square.moveCenter(QRectF(rect).center())
        QSvgRenderer(QByteArray(self._svg.replace(_COLOUR, colour).encode())).render(painter, square)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """Return it as a picture with a transparent ground."""
        picture = QPixmap(size)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        self.paint(painter, QRect(0, 0, size.width(), size.height()), mode, state)
        painter.end()
        return picture

    def clone(self) -> QIconEngine:
        """Return a copy, as Qt asks for when an icon is changed."""
        return _Drawing(self._name, self._svg)

    def iconName(self) -> str:  # noqa: N802 - Qt's name
        """Return its name."""
        return self._name
