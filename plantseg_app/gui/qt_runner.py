"""The only threads and processes of the window: long tasks in the worker's process, previews and glances in threads.

All news arrive as Qt signals in the window's own thread. The first value of each is the token that `start` returned, so
that an answer to something that is no longer wanted can be told apart.
"""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Qt, Signal

from plantseg_app.core.volume import Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import Cancelled, PlantSegError, RequestError
from plantseg_app.run.desk import Task
from plantseg_app.run.store import VolumeRef, VolumeStore
from plantseg_app.run.tasks import RunWorkflow
from plantseg_app.run.worker import Worker
from plantseg_app.run.worker_events import TaskProgress

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

BUSY = "Something is running; wait for it, or cancel it first."
"""What a person is told who begins something else meanwhile."""

_NEWS = {
    "node_started": "node_started",
    "node_finished": "node_finished",
    "progress": "progressed",
    "message": "told",
    "growing": "growing",
    "grew": "grew",
    "told": "news",
}
_ENDS = ("succeeded", "failed", "cancelled")
_SECONDS_TO_END_PREVIEW = 2.0
_HANGING: list[QObject] = []


class QtRunner(QObject):
    """Runs one task at a time and tells the window about it.

    Parameters
    ----------
    folder
        Of the session (`plantseg_app.run.session.Session.folder`).
    parent
        The window.
    warm
        Whether the process loads the default workflow while it has nothing to do.
    patience_s
        How long a task that was asked to stop may take before its process is ended.

    Signals
    -------
    progressed
        Token, `TaskProgress`.
    told
        Token, something worth knowing.
    node_started, node_finished
        Token, `NodeStarted` or `NodeDone`.
    growing, grew
        Token, `Growing` or `Grew`: a result that fills tile by tile.
    news
        Token, an event of the task's own sort.
    succeeded
        Token, the result.
    failed
        Token, `Failure`.
    cancelled
        Token.
    stopped
        Token; after one of the three before. `is_busy` is False by then.
    preview_failed
        Why a preview came to nothing, in one sentence.
    """

    progressed = Signal(int, object)
    told = Signal(int, str)
    node_started = Signal(int, object)
    node_finished = Signal(int, object)
    growing = Signal(int, object)
    grew = Signal(int, object)
    news = Signal(int, object)
    succeeded = Signal(int, object)
    failed = Signal(int, object)
    cancelled = Signal(int)
    stopped = Signal(int)
    preview_failed = Signal(str)
    _arrived = Signal(str, int, object)

    def __init__(
        self, folder: Path, parent: QObject | None = None, *, warm: bool = True, patience_s: float = 0.8
    ) -> None:
        super().__init__(parent)
        self._token: int | None = None
        self._is_closed = False
        # Queued, so that news wait for the window's thread wherever they come from.
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._worker = Worker(folder, warm=warm, patience_s=patience_s)
        for name in (*_NEWS, *_ENDS):
            getattr(self._worker.events, name).connect(self._forwarder(name))
        self._previews = _Previews(self)

    @property
    def is_busy(self) -> bool:
        """Whether a task is under way: from `start` until its end has been told."""
        return self._token is not None

    @property
    def store(self) -> VolumeStore:
        """The volumes of the session."""
        return self._worker.store

    def open(self, ref: VolumeRef) -> Volume:
        """Return a volume as a read-only view of its file.

        Raises
        ------
        InputError
            If it is gone or damaged.
        """
        return self._worker.store.open(ref)

    def start(self, task: Task, title: str = "") -> int:
        """Begin `task` and return its token.

        Raises
        ------
        RequestError
            If one is under way.
        """
        if self._token is not None:
            raise RequestError("Something is under way; wait for it, or cancel it first.")
        self._token = self._worker.submit(task)
        self.progressed.emit(self._token, TaskProgress("", title or task.title, "", 0, None, None))
        return self._token

    def start_workflow(
        self,
        workflow: Workflow,
        sources: Mapping[str, VolumeRef],
        outputs: Sequence[str] | None = None,
        *,
        device: str = "auto",
        n_threads: int | None = None,
    ) -> int:
        """Begin to run `workflow`, as `plantseg_app.run.tasks.RunWorkflow` does; its result is references by name."""
        wanted = None if outputs is None else tuple(outputs)
        title = workflow.title or workflow.name
        return self.start(RunWorkflow(workflow.to_yaml(), dict(sources), wanted, device, n_threads, title))

    def cancel(self) -> None:
        """Ask the task to stop; within a second it has, or its process is ended."""
        self._worker.cancel()

    def run_preview(self, work: Callable[[], Any], on_result: Callable[[Any], None]) -> None:
        """Do something short in a thread; only the newest request counts, earlier ones are skipped or dropped.

        Parameters
        ----------
        work
            Does it; must not touch the window.
        on_result
            Called with what `work` returns, in the window's thread.
        """
        self._previews.request(work, on_result)

    def close(self) -> None:
        """End the process and the thread; nothing is told any more."""
        self._is_closed = True
        self._token = None
        self._worker.close()
        self._previews.close()

    def _forwarder(self, name: str) -> Callable[..., None]:
        def forward(token: int, event: Any = None) -> None:
            self._arrived.emit(name, token, event)

        return forward

    def _deliver(self, name: str, token: int, event: Any) -> None:
        if self._is_closed:
            return
        if name in _NEWS:
            getattr(self, _NEWS[name]).emit(token, event)
            return
        self._token = None
        if name == "cancelled":
            self.cancelled.emit(token)
        else:
            getattr(self, name).emit(token, event)
        self.stopped.emit(token)


@dataclasses.dataclass(frozen=True)
class _Preview:
    number: int
    work: Callable[[], Any]
    on_result: Callable[[Any], None]


class _Previews(QObject):
    """One thread that always does the newest request."""

    _done = Signal(object, object, str)

    def __init__(self, runner: QtRunner) -> None:
        super().__init__(runner)
        self._runner = runner
        self._newest = 0
        self._waiting: _Preview | None = None
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._done.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def request(self, work: Callable[[], Any], on_result: Callable[[Any], None]) -> None:
        with self._changed:
            self._newest += 1
            self._waiting = _Preview(self._newest, work, on_result)
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="previews", daemon=True)
            self._thread.start()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._waiting = None
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_SECONDS_TO_END_PREVIEW)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._waiting is not None)
                preview, self._waiting = self._waiting, None
            if preview is None:
                return
            result, problem = _attempt(preview.work)
            with self._changed:
                if self._is_closed:
                    return
            self._done.emit(preview, result, problem)

    def _deliver(self, preview: _Preview, result: Any, problem: str) -> None:
        if self._is_closed or preview.number != self._newest:
            return
        if problem:
            self._runner.preview_failed.emit(problem)
        else:
            preview.on_result(result)


def _attempt(work: Callable[[], Any]) -> tuple[Any, str]:
    try:
        return work(), ""
    except Cancelled:
        return None, "The preview was stopped."
    except PlantSegError as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001 - a defect must reach the person and the log, not end the window
        _LOG.exception("A preview failed")
        return None, f"The preview failed because of a defect in the program: {type(error).__name__}: {error}"


class Beside(QObject):
    """Does small things that must not stop the window, such as looking into files, in one thread, in their order.

    What computes goes through `QtRunner`.
    """

    _answered = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: queue.SimpleQueue[Callable[[], Callable[[], None]] | None] = queue.SimpleQueue()
        self._stopped = False
        self._answered.connect(self._tell)
        # A file on a network that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._work, name="beside the window", daemon=True)
        self._thread.start()

    def ask(self, work: Callable[[], T], then: Callable[[T], None], otherwise: Callable[[str], None]) -> None:
        """Do `work` in the thread; in the window's thread, `then` gets what it returned, `otherwise` why it failed."""

        def answer() -> Callable[[], None]:
            try:
                result = work()
            except PlantSegError as error:
                problem = str(error)
            except OSError as error:
                problem = f"{error.filename or 'A file'} cannot be read ({error.strerror or error})."
            except Exception as error:  # noqa: BLE001 - a defect must reach the person and the log, not end the thread
                _LOG.exception("Something beside the window failed")
                problem = f"This failed because of a defect in the program: {type(error).__name__}: {error}"
            else:
                return lambda: then(result)
            return lambda: otherwise(problem)

        self._waiting.put(answer)

    def stop(self) -> None:
        """Answer nothing any more, and end the thread."""
        self._stopped = True
        self._waiting.put(None)
        self._thread.join(_SECONDS_TO_END_PREVIEW)
        if self._thread.is_alive():
            # The thread must not hold the last reference: Qt's objects have to end in the window's thread.
            _HANGING.append(self)

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            answer = job()
            if not self._stopped:
                self._answered.emit(answer)

    def _tell(self, answer: Callable[[], None]) -> None:
        if not self._stopped:
            answer()
