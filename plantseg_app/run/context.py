"""The context that a runner gives to its steps: progress as events, cancelling, a folder for temporary files.

>>> import threading
>>> context = RunContext(RunnerEvents(), threading.Event(), n_threads=1)
>>> list(context.track("ab", "Letters"))
['a', 'b']
>>> context.close()
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from plantseg_app.core.context import Box, GrowingArray, Sketch
from plantseg_app.errors import Cancelled
from plantseg_app.run.events import Grew, Growing, Progress, RunnerEvents, send

T = TypeVar("T")

_SECONDS_BETWEEN_EVENTS = 0.05


class RunContext:
    """Implements `plantseg_app.core.context.Context` for one run.

    Parameters
    ----------
    events
        Where progress and messages go.
    cancel
        Set by whoever wants the run to stop.
    device
        Torch device, or ``"auto"``.
    n_threads
        Threads a step may use; all cores that this process may use by default.
    on_progress
        Called with each progress that is sent, before the listeners are.
    growing_folder
        Where results that fill gradually lie, so that another process can look at them; None keeps them in memory.
    """

    def __init__(
        self,
        events: RunnerEvents,
        cancel: threading.Event,
        device: str = "auto",
        n_threads: int | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        growing_folder: Path | None = None,
    ) -> None:
        self.device = device
        self.n_threads = n_threads or usable_cores()
        self.node = ""
        self.memo: dict[str, object] = {}
        self._events = events
        self._cancel = cancel
        self._on_progress = on_progress
        self._growing_folder = growing_folder
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()

    @property
    def scratch(self) -> Path:
        """An existing folder for temporary files, removed by `close`."""
        with self._lock:
            if self._scratch is None:
                self._scratch = tempfile.TemporaryDirectory(prefix="plantseg-app-", ignore_cleanup_errors=True)
            return Path(self._scratch.name)

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Yield `items`, reporting progress under `label`; raises `Cancelled` before the next item when asked to."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        self._report(label, 0, total)
        last, done = time.monotonic(), 0
        for item in items:
            self.check()
            yield item
            done += 1
            now = time.monotonic()
            # A loop over a million small things must not spend its time in telling.
            if now - last >= _SECONDS_BETWEEN_EVENTS and done != total:
                last = now
                self._report(label, done, total)
        self._report(label, done, total)

    def check(self) -> None:
        """Raise `Cancelled` if the user asked to stop."""
        if self._cancel.is_set():
            raise Cancelled("Stopped on request.")

    def message(self, text: str) -> None:
        """Send `text` to the listeners."""
        send(self._events.message, text)

    def growing(self, sketch: Sketch, shape: tuple[int, ...], dtype: DTypeLike) -> GrowingArray:
        """Return zeros to fill; in a file that the listeners are told of, if there is a folder for it with room."""
        data = None
        if self._growing_folder is not None:
            path = self._growing_folder / f"{uuid.uuid4().hex}.npy"
            data = _zeros_in_file(path, shape, np.dtype(dtype))
        if data is None:
            return GrowingArray(np.zeros(shape, dtype))
        z, y, x = (covered / n for covered, n in zip(sketch.covers_vox, shape[-3:], strict=True))
        event = Growing(self.node, sketch.name, path, tuple(shape), data.dtype.str, sketch.kind, (z, y, x))
        send(self._events.growing, event)
        return _WatchedArray(data, path, self._events)

    def rng(self, seed: int) -> np.random.Generator:
        """Return numpy's default generator for `seed`."""
        return np.random.default_rng(seed)

    def close(self) -> None:
        """Remove the temporary files, and forget what steps left for each other."""
        self.memo.clear()
        with self._lock:
            if self._scratch is not None:
                self._scratch.cleanup()
                self._scratch = None

    def _report(self, label: str, done: int, total: int | None) -> None:
        progress = Progress(self.node, label, done, total)
        if self._on_progress is not None:
            self._on_progress(progress)
        send(self._events.progress, progress)


class _WatchedArray(GrowingArray):
    def __init__(self, data: NDArray[Any], path: Path, events: RunnerEvents) -> None:
        super().__init__(data)
        self._path = path
        self._events = events

    def tell(self, box: Box) -> None:
        send(self._events.grew, Grew(self._path, box))


def _zeros_in_file(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return zeros mapped from a new file, or None where the disk has no room."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(path.parent).free < 2 * math.prod(shape) * dtype.itemsize:
            return None
        mapped = np.lib.format.open_memmap(path, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):
            # Writing into a mapped file when the disk has become full kills the process, so the room is taken now.
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    return np.asarray(mapped)


def usable_cores() -> int:
    """Return how many cores this process may use: fewer than the machine has, on a cluster or in a container."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
