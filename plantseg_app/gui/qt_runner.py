"""The only threading code of the window: one job at a time in a thread, its news as Qt signals.

A job is a function; a workflow goes through `plantseg_app.run.runner.Runner`, so finished nodes are kept and an
unchanged node is not run twice. Signals arrive in the window's own thread.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import QObject, Signal

from plantseg_app.core.volume import Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import Cancelled, PlantSegError
from plantseg_app.run.cache import MemoryCache
from plantseg_app.run.estimate import available_memory
from plantseg_app.run.events import Progress
from plantseg_app.run.runner import Runner

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Job:
    """Something to do beside the window.

    Attributes
    ----------
    title
        What to call it while it runs.
    work
        Does it and returns named results.
    """

    title: str
    work: Callable[[], Mapping[str, Any]]


class QtRunner(QObject):
    """Runs one job at a time and tells the window about it.

    Signals
    -------
    progressed
        Label, steps done, steps in all (0 when unknown).
    told
        Something worth knowing.
    succeeded
        The results by name.
    failed
        Why not, in one sentence.
    stopped
        The job is over, however it ended.
    """

    progressed = Signal(str, int, int)
    told = Signal(str)
    succeeded = Signal(object)
    failed = Signal(str)
    stopped = Signal()
    _ended = Signal(object, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # A quarter of what is free now keeps finished steps without driving the machine into swapping.
        self._runner = Runner(MemoryCache(available_memory() // 4))
        self._runner.events.progress.connect(self._forward_progress)
        self._runner.events.message.connect(self.told.emit)
        self._runner.events.node_started.connect(self._cancel_late)
        self._cancel_requested = False
        self._thread: threading.Thread | None = None
        self._ended.connect(self._finish)

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self._thread is not None

    def start(self, job: Job) -> None:
        """Begin `job`; one must not be running."""
        if self._thread is not None:
            raise RuntimeError("A job is running; ask is_busy first.")
        self._cancel_requested = False
        self.progressed.emit(job.title, 0, 0)
        self._thread = threading.Thread(target=self._run, args=(job,), name=job.title)
        self._thread.start()

    def start_workflow(self, workflow: Workflow, sources: Mapping[str, Volume]) -> None:
        """Begin to run `workflow` on `sources`."""
        self.start(Job(workflow.title or workflow.name, lambda: self._runner.run(workflow, dict(sources))))

    def cancel(self) -> None:
        """Ask the running workflow to stop at its next step or tile; reading and saving are left to end."""
        self._cancel_requested = True
        self._runner.cancel()

    def _cancel_late(self) -> None:
        """Cancel a run that was only about to begin when the person asked to stop."""
        if self._cancel_requested:
            self._runner.cancel()

    def _run(self, job: Job) -> None:
        results: Mapping[str, Any] | None = None
        problem = ""
        try:
            results = job.work()
        except Cancelled:
            self.told.emit("Cancelled; what was finished is kept.")
        except PlantSegError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - a defect must reach the person and the log, not end the window
            _LOG.exception("%s failed", job.title)
            problem = f"{job.title} failed because of a defect in the program: {type(error).__name__}: {error}"
        self._ended.emit(results, problem)

    def _finish(self, results: Mapping[str, Any] | None, problem: str) -> None:
        """Tell how the job ended; runs in the window's thread."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if problem:
            self.failed.emit(problem)
        elif results is not None:
            self.succeeded.emit(dict(results))
        self.stopped.emit()

    def _forward_progress(self, progress: Progress) -> None:
        self.progressed.emit(progress.label, progress.done, progress.total or 0)
