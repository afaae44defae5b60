"""Third page: the network that finds boundaries or nuclei."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from plantseg_app.core.volume import Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import PlantSegError, RequestError
from plantseg_app.gui.embedding_panel import EmbeddingPanel
from plantseg_app.gui.forms.choices import CHOICES
from plantseg_app.gui.forms.fold import Fold
from plantseg_app.gui.forms.step_form import StepForm
from plantseg_app.gui.growing import GrowingLayers
from plantseg_app.gui.model_fit import fits_of
from plantseg_app.gui.widgets import button, heading, say, sentence
from plantseg_app.gui.wizard.model_list import ListedModel, ModelList
from plantseg_app.gui.wizard.page import Page
from plantseg_app.gui.wizard.scale_note import ScaleNote
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.prediction import (
    PredictionOutlook,
    expect_prediction,
    is_predicted,
    predict_step,
    prediction_nodes,
    suits_better,
    with_prediction_settings,
)
from plantseg_app.run.workflows import what_is_missing, with_model
from plantseg_app.zoo.card import ModelCard
from plantseg_app.zoo.catalogue import InstalledModel, read_catalogue
from plantseg_app.zoo.scale import ModelFit
from plantseg_app.zoo.search import finds_text

_PAUSE_MS = 200


@dataclasses.dataclass(frozen=True)
class _Question:
    """What is looked up beside the window, because it loads torch."""

    workflow: Workflow
    model: str
    device: str
    sources: dict[str, Volume]

    def is_same(self, other: _Question | None) -> bool:
        if other is None:
            return False
        mine, theirs = ({n: id(v) for n, v in q.sources.items()} for q in (self, other))
        return (self.workflow, self.model, self.device, mine) == (other.workflow, other.model, other.device, theirs)

    def answer(self) -> _Answer:
        outlook, problem = None, ""
        try:
            if self.sources:
                outlook = expect_prediction(self.workflow, self.sources, self.device)
        except PlantSegError as error:
            problem = str(error)
        return _Answer(self, outlook, problem, suits_better(self.workflow, self.model))


@dataclasses.dataclass(frozen=True)
class _Answer:
    question: _Question
    outlook: PredictionOutlook | None
    problem: str
    suited: Workflow | None


class PredictPage(Page):
    """Choose a network by what it is for, see what it will take, and run it."""

    title: ClassVar[str] = "Predict"
    hint: ClassVar[str] = "A trained network finds the boundaries of cells, or nuclei. Choose one that fits the image."

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self._wanted = ""
        self._suited: Workflow | None = None
        self._answer: _Answer | None = None
        self._asked: _Question | None = None
        self._is_open = False
        self.growing = GrowingLayers(bench)
        self._make_controls()
        self._lay_out()
        self._rest = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._rest.timeout.connect(self._ask)
        self.models.chosen.connect(self.choose_model)
        self.switch_button.clicked.connect(self._switch)
        self.find_button.clicked.connect(self._find_missing)
        self.device.activated.connect(self._take_device)
        self.run_button.clicked.connect(self.run)
        self.next_button.clicked.connect(lambda: bench.go_to("Segment"))

    def _make_controls(self) -> None:
        self.models = ModelList()
        self.scale_note = ScaleNote(self.bench)
        self.offer = sentence()
        self.switch_button = button("Use that &workflow", "Exchange the steps after the network for those that fit it.")
        self.missing = sentence()
        self.find_button = button("&Look for it", "Open the area Models, where it can be downloaded or added.")
        self.device = QComboBox()
        self.device.setAccessibleName("Device")
        self.device.setToolTip("What the network runs on; Automatic takes a graphics card where there is one.")
        self.device.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.device.setMinimumContentsLength(12)
        self.outlook = sentence()
        self.done = sentence()
        self.run_button = button("&Predict", "Run the network, and what comes before it, on the image.", main=True)
        self.nothing = sentence()
        self.embedding = EmbeddingPanel(self.bench)
        self.next_button = button("&Go on to Segment", "Open the next page.", main=True)
        self.form: StepForm[Any] | None = None
        self._form_hides: frozenset[str] = frozenset()

    def _lay_out(self) -> None:
        self.content = QWidget()
        inner = QVBoxLayout(self.content)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(heading("Model"))
        inner.addWidget(self.missing)
        inner.addWidget(self.find_button, 0, Qt.AlignmentFlag.AlignLeft)
        inner.addWidget(self.models)
        inner.addWidget(self.scale_note)
        inner.addWidget(self.offer)
        inner.addWidget(self.switch_button)
        self.settings = Fold("Settings")
        self._form_place = self.settings.column
        inner.addWidget(self.settings)
        row = QHBoxLayout()
        label = QLabel("Dev&ice")
        label.setBuddy(self.device)
        row.addWidget(label)
        row.addWidget(self.device, 1)
        inner.addLayout(row)
        inner.addWidget(self.outlook)
        inner.addWidget(self.done)
        self.column.addWidget(self.content)
        self.column.addWidget(self.nothing)
        self.column.addWidget(self.embedding)
        self.column.addStretch(1)
        self.footer.addWidget(self.run_button)
        self.footer.addWidget(self.next_button)

    # ------------------------------------------------------------------------------------------------ showing

    def leave(self) -> None:
        """Stop looking things up."""
        self._is_open = False
        self._wanted = ""
        self._rest.stop()
        self.embedding.put_away()

    def toggle_likeness(self) -> None:
        """Show which pixels are like the one under the cursor, or no longer."""
        self.embedding.toggle()

    def refresh(self) -> None:
        """Show the document and the runner as they are now."""
        self._is_open = True
        self.embedding.refresh()
        workflow = self.document.workflow
        step = predict_step(workflow)
        self.content.setVisible(step is not None)
        self.nothing.setVisible(step is None)
        self.next_button.setVisible(step is None)
        self.run_button.setVisible(step is not None)
        if step is None:
            source = " and ".join(source.kind.value for source in workflow.sources.values())
            name = workflow.title or workflow.name
            self.nothing.setText(f'There is nothing to predict: "{name}" starts from {source} directly.')
            return
        self.models.show_models(self._listed(), self._wanted or step.model)
        missing = self._show_missing(workflow)
        self.scale_note.refresh()
        self.scale_note.setVisible(not self._wanted and not missing)
        self._show_form(step)
        self._show_device()
        self._show_answer()
        self._rest.start()

    def _show_missing(self, workflow: Workflow) -> bool:
        """Say which models of the workflow are not here; return whether there are any."""
        missing = what_is_missing(workflow)
        say(self.missing, f"{missing}\nOr choose another model below." if missing else "", "error")
        for widget in (self.missing, self.find_button):
            widget.setVisible(bool(missing))
        return bool(missing)

    def _find_missing(self) -> None:
        step = predict_step(self.document.workflow)
        if step is not None:
            self.bench.show_model(step.model)

    def _listed(self) -> list[ListedModel]:
        """Return the models, those that fit the open image best first."""
        models = read_catalogue().models
        if self.document.main_image is None:
            return [ListedModel(model, _facts(model.card)) for model in models]
        fits = fits_of(self.document, models)
        return [ListedModel(fit.model, _line(fit, place), fit.sentence) for place, fit in enumerate(fits)]

    def _show_form(self, step: Any) -> None:
        several = len(prediction_nodes(self.document.workflow)) > 1
        hides = frozenset({"model", "output"} if several else {"model"})
        if self.form is None or hides != self._form_hides:
            if self.form is not None:
                self._form_place.removeWidget(self.form)
                self.form.hide()
                self.form.deleteLater()
            self.form, self._form_hides = StepForm(step, hide=hides), hides
            self.form.changed.connect(self._take_settings)
            self.form.validity_changed.connect(self.run_button.setEnabled)
            self._form_place.addWidget(self.form)
        elif self.form.is_valid and self.form.step() != step:
            self.form.set_step(step)
        changed = step.settings(only_changed=True).keys() - self._form_hides
        self.settings.say_changed(len(changed))

    def _show_device(self) -> None:
        if not self.device.count():
            for choice in CHOICES.get("devices")():
                self.device.addItem(choice.title[:1].upper() + choice.title[1:], choice.id)
        if self.device.findData(self.document.device) < 0:
            # From a session of another machine; the run will say that it is not here.
            self.device.addItem(self.document.device, self.document.device)
        self.device.setCurrentIndex(self.device.findData(self.document.device))

    def _show_answer(self) -> None:
        """Show what was found out, as far as it still holds."""
        answer, question = self._answer, self._question()
        holds = answer is not None and question is not None and question.is_same(answer.question)
        outlook = answer.outlook if holds and answer is not None else None
        problem = answer.problem if holds and answer is not None else ""
        if outlook is not None:
            say(self.outlook, outlook.sentence, "" if outlook.fits else "error")
        elif problem:
            # What is missing stands above the models already.
            say(self.outlook, "" if problem in self.missing.text() else problem, "error")
        else:
            say(
                self.outlook,
                "Looking up what it will take …" if self.document.images else "Open an image first.",
                "help",
            )
        self._suited = answer.suited if holds and answer is not None else None
        self._show_offer()
        done = is_predicted(self.document.workflow, self._results(), self._main_volume())
        say(self.done, "The map for exactly these settings is there already." if done else "", "good")
        self.done.setVisible(done)
        valid = self.form is None or self.form.is_valid
        self.run_button.setText("&Predict again" if done else "&Predict")
        self.run_button.setEnabled(
            valid
            and bool(self.document.images)
            and not self._wanted
            and not self.missing.text()
            and not self.bench.runner.is_busy
        )

    def _show_offer(self) -> None:
        suited = self._suited
        name = self.document.workflow.title or self.document.workflow.name
        if self._wanted:
            say(self.offer, f'{self._wanted} does not find what "{name}" works with.' + _made_for(suited), "warning")
        elif suited is not None:
            say(self.offer, f"This model finds more than this workflow uses.{_made_for(suited)}", "warning")
        self.offer.setVisible(bool(self._wanted) or suited is not None)
        self.switch_button.setVisible(suited is not None)
        if self._wanted:
            # What a click on the list has led to must be seen.
            QTimer.singleShot(0, self, lambda: self.show_widget(self.switch_button if suited else self.offer))

    def _results(self) -> dict[str, tuple[Workflow, Volume]]:
        return {name: (result.workflow, result.volume) for name, result in self.document.results.items()}

    def _main_volume(self) -> Volume | None:
        image = self.document.main_image
        return None if image is None else image.volume

    # ------------------------------------------------------------------------------------------------ changing

    def choose_model(self, model: str) -> None:
        """Let all networks of the workflow be `model`, or offer the workflow that fits it."""
        try:
            changed = with_model(self.document.workflow, model)
        except RequestError:
            self._wanted = model
            self.refresh()
            return
        self._wanted = ""
        self.document.set_workflow(changed)
        self.refresh()

    def _switch(self) -> None:
        if self._suited is not None:
            self._wanted = ""
            self.document.set_workflow(self._suited)
            self.refresh()

    def _take_settings(self, step: Any) -> None:
        settings = {name: value for name, value in step.settings().items() if name not in self._form_hides}
        self.document.set_workflow(with_prediction_settings(self.document.workflow, settings))
        self.refresh()

    def _take_device(self) -> None:
        self.document.device = self.device.currentData()
        self.refresh()

    def run(self) -> None:
        """Run the networks."""
        if self.run_button.isEnabled() and not self.content.isHidden():
            self.bench.run(tuple(prediction_nodes(self.document.workflow)))

    # ------------------------------------------------------------------------------------------------ looking up

    def _question(self) -> _Question | None:
        workflow, step = self.document.workflow, predict_step(self.document.workflow)
        if step is None:
            return None
        sources = {source: self.document.images[name].volume for source, name in self.document.assigned().items()}
        return _Question(workflow, self._wanted or step.model, self.document.device, sources)

    def _ask(self) -> None:
        question = self._question()
        known = self._answer is not None and question is not None and question.is_same(self._answer.question)
        if question is None or known or not self._is_open:
            return
        self.bench.runner.run_preview(question.answer, self._take_answer)

    def _take_answer(self, answer: _Answer) -> None:
        self._answer = answer
        if self._is_open:
            self._show_answer()


def _facts(card: ModelCard) -> str:
    sees = "single slices" if card.dimensionality == "2D" else "stacks"
    return " · ".join(part for part in (sees, finds_text(card), card.modality) if part)


def _line(fit: ModelFit[InstalledModel], place: int) -> str:
    suits = fit.structure_fits and fit.dimension_fits
    return f"Best match · {_facts(fit.model.card)}" if place == 0 and suits else _facts(fit.model.card)


def _made_for(suited: Workflow | None) -> str:
    return "" if suited is None else f' It is made for "{suited.title or suited.name}".'
