"""The part of the page Proofread that lets networks learn from what was corrected."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QProgressBar,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.core.quantities import human_seconds
from plantseg_app.errors import PlantSegError
from plantseg_app.gui.forms.fold import Fold
from plantseg_app.gui.proofreading.before_after_dialog import BeforeAfterDialog
from plantseg_app.gui.proofreading.corrections import Corrections
from plantseg_app.gui.proofreading.lessons import correct_cells, few_cells_models, image_of, teachable_models
from plantseg_app.gui.proofreading.teaching import Teaching
from plantseg_app.gui.widgets import button, heading, keep_narrow, row_widget, say, sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.train.events import StepDone
from plantseg_app.train.few_cells import DEFAULT_MINUTES
from plantseg_app.train.fine_tune import STEPS
from plantseg_app.zoo.card import ModelCard

_NEW, _LAST_ROUND = "", "last round"
_FROM_LAST_ROUND = ("The model of the last round", _LAST_ROUND)
_NAME_OF_ROUND = "Learned from a few cells"
_MOST_STEPS, _MOST_MINUTES = 100_000, 600.0


class TeachingPanel(QWidget):
    """Export, fine-tuning and proposals.

    Attributes
    ----------
    outcome
        What runs and what came of it, for a place that stays in sight.
    """

    def __init__(self, bench: Workbench, corrections: Corrections) -> None:
        super().__init__()
        self.bench = bench
        self.corrections = corrections
        self.teaching = Teaching(bench, corrections, self)
        self._cards: dict[str, ModelCard] = {}
        self.fold = Fold("Teach a network")
        self.fold.button.setToolTip("Let networks learn from the cells that are marked as correct.")
        self.count = sentence()
        self._make_export()
        self._make_tuning()
        self._make_proposal()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.fold)
        self.outcome = self._make_outcome()
        self._connect()
        self.refresh()

    # ------------------------------------------------------------------------------------------------ layout

    def _make_export(self) -> None:
        self.export_button = button(
            "E&xport corrections",
            "Write the cells marked as correct, and where nothing is known, as training data beside the image.",
        )
        self.folder_button = button("Open the folder", "Show what was exported in the file manager.")
        for widget in (self.count, row_widget(self.export_button, self.folder_button, None)):
            self.fold.column.addWidget(widget)

    def _make_tuning(self) -> None:
        self.model_box = _combo("Model to train further", "The model that learns; it is kept as it is beside the new.")
        self.steps = QSpinBox()
        self.steps.setRange(1, _MOST_STEPS)
        self.steps.setValue(STEPS)
        self.steps.setAccessibleName("Steps")
        self.steps.setToolTip("How long it learns. Too long on few cells, and it knows these by heart.")
        self.tune_button = button(
            "Fine-tune on my corrections",
            "Train the model further on most cells marked as correct, beside the window, and try it on the others.",
        )
        form = QFormLayout()
        form.addRow("Model", self.model_box)
        form.addRow("Steps", self.steps)
        self.fold.column.addWidget(heading("A model that does better"))
        self.fold.column.addLayout(form)
        self.fold.column.addWidget(self.tune_button)

    def _make_proposal(self) -> None:
        self.start_box = _combo("Start from", "A network that knows alike cells needs less time than a new one.")
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0.1, _MOST_MINUTES)
        self.minutes.setDecimals(1)
        self.minutes.setValue(DEFAULT_MINUTES)
        self.minutes.setSuffix(" min")
        self.minutes.setAccessibleName("Minutes")
        self.minutes.setToolTip("How long it learns before it looks for all cells.")
        self.propose_button = button(
            "Propose all &other cells",
            "Learn from the cells marked as correct alone, a few are enough, and propose all others.",
        )
        form = QFormLayout()
        form.addRow("Start", self.start_box)
        form.addRow("Time", self.minutes)
        self.fold.column.addWidget(heading("All other cells, from a few"))
        self.fold.column.addLayout(form)
        self.keep_round_button = button("Keep this model", "Add the model that made the proposal to your own.")
        for widget in (self.propose_button, self.keep_round_button):
            self.fold.column.addWidget(widget)

    def _make_outcome(self) -> QWidget:
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName("Progress of learning")
        self.bar.setToolTip("How much of the learning is over.")
        self.cancel_button = button("Stop learning", "Stop it; everything stays as it was.")
        self.status = sentence()
        self.status.setAccessibleName("State of learning")
        self.look_button = button("Before and after…", "Compare the new model with the old one, then keep it or not.")
        self.take_button = button("Take the cells over", "Replace all cells not marked as correct.", main=True)
        self.refuse_button = button("Refuse", "Forget the proposed cells.")
        self.decision = row_widget(self.take_button, self.refuse_button, None)
        outcome = QWidget()
        column = QVBoxLayout(outcome)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.status, self.bar, self.cancel_button, self.look_button, self.decision):
            column.addWidget(widget)
        return outcome

    def _connect(self) -> None:
        teaching = self.teaching
        self.fold.button.toggled.connect(self.list_models)
        self.export_button.clicked.connect(teaching.export)
        self.folder_button.clicked.connect(self._open_folder)
        self.tune_button.clicked.connect(self.fine_tune)
        self.propose_button.clicked.connect(self.propose)
        self.cancel_button.clicked.connect(teaching.cancel)
        self.look_button.clicked.connect(self.show_before_after)
        self.take_button.clicked.connect(teaching.take_proposal)
        self.refuse_button.clicked.connect(teaching.refuse_proposal)
        self.keep_round_button.clicked.connect(self.keep_round)
        teaching.changed.connect(self.refresh)
        self.corrections.edited.connect(lambda _: self.settle())
        teaching.stepped.connect(self._show_step)
        teaching.told.connect(self._tell)
        teaching.tuned_came.connect(self._offer_comparison)

    # ------------------------------------------------------------------------------------------------ showing

    def refresh(self) -> None:
        """Allow what can be done now."""
        teaching, session = self.teaching, self.corrections.session
        is_correcting = session is not None and self.corrections.hand is not None
        n_correct = 0 if session is None else len(correct_cells(session))
        cells = "1 cell is" if n_correct == 1 else f"{n_correct} cells are"
        self.count.setText(f"{cells} marked as correct (L). Only these are learned from; of the rest nothing is said.")
        self.fold.setVisible(is_correcting)
        is_free = is_correcting and not teaching.is_busy
        self.export_button.setEnabled(is_free)
        self.folder_button.setVisible(teaching.exported is not None)
        self.tune_button.setEnabled(is_free and self.model_box.count() > 0)
        self.propose_button.setEnabled(is_free)
        for widget in (self.bar, self.cancel_button):
            widget.setVisible(teaching.is_busy)
        if not teaching.is_busy:
            self.bar.setRange(0, 0)
        self.look_button.setVisible(teaching.tuned is not None)
        self.decision.setVisible(teaching.proposal is not None and is_correcting)
        self.keep_round_button.setVisible(bool(teaching.last_round))
        if teaching.last_round and self.start_box.findData(_LAST_ROUND) < 0:
            self.start_box.insertItem(0, *_FROM_LAST_ROUND)
            self.start_box.setCurrentIndex(0)
        self._show_outcome()

    def _show_outcome(self) -> None:
        self.status.setVisible(bool(self.status.text()))
        self.outcome.setVisible(self.teaching.is_waiting or bool(self.status.text()))

    def settle(self) -> None:
        """Take away what was said, unless something runs or waits for an answer."""
        if not self.teaching.is_waiting:
            self._tell("", "")

    def list_models(self) -> None:
        """Offer the models that can learn from these cells, as there are now; what was chosen stays."""
        base, document = self.corrections.base, self.bench.document
        cards: list[ModelCard] = []
        if base is not None:
            try:
                image = image_of(document, base.volume)
                cards = teachable_models(document, image, base.volume.data.ndim == 4)
            except PlantSegError as error:
                self._tell(str(error), "warning")
        self._cards = {card.id: card for card in cards}
        _fill(self.model_box, [(card.title, card.id) for card in cards])
        starts = [_FROM_LAST_ROUND] if self.teaching.last_round else []
        starts.append(("A new network", _NEW))
        _fill(self.start_box, [*starts, *((card.title, card.id) for card in few_cells_models(cards))])
        self.refresh()

    def _tell(self, text: str, role: str) -> None:
        say(self.status, text, role)
        self._show_outcome()

    def _show_step(self, event: StepDone) -> None:
        minutes = self.teaching.minutes
        done = min(1.0, max(event.step / event.total, event.seconds / (60 * minutes) if minutes else 0.0))
        left = event.seconds / done * (1 - done)
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(1000 * done))
        of_all = "" if minutes else f" of {event.total}"
        text = f"Step {event.step}{of_all}, loss {event.loss:.4f}, about {human_seconds(left)} left"
        self._tell(text, "")

    def _offer_comparison(self) -> None:
        if self.isVisible():
            self.show_before_after()

    # ------------------------------------------------------------------------------------------------ doing

    def fine_tune(self) -> None:
        """Train the chosen model further."""
        card = self._cards.get(str(self.model_box.currentData()))
        if card is not None:
            self.teaching.fine_tune(card, self.steps.value())

    def propose(self) -> None:
        """Learn from a few cells, and propose all others."""
        start = str(self.start_box.currentData() or _NEW)
        self.teaching.propose(self.teaching.last_round if start == _LAST_ROUND else start, self.minutes.value())

    def show_before_after(self) -> None:
        """Show what became of the model, to be kept or thrown away."""
        if self.teaching.tuned is None:
            return
        try:
            dialog = BeforeAfterDialog(self.teaching, self.teaching.tuned, self.window())
        except PlantSegError as error:
            self._tell(str(error), "error")
            return
        dialog.finished.connect(self.list_models)
        dialog.show()

    def keep_round(self) -> None:
        """Add the model that made the last proposal to the person's own."""
        try:
            model_id = self.teaching.keep_round(_NAME_OF_ROUND)
        except (PlantSegError, OSError) as error:
            self._tell(str(error), "error")
            return
        self._tell(f"The model is kept as {model_id}; the page Predict offers it.", "good")
        self.list_models()

    def _open_folder(self) -> None:
        if self.teaching.exported is not None:
            folder = Path(self.teaching.exported.files.path).parent
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


def _fill(box: QComboBox, entries: list[tuple[str, str]]) -> None:
    """Offer other entries; what was chosen stays where it is still there."""
    before = box.currentData()
    box.clear()
    for text, data in entries:
        box.addItem(text, data)
    box.setCurrentIndex(max(0, box.findData(before)))


def _combo(name: str, tip: str) -> QComboBox:
    box = QComboBox()
    keep_narrow(box)
    box.setAccessibleName(name)
    box.setToolTip(tip)
    return box
