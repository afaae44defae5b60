"""What a training does in its child process; imports no Qt, because the child loads this module.

It stands here because it joins `plantseg_app.run` and `plantseg_app.train`, which do not know each other.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING

from plantseg_app.run.desk import Desk, Task
from plantseg_app.train.journal import begin_journal, note_validation
from plantseg_app.train.settings import TrainSettings

if TYPE_CHECKING:
    from plantseg_app.train.events import StepDone, TrainEvents, ValidationDone
    from plantseg_app.train.export import TrainResult

_SECONDS_BETWEEN_STEPS = 0.1


@dataclasses.dataclass(frozen=True)
class TrainTask(Task):
    """Train a network, telling a `StepDone` now and then and each `ValidationDone`.

    Attributes
    ----------
    settings
        The training.
    resume
        Whether it goes on from its last checkpoint.
    device
        Where it runs, when the settings leave that open.
    n_threads
        Cores to use; all by default.
    """

    settings: TrainSettings
    resume: bool = False
    device: str = "auto"
    n_threads: int | None = None

    @property
    def title(self) -> str:  # type: ignore[override]
        """What is being done."""
        return f"Training {Path(self.settings.output).name}"

    def run(self, desk: Desk) -> TrainResult:
        """Return how it ended; a cancelled training ends with the best state so far.

        Raises
        ------
        RequestError, InputError
            As `plantseg_app.train.loop.train`.
        """
        from plantseg_app.train.loop import train

        begin_journal(self.settings, self.resume)
        context = desk.context(self.device, self.n_threads)
        try:
            return train(self.settings, context, events_for(desk, self.settings), resume=self.resume)
        finally:
            context.close()

    def describe(self) -> str:
        """Return the settings as text."""
        return self.settings.to_yaml()


def events_for(desk: Desk, settings: TrainSettings) -> TrainEvents:
    """Return events that tell the window how a training goes on, and note each validation in its journal."""
    events = telling_events(desk)

    def note(event: ValidationDone) -> None:
        row = dataclasses.asdict(dataclasses.replace(event, example=None))
        del row["example"]
        note_validation(settings.output, row)

    events.validation.connect(note)
    return events


def telling_events(desk: Desk) -> TrainEvents:
    """Return events that tell the window how a training goes on: a `StepDone` now and then, each `ValidationDone`."""
    from plantseg_app.train.events import TrainEvents

    events, told_at = TrainEvents(), 0.0

    def tell_step(event: StepDone) -> None:
        nonlocal told_at
        now = time.monotonic()
        if now - told_at >= _SECONDS_BETWEEN_STEPS or event.step >= event.total:
            told_at = now
            desk.tell(event)

    events.step.connect(tell_step)
    events.validation.connect(desk.tell)
    events.message.connect(desk.message)
    return events


@dataclasses.dataclass(frozen=True)
class EstimateTraining(Task):
    """Work out how long a step of a training takes."""

    settings: TrainSettings
    device: str = "auto"
    n_threads: int | None = None
    title: str = "Estimating the training"

    def run(self, desk: Desk) -> float:
        """Return the seconds of a step."""
        del desk
        from plantseg_app.run.context import usable_cores
        from plantseg_app.train.outlook import seconds_per_step

        settings = self.settings
        if settings.device == "auto":
            settings = settings.model_copy(update={"device": self.device})
        return seconds_per_step(settings, self.n_threads or usable_cores())
