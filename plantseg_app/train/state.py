"""The state of a training: networks, optimisers, counters; written to and read from checkpoints as a whole."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from plantseg_app.networks.weights import put_weights
from plantseg_app.train.average import make_average
from plantseg_app.train.checkpoint import save_checkpoint
from plantseg_app.train.schedule import Schedule
from plantseg_app.train.settings import TrainSettings
from plantseg_app.train.tasks import TrainingTask, TwoPhaseTask
from plantseg_app.train.validate import Verdict

_JUDGED_IN_TIME = 10
_USUAL_FIRST_PHASE = 2 / 3
_COUNTERS = ("step", "phase", "seconds", "n_bad", "rate", "best_step", "history", "recent_losses")


class TrainingState:
    """Everything that changes while a training goes on.

    Attributes
    ----------
    step, seconds
        Done so far.
    phase
        1, or 2 in the second phase of a task that has two.
    rate
        The learning rate of the last step.
    n_bad
        Validations since the best one.
    best_rank, best_step
        The best validation (smaller is better) and its step.
    history
        One row of numbers a validation.
    recent_losses
        Of the steps since the last validation.
    """

    def __init__(self, settings: TrainSettings, task: TrainingTask) -> None:
        self.settings = settings
        self.task = task
        self.averaged = make_average(self.network) if settings.optimiser.average else None
        self.schedule = Schedule(settings.schedule)
        self.step, self.phase, self.seconds, self.n_bad = 0, 1, 0.0, 0
        self.rate = settings.optimiser.rate
        self.best_rank: tuple[float, float] = (math.inf, math.inf)
        self.best_step = 0
        self.history: list[dict[str, float]] = []
        self.recent_losses: list[float] = []

    @property
    def network(self) -> nn.Module:
        """The network that is trained to become the model."""
        return self.task.networks[self.task.main]

    @property
    def judged(self) -> nn.Module:
        """The network that is judged and becomes the model: the average, where there is one."""
        return self.network if self.averaged is None else self.averaged

    @property
    def progress(self) -> float:
        """How much of the training is done, 0 to 1: in steps or in time, whichever is further."""
        stopping = self.settings.stopping
        in_time = self.seconds / (60 * stopping.minutes) if stopping.minutes else 0.0
        return max(self.step / stopping.steps, in_time)

    @property
    def is_phase_over(self) -> bool:
        """Whether the first of two phases has had its share."""
        if self.phase > 1 or not isinstance(self.task, TwoPhaseTask):
            return False
        return (self.settings.stopping.second_phase_at or _USUAL_FIRST_PHASE) <= self.progress < 1

    @property
    def is_validation_due(self) -> bool:
        """Whether the present step is one to judge and was not judged yet.

        A training that is limited in time is also judged every tenth of that time, however slow its steps are.
        """
        judged, at_seconds = (self.history[-1]["step"], self.history[-1]["seconds"]) if self.history else (0, 0.0)
        minutes = self.settings.stopping.minutes
        is_late = minutes > 0 and self.seconds - at_seconds >= 60 * minutes / _JUDGED_IN_TIME
        regular = self.step % self.settings.validation.every == 0
        return self.step > judged and (regular or is_late or self.is_phase_over or self.progress >= 1)

    def stop_reason(self) -> str:
        """Return why it is time to stop, or ""."""
        stopping = self.settings.stopping
        if self.progress >= 1:
            return "finished"
        if stopping.patience and self.n_bad >= stopping.patience:
            return f"no improvement in {self.n_bad} validations"
        if self.step > self.settings.schedule.warmup_steps and self.rate < stopping.smallest_rate:
            return f"the learning rate fell below {stopping.smallest_rate:g}"
        return ""

    def note(self, verdict: Verdict) -> tuple[dict[str, float], bool]:
        """Remember a validation; return its row of the history, and whether it was the best."""
        is_best = not self.history or verdict.rank < self.best_rank
        row = {
            "step": self.step,
            "seconds": self.seconds,
            "rate": self.rate,
            "train_loss": sum(self.recent_losses) / max(1, len(self.recent_losses)),
            "loss": verdict.loss,
            "score": verdict.score,
        }
        self.history.append(row)
        self.recent_losses = []
        self.n_bad = 0 if is_best else self.n_bad + 1
        self.schedule.note_validation(is_best)
        if is_best:
            self.best_rank, self.best_step = verdict.rank, self.step
        return row, is_best

    def begin_second_phase(self, best: dict[str, Any]) -> None:
        """Go on from the best state of the first phase, as `save` wrote it; only later states can be the best now."""
        if isinstance(self.task, TwoPhaseTask):
            self.task.begin_second_phase()
        put_weights(self.network, best["model"], "The checkpoint")
        if self.averaged is not None:
            put_weights(self.averaged, best["model"], "The checkpoint")
        self.phase, self.n_bad, self.best_rank = 2, 0, (math.inf, math.inf)
        self.schedule.n_bad = 0

    def describe_nan(self, losses: dict[str, float]) -> str:
        """Say which term is no number, what is kept and what helps."""
        bad = ", ".join(name for name, value in losses.items() if not math.isfinite(value))
        kept = f"The model of step {self.best_step}, the best one, is kept. " if self.history else ""
        return (
            f"The training stopped at step {self.step + 1}: the loss ({bad}) became NaN or infinite. {kept}"
            f"Lower optimiser.rate ({self.settings.optimiser.rate:g}), set optimiser.clip, or train with "
            "precision: float32."
        )

    def save(self, path: Path) -> None:
        """Write it; a crash leaves the old checkpoint or the new one."""
        state: dict[str, Any] = {name: getattr(self, name) for name in _COUNTERS}
        state["networks"] = {name: network.state_dict() for name, network in self.task.networks.items()}
        state["model"] = self.judged.state_dict()
        state["optimisers"] = {name: optimiser.state_dict() for name, optimiser in self.task.optimisers.items()}
        state["schedule"] = self.schedule.state()
        state["best_rank"] = list(self.best_rank)
        state["settings"] = self.settings.to_yaml()
        save_checkpoint(path, state)

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `save` wrote.

        Raises
        ------
        InputError
            If the networks of the checkpoint are others.
        """
        for name, network in self.task.networks.items():
            put_weights(network, state["networks"].get(name, {}), "The checkpoint")
        if self.averaged is not None:
            put_weights(self.averaged, state["model"], "The checkpoint")
        for name, optimiser in self.task.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.schedule.restore(state["schedule"])
        for name in _COUNTERS:
            # Checkpoints from before there were phases are of the first one.
            setattr(self, name, state.get(name, getattr(self, name)))
        if self.phase > 1 and isinstance(self.task, TwoPhaseTask):
            self.task.begin_second_phase()
        first, second = state["best_rank"]
        self.best_rank = (float(first), float(second))


def seed_step(seed: int, step: int) -> None:
    """Seed torch for one step, so that dropout after a resume is that of an uninterrupted training."""
    torch.manual_seed(seed + 1_000_003 * (step + 1))
