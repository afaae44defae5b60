"""What a running step may ask of its surroundings: progress, cancelling, messages, device, randomness, scratch.

The window, the command line and the cluster each give their own `Context`; a step never knows which.

>>> context = QuietContext()
>>> [tile for tile in context.track(["a", "b"], "Predict")]
['a', 'b']
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

T = TypeVar("T")


@runtime_checkable
class Context(Protocol):
    """The surroundings of a run."""

    @property
    def device(self) -> str:
        """``"auto"``, ``"cpu"`` or a torch device such as ``"cuda:0"``."""

    @property
    def n_threads(self) -> int:
        """How many threads a step may use."""

    @property
    def scratch(self) -> Path:
        """An existing folder for temporary files, removed after the run."""

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Yield `items`, reporting progress under `label` and stopping with `Cancelled` when asked to."""

    def check(self) -> None:
        """Raise `Cancelled` if the user asked to stop."""

    def message(self, text: str) -> None:
        """Tell the user something worth knowing that is no error."""

    def rng(self, seed: int) -> np.random.Generator:
        """Return a random generator that depends on `seed` alone, so that a run can be repeated."""


class QuietContext:
    """A context without progress or cancelling, for scripts and tests.

    Parameters
    ----------
    device
        Torch device, or ``"auto"``.
    n_threads
        Threads a step may use; all cores by default.
    """

    def __init__(self, device: str = "auto", n_threads: int | None = None) -> None:
        self.device = device
        self.n_threads = n_threads or os.cpu_count() or 1
        self.messages: list[str] = []
        self._scratch: Path | None = None

    @property
    def scratch(self) -> Path:
        """A temporary folder, made when first asked for and removed with the context."""
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="plantseg-app-"))
            weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        return self._scratch

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Yield `items` unchanged."""
        del label, total
        for item in items:
            self.check()
            yield item

    def check(self) -> None:
        """Never cancels; subclasses do."""

    def message(self, text: str) -> None:
        """Keep `text` in `messages`."""
        self.messages.append(text)

    def rng(self, seed: int) -> np.random.Generator:
        """Return numpy's default generator for `seed`."""
        return np.random.default_rng(seed)
