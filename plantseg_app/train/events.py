"""What a training tells while it runs, for a progress bar, a plot, TensorBoard and the command line alike.

>>> events = TrainEvents()
>>> _ = events.message.connect(print)
>>> send(events.message, "hello")
hello
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import EmitLoopError, Signal, SignalInstance

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class StepDone:
    """One step.

    Attributes
    ----------
    step
        How many steps have been done.
    total
        How many there will be at most.
    losses
        Every term of the loss by name.
    rate
        The learning rate.
    seconds
        Time spent so far, earlier parts of a resumed training included.
    """

    step: int
    total: int
    losses: dict[str, float]
    rate: float
    seconds: float

    @property
    def loss(self) -> float:
        """The sum of the terms."""
        return sum(self.losses.values())


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """The middle slice of a validation stack: image and prediction (Y, X) float32, segmentation and truth (Y, X)."""

    image: NDArray[np.float32]
    prediction: NDArray[np.float32]
    segmentation: NDArray[Any]
    reference: NDArray[Any]


@dataclasses.dataclass(frozen=True, eq=False)
class ValidationDone:
    """One validation.

    Attributes
    ----------
    step
        After how many steps.
    train_loss
        Mean loss of the steps since the last validation.
    loss
        Mean loss on the validation stacks.
    score, score_name
        What counts, and its name.
    is_best
        Whether no earlier state was better.
    seconds
        Time spent so far.
    example
        A picture of the first stack.
    """

    step: int
    train_loss: float
    loss: float
    score: float
    score_name: str
    is_best: bool
    seconds: float
    example: Example | None = None


@dataclasses.dataclass(frozen=True)
class TrainingEnded:
    """The end: why, and where the model is ("" when none was finished)."""

    reason: str
    model: str


class TrainEvents:
    """The signals of a training, sent from the thread that trains.

    Attributes
    ----------
    step
        A `StepDone`.
    validation
        A `ValidationDone`.
    message
        Text that a person should see: no error.
    ended
        A `TrainingEnded`, sent exactly once.
    """

    step: ClassVar[Signal] = Signal(StepDone)
    validation: ClassVar[Signal] = Signal(ValidationDone)
    message: ClassVar[Signal] = Signal(str)
    ended: ClassVar[Signal] = Signal(TrainingEnded)


def send(signal: SignalInstance, event: Any) -> None:
    """Emit `event`; a listener that raises is logged and never breaks the training."""
    try:
        signal.emit(event)
    except EmitLoopError:
        _LOG.exception("A listener of %s failed; the training goes on.", signal.name)
