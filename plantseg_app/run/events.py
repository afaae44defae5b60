"""What a runner tells while it works: states, progress, and the signals that carry them.

>>> RunState.RUNNING.is_active, RunState.FINISHED.is_active
(True, False)
"""

from __future__ import annotations

import dataclasses
import enum
import logging
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import EmitLoopError, Signal, SignalInstance

from plantseg_app.core.context import Box
from plantseg_app.core.volume import Kind, Volume

_LOG = logging.getLogger(__name__)


class RunState(enum.StrEnum):
    """Where a runner stands; the diagram is in `Runner`."""

    IDLE = "idle"
    RUNNING = "running"
    CANCELLING = "cancelling"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_active(self) -> bool:
        """Whether a run is under way."""
        return self in (RunState.RUNNING, RunState.CANCELLING)


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far one loop of one node has come.

    Attributes
    ----------
    node
        The node that runs.
    label
        What is being done, in a word or two.
    done, total
        Items done and to do; `total` is None where nobody knows.
    """

    node: str
    label: str
    done: int
    total: int | None


@dataclasses.dataclass(frozen=True)
class NodeStarted:
    """A node begins: the `index`-th (from 0) of the `total` nodes of this run."""

    node: str
    title: str
    index: int
    total: int


@dataclasses.dataclass(frozen=True)
class NodeFinished:
    """A node is done: its result, the seconds it took, and whether an earlier result was reused."""

    node: str
    title: str
    seconds: float
    reused: bool
    volume: Volume = dataclasses.field(repr=False, compare=False)


@dataclasses.dataclass(frozen=True)
class Growing:
    """A result begins to fill a file that may be looked at meanwhile.

    Attributes
    ----------
    node
        The node that makes it.
    name
        What to call it.
    path
        A ``.npy`` file; it may be gone soon after the run.
    shape, dtype
        Of the array, ([C,] Z, Y, X).
    kind
        What its numbers mean.
    spacing_ratio
        How many times as long as the voxels of the image its voxels are, along Z, Y, X.
    """

    node: str
    name: str
    path: Path
    shape: tuple[int, ...]
    dtype: str
    kind: Kind
    spacing_ratio: tuple[float, float, float]

    def open(self) -> NDArray[Any]:
        """Return the array, read-only; what is written into the file later appears in it.

        Raises
        ------
        FileNotFoundError
            If the run is long over.
        """
        return np.asarray(np.load(self.path, mmap_mode="r", allow_pickle=False))


@dataclasses.dataclass(frozen=True)
class Grew:
    """The numbers in `box` (a span along Z, Y, X) of the growing result in `path` have changed."""

    path: Path
    box: Box


@dataclasses.dataclass(frozen=True)
class NodeTiming:
    """The seconds that a finished node took, and whether an earlier result was reused."""

    node: str
    title: str
    seconds: float
    reused: bool


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """A snapshot of a runner; it does not change while one looks at it.

    Attributes
    ----------
    state
        Where the runner stands.
    workflow
        The name of the workflow that runs or ran last, "" before the first.
    node, progress
        The node that runs and its last progress, None between nodes.
    n_nodes
        How many nodes this run visits.
    timings
        The finished nodes, in order.
    seconds
        Since the run began, until now or until it ended.
    error
        Why it failed, in words; "" otherwise.
    """

    state: RunState = RunState.IDLE
    workflow: str = ""
    node: str | None = None
    progress: Progress | None = None
    n_nodes: int = 0
    timings: tuple[NodeTiming, ...] = ()
    seconds: float = 0.0
    error: str = ""


class RunnerEvents:
    """The signals of a runner, sent from the thread that runs.

    Attributes
    ----------
    node_started
        A `NodeStarted`.
    progress
        A `Progress`, at most about twenty a second and loop.
    message
        Text that a person should see: no error.
    growing, grew
        A `Growing`, then a `Grew` for each part; only from runners that keep growing results in a folder.
    node_finished
        A `NodeFinished`.
    finished
        The last `RunStatus` of the run, sent exactly once a run, whatever happened.
    """

    node_started: ClassVar[Signal] = Signal(NodeStarted)
    progress: ClassVar[Signal] = Signal(Progress)
    message: ClassVar[Signal] = Signal(str)
    growing: ClassVar[Signal] = Signal(Growing)
    grew: ClassVar[Signal] = Signal(Grew)
    node_finished: ClassVar[Signal] = Signal(NodeFinished)
    finished: ClassVar[Signal] = Signal(RunStatus)


def send(signal: SignalInstance, event: Any) -> None:
    """Emit `event`; a listener that raises is logged and never breaks the run."""
    try:
        signal.emit(event)
    except EmitLoopError:
        _LOG.exception("A listener of %s failed; the run goes on.", signal.name)
