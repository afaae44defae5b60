"""What is trained and judged, one module a way of training: the seam between the loop and a family of networks.

The loop knows steps, checkpoints and stopping; a task knows networks, optimisers and losses. `SupervisedTask` serves
every family whose loss compares logits with targets. A family that needs more (a teacher that follows the student, a
critic with an optimiser of its own, another score) adds a module here with a class that it registers in `TASKS` under
its kind.
"""

from __future__ import annotations

import importlib
import pkgutil

from plantseg_app.errors import RequestError
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.train.settings import TrainSettings
from plantseg_app.train.tasks.task import (
    TASKS,
    AlternatingTask,
    Surroundings,
    TrainingTask,
    TwoPhaseTask,
    TwoViewTask,
)

__all__ = ["TASKS", "AlternatingTask", "Surroundings", "TrainingTask", "TwoPhaseTask", "TwoViewTask", "make_task"]


def make_task(family: NetworkFamily, settings: TrainSettings, around: Surroundings) -> TrainingTask:
    """Return the task that trains `family`: its own, or the supervised one.

    Raises
    ------
    RequestError
        If the settings ask for what the task cannot do.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    kind = family.kind if family.kind in TASKS else "supervised"
    task = TASKS.get(kind)(family, settings, around)
    if settings.stopping.second_phase_at is not None and not isinstance(task, TwoPhaseTask):
        raise RequestError(
            f"A network of kind {family.kind} is trained in one phase; leave stopping.second_phase_at out."
        )
    return task
