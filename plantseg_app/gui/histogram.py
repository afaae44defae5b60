"""A small histogram, drawn by hand because it needs neither axes to zoom nor a plotting library."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

_BARS = 24
_MARGIN = 6


class Histogram(QWidget):
    """How many cells there are of each size, on a logarithmic scale, with the median marked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values: NDArray[np.float64] = np.zeros(0)
        self._unit = ""
        self.setMinimumHeight(110)
        self.setAccessibleName("Histogram of cell sizes")

    def show_values(self, values: NDArray[np.floating], unit: str) -> None:
        """Draw the distribution of `values`, all above 0, in `unit`."""
        self._values = np.sort(np.asarray(values, np.float64))
        self._unit = unit
        self.setToolTip(self.summary())
        self.setAccessibleDescription(self.summary())
        self.update()

    def summary(self) -> str:
        """Return the distribution in one sentence."""
        if not len(self._values):
            return "There are no cells."
        low, middle, high = np.percentile(self._values, (5, 50, 95))
        return (
            f"{len(self._values)} cells; median {_short(middle)} {self._unit}, "
            f"nine of ten between {_short(low)} and {_short(high)} {self._unit}."
        )

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size at which it looks best."""
        return QSize(280, 130)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw bars, the median, and the ends of the scale."""
        del event
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().windowText().color()
        if not len(self._values):
            painter.setPen(text)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "No cells yet")
            return
        line = painter.fontMetrics().height()
        area = QRectF(self.rect()).adjusted(_MARGIN, line + 4, -_MARGIN, -line - 6)
        low, high = self._range()
        counts, _ = np.histogram(np.log10(self._values), _BARS, (low, high))
        width = area.width() / _BARS
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.palette().highlight())
        for index, count in enumerate(counts):
            height = area.height() * count / counts.max()
            painter.drawRect(QRectF(area.left() + index * width, area.bottom() - height, max(1.0, width - 1), height))
        painter.setPen(QPen(text, 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        median = float(np.median(self._values))
        x = area.left() + area.width() * (math.log10(median) - low) / (high - low)
        painter.setPen(QPen(text, 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(x, area.top() - 2), QPointF(x, area.bottom()))
        label = QRectF(0, 0, self.width(), line)
        painter.drawText(label, Qt.AlignmentFlag.AlignCenter, f"median {_short(median)} {self._unit}")
        below = QRectF(area.left(), area.bottom() + 3, area.width(), line)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, _short(10**low))
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{_short(10**high)} {self._unit}")

    def _range(self) -> tuple[float, float]:
        low, high = np.log10(self._values[0]), np.log10(self._values[-1])
        return (float(low), float(high)) if high > low else (float(low) - 0.5, float(high) + 0.5)


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
