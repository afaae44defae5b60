"""The place at which a task works in the worker's child process, and the loop that serves one task after the other.

A `Task` is sent as a pickle and finds at its `Desk` what it needs: the store of volumes, runners, progress, a word to
the window, and whether it was cancelled. Everything here runs in the child; `plantseg_app.run.worker` is the other end.

>>> class Greet(Task):
...     title = "Greeting"
...     def run(self, desk: Desk) -> str:
...         desk.message("hello")
...         return "done"
>>> Greet().run(Desk(Path("unused"), Path("unused"), lambda name, event: print(name, event)))
message hello
'done'
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import pickle
import queue
import signal
import sys
import tempfile
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from plantseg_app.core.volume import Volume
from plantseg_app.errors import Cancelled, PlantSegError
from plantseg_app.run.cache import volume_key
from plantseg_app.run.context import RunContext
from plantseg_app.run.events import NodeStarted, Progress, RunnerEvents
from plantseg_app.run.failure import failure_of
from plantseg_app.run.runner import Runner
from plantseg_app.run.store import VolumeRef, VolumeStore
from plantseg_app.run.worker_events import NodeDone

_LOG = logging.getLogger(__name__)

VOLUMES, TEMPORARY, GROWING, LAST_WORDS = "volumes", "tmp", "growing", "last-words.txt"
_NICE = 5
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h


class Task(ABC):
    """Something long to do in another process; pickled on the way, so its fields are plain data.

    Attributes
    ----------
    title
        What is being done, for people: "Reading a.tif".
    """

    title: str

    @abstractmethod
    def run(self, desk: Desk) -> Any:
        """Do it and return the result, which is pickled: a reference to a volume, not the volume."""

    def describe(self) -> str:
        """Return the settings as text, for a bug report."""
        return repr(self)

    def tidy(self, process_id: int) -> None:
        """Remove half-written files outside the session's folder after the process that ran the task was killed."""
        del process_id


class Desk:
    """What a running task may use.

    Parameters
    ----------
    folder
        Of the session.
    own
        The temporary files of this process.
    post
        Sends an event, by its name in `plantseg_app.run.worker_events.WorkerEvents`.
    """

    def __init__(self, folder: Path, own: Path, post: Callable[[str, Any], None]) -> None:
        self.folder = folder
        self._own = own
        self._post = post
        self._store: VolumeStore | None = None
        self._cancel = threading.Event()
        self._runners: weakref.WeakSet[Runner] = weakref.WeakSet()
        self._keys: dict[int, tuple[Volume, str]] = {}

    @property
    def store(self) -> VolumeStore:
        """The volumes of the session; also the cache of its runners."""
        if self._store is None:
            self._store = VolumeStore(self.folder / VOLUMES)
        return self._store

    @property
    def is_cancelled(self) -> bool:
        """Whether the person asked to stop."""
        return self._cancel.is_set()

    def check(self) -> None:
        """Raise `Cancelled` if the person asked to stop."""
        if self.is_cancelled:
            raise Cancelled("Stopped on request.")

    def message(self, text: str) -> None:
        """Say something worth knowing that is no error."""
        self._post("message", text)

    def progress(self, label: str, done: int, total: int | None) -> None:
        """Say how far the task is; not for every item of a loop over many small things."""
        self._post("progress", Progress("", label, done, total))

    def tell(self, event: Any) -> None:
        """Send an event of the task's own sort: anything that can be pickled."""
        self._post("told", event)

    def tell_node(self, event: NodeDone) -> None:
        """Say that a node of a workflow is done."""
        self._post("node_finished", event)

    def open(self, ref: VolumeRef) -> Volume:
        """Return a volume of the store; a runner of this desk knows its key without reading it."""
        volume = self.store.open(ref)
        # The same numbers can be taken as something else.
        self._keys[id(volume)] = (volume, f"{ref.key} {ref.kind.value}")
        return volume

    def runner(self, device: str = "auto", n_threads: int | None = None, *, keeps: bool = True) -> Runner:
        """Return a runner that tells the window what it does and stops when the task is cancelled.

        Parameters
        ----------
        device, n_threads
            As in `Runner`.
        keeps
            Whether it keeps what its nodes make in the store, and uses what is there.
        """
        cache = self.store if keeps else None
        growing = self._own / GROWING if keeps else None
        runner = Runner(cache, device, n_threads, self._key_of, growing)
        self._runners.add(runner)
        self._follow(runner.events)

        def cancel_late(_: NodeStarted) -> None:
            if self.is_cancelled:
                runner.cancel()

        runner.events.node_started.connect(cancel_late)
        return runner

    def context(self, device: str = "auto", n_threads: int | None = None) -> RunContext:
        """Return a context for work that is no workflow; close it in the end."""
        events = RunnerEvents()
        self._follow(events)
        return RunContext(events, self._cancel, device, n_threads, growing_folder=self._own / GROWING)

    def cancel(self) -> None:
        """Ask the task to stop; called from another thread than the one that works."""
        self._cancel.set()
        for runner in list(self._runners):
            runner.cancel()

    def _follow(self, events: RunnerEvents) -> None:
        for name in ("node_started", "progress", "message", "growing", "grew"):
            getattr(events, name).connect(_forwarder(self._post, name))

    def _key_of(self, volume: Volume) -> str:
        _, key = self._keys.get(id(volume), (None, ""))
        return key or volume_key(volume)


def _forwarder(post: Callable[[str, Any], None], name: str) -> Callable[[Any], None]:
    def forward(event: object) -> None:
        post(name, event)

    return forward


def serve(connection: Connection, folder: Path, parent_id: int, warm: bool) -> None:
    """Do the tasks that come through `connection` until it closes: the whole life of the child process.

    Parameters
    ----------
    connection
        To the parent.
    folder
        Of the session.
    parent_id
        The process that must be alive for this one to be of use.
    warm
        Whether to get the default workflow ready while there is nothing to do.
    """
    own = folder / TEMPORARY / str(os.getpid())
    own.mkdir(parents=True, exist_ok=True)
    _settle(own, parent_id)
    _Servant(connection, folder, own).work(_warming() if warm else iter(()))


class _Servant:
    """Reads orders in one thread and does them in another."""

    def __init__(self, connection: Connection, folder: Path, own: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._own = own
        self._orders: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._state = threading.Lock()
        self._cancelled = 0
        self._now: tuple[int, Desk] | None = None

    def work(self, warming: Iterator[None]) -> None:
        self._send(0, "ready", None)
        threading.Thread(target=self._listen, name="orders", daemon=True).start()
        is_warm = False
        while True:
            try:
                token, payload = self._orders.get(block=is_warm)
            except queue.Empty:
                is_warm = next(warming, _END) is _END
                continue
            self._do(token, payload)

    def _listen(self) -> None:
        while True:
            try:
                name, token, payload = self._connection.recv()
            except (EOFError, OSError):
                # The parent is gone, or wants this process gone. Nothing here needs an orderly end.
                os._exit(0)
            if name == "task":
                self._orders.put((token, payload))
                continue
            with self._state:
                self._cancelled = token
                if self._now is not None and self._now[0] == token:
                    self._now[1].cancel()

    def _do(self, token: int, payload: bytes) -> None:
        for left in (self._own / GROWING).glob("*.npy"):
            # Windows keeps a file that the window still looks at.
            with suppress(OSError):
                left.unlink()
        desk = Desk(self._folder, self._own, lambda name, event: self._send(token, name, event))
        with self._state:
            self._now = (token, desk)
            if self._cancelled == token:
                desk.cancel()
        name, answer = _done(payload, desk)
        with self._state:
            self._now = None
        try:
            self._send(token, name, answer)
        except Exception as error:  # noqa: BLE001 - pickling runs the methods of whatever the result is made of
            self._send(token, "failed", failure_of(error, "Handing the result over", ""))

    def _send(self, token: int, name: str, event: Any) -> None:
        message = pickle.dumps((token, name, pickle.dumps(event)))
        try:
            with self._sending:
                self._connection.send_bytes(message)
        except OSError:
            os._exit(0)


_END = object()


def _done(payload: bytes, desk: Desk) -> tuple[str, Any]:
    """Return the name of the last event and what it carries."""
    title, description = "The task", ""
    try:
        task: Task = pickle.loads(payload)  # noqa: S301 - from the parent, through a pipe that nobody else holds
        title, description = task.title, task.describe()
        desk.check()
        return "succeeded", task.run(desk)
    except Cancelled:
        return "cancelled", None
    except Exception as error:  # noqa: BLE001 - whatever went wrong is for the person; the next task must find us alive
        if not isinstance(error, PlantSegError):
            _LOG.exception("%s failed", title)
        return "failed", failure_of(error, title, description)


def _settle(own: Path, parent_id: int) -> None:
    """Be modest, keep temporary files together, and never outlive the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in a terminal goes to the parent, which decides.
    if sys.platform == "linux":
        # The pipe tells as well, but not while a C++ solver holds the interpreter.
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent_id:
            os._exit(0)
    tempfile.tempdir = str(own)
    # Kept open for as long as the process lives.
    faulthandler.enable((own / LAST_WORDS).open("w", encoding="utf-8"))
    if sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(_NICE)


def _warming() -> Iterator[None]:
    """Load in small pieces what the first run will need; a task that comes is done between two of them."""
    import plantseg_app.io
    import plantseg_app.steps  # noqa: F401

    yield
    import skimage.transform  # noqa: F401

    yield
    import torch  # noqa: F401

    yield
    try:
        _run_default_workflow()
    except Exception:  # noqa: BLE001 - a defect shows again, to the person, when the workflow is really run
        _LOG.exception("The default workflow could not be made ready.")
    yield


def _run_default_workflow() -> None:
    import numpy as np

    from plantseg_app.core.volume import Kind
    from plantseg_app.run.workflows import DEFAULT_WORKFLOW, find_workflow

    noise = np.random.default_rng(0).integers(0, 255, (8, 32, 32), np.uint8)
    Runner().run(find_workflow(DEFAULT_WORKFLOW), {"image": Volume(noise, Kind.RAW)})
