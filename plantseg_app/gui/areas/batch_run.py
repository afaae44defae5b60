"""A batch under way: follows its news, keeps the table up to date, and goes on with the next file after a crash."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from plantseg_app.errors import PlantSegError
from plantseg_app.gui.areas.batch_progress import BatchProgress
from plantseg_app.gui.areas.batch_table import BatchTable
from plantseg_app.gui.qt_runner import QtRunner
from plantseg_app.run.batch import note_failure
from plantseg_app.run.events import NodeStarted
from plantseg_app.run.failure import Cause, Failure
from plantseg_app.run.jobs import Job, JobResult, JobSettings
from plantseg_app.run.tasks import FileStarted, RunBatch
from plantseg_app.run.worker_events import TaskProgress

REPORT_NAME = "report.html"


class BatchRun(QObject):
    """Runs jobs in the process of `runner` and shows in `table` where each stands.

    Signals
    -------
    moved
        How much is done (0 to 1), and the seconds left or None.
    ended
        A sentence on how the batch ended, and whether all files have their turn behind them.
    """

    moved = Signal(float, object)
    ended = Signal(str, bool)

    def __init__(self, runner: QtRunner, table: BatchTable, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner, self._table = runner, table
        self._token: int | None = None
        self._jobs: dict[Path, Job] = {}
        self._weights: dict[Path, float] = {}
        self._node = (0, 1)
        for signal, slot in (
            (runner.news, self._take_news),
            (runner.node_started, self._take_node),
            (runner.progressed, self._take_progress),
            (runner.succeeded, self._succeed),
            (runner.failed, self._fail),
            (runner.cancelled, self._be_cancelled),
        ):
            signal.connect(slot)

    @property
    def is_running(self) -> bool:
        """Whether a batch is under way."""
        return self._token is not None

    def start(self, jobs: Sequence[Job], settings: JobSettings, resume: bool) -> None:
        """Begin; the table holds a row for each job.

        Raises
        ------
        PlantSegError
            If the runner is busy.
        """
        self._settings = settings
        self._jobs = {job.input: job for job in jobs}
        self._weights = {job.input: _size(job.input) for job in jobs}
        self._begin(jobs, resume)
        self._progress = BatchProgress(list(self._weights.values()), time.monotonic())
        self._table.wait_again([self._table.find(path) for path in self._jobs])
        self.moved.emit(0.0, None)

    def cancel(self) -> None:
        """Stop; finished files are kept."""
        if self.is_running:
            self._runner.cancel()

    def _begin(self, jobs: Sequence[Job], resume: bool) -> None:
        report = jobs[0].output.parent / REPORT_NAME
        self._token = self._runner.start(RunBatch(tuple(jobs), self._settings, resume, report=report))

    # ------------------------------------------------------------------------------------------------ news

    def _take_news(self, token: int, event: object) -> None:
        if token != self._token:
            return
        if isinstance(event, FileStarted):
            self._node = (0, 1)
            self._change(event.job.input, state="running", output=event.job.output, doing="reading", fraction=0.0)
        elif isinstance(event, JobResult) and event.input in self._jobs:
            number = self._table.find(event.input)
            self._table.replace(number, self._table.rows[number].finished(event))
            self._progress.finish(self._weights[event.input], event.status == "skipped")
            self._tell()

    def _take_node(self, token: int, event: NodeStarted) -> None:
        path = self._running
        if token == self._token and path is not None:
            self._node = (event.index, event.total)
            self._change(path, doing=event.title, fraction=event.index / event.total)
            self._tell()

    def _take_progress(self, token: int, event: TaskProgress) -> None:
        path = self._running
        if token != self._token or path is None or event.fraction is None or not event.node:
            return
        index, total = self._node
        self._change(path, fraction=(index + event.fraction) / total)
        self._tell()

    def _tell(self) -> None:
        path = self._running
        running = 0.0 if path is None else self._weights[path] * self._table.rows[self._table.find(path)].fraction
        left = self._progress.seconds_left(running, time.monotonic())
        self.moved.emit(self._progress.fraction(running), left)

    @property
    def _running(self) -> Path | None:
        """The file that is being worked on."""
        return next((row.path for row in self._table.rows if row.state == "running"), None)

    def _change(self, path: Path, **changes: object) -> None:
        number = self._table.find(path)
        self._table.replace(number, dataclasses.replace(self._table.rows[number], **changes))  # type: ignore[arg-type]

    # ------------------------------------------------------------------------------------------------ the end

    def _succeed(self, token: int, _result: object) -> None:
        if token == self._token:
            rows = [self._table.rows[self._table.find(path)] for path in self._jobs]
            failed = sum(row.state == "failed" for row in rows)
            problem = f"; {failed} failed, choose one to see why" if failed else ""
            self._end(f"{len(rows) - failed} of {len(rows)} files done{problem}.", True)

    def _be_cancelled(self, token: int) -> None:
        if token == self._token:
            self._put_back()
            self._end("Cancelled; finished files are kept. Resume goes on with the others.", False)

    def _fail(self, token: int, failure: Failure) -> None:
        """Blame the file that ran when the process died, and go on with the others; anything else ends the batch."""
        if token != self._token:
            return
        path = self._running
        if path is None or failure.cause not in (Cause.CRASH, Cause.MEMORY):
            self._put_back()
            self._end(failure.sentence, False)
            return
        result = JobResult(path, self._jobs[path].output, "failed", error=failure.sentence)
        note_failure(result)
        self._take_news(token, result)
        left = [job for job in self._jobs.values() if not self._table.rows[self._table.find(job.input)].is_over]
        if not left:
            self._end(failure.sentence, True)
            return
        try:
            self._begin(left, resume=True)
        except PlantSegError as error:
            self._end(str(error), False)

    def _put_back(self) -> None:
        path = self._running
        if path is not None:
            self._change(path, state="waiting", doing="", fraction=0.0)

    def _end(self, text: str, is_complete: bool) -> None:
        self._token = None
        self.ended.emit(text, is_complete)


def _size(path: Path) -> float:
    try:
        return float(max(1, path.stat().st_size))
    except OSError:
        # A file that is gone fails at once.
        return 1.0
