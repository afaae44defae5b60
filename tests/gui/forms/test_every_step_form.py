"""Contract of forms: every step of the registry can be shown, changed and given back."""

from __future__ import annotations

from typing import Any

import pytest
from pytestqt.qtbot import QtBot

import plantseg_app.networks.families
import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.core.describe import FieldDescription, describe_fields
from plantseg_app.core.step import STEPS, Step
from plantseg_app.gui.forms.step_form import StepForm
from plantseg_app.networks.family import FAMILIES, trainable_families

# Settings that make sense together only.
COMPANIONS = {("rescale", "to"): {"voxel_size_um": [0.3, 0.2, 0.1]}}
every_step = pytest.mark.parametrize("step_class", list(STEPS), ids=lambda step: step.id)


def other_value(field: FieldDescription) -> Any:
    """Another value than the default that the field takes, as far as a field alone can say."""
    if field.type == "boolean":
        return not field.default
    if field.type == "choice":
        return next(word for word in field.choices if word != field.default)
    if field.type in ("number", "numbers"):
        low, high = field.minimum or 0.0, 1000.0 if field.maximum is None else field.maximum
        typical = field.default[0] if isinstance(field.default, list) else field.default
        number = low + (high - low) * 0.123456789 if typical is None or typical <= low else typical * 0.7123456789
        return [number, number * 1.01, number * 1.02][: field.length] if field.length else number
    if field.type in ("integer", "integers"):
        number = 7 if field.maximum is None or field.maximum < 2**40 else 2**52 + 1
        return [3, 4, 5][: field.length] if field.length else number
    if field.type == "list":
        return [[-1, 0, 0], [0, -1, 0], [0, 0, -1]] if field.length else ["1", "2"]
    return "1:2, :, :" if field.name == "box" else "something else"


@every_step
def test_the_defaults_come_back(step_class: type[Step], qtbot: QtBot) -> None:
    form = StepForm(step_class)
    qtbot.addWidget(form)
    assert form.step() == step_class()
    assert form.is_valid


@pytest.mark.parametrize("kind", trainable_families())
def test_the_defaults_of_every_network_come_back(kind: str, qtbot: QtBot) -> None:
    form = StepForm(FAMILIES.get(kind))
    qtbot.addWidget(form)
    assert form.step() == FAMILIES.get(kind)()


@every_step
def test_every_changed_value_comes_back(step_class: type[Step], qtbot: QtBot) -> None:
    form = StepForm(step_class)
    qtbot.addWidget(form)
    for field in describe_fields(step_class):
        step = step_class.from_settings(
            {field.name: other_value(field), **COMPANIONS.get((step_class.id, field.name), {})}
        )
        with qtbot.assertNotEmitted(form.changed):
            form.set_step(step)
        assert form.step() == step, field.name
        form.set_step(step_class())
        assert form.step() == step_class(), field.name


@every_step
def test_every_control_is_named_explained_and_reached_by_the_keyboard(step_class: type[Step], qtbot: QtBot) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QSlider

    form = StepForm(step_class)
    qtbot.addWidget(form)
    controls = [
        widget
        for sort in (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QSlider)
        for widget in form.findChildren(sort)
        if not isinstance(widget.parent(), (QAbstractSpinBox, QComboBox))
    ]
    assert len(controls) >= len(describe_fields(step_class))
    for control in controls:
        assert control.accessibleName()
        assert control.toolTip()
        assert control.focusPolicy() & Qt.FocusPolicy.TabFocus
    assert len({control.accessibleName() for control in controls}) == len(controls)
