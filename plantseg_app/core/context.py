"""What a running step may ask of its surroundings: progress, cancelling, messages, device, randomness, scratch.

The window, the command line and the cluster each give their own `Context`; a step never knows which.

>>> context = QuietContext()
>>> [tile for tile in context.track(["a", "b"], "Predict")]
['a', 'b']
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from plantseg_app.core.volume import Kind, Shape3

T = TypeVar("T")

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""First voxel and the voxel after the last one along Z, Y, X."""


@dataclasses.dataclass(frozen=True)
class Sketch:
    """What a result that fills gradually is, so that it can be shown while it grows.

    Attributes
    ----------
    name
        What to call it, in a word or two.
    kind
        What its numbers mean.
    covers_vox
        (Z, Y, X) of the image whose field of view it covers, maybe at another scale.
    """

    name: str
    kind: Kind
    covers_vox: Shape3


class GrowingArray:
    """An array of zeros that is filled box by box; here nobody looks at it, in the window somebody does.

    Attributes
    ----------
    data
        ([C,] Z, Y, X), to write into.
    """

    def __init__(self, data: NDArray[Any]) -> None:
        self.data = data

    def tell(self, box: Box) -> None:
        """Say that the numbers in `box`, of all channels, have changed."""


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

    @property
    def memo(self) -> dict[str, object]:
        """What a step left for later steps of the same run, under the step's id; gone after the run."""

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Yield `items`, reporting progress under `label` and stopping with `Cancelled` when asked to."""

    def check(self) -> None:
        """Raise `Cancelled` if the user asked to stop."""

    def message(self, text: str) -> None:
        """Tell the user something worth knowing that is no error."""

    def growing(self, sketch: Sketch, shape: tuple[int, ...], dtype: DTypeLike) -> GrowingArray:
        """Return zeros of `shape` for a result that is filled gradually, `sketch` saying what it is."""

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
        self.memo: dict[str, object] = {}
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

    def growing(self, sketch: Sketch, shape: tuple[int, ...], dtype: DTypeLike) -> GrowingArray:
        """Return plain zeros."""
        del sketch
        return GrowingArray(np.zeros(shape, dtype))

    def rng(self, seed: int) -> np.random.Generator:
        """Return numpy's default generator for `seed`."""
        return np.random.default_rng(seed)
