"""The contract between the training loop and what is trained."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plantseg_app.core.context import Context
from plantseg_app.core.registry import Registry
from plantseg_app.core.volume import VoxelSize
from plantseg_app.networks.device import Precision, resolve_precision
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.train.data import Stack
from plantseg_app.train.events import Example
from plantseg_app.train.patches import Batch
from plantseg_app.train.settings import TrainSettings


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """Where a task computes: the device, and the type of its convolutions."""

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def on(cls, device: torch.device, precision: Precision) -> Surroundings:
        """Return the surroundings on a device; never float16, in which gradients vanish."""
        dtype = resolve_precision(precision, device)
        return cls(device, torch.float32 if dtype == torch.float16 else dtype)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which forward passes run; losses are computed outside of it."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class Judgement:
    """What one validation stack says about a network: the loss, the score (NaN: undefined), and a picture."""

    loss: float
    score: float
    example: Example


class TrainingTask(Protocol):
    """Networks, their optimisers, their losses, and how they are judged.

    Attributes
    ----------
    networks
        All of them by name, helpers included; all are kept in checkpoints.
    optimisers
        By name; each takes one turn a step, in this order, unless the task is an `AlternatingTask`. An EMA
        teacher has a network and no optimiser, a critic has both.
    main
        The name of the network that becomes the model; it is averaged, judged and exported.
    score_name
        What `judge` scores.
    higher_is_better
        Whether a higher score is better.
    """

    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    main: str
    score_name: str
    higher_is_better: bool

    def make_target(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return (C, Z, Y, X) from augmented labels ([L,] Z, Y, X); runs in the loader's threads."""

    def losses(self, turn: str, batch: Batch) -> dict[str, Tensor]:
        """Return the named terms whose sum the optimiser `turn` reduces."""

    def after_step(self, step: int) -> None:
        """Do what follows each step, such as letting a teacher follow."""

    def judge(self, network: nn.Module, stack: Stack, context: Context) -> Judgement:
        """Judge a copy of the main network on one whole validation stack."""


@runtime_checkable
class TwoPhaseTask(Protocol):
    """A task whose second phase starts from the best network of the first one, by another loss or score."""

    def begin_second_phase(self) -> None:
        """Change what is minimised and judged; called once, also when a training goes on from a checkpoint."""


@runtime_checkable
class TwoViewTask(Protocol):
    """A task that compares two views of the same patches: `Batch.other_image` is then there, if `wants_second_view`."""

    wants_second_view: bool


@runtime_checkable
class AlternatingTask(Protocol):
    """A task whose optimisers do not all take a turn in every step."""

    def turns(self, step: int) -> Sequence[str]:
        """Return the names of the optimisers that take a turn in this step, in their order; from the step alone."""


MakeTask = Callable[[NetworkFamily, TrainSettings, Surroundings], TrainingTask]

TASKS: Registry[MakeTask] = Registry("way of training")
"""Ways of training by kind of family; ``supervised`` serves the others."""
