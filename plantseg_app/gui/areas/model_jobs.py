"""Models on their way to this machine or from it, one after the other, with progress and cancel."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from plantseg_app.core.quantities import human_bytes, human_seconds
from plantseg_app.gui.areas.area import free_width
from plantseg_app.gui.qt_runner import QtRunner
from plantseg_app.gui.widgets import button, sentence
from plantseg_app.run.desk import Task
from plantseg_app.run.failure import Failure
from plantseg_app.run.model_tasks import DownloadModel
from plantseg_app.run.worker_events import TaskProgress

_STEPS = 1000


class ModelJobs(QWidget):
    """A bar that is there while a model is on its way; in a process of its own, so that segmenting goes on.

    Parameters
    ----------
    session
        The folder of the session.

    Signals
    -------
    arrived
        The id of a model that is here now.
    finished
        What another task came to: what it has returned.
    failed
        Why one is not, in one sentence.
    changed
        What is on its way has changed.
    """

    arrived = Signal(str)
    finished = Signal(object)
    failed = Signal(str)
    changed = Signal()

    def __init__(self, session: Path) -> None:
        super().__init__()
        self._session = session
        self._runner: QtRunner | None = None
        self._waiting: deque[Task] = deque()
        self._task: Task | None = None
        self._build()

    def _build(self) -> None:
        self.label = free_width(sentence())
        self.label.setAccessibleName("What is on its way")
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of what is on its way")
        self.bar.setToolTip("How much of a file is here.")
        self.cancel_button = button(
            "&Cancel", "Stop this; of a download, what is here is kept, and the next try goes on from there."
        )
        self.cancel_button.clicked.connect(self.cancel)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button, 0, Qt.AlignmentFlag.AlignRight)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.label)
        column.addLayout(row)
        self.hide()

    @property
    def runner(self) -> QtRunner:
        """The process, started when it is first needed."""
        if self._runner is None:
            self._runner = runner = QtRunner(self._session, self, warm=False)
            runner.progressed.connect(self._take_progress)
            runner.told.connect(lambda _, text: self.label.setText(text))
            runner.succeeded.connect(lambda _, result: self._take(result))
            runner.failed.connect(lambda _, failure: self._fail(failure))
            runner.stopped.connect(lambda _: self._begin_next())
        return self._runner

    @property
    def is_busy(self) -> bool:
        """Whether a model is on its way."""
        return self._task is not None

    @property
    def title(self) -> str:
        """What is being done, for people."""
        return "" if self._task is None else self._task.title

    def is_awaited(self, offer_id: str) -> bool:
        """Return whether this offer is being downloaded or waits for its turn."""
        tasks = [*self._waiting, *([] if self._task is None else [self._task])]
        return any(isinstance(task, DownloadModel) and task.offer.id == offer_id for task in tasks)

    def start(self, task: Task) -> None:
        """Begin a task, or let it wait for its turn."""
        self._waiting.append(task)
        if self._task is None:
            self._begin_next()
        else:
            self._show_waiting()
            self.changed.emit()

    def cancel(self) -> None:
        """Stop what is under way; what waits comes next."""
        if self._task is not None:
            self.label.setText("Stopping …")
            self.cancel_button.setEnabled(False)
            self.runner.cancel()

    def shut_down(self) -> None:
        """End the process; what has arrived stays for the next time."""
        self._waiting.clear()
        self._task = None
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _take(self, result: object) -> None:
        if isinstance(result, str):
            self.arrived.emit(result)
        else:
            self.finished.emit(result)

    def _begin_next(self) -> None:
        self._task = self._waiting.popleft() if self._waiting else None
        if self._task is not None:
            self.label.setText(f"{self._task.title} …")
            self.bar.setRange(0, 0)
            self.cancel_button.setEnabled(True)
            self._show_waiting()
            self.runner.start(self._task)
        self.setVisible(self._task is not None)
        self.changed.emit()

    def _show_waiting(self) -> None:
        count = len(self._waiting)
        self.bar.setFormat("%p %" if count == 0 else f"%p %, {count} more waiting")

    def _take_progress(self, _token: int, progress: TaskProgress) -> None:
        if self._task is None or not progress.label or not self.cancel_button.isEnabled():
            return
        fraction = progress.fraction
        if fraction is None:
            amount = f", {human_bytes(progress.done)} so far" if progress.done else " …"
            self.bar.setRange(0, 0)
        else:
            left = "" if progress.seconds_left is None else f", about {human_seconds(progress.seconds_left)} left"
            amount = f", {human_bytes(progress.done)} of {human_bytes(progress.total or 0)}{left}"
            self.bar.setRange(0, _STEPS)
            self.bar.setValue(round(_STEPS * fraction))
        self.label.setText(f"{self._task.title}: {progress.label}{amount}")

    def _fail(self, failure: Failure) -> None:
        self.failed.emit(failure.sentence)
