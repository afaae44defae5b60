"""What the worker tells the window, and the signals that carry it.

>>> TaskProgress("predict", "Predict with a network", "Predict", 3, 12, seconds_left=9.0).fraction
0.25
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from psygnal import Signal

from plantseg_app.run.events import Grew, Growing, NodeStarted
from plantseg_app.run.failure import Failure
from plantseg_app.run.store import VolumeRef


@dataclasses.dataclass(frozen=True)
class NodeDone:
    """A node of a workflow is done; `ref` is None when its result could not be kept."""

    node: str
    title: str
    seconds: float
    reused: bool
    ref: VolumeRef | None


@dataclasses.dataclass(frozen=True)
class TaskProgress:
    """How far a loop of a task has come.

    Attributes
    ----------
    node, title
        The node of the workflow and what its step is called; the title is that of the task where there is no node.
    label
        What is being done, in a word or two.
    done, total
        Items done and to do; `total` is None where nobody knows.
    seconds_left
        For this loop, from how long its items took so far; None before the first one.
    """

    node: str
    title: str
    label: str
    done: int
    total: int | None
    seconds_left: float | None

    @property
    def fraction(self) -> float | None:
        """From 0 to 1."""
        return self.done / self.total if self.total else None


class WorkerEvents:
    """The signals of a worker, emitted from its own thread; the first value is always the token of the task.

    Attributes
    ----------
    node_started, node_finished
        A `NodeStarted`; a `NodeDone`.
    progress
        A `TaskProgress`.
    message
        Text that a person should see: no error.
    growing, grew
        A `Growing`, then a `Grew` for each part of it.
    told
        What the task tells of its own sort.
    succeeded
        The result. Each task ends with exactly one of this and the following two.
    cancelled
        Nothing besides the token.
    failed
        A `Failure`.
    """

    node_started: ClassVar[Signal] = Signal(int, NodeStarted)
    node_finished: ClassVar[Signal] = Signal(int, NodeDone)
    progress: ClassVar[Signal] = Signal(int, TaskProgress)
    message: ClassVar[Signal] = Signal(int, str)
    growing: ClassVar[Signal] = Signal(int, Growing)
    grew: ClassVar[Signal] = Signal(int, Grew)
    told: ClassVar[Signal] = Signal(int, object)
    succeeded: ClassVar[Signal] = Signal(int, object)
    cancelled: ClassVar[Signal] = Signal(int)
    failed: ClassVar[Signal] = Signal(int, Failure)
