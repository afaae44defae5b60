"""Training a network from one's own images: settings at the left, how it learns at the right, in its own process."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from PySide6.QtCore import Qt, QTimer, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QSplitter, QVBoxLayout

from plantseg_app.core.quantities import human_seconds
from plantseg_app.errors import PlantSegError
from plantseg_app.gui.areas.area import Area, Column
from plantseg_app.gui.areas.training_form import TrainingForm
from plantseg_app.gui.areas.training_task import EstimateTraining, TrainTask
from plantseg_app.gui.areas.training_view import TrainingView
from plantseg_app.gui.areas.use_model import use_model
from plantseg_app.gui.qt_runner import QtRunner
from plantseg_app.gui.widgets import sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.failure import Failure
from plantseg_app.run.worker_events import TaskProgress
from plantseg_app.train.events import StepDone, ValidationDone
from plantseg_app.train.outlook import expected_seconds
from plantseg_app.train.settings import TrainSettings
from plantseg_app.zoo.library import add_under_free_id

# A step of a large network may take a while, and the model is written after it.
_PATIENCE_S = 180.0
_PAUSE_BEFORE_ESTIMATE_MS = 700
_ADD_FIRST = "Add images with their cells at the left; then the training can start."


class TrainingArea(Area):
    """One training at a time, beside whatever else the window does."""

    title: ClassVar[str] = "Train"
    hint: ClassVar[str] = "Teach a network from images whose cells you have."
    icon: ClassVar[str] = "training"

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self._is_built = False
        self._runner: QtRunner | None = None
        self._token: int | None = None
        self._estimating: TrainSettings | None = None
        self._settings: TrainSettings | None = None
        self._done = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_BEFORE_ESTIMATE_MS)
        self._timer.timeout.connect(self._estimate)

    # ------------------------------------------------------------------------------------------------ layout

    def enter(self) -> None:
        """Build the area when it first comes up, for the window to open quickly; then look what there is."""
        if not self._is_built:
            self._build()
        self.form.refresh()
        if self._token is None:
            self.view.refresh()
        self._refresh()

    def _build(self) -> None:
        self._is_built = True
        self.form = TrainingForm(self.bench)
        self.view = TrainingView()
        self.estimate_label = sentence()
        self.estimate_label.setAccessibleName("Expected time")
        scroll = Column(340)
        column = scroll.lines
        column.addWidget(self.form)
        column.addStretch(1)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(scroll)
        split.addWidget(self.view)
        split.setStretchFactor(1, 1)
        split.setSizes([430, 850])
        split.setChildrenCollapsible(False)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(split)
        self._connect()

    def _connect(self) -> None:
        view = self.view
        self.form.changed.connect(self._note_change)
        view.box.currentIndexChanged.connect(self._show_chosen)
        view.start_button.clicked.connect(self.start)
        view.stop_button.clicked.connect(self.stop)
        view.resume_button.clicked.connect(self.resume)
        view.use_button.clicked.connect(self.use)
        view.folder_button.clicked.connect(self._open_folder)

    @property
    def runner(self) -> QtRunner:
        """The second process: segmenting goes on in the first one; started when it is first needed."""
        if self._runner is None:
            session = self.bench.runner.store.folder.parent
            self._runner = runner = QtRunner(session, self, warm=False, patience_s=_PATIENCE_S)
            runner.news.connect(self._take_news)
            runner.progressed.connect(self._take_progress)
            runner.told.connect(lambda _, text: self.bench.tell(text))
            runner.succeeded.connect(self._succeed)
            runner.failed.connect(self._fail)
            runner.cancelled.connect(self._be_cancelled)
            runner.stopped.connect(self._refresh)
        return self._runner

    # ------------------------------------------------------------------------------------------------ doing

    def take_paths(self, paths: Sequence[Path]) -> None:
        """Add labelled stacks that were dropped."""
        self.form.stacks.take_paths(paths)

    def start(self) -> None:
        """Train with the settings of the form."""
        try:
            settings = self.form.settings()
        except PlantSegError as error:
            self.bench.warn(str(error))
            return
        self.view.choose(None)
        self._begin(settings, resume=False)

    def resume(self) -> None:
        """Go on with the training that is looked at."""
        record = self.view.record
        if record is not None:
            self.view.show_record()
            self._begin(record.settings, resume=True)

    def _begin(self, settings: TrainSettings, resume: bool) -> None:
        if self._estimating is not None:
            # It takes a second or two, and the person wants something else now.
            self._estimating = None
            self.view.start_button.setEnabled(False)
            self.view.resume_button.setEnabled(False)
            self.runner.stopped.connect(lambda _: self._begin(settings, resume), Qt.ConnectionType.SingleShotConnection)
            return
        if not resume:
            self.view.curve.clear(settings.stopping.steps)
            self.view.example.show_example(None)
        self._settings, self._done = settings, 0.0
        try:
            self._token = self.runner.start(TrainTask(settings, resume, self.bench.document.device, self.n_threads))
        except PlantSegError as error:
            self.bench.warn(str(error))
            return
        self.view.bar.setValue(0)
        self.view.status.setText("Starting …")
        self._refresh()

    def stop(self) -> None:
        """End the training; the best state so far becomes the model."""
        if self._token is not None:
            self.view.stop_button.setEnabled(False)
            self.view.status.setText("Stopping after this step; the best state so far is kept …")
            self.runner.cancel()

    def use(self) -> None:
        """Add the model to the person's own, and work with it."""
        folder = self.view.folder
        if folder is None:
            return
        try:
            model_id = add_under_free_id(folder).card.id
        except (PlantSegError, OSError) as error:
            self.bench.warn(str(error))
            return
        use_model(self.bench, model_id)

    def _open_folder(self) -> None:
        if self.view.folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.view.folder)))

    # ------------------------------------------------------------------------------------------------ closing

    @property
    def is_busy(self) -> bool:
        """Whether a training runs."""
        return self._token is not None

    @property
    def busy_text(self) -> str:
        """What runs, for the question before the window closes."""
        name = "" if self._settings is None else Path(self._settings.output).name
        return f"The training {name} is under way. It can be resumed from its last checkpoint."

    def shut_down(self) -> None:
        """End the process; the last checkpoint stays."""
        self._token = None
        if self._is_built:
            self.form.stacks.stop()
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    # ------------------------------------------------------------------------------------------------ news

    def _take_news(self, token: int, event: object) -> None:
        if token != self._token:
            return
        if isinstance(event, StepDone):
            self.view.curve.add_step(event.step, event.loss)
            self._show_step(event)
        elif isinstance(event, ValidationDone):
            row = dataclasses.asdict(dataclasses.replace(event, example=None))
            self.view.curve.add_row(row, event.score_name, event.is_best)
            self.view.example.show_example(event.example)

    def _show_step(self, event: StepDone) -> None:
        stopping = self._settings.stopping if self._settings is not None else None
        in_time = event.seconds / (60 * stopping.minutes) if stopping is not None and stopping.minutes else 0.0
        self._done = max(event.step / event.total, in_time)
        self.view.bar.setValue(round(1000 * self._done))
        # A resumed training counts the seconds of its earlier parts, too, so this stays right.
        left = event.seconds / self._done * (1 - self._done)
        self.view.status.setText(
            f"Step {event.step} of {event.total}, loss {event.loss:.4f}, rate {event.rate:.1e}, "
            f"about {human_seconds(left)} left"
        )

    def _take_progress(self, token: int, progress: TaskProgress) -> None:
        if token == self._token and progress.label and progress.total:
            self.view.status.setText(f"{progress.label}: {progress.done} of {progress.total}")

    def _succeed(self, token: int, result: object) -> None:
        if self._estimating is not None and isinstance(result, float):
            self._show_estimate(self._estimating, result)
            return
        if token != self._token or self._settings is None:
            return
        self._end(Path(self._settings.output))

    def _fail(self, token: int, failure: Failure) -> None:
        if token != self._token:
            self._estimating = None
            self.estimate_label.setText(f"The time cannot be estimated: {failure.sentence}")
            return
        self._end(Path(self._settings.output) if self._settings is not None else None)
        self.view.status.setText(failure.sentence)
        self.bench.warn(failure.sentence)

    def _be_cancelled(self, token: int) -> None:
        if token == self._token:
            self._end(Path(self._settings.output) if self._settings is not None else None)

    def _end(self, folder: Path | None) -> None:
        self._token = None
        example = self.view.example.images
        self.view.refresh()
        self.view.choose(folder)
        self.view.show_record()
        # The picture of the last validation is still right.
        self.view.example.images = example
        self.form.propose_name()
        self.form.refresh()
        self.bench.tell(f"Training: {self.view.status.text()}")
        self._refresh()

    # ------------------------------------------------------------------------------------------------ showing

    def _refresh(self, *_: object) -> None:
        is_running = self._token is not None
        has_stacks = bool(self.form.stacks.table.rows)
        self.view.allow(is_running, not is_running, has_stacks)
        if not (is_running or has_stacks or self.view.record):
            self.view.status.setText(_ADD_FIRST)
        elif self.view.status.text() == _ADD_FIRST:
            self.view.status.setText("Working out how long it takes …")
        self.form.setEnabled(not is_running)

    def _show_chosen(self) -> None:
        self.view.show_record()
        if self.view.record is None:
            self.view.status.setText(self.estimate_label.text())
        self._refresh()

    def _note_change(self) -> None:
        self._refresh()
        self._timer.start()

    def _estimate(self) -> None:
        """Ask the idle process how long the training of the form would take."""
        if self._token is not None or self._estimating is not None or self.runner.is_busy or not self.isVisible():
            return
        try:
            self._estimating = self.form.settings()
            self.runner.start(EstimateTraining(self._estimating, self.bench.document.device, self.n_threads))
        except PlantSegError:
            # The form says what is wrong; there is nothing to estimate.
            self._estimating = None

    def _show_estimate(self, settings: TrainSettings, step_seconds: float) -> None:
        self._estimating = None
        seconds = human_seconds(expected_seconds(settings, step_seconds))
        each = human_seconds(step_seconds) if step_seconds >= 0.1 else f"{1000 * step_seconds:.0f} ms"
        self.estimate_label.setText(f"About {seconds}, at {each} a step; validations come on top.")
        if self.view.record is None and self._token is None:
            self.view.status.setText(self.estimate_label.text())
