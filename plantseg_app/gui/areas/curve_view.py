"""The learning curve while it grows: losses above, the score below, the best state marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

# Of Okabe and Ito, told apart with every kind of colour vision, and clear on dark and light alike.
_TRAINING, _VALIDATION, _SCORE = QColor("#e69f00"), QColor("#56b4e9"), QColor("#009e73")
_N_TICKS = 4
_MOST_STEPS_DRAWN = 2000

Point = tuple[float, float]


class CurveView(QWidget):
    """Draws a history; the numbers are those of `plantseg_app.train.events.ValidationDone`."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Learning curve")
        self.setToolTip(
            "Above: the loss on training patches and on the stacks that judge; the further apart, the more the network "
            "learns by heart. Below: the score. The dashed line marks the state that is kept."
        )
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.rows: list[Mapping[str, float]] = []
        self.steps: list[Point] = []
        self.score_name = "score"
        self.best_step = 0
        self.total = 0

    def clear(self, total: int = 0) -> None:
        """Begin a new curve of a training of so many steps."""
        self.rows, self.steps = [], []
        self.best_step, self.total, self.score_name = 0, total, "score"
        self.update()

    def add_step(self, step: int, loss: float) -> None:
        """Add the loss of one step."""
        self.steps.append((float(step), loss))
        if len(self.steps) > _MOST_STEPS_DRAWN:
            # Every second one is enough for a line that is this long.
            self.steps = self.steps[::2]
        self.update()

    def add_row(self, row: Mapping[str, float], score_name: str, is_best: bool) -> None:
        """Add a validation."""
        self.rows.append(row)
        self.score_name = score_name.replace("-", " ").replace("_", " ")
        if is_best:
            self.best_step = int(row["step"])
        self._describe()
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size it would like."""
        return QSize(560, 320)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size below which nothing could be read."""
        return QSize(260, 180)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw both panels."""
        del event
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        line = self.fontMetrics().height()
        left = self.fontMetrics().horizontalAdvance("0.0000") + 12
        width, height = self.width() - left - 12, self.height() - 4 * line - 8
        upper = QRectF(left, line + 4, width, height * 0.56)
        lower = QRectF(left, upper.bottom() + 1.6 * line, width, height * 0.44 - 0.2 * line)
        losses = [
            ("training", _TRAINING, self._points("train_loss"), self.steps),
            ("validation", _VALIDATION, self._points("loss"), []),
        ]
        self._panel(painter, upper, "loss", losses)
        self._panel(painter, lower, self.score_name, [("", _SCORE, self._points("score"), [])])
        self._time_axis(painter, upper, lower, line)

    def _describe(self) -> None:
        last = self.rows[-1]
        self.setAccessibleDescription(
            f"Step {last['step']:.0f}: training loss {last['train_loss']:.4g}, validation loss {last['loss']:.4g}, "
            f"{self.score_name} {last['score']:.4g}; best at step {self.best_step}."
        )

    def _points(self, key: str) -> list[Point]:
        return [(row["step"], row[key]) for row in self.rows if math.isfinite(row[key])]

    @property
    def _last_step(self) -> float:
        seen = [step for step, _ in self.steps[-1:]] + [row["step"] for row in self.rows[-1:]]
        return max([*seen, 1.0])

    def _panel(
        self, painter: QPainter, box: QRectF, title: str, lines: Sequence[tuple[str, QColor, list[Point], list[Point]]]
    ) -> None:
        text, faint = self.palette().color(QPalette.ColorRole.WindowText), self.palette().color(QPalette.ColorRole.Mid)
        low, high = _range([value for _, _, *parts in lines for part in parts for _, value in part])
        for i in range(_N_TICKS + 1):
            y = box.bottom() - box.height() * i / _N_TICKS
            painter.setPen(QPen(faint, 0.5))
            painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
            painter.setPen(text)
            number = f"{low + (high - low) * i / _N_TICKS:.3g}"
            area = QRectF(0, y - 12, box.left() - 6, 24)
            painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, number)
        self._legend(painter, box, title, [(name, colour) for name, colour, _, _ in lines if name])
        for _, colour, points, background in lines:
            light = QColor(colour)
            light.setAlphaF(0.35)
            self._line(painter, box, (low, high), background, QPen(light, 1))
            self._line(painter, box, (low, high), points, QPen(colour, 2), dots=True)

    def _legend(self, painter: QPainter, box: QRectF, title: str, entries: Sequence[tuple[str, QColor]]) -> None:
        """Write the title, and each name behind a piece of its line: coloured text would be hard to read."""
        text, place, y = self.palette().color(QPalette.ColorRole.WindowText), box.left(), box.top() - 6
        painter.setPen(text)
        painter.drawText(QPointF(place, y), title)
        place += self.fontMetrics().horizontalAdvance(title) + 24
        for name, colour in entries:
            middle = y - self.fontMetrics().xHeight() / 2
            painter.setPen(QPen(colour, 3))
            painter.drawLine(QPointF(place, middle), QPointF(place + 18, middle))
            painter.setPen(text)
            painter.drawText(QPointF(place + 24, y), name)
            place += self.fontMetrics().horizontalAdvance(name) + 48

    def _line(
        self,
        painter: QPainter,
        box: QRectF,
        limits: Point,
        points: list[Point],
        pen: QPen,
        dots: bool = False,
    ) -> None:
        low, high = limits
        places = [
            QPointF(
                box.left() + box.width() * step / self._last_step,
                box.bottom() - box.height() * (min(max(value, low), high) - low) / (high - low),
            )
            for step, value in points
            if math.isfinite(value)
        ]
        painter.setPen(pen)
        painter.setBrush(pen.color())
        painter.drawPolyline(QPolygonF(places))
        if dots and len(places) < 40:
            for place in places:
                painter.drawEllipse(place, 2.0, 2.0)

    def _time_axis(self, painter: QPainter, upper: QRectF, lower: QRectF, line: float) -> None:
        text = self.palette().color(QPalette.ColorRole.WindowText)
        if self.best_step:
            x = lower.left() + lower.width() * self.best_step / self._last_step
            painter.setPen(QPen(text, 1, Qt.PenStyle.DashLine))
            for box in (upper, lower):
                painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))
        painter.setPen(text)
        below = QRectF(lower.left(), lower.bottom() + 4, lower.width(), line)
        of_all = f" of {self.total}" if self.total else ""
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"step {self._last_step:.0f}{of_all}")
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        if self.best_step:
            painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, f"best: step {self.best_step}")


def _range(values: list[float]) -> Point:
    """Return the limits of an axis; a few outliers, as of first steps, do not squeeze everything else."""
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return 0.0, 1.0
    low = min(0.0, finite[0])
    high = finite[min(len(finite) - 1, math.ceil(0.98 * len(finite)))]
    return low, (high if high > low else low + 1.0)
