"""The controls of numbers: one box for every size of number, with a slider where the range is short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from PySide6.QtCore import QLocale, QSize, Qt
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QSlider, QWidget

from plantseg_app.core.describe import FieldDescription
from plantseg_app.gui.forms.editors import UNITS, Editor, guard_wheel

_DECIMALS = 15
_LARGEST = 1e18
_SLIDER_SPAN = {"number": 10.0, "integer": 100.0}
_AXES = ("Z", "Y", "X")


class NumberBox(QDoubleSpinBox):
    """A spin box for whole numbers and others alike.

    It shows a number as people write it, takes a comma for a point, and lets a person type what is out of range, so
    that the step can say what is allowed; its arrows stay inside the range. Whole numbers are exact up to 2**53.
    """

    def __init__(self, field: FieldDescription) -> None:
        super().__init__()
        self._field = field
        self._is_whole = field.type in ("integer", "integers")
        self._exact: tuple[float, float] | None = None
        self.setLocale(QLocale.c())
        self.setDecimals(0 if self._is_whole else _DECIMALS)
        self.setRange(-_LARGEST, _LARGEST)
        self.setSingleStep(step_of(field))
        self.setKeyboardTracking(False)
        if field.unit:
            self.setSuffix(" " + UNITS.get(field.unit, field.unit))
        guard_wheel(self)

    def number(self) -> float | int:
        """Return the number that is shown; what was set comes back to the last digit."""
        self.interpretText()
        if self._exact is not None and self._exact[0] == self.value():
            return self._exact[1]
        return int(self.value()) if self._is_whole else self.value()

    def set_number(self, number: float) -> None:
        """Show `number`; no signal says so."""
        self.blockSignals(True)
        self.setValue(number)
        self.blockSignals(False)
        self._exact = (self.value(), number)

    def make_narrow(self) -> None:
        """Do without unit and buttons; the keyboard still steps."""
        self.setSuffix("")
        self.setProperty("narrow", True)

    def stepBy(self, steps: int) -> None:  # noqa: N802 - Qt's name
        """Go up or down inside the range of the field."""
        target = self.value() + steps * self.singleStep()
        self.setValue(clamped(target, self._field, self.singleStep()))
        self.selectAll()

    def textFromValue(self, value: float) -> str:  # noqa: N802 - Qt's name
        """Return the shortest text that means the number."""
        return f"{value:.0f}" if self._is_whole else plain_number(value)

    def valueFromText(self, text: str) -> float:  # noqa: N802 - Qt's name
        """Read a number with a point or a comma."""
        try:
            return float(self._bare(text))
        except ValueError:
            return self.value()

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Take what is a number, let stand what may become one."""
        bare = self._bare(text)
        if bare.strip("+-.eE") == "" or bare[-1:] in "eE+-":
            return QValidator.State.Intermediate, text, position
        try:
            number = float(bare)
        except ValueError:
            return QValidator.State.Invalid, text, position
        whole = number.is_integer() or not self._is_whole
        fine = whole and math.isfinite(number) and abs(number) <= _LARGEST
        return (QValidator.State.Acceptable if fine else QValidator.State.Invalid), text, position

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return room for seven digits and the unit, whatever the range; most units get the same room."""
        hint = super().sizeHint()
        text = "MM" + "0" * 7 + self.suffix().ljust(len(" voxels"), "e")
        return QSize(self.fontMetrics().horizontalAdvance(text) + hint.height(), hint.height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return room for four digits and the unit."""
        digits = self.fontMetrics().horizontalAdvance("0" * 5)
        return QSize(self.sizeHint().width() - digits if self.suffix() else digits + 16, super().sizeHint().height())

    def _bare(self, text: str) -> str:
        return text.removesuffix(self.suffix().rstrip()).removesuffix(self.suffix()).strip().replace(",", ".")


class NumberEditor(Editor):
    """One number, with a slider where both ends are known and near each other."""

    def __init__(self, field: FieldDescription) -> None:
        super().__init__(field)
        self.box = NumberBox(field)
        self.slider: QSlider | None = None
        if has_slider(field):
            self.is_wide = True
            self.slider = QSlider(Qt.Orientation.Horizontal)
            self.slider.setRange(0, round((_end(field.maximum) - _end(field.minimum)) / step_of(field)))
            self.slider.setPageStep(max(1, self.slider.maximum() // 10))
            guard_wheel(self.slider)
            self._hold(self.slider, self.box)
            self.slider.valueChanged.connect(self._follow_slider)
        else:
            self._hold(self.box)
        self.box.valueChanged.connect(self._follow_box)

    def value(self) -> float | int:
        """Return the number."""
        return self.box.number()

    def set_value(self, value: Any) -> None:
        """Show a number; a field that must be given begins at the low end."""
        self.box.set_number(_end(self.field.minimum) if value is None else value)
        self._place_slider()

    def controls(self) -> Sequence[tuple[QWidget, str]]:
        """Return the box, then the slider."""
        return [(self.box, "")] if self.slider is None else [(self.box, ""), (self.slider, "slider")]

    def _follow_slider(self, position: int) -> None:
        number = _end(self.field.minimum) + position * step_of(self.field)
        # Through text, because sums of tenths end in ...0001.
        self.box.setValue(float(f"{number:.10g}"))

    def _follow_box(self) -> None:
        self._place_slider()
        self.edited.emit()

    def _place_slider(self) -> None:
        if self.slider is not None:
            self.slider.blockSignals(True)
            self.slider.setValue(round((self.box.value() - _end(self.field.minimum)) / step_of(self.field)))
            self.slider.blockSignals(False)


class NumbersEditor(Editor):
    """A fixed count of numbers; three of them are Z, Y, X."""

    is_wide = True

    def __init__(self, field: FieldDescription) -> None:
        super().__init__(field)
        length = field.length or len(_AXES)
        self.names = _AXES if length == len(_AXES) else tuple(str(number + 1) for number in range(length))
        self.boxes = [NumberBox(field) for _ in self.names]
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for name, box in zip(self.names, self.boxes, strict=True):
            # The label of the field says the unit: three times would not fit beside each other.
            box.make_narrow()
            label = QLabel(name)
            label.setBuddy(box)
            row.addWidget(label)
            row.addWidget(box, 1)
            box.valueChanged.connect(self.edited)

    def value(self) -> list[float | int]:
        """Return the numbers."""
        return [box.number() for box in self.boxes]

    def set_value(self, value: Any) -> None:
        """Show the numbers."""
        begin = [_end(self.field.minimum)] * len(self.boxes)
        for box, number in zip(self.boxes, begin if value is None else value, strict=True):
            box.set_number(number)

    def controls(self) -> Sequence[tuple[QWidget, str]]:
        """Return the boxes, each named by its axis."""
        return list(zip(self.boxes, self.names, strict=True))


def has_slider(field: FieldDescription) -> bool:
    """Whether both ends of the range are known and near enough for a slider to be of use."""
    if field.minimum is None or field.maximum is None:
        return False
    return field.maximum - field.minimum <= _SLIDER_SPAN.get(field.type, 0.0)


def step_of(field: FieldDescription) -> float:
    """Return by how much an arrow changes the number: a tenth of the digit that leads its default."""
    if field.type in ("integer", "integers"):
        return 1.0
    typical = field.default[0] if isinstance(field.default, list) and field.default else field.default
    if not isinstance(typical, (int, float)) or isinstance(typical, bool) or typical == 0:
        typical = min(1.0, _end(field.maximum) - _end(field.minimum)) or 1.0
    step = 10.0 ** (math.floor(math.log10(abs(typical))) - 1)
    # A default that fills the range, such as 1 of 0 to 1, should not make coarse steps.
    return min(step, 0.01) if has_slider(field) and _end(field.maximum) - _end(field.minimum) <= 1 else step


def clamped(number: float, field: FieldDescription, step: float) -> float:
    """Return `number` moved into the range of `field`; an end that is not allowed itself is kept away from."""
    if field.maximum is not None:
        number = min(number, field.maximum)
    if field.minimum is not None:
        number = max(number, field.minimum)
        if field.exclusive_minimum and number <= field.minimum:
            number = field.minimum + step
    return float(f"{number:.15g}")


def plain_number(number: float) -> str:
    """Write `number` without an exponent and without digits that say nothing."""
    text = format(Decimal(repr(float(number))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _end(limit: float | None) -> float:
    return 0.0 if limit is None else limit
