"""Training against targets made from labels: one network, one optimiser, one loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plantseg_app.core.context import Context
from plantseg_app.core.volume import VoxelSize
from plantseg_app.errors import RequestError
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.networks.plan import PredictOptions
from plantseg_app.networks.predict import predict_tiled
from plantseg_app.train.data import Stack
from plantseg_app.train.events import Example
from plantseg_app.train.losses import Loss, make_loss
from plantseg_app.train.patches import Batch
from plantseg_app.train.quick_segmentation import average_precision_at_half, quick_segmentation, rand_error
from plantseg_app.train.settings import OptimiserSettings, TrainSettings
from plantseg_app.train.tasks.task import TASKS, Judgement, Surroundings

_MASKS = ("nuclei", "foreground")
# Logits of probabilities this close to 0 and 1 are finite, and cost as good as nothing when right.
_CERTAIN = 1e-6


class SupervisedTask:
    """Implements `TrainingTask` for families whose loss compares logits with targets."""

    main = "network"

    def __init__(self, family: NetworkFamily, settings: TrainSettings, around: Surroundings) -> None:
        self.family = family
        self.settings = settings
        self.around = around
        network = family.build().to(around.device)
        if settings.channels_last:
            layout = torch.channels_last if family.is_2d else torch.channels_last_3d
            network = network.to(memory_format=layout)  # type: ignore[call-overload]
        self.networks: dict[str, nn.Module] = {self.main: network}
        self.optimisers = {self.main: make_optimiser(network, settings.optimiser)}
        self.score_name = choose_metric(family, settings.validation.metric)
        self.higher_is_better = self.score_name == "average-precision"
        self._loss: Loss | None = None
        if settings.loss.name != "family":
            self._loss = make_loss(settings.loss, family.activate)

    def make_target(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return what the family makes of labels."""
        return self.family.targets(labels, voxel_size_um)

    def losses(self, turn: str, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss on a batch."""
        with self.around.autocast():
            logits = self.networks[turn](batch.image)
        return self._terms(logits, batch.target, batch.known)

    def _terms(self, logits: Tensor, target: Tensor, known: Tensor | None) -> dict[str, Tensor]:
        if self._loss is not None:
            return self._loss(logits, target, known)
        if known is not None:
            raise RequestError("The family's own loss cannot leave voxels out; choose another loss.name.")
        return self.family.loss(logits.float(), target)

    def after_step(self, step: int) -> None:
        """Do nothing."""

    def judge(self, network: nn.Module, stack: Stack, context: Context) -> Judgement:
        """Predict the stack, segment it quickly, and compare with its labels."""
        options = PredictOptions(precision=self.settings.precision)
        predicted = predict_tiled(network, self.family, stack.normalised(stack.image), context, options)
        target = torch.from_numpy(self.family.targets(stack.labels, stack.voxel_size_um))
        known = None if stack.known is None else torch.from_numpy(stack.known.astype(np.float32))[None, None]
        logits = torch.logit(torch.from_numpy(predicted), _CERTAIN)
        loss = sum(float(term) for term in self._terms(logits[None], target[None], known).values())
        maps = {output.name: predicted[output.channels[0]] for output in self.family.outputs}
        labels = quick_segmentation(maps, self.settings.validation, stack.voxel_size_um, context)
        score = loss
        if self.score_name == "average-precision":
            score = average_precision_at_half(labels, stack.labels, stack.known)
        elif self.score_name == "adapted-rand-error":
            score = rand_error(labels, stack.labels, stack.known)
        middle = len(labels) // 2
        shown = stack.normalised(stack.image[:, middle])[0]
        return Judgement(loss, score, Example(shown, predicted[-1, middle], labels[middle], stack.labels[middle]))


def make_optimiser(network: nn.Module, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Return the optimiser of a network's parameters."""
    parameters, rate, decay = network.parameters(), settings.rate, settings.weight_decay
    if settings.name == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=settings.momentum, weight_decay=decay)
    if settings.name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=rate, alpha=settings.rho, eps=1e-7, weight_decay=decay)
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    return kind(parameters, lr=rate, betas=settings.betas, weight_decay=decay)


def choose_metric(family: NetworkFamily, wanted: str) -> str:
    """Return the metric that `auto` stands for, or the one that was asked for.

    Raises
    ------
    RequestError
        If the family's output cannot be segmented for it.
    """
    names = [output.name for output in family.outputs]
    if wanted == "loss":
        return "loss"
    if not set(names) & {"boundary", *_MASKS}:
        if wanted == "auto":
            return "loss"
        raise RequestError(f"A network of kind {family.kind} is not judged by {wanted} here; use metric: loss.")
    if wanted != "auto":
        return wanted
    return "average-precision" if names[0] in _MASKS else "adapted-rand-error"


TASKS.add("supervised", SupervisedTask)
