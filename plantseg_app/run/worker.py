"""A warm child process that does the window's long work, one task at a time.

The process is started early and loads the libraries and the default model while nobody waits. When a task has to be
cancelled it is asked first; if it does not answer in time, the process is ended, memory and all, and a fresh one takes
its place. So a solver that never comes back, a crash in native code and a lack of memory cost a task, never the window.
What the nodes of a workflow made stays in the session's folder through all of this.

::

    Worker(folder) -- a thread of this process starts and watches the child, and emits all events
      submit(RunWorkflow(...)) -> token;  cancel();  close()
    child: plantseg_app.run.desk.serve -- reads orders in one thread, does them in another

Knows no step, no network and no window. Child processes start by importing the main module, so a script that makes a
worker needs the usual ``if __name__ == "__main__":``.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     worker = Worker(Path(folder), warm=False)
...     worker.is_busy
...     worker.close()
False
"""

from __future__ import annotations

import atexit
import itertools
import logging
import multiprocessing
import os
import pickle
import shutil
import threading
import time
from collections import deque
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from psygnal import EmitLoopError

from plantseg_app.errors import RequestError
from plantseg_app.run.desk import LAST_WORDS, TEMPORARY, VOLUMES, Task, serve
from plantseg_app.run.events import Progress
from plantseg_app.run.failure import died_failure, failure_of
from plantseg_app.run.store import VolumeStore
from plantseg_app.run.worker_events import TaskProgress, WorkerEvents

_LOG = logging.getLogger(__name__)

_ENDS = ("succeeded", "cancelled", "failed")
_SECONDS_TO_LEAVE = 0.3
_MOST_WARM_DEATHS, _MOST_DEATHS = 2, 5


class Worker:
    """Does one task at a time in a child process.

    ::

        idle -- submit --> busy -- succeeded, failed --> idle
        busy -- cancel --> cancelling -- the task stops, or the process is ended --> idle
        any -- close --> closed

    All methods may be called from any thread.

    Parameters
    ----------
    folder
        Of the session: volumes and temporary files lie there.
    warm
        Whether the child gets the default workflow ready while it has nothing to do.
    patience_s
        How long a task that was asked to stop may take before its process is ended.
    """

    def __init__(self, folder: Path, *, warm: bool = True, patience_s: float = 0.7) -> None:
        self.events = WorkerEvents()
        self.store = VolumeStore(folder / VOLUMES)
        self._folder = folder
        self._warm = warm
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._tokens = itertools.count(1)
        self._to_send: deque[tuple[str, int, bytes]] = deque()
        self._job: _Job | None = None
        self._child: _Child | None = None
        self._closing = False
        self._deaths = 0
        self._woken, self._wake = multiprocessing.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._supervise, name="worker", daemon=True)
        self._thread.start()
        # Before multiprocessing ends its children, which would look like a crash and be mended.
        atexit.register(self.close)

    @property
    def is_busy(self) -> bool:
        """Whether a task is under way."""
        return self._job is not None

    @property
    def pid(self) -> int | None:
        """The child process; None before it is there."""
        child = self._child
        return None if child is None else child.pid

    def submit(self, task: Task) -> int:
        """Begin `task` and return its token, which all its events carry.

        Raises
        ------
        RequestError
            If a task is under way, or the worker is closed.
        TypeError, AttributeError, pickle.PicklingError
            If the task cannot be sent to another process: a defect.
        """
        payload, description = pickle.dumps(task), task.describe()
        with self._lock:
            if self._closing:
                raise RequestError("The program is closing; nothing new is begun.")
            if self._job is not None:
                raise RequestError(f"{self._job.task.title} is still under way; wait for it, or cancel it first.")
            token = next(self._tokens)
            self._job = _Job(token, task, description)
            self._to_send.append(("task", token, payload))
            self._wake.send_bytes(b"!")
        return token

    def cancel(self) -> None:
        """Ask the task to stop; if it does not, its process is ended. Does nothing when no task is under way."""
        with self._lock:
            job = self._job
            if job is None or job.deadline is not None or self._closing:
                return
            job.deadline = time.monotonic() + self._patience_s
            self._to_send.append(("cancel", job.token, b""))
            self._wake.send_bytes(b"!")

    def close(self) -> None:
        """Cancel what is under way, end the child, and wait until it is gone; more calls do nothing."""
        with self._lock:
            if not self._closing:
                self._closing = True
                self._wake.send_bytes(b"!")
        if threading.current_thread() is not self._thread:
            self._thread.join()
        atexit.unregister(self.close)

    # -------------------------------------------------------------------------------------- the worker's own thread

    def _supervise(self) -> None:
        self._start_child()
        while True:
            self._wait()
            if self._closing:
                break
            self._send_orders()
            child = self._child
            if child is not None:
                for message in child.messages():
                    self._take(message)
                if child.is_dead:
                    self._replace_child()
            self._enforce_cancel()
        self._end_child()
        self._finish("cancelled")
        self._woken.close()
        self._wake.close()

    def _wait(self) -> None:
        things: list[Any] = [self._woken]
        if self._child is not None:
            things += self._child.waitables
        job = self._job
        deadline = None if job is None else job.deadline
        ready = wait(things, None if deadline is None else max(0.0, deadline - time.monotonic()))
        while self._woken in ready and self._woken.poll():
            self._woken.recv_bytes()

    def _send_orders(self) -> None:
        while self._to_send:
            if self._child is None:
                self._start_child()
            order = self._to_send.popleft()
            if self._child is None:
                self._fail(OSError("no further process can be started"))
            else:
                # A child that is gone is noticed right after this.
                with suppress(OSError):
                    self._child.connection.send(order)

    def _take(self, message: tuple[int, str, bytes]) -> None:
        token, name, payload = message
        job = self._job
        if job is None or token != job.token:
            return
        try:
            event = pickle.loads(payload)  # noqa: S301 - from our own child, through a pipe that nobody else holds
        except Exception as error:  # noqa: BLE001 - whatever a task sent, this thread must live
            _LOG.exception("What %s sent could not be read.", job.task.title)
            if name not in _ENDS:
                return
            name, event = "failed", failure_of(error, job.task.title, job.description)
        if name in _ENDS:
            self._deaths = 0
            self._finish(name, event)
            return
        if name == "progress":
            event = job.timed(event)
        elif name == "node_started":
            job.titles[event.node] = event.title
        self._emit(name, token, event)

    def _enforce_cancel(self) -> None:
        job = self._job
        if job is None or job.deadline is None or time.monotonic() < job.deadline:
            return
        if self._child is not None:
            self._child.kill()
        self._replace_child()
        if self._job is job:
            self._finish("cancelled")

    def _replace_child(self) -> None:
        """Start a fresh child for one that is gone; a task that went down with it has been cancelled or has failed."""
        child, job = self._child, self._job
        if child is None:
            return
        is_cancelled = job is not None and job.deadline is not None
        exit_code, last_words, was_ready = self._end_child()
        self._deaths += not is_cancelled
        # One that could not even begin, or dies again and again, would do so for ever; the next task tries.
        if is_cancelled or (was_ready and self._deaths < _MOST_DEATHS):
            self._start_child()
        if job is self._job and job is not None:
            if is_cancelled:
                self._finish("cancelled")
            else:
                self._finish("failed", died_failure(exit_code, job.task.title, job.description, last_words))

    def _start_child(self) -> None:
        try:
            # It may be the getting warm that kills it.
            self._child = _Child(self._folder, self._warm and self._deaths < _MOST_WARM_DEATHS)
        except OSError:
            _LOG.exception("The worker's process could not be started.")
            self._child = None

    def _end_child(self) -> tuple[int | None, str, bool]:
        """End the child if it is not yet gone, remove what it left, and return its exit code and last words."""
        child, job = self._child, self._job
        if child is None:
            return None, "", False
        self._child = None
        exit_code = child.end()
        for message in child.messages():
            self._take(message)
        child.connection.close()
        own = self._folder / TEMPORARY / str(child.pid)
        last_words = ""
        with suppress(OSError):
            last_words = (own / LAST_WORDS).read_text(encoding="utf-8", errors="replace")
        shutil.rmtree(own, ignore_errors=True)
        if child.pid is not None:
            self.store.clear_after(child.pid)
            if job is not None:
                job.tidy(child.pid)
        return exit_code, last_words, child.was_ready

    def _fail(self, error: BaseException) -> None:
        job = self._job
        if job is not None:
            self._finish("failed", failure_of(error, job.task.title, job.description))

    def _finish(self, name: str, event: Any = None) -> None:
        with self._lock:
            job, self._job = self._job, None
            self._to_send.clear()
        if job is not None:
            self._emit(name, job.token, *([] if name == "cancelled" else [event]))

    def _emit(self, name: str, *values: Any) -> None:
        signal = getattr(self.events, name)
        try:
            signal.emit(*values)
        except EmitLoopError:
            _LOG.exception("A listener of %s failed; the work goes on.", name)


class _Job:
    """The task under way: when it must have stopped, and how fast its loops are."""

    def __init__(self, token: int, task: Task, description: str) -> None:
        self.token = token
        self.task = task
        self.description = description
        self.deadline: float | None = None
        self.titles: dict[str, str] = {}
        self._loop: tuple[str, str] | None = None
        self._loop_began = 0.0
        self._loop_from = 0

    def timed(self, progress: Progress) -> TaskProgress:
        """Return the progress with the title of the node and the time left."""
        now = time.monotonic()
        if self._loop != (progress.node, progress.label) or progress.done == 0:
            # A download that is resumed begins in the middle.
            self._loop, self._loop_began, self._loop_from = (progress.node, progress.label), now, progress.done
        left, done = None, progress.done - self._loop_from
        if progress.total is not None and done > 0:
            left = (now - self._loop_began) / done * max(0, progress.total - progress.done)
        title = self.titles.get(progress.node, self.task.title)
        return TaskProgress(progress.node, title, progress.label, progress.done, progress.total, left)

    def tidy(self, process_id: int) -> None:
        """Let the task remove what the process that was ended left half-written."""
        try:
            self.task.tidy(process_id)
        except Exception:  # noqa: BLE001 - whatever a task does here, the worker's thread must live
            _LOG.exception("%s left files behind.", self.task.title)


class _Child:
    """One process and the pipe to it; used by one thread alone."""

    def __init__(self, folder: Path, warm: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.was_ready = False
        self._is_open = True
        arguments = (theirs, folder, os.getpid(), warm)
        self._process = context.Process(target=serve, args=arguments, name="plantseg-app-worker", daemon=True)
        try:
            self._process.start()
        finally:
            theirs.close()
        self.pid = self._process.pid

    @property
    def waitables(self) -> list[Any]:
        """What becomes ready when there is a message, or the process ends."""
        return [self.connection, self._process.sentinel] if self._is_open else [self._process.sentinel]

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended; one that closed its pipe is as good as dead."""
        return not self._is_open or not self._process.is_alive()

    def messages(self) -> list[tuple[int, str, bytes]]:
        """Return what has arrived: token, name, and the event as it was pickled."""
        arrived = []
        try:
            while self._is_open and self.connection.poll():
                arrived.append(self.connection.recv())
                self.was_ready = True
        except (EOFError, OSError):
            self._is_open = False
        return arrived

    def kill(self) -> None:
        """End the process at once, wherever it is."""
        self._process.kill()

    def end(self) -> int | None:
        """Let the process leave, and return its exit code; None when it had to be made to."""
        self._process.join(0 if self._is_open else _SECONDS_TO_LEAVE)
        left = not self._process.is_alive()
        if not left:
            self._process.kill()
        self._process.join()
        return self._process.exitcode if left else None
