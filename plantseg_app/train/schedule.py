"""How the learning rate changes with steps, time and validations. Knows numbers alone.

>>> schedule = Schedule(ScheduleSettings(name="cosine", warmup_steps=2, final_fraction=0.0))
>>> [round(schedule.factor(step, step / 10), 3) for step in (0, 1, 5, 10)]
[0.5, 0.976, 0.5, 0.0]
"""

from __future__ import annotations

import math

from plantseg_app.train.settings import ScheduleSettings


class Schedule:
    """The factor by which the highest learning rate is multiplied."""

    def __init__(self, settings: ScheduleSettings) -> None:
        self.settings = settings
        self.plateau_factor = 1.0
        self.n_bad = 0

    def factor(self, step: int, progress: float) -> float:
        """Return the factor at a step, where `progress` (0 to 1) of the training is done."""
        settings = self.settings
        rise = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
        progress = min(progress, 1.0)
        if settings.name == "cosine":
            wave = 0.5 * (1 + math.cos(math.pi * progress))
            return rise * (settings.final_fraction + (1 - settings.final_fraction) * wave)
        if settings.name == "exponential":
            return float(rise * max(settings.final_fraction, 1e-12) ** progress)
        if settings.name == "staircase":
            return float(rise * settings.factor ** (step // settings.stair_steps))
        return rise * self.plateau_factor

    def note_validation(self, is_best: bool) -> None:
        """Count validations without improvement; the factor falls when there were too many."""
        self.n_bad = 0 if is_best else self.n_bad + 1
        if self.settings.name == "plateau" and self.n_bad >= self.settings.patience:
            self.plateau_factor *= self.settings.factor
            self.n_bad = 0

    def state(self) -> dict[str, float]:
        """Return what a checkpoint keeps."""
        return {"plateau_factor": self.plateau_factor, "n_bad": self.n_bad}

    def restore(self, state: dict[str, float]) -> None:
        """Continue from what `state` returned."""
        self.plateau_factor, self.n_bad = state["plateau_factor"], int(state["n_bad"])
