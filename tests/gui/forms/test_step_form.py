"""A form as a person uses it: typing, sliding, mistakes, defaults, advanced fields, free and sourced choices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from pydantic import BaseModel
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.core.fields import Fraction, Micrometre, PerAxis, Seconds, Seed, TextList, VoxelCount
from plantseg_app.core.step import STEPS, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind
from plantseg_app.errors import RequestError
from plantseg_app.gui.forms.choices import CHOICES, Choice
from plantseg_app.gui.forms.step_form import StepForm
from plantseg_app.train.settings import TrainSettings


@pytest.fixture
def step_class() -> Iterator[type[Step]]:
    class Everything(Step):
        """One of each."""

        id = "test-form"
        title = "Everything"
        reads = {"image": Port((Kind.RAW,), "An image.")}
        makes = SameAs("image")
        beta: Fraction = Field(0.6, description="Bias.")
        size: VoxelCount = Field(100, description="Size.")
        seed: Seed = Field(0, description="Seed.")
        limit_s: Seconds | None = Field(
            None, description="Limit.", json_schema_extra={"advanced": True, "empty": "none"}
        )
        tile: PerAxis[int] = Field((1, 2, 3), description="Tile.")
        names: TextList[str] = Field(("a",), description="Names.")
        mode: Literal["x", "y"] = Field("x", description="Mode.")
        flag: bool = Field(True, description="Flag.")
        source: str = Field("", description="Source.", json_schema_extra={"choices": "test.animals"})

        def run(self, inputs, context):
            return inputs["image"]

    CHOICES.add("test.animals", lambda: [Choice("cat", "A cat", "It purrs."), Choice("dog", "A dog")])
    yield Everything
    del STEPS._entries["test-form"]
    del CHOICES._entries["test.animals"]


@pytest.fixture
def form(step_class: type[Step], qtbot: QtBot) -> StepForm:
    form = StepForm(step_class)
    qtbot.addWidget(form)
    form.show()
    qtbot.waitExposed(form)
    return form


def type_into(qtbot: QtBot, widget: QWidget, text: str) -> None:
    widget.setFocus()
    widget.selectAll()
    qtbot.keyClicks(widget, text)
    qtbot.keyClick(widget, Qt.Key.Key_Return)


def control(form: StepForm, name: str, number: int = 0) -> QWidget:
    return form.rows[name].editor.controls()[number][0]


def test_typing_a_number_tells_the_new_step_once(form: StepForm, qtbot: QtBot) -> None:
    heard = []
    form.changed.connect(heard.append)
    type_into(qtbot, control(form, "beta"), "0.25")
    assert [step.beta for step in heard] == [0.25]
    type_into(qtbot, control(form, "beta"), "0,75")
    assert [step.beta for step in heard] == [0.25, 0.75]
    type_into(qtbot, control(form, "beta"), "0.75")
    assert len(heard) == 2


def test_what_is_typed_counts_even_before_return_is_pressed(form: StepForm, qtbot: QtBot) -> None:
    box = control(form, "beta")
    box.selectAll()
    qtbot.keyClicks(box, "0.31")
    assert form.step().beta == 0.31


def test_a_value_out_of_range_is_explained_at_its_field_and_not_told(form: StepForm, qtbot: QtBot) -> None:
    row = form.rows["beta"]
    with qtbot.assertNotEmitted(form.changed), qtbot.waitSignal(form.validity_changed) as heard:
        type_into(qtbot, control(form, "beta"), "1.5")
    assert heard.args == [False]
    assert row.problem_label.isVisible()
    assert "less than or equal to 1" in row.problem_label.text()
    assert "1.5" in row.problem_label.text()
    assert not form.rows["size"].problem_label.isVisible()
    assert not form.is_valid
    with pytest.raises(RequestError, match="Beta: Input should be less than or equal to 1"):
        form.step()
    with qtbot.waitSignal(form.validity_changed) as heard:
        type_into(qtbot, control(form, "beta"), "0.5")
    assert heard.args == [True]
    assert not row.problem_label.isVisible()


def test_arrows_stay_in_the_range(form: StepForm, qtbot: QtBot) -> None:
    box = control(form, "beta")
    box.stepBy(1000)
    assert form.step().beta == 1.0
    box.stepBy(-1000)
    assert form.step().beta == 0.0
    box.stepBy(7)
    assert form.step().beta == 0.07


def test_the_slider_and_the_number_follow_each_other(form: StepForm, qtbot: QtBot) -> None:
    box, slider = control(form, "beta", 0), control(form, "beta", 1)
    assert (slider.minimum(), slider.maximum(), slider.value()) == (0, 100, 60)
    with qtbot.waitSignal(form.changed) as heard:
        slider.setValue(29)
    assert heard.args[0].beta == 0.29
    assert box.text() == "0.29"
    type_into(qtbot, box, "0.5")
    assert slider.value() == 50


@pytest.mark.parametrize("number", [999, 1000, 2**31, 2**32 - 1, 2**52 + 1, 2**53])
def test_large_whole_numbers_are_taken(form: StepForm, qtbot: QtBot, number: int) -> None:
    type_into(qtbot, control(form, "size"), str(number))
    assert form.step().size == number


def test_a_number_beyond_the_range_of_qt_is_refused_by_the_step(form: StepForm, qtbot: QtBot) -> None:
    type_into(qtbot, control(form, "seed"), str(2**32))
    assert "4294967295" in form.rows["seed"].problem_label.text()


def test_having_no_value_is_a_tick_that_says_what_it_means(form: StepForm, qtbot: QtBot) -> None:
    form.advanced.open()
    tick, box = control(form, "limit_s", 0), control(form, "limit_s", 1)
    assert (tick.text(), tick.isChecked(), box.isEnabled()) == ("none", True, False)
    with qtbot.waitSignal(form.changed) as heard:
        tick.click()
    assert heard.args[0].limit_s == 1.0
    assert box.isEnabled()
    assert box.suffix() == " s"
    type_into(qtbot, box, "12.5")
    assert form.step().limit_s == 12.5
    tick.click()
    assert form.step().limit_s is None


def test_a_click_on_the_title_ticks(form: StepForm, qtbot: QtBot) -> None:
    title = form.rows["flag"].editor.findChild(QLabel)
    assert title.text() == "Flag"
    with qtbot.waitSignal(form.changed) as heard:
        qtbot.mouseClick(title, Qt.MouseButton.LeftButton)
    assert heard.args[0].flag is False


def test_axes_are_named_z_y_x(form: StepForm, qtbot: QtBot) -> None:
    assert [widget.accessibleName() for widget, _ in form.rows["tile"].editor.controls()] == [
        "Tile Z",
        "Tile Y",
        "Tile X",
    ]
    type_into(qtbot, control(form, "tile", 2), "9")
    assert form.step().tile == (1, 2, 9)


def test_lists_are_written_with_commas(form: StepForm, qtbot: QtBot) -> None:
    type_into(qtbot, control(form, "names"), "b,  c ,")
    assert form.step().names == ("b", "c")


def test_defaults_come_back_one_by_one_and_all_at_once(form: StepForm, qtbot: QtBot, step_class: type[Step]) -> None:
    assert not form.reset_button.isVisible()
    type_into(qtbot, control(form, "beta"), "0.1")
    type_into(qtbot, control(form, "size"), "7")
    control(form, "flag").click()
    assert [name for name, row in form.rows.items() if row.reset_button.isVisible()] == ["beta", "size", "flag"]
    with qtbot.waitSignal(form.changed) as heard:
        form.rows["beta"].reset_button.click()
    assert (heard.args[0].beta, heard.args[0].size) == (0.6, 7)
    with qtbot.waitSignal(form.changed) as heard:
        form.reset_button.click()
    assert heard.args[0] == step_class()
    assert not form.reset_button.isVisible()


def test_advanced_settings_are_folded_until_they_matter(form: StepForm, qtbot: QtBot, step_class: type[Step]) -> None:
    row = form.rows["limit_s"]
    assert not row.isVisible()
    assert form.rows["beta"].isVisible()
    form.set_step(step_class(limit_s=5))
    assert form.advanced.button.text() == "Advanced (1 changed)"
    assert not row.isVisible()
    row.editor.inner.box.setValue(-1)
    assert row.isVisible(), "a mistake must be seen"


def test_setting_a_step_tells_nothing(form: StepForm, qtbot: QtBot, step_class: type[Step]) -> None:
    step = step_class(beta=1 / 3, size=2**53, mode="y", flag=False, tile=(7, 8, 9), names=("q",), source="dog")
    with qtbot.assertNotEmitted(form.changed):
        form.set_step(step)
        qtbot.wait(0)
    assert form.step() == step


def test_choices_of_a_source_show_titles_and_give_ids(form: StepForm, qtbot: QtBot) -> None:
    box = control(form, "source")
    assert [box.itemText(place) for place in range(box.count())] == ["A cat", "A dog"]
    assert box.itemData(0, Qt.ItemDataRole.ToolTipRole) == "It purrs."
    qtbot.keyClick(box, Qt.Key.Key_Down)
    assert form.step().source == "cat"
    line = box.lineEdit()
    line.selectAll()
    qtbot.keyClicks(line, "/a/folder")
    with qtbot.waitSignal(form.changed) as heard:
        qtbot.keyClick(line, Qt.Key.Key_Return)
    assert heard.args[0].source == "/a/folder"


def test_a_source_is_asked_when_the_form_is_shown(qtbot: QtBot, step_class: type[Step]) -> None:
    asked: list[int] = []
    CHOICES._entries["test.animals"] = lambda: asked.append(1) or [Choice("dog", "A dog")]
    form = StepForm(step_class(source="dog"))
    qtbot.addWidget(form)
    assert asked == []
    assert form.step().source == "dog"
    form.show()
    assert asked
    assert control(form, "source").currentText() == "A dog"
    assert form.step().source == "dog"


def test_the_shipped_models_are_offered_for_a_prediction(qtbot: QtBot) -> None:
    form = StepForm(STEPS.get("predict"), only=["model"])
    qtbot.addWidget(form)
    form.show()
    box = control(form, "model")
    assert "membranes-3d" in [box.itemData(place) for place in range(box.count())]
    assert box.currentText() != "membranes-3d", "people read titles"
    assert form.step().model == "membranes-3d"


def test_only_some_fields_are_shown_and_the_others_keep_their_values(qtbot: QtBot, step_class: type[Step]) -> None:
    form = StepForm(step_class(size=5, limit_s=3), only=["beta", "limit_s"])
    qtbot.addWidget(form)
    form.show()
    assert list(form.rows) == ["beta", "limit_s"]
    assert form.rows["limit_s"].isVisible(), "a page that asks for it wants it seen"
    control(form, "beta").setValue(0.2)
    assert form.step() == step_class(beta=0.2, size=5, limit_s=3)
    form.reset()
    assert form.step() == step_class(size=5)

    hidden = StepForm(step_class(size=5), hide=["size"])
    qtbot.addWidget(hidden)
    assert "size" not in hidden.rows
    assert hidden.step().size == 5
    with pytest.raises(RequestError, match='Did you mean "beta"'):
        StepForm(step_class, only=["betta"])


def test_settings_that_have_no_effect_are_out_of_sight(qtbot: QtBot) -> None:
    form = StepForm(STEPS.get("rescale"))
    qtbot.addWidget(form)
    form.show()

    def visible() -> set[str]:
        return {name for name in ("factor", "voxel_size_um", "shape_vox", "model") if form.rows[name].isVisible()}

    assert visible() == {"factor"}
    control(form, "factor").setValue(0.5)
    target = control(form, "to")
    target.setCurrentIndex(target.findData("shape"))
    target.activated.emit(target.currentIndex())
    assert visible() == {"shape_vox"}
    assert "shape_vox" in form.problem_label.text()
    control(form, "shape_vox").click()
    assert form.step().shape_vox == (1, 1, 1)
    assert form.step().factor == (1.0, 1.0, 1.0)


def test_the_wheel_scrolls_the_page_unless_the_control_was_clicked(form: StepForm, qtbot: QtBot) -> None:
    box = control(form, "size")
    control(form, "beta").setFocus()
    wheel = QWheelEvent(
        QPointF(5, 5),
        box.mapToGlobal(QPointF(5, 5)),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, wheel)
    assert form.step().size == 100


def test_help_is_shown_on_request(form: StepForm, qtbot: QtBot) -> None:
    row = form.rows["beta"]
    assert not row.help_label.isVisible()
    row.info_button.click()
    assert row.help_label.isVisible()
    assert row.help_label.text() == "Bias. Allowed: 0 to 1. Default: 0.6."
    assert "Bias." in control(form, "beta").toolTip()


PARTS = [field.annotation for field in TrainSettings.model_fields.values() if hasattr(field.annotation, "model_fields")]


@pytest.mark.parametrize("model", PARTS, ids=lambda model: model.__name__)
def test_parts_of_the_training_settings_are_shown_too(qtbot: QtBot, model: type[BaseModel]) -> None:
    form = StepForm(model)
    qtbot.addWidget(form)
    assert form.step() == model()
    assert form.rows or model.__name__ == "DataSettings"


def test_what_must_be_given_and_what_has_parts_of_its_own(qtbot: QtBot) -> None:
    form = StepForm(TrainSettings, hide=["device"])
    qtbot.addWidget(form)
    assert "data" not in form.rows
    assert not form.is_valid
    given = TrainSettings.from_plain(
        {"output": "m", "start_from": "membranes-3d", "device": "cpu", "optimiser": {"rate": 0.5}}
    )
    form.set_step(given)
    assert form.step() == given
    assert form.is_valid


def test_another_sort_of_step_is_a_mistake_of_the_program(form: StepForm) -> None:
    with pytest.raises(TypeError, match="Gaussian"):
        form.set_step(STEPS.get("gaussian")())


class Weights(BaseModel):
    weights: tuple[float, ...] = Field((1.0, 2.0), description="Weights.")


def test_a_list_of_numbers_that_is_typed_again_is_no_change(qtbot: QtBot) -> None:
    form = StepForm(Weights)
    qtbot.addWidget(form)
    form.show()
    row = form.rows["weights"]
    type_into(qtbot, control(form, "weights"), "1, 3")
    assert row.reset_button.isVisible()
    assert form.step().weights == (1.0, 3.0)
    type_into(qtbot, control(form, "weights"), "1, 2")
    assert not row.reset_button.isVisible()
    type_into(qtbot, control(form, "weights"), "1, x")
    assert row.problem_label.text() == (
        "Entry 2: Input should be a valid number, unable to parse string as a number; 'x' was given."
    )


class Sizes(BaseModel):
    size_um: Micrometre = Field(2.0, description="Size.")
    width: float = Field(0.003, ge=0, le=1, description="Width.")


def test_numbers_are_written_as_people_do(qtbot: QtBot) -> None:
    form = StepForm(Sizes)
    qtbot.addWidget(form)
    assert control(form, "size_um").text() == "2 µm"
    assert control(form, "width").text() == "0.003"
    control(form, "width").stepBy(1)
    assert form.step().width == 0.0031
    form.set_step(Sizes(size_um=1e-7, width=1 / 3))
    assert control(form, "size_um").text() == "0.0000001 µm"
    assert form.step() == Sizes(size_um=1e-7, width=1 / 3)
