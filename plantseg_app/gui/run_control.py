"""Runs tasks for the window: one at a time, each answer to whoever asked, results into the document.

Computes nothing itself; the runner's process does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import QObject, Signal

from plantseg_app.core.volume import Kind
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import PlantSegError
from plantseg_app.gui.document import Document, Result
from plantseg_app.gui.qt_runner import BUSY, QtRunner
from plantseg_app.gui.run_bar import RunBar
from plantseg_app.run.desk import Task
from plantseg_app.run.store import VolumeRef
from plantseg_app.run.worker_events import NodeDone, TaskProgress
from plantseg_app.run.workflow_edit import nodes_in_group, with_outputs

OnResult = Callable[[Any], None]
_MAPS = (Kind.BOUNDARY, Kind.FOREGROUND, Kind.NUCLEI, Kind.DISTANCE)


@dataclasses.dataclass(frozen=True)
class _Run:
    """A workflow that is under way."""

    workflow: Workflow
    inputs: Mapping[str, str]


class RunControl(QObject):
    """Starts tasks and follows them.

    Signals
    -------
    result_came
        The name of a result that was added to the document.
    failed
        A `Failure`.
    idle
        Nothing is under way any more.
    """

    result_came = Signal(str)
    failed = Signal(object)
    idle = Signal()

    def __init__(self, document: Document, runner: QtRunner, bar: RunBar, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = document
        self.runner = runner
        self.bar = bar
        self.n_threads: int | None = None
        self._answers: dict[int, OnResult] = {}
        self._runs: dict[int, _Run] = {}
        self._said = ""
        bar.cancelled.connect(self.cancel)
        runner.progressed.connect(self._show_progress)
        runner.node_finished.connect(self._take_node)
        runner.succeeded.connect(self._succeed)
        runner.failed.connect(self._fail)
        runner.cancelled.connect(lambda _token: self._say("Cancelled; what was finished is kept."))
        runner.stopped.connect(self._stop)

    def start(self, task: Task, on_result: OnResult | None = None) -> bool:
        """Begin `task`; `on_result` is called with what it returns. Returns whether it was begun."""
        if self.runner.is_busy:
            self._say(BUSY)
            return False
        token = self.runner.start(task)
        if on_result is not None:
            self._answers[token] = on_result
        return True

    def run_workflow(self, outputs: tuple[str, ...]) -> None:
        """Run the document's workflow as far as the nodes `outputs`.

        Raises
        ------
        RequestError
            If an image is missing.
        """
        sources = self.document.sources()
        workflow = with_outputs(self.document.workflow, outputs)
        refs = {
            name: image.ref.as_kind(image.volume.kind)
            for name, image in sources.items()
            if name in workflow.sources and isinstance(image.ref, VolumeRef)
        }
        token = self.runner.start_workflow(workflow, refs, device=self.document.device, n_threads=self.n_threads)
        self._runs[token] = _Run(workflow, {name: image.in_words for name, image in sources.items()})

    def cancel(self) -> None:
        """Stop what runs."""
        self.bar.show_stopping()
        self.runner.cancel()

    def _show_progress(self, _token: int, progress: TaskProgress) -> None:
        text = progress.title if not progress.label else f"{progress.title}: {progress.label}"
        self.bar.show_progress(text, progress.done, progress.total or 0, progress.seconds_left)

    def _take_node(self, token: int, done: NodeDone) -> None:
        """Show maps at once, although the cells that are made of them are still to come."""
        run = self._runs.get(token)
        if run is not None and done.ref is not None and done.node in nodes_in_group(run.workflow, "superpixels"):
            self.document.superpixels = done.ref
        if run is None or done.ref is None or done.ref.kind not in _MAPS:
            return
        if done.node in nodes_in_group(run.workflow, "predict"):
            self._add(done.node, done.ref, run)

    def _succeed(self, token: int, result: object) -> None:
        self._say("Ready")
        run, answer = self._runs.get(token), self._answers.get(token)
        if run is not None and isinstance(result, Mapping):
            for name, ref in reversed(list(result.items())):
                self._add(name, ref, run)
        elif answer is not None:
            answer(result)

    def _add(self, name: str, ref: VolumeRef, run: _Run) -> None:
        known = self.document.results.get(name)
        if known is not None and known.ref == ref and known.workflow == run.workflow:
            return
        try:
            volume = self.runner.open(ref)
        except PlantSegError as error:
            self._say(str(error))
            return
        self.document.set_result(Result(name, volume, run.workflow, run.inputs, ref))
        self.result_came.emit(name)

    def _fail(self, _token: int, failure: object) -> None:
        self._say(getattr(failure, "sentence", "It failed."))
        self.failed.emit(failure)

    def _say(self, text: str) -> None:
        self._said = text
        if not self.runner.is_busy:
            self.bar.show_idle(text)

    def _stop(self, token: int) -> None:
        self._runs.pop(token, None)
        self._answers.pop(token, None)
        self.bar.show_idle(self._said or "Ready")
        self.idle.emit()
