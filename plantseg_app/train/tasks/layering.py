"""Training of layering networks: sorting first, completion of overlaps in the second phase."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plantseg_app.algorithms.layering import LayerRules, decode_layers
from plantseg_app.algorithms.layers import flatten_by_rule, pack_layers
from plantseg_app.core.context import Context
from plantseg_app.core.volume import VoxelSize
from plantseg_app.errors import RequestError
from plantseg_app.evaluate import count_layer_contingency, score_layered_images
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.networks.layering.family import LayeringFamily
from plantseg_app.networks.layering.loss import layering_terms
from plantseg_app.networks.plan import PredictOptions
from plantseg_app.networks.predict import predict_tiled
from plantseg_app.train.data import Stack
from plantseg_app.train.events import Example
from plantseg_app.train.patches import Batch
from plantseg_app.train.settings import LossSettings, TrainSettings
from plantseg_app.train.tasks.supervised import make_optimiser
from plantseg_app.train.tasks.task import TASKS, Judgement, Surroundings

# Logits of activations this close to 0 and 1 are finite, and cost as good as nothing when right.
_CERTAIN = 1e-6
# Larger ids are numbered anew: float32 would round those above 2**24, and tables by id would be long.
_EXACT = 2**16


class LayeringTask:
    """Implements `TrainingTask` and `TwoPhaseTask` for the layering family.

    In the first phase the lowest loss is the best; in the second, overlaps are completed, and the highest mean average
    precision is.
    """

    main = "network"

    def __init__(self, family: NetworkFamily, settings: TrainSettings, around: Surroundings) -> None:
        if not isinstance(family, LayeringFamily):
            raise RequestError(f"Networks of kind {family.kind} are not trained as layering networks.")
        if settings.loss not in (LossSettings(), LossSettings(name="family")):
            raise RequestError("Layering networks have a loss of their own; leave the settings of loss out.")
        if settings.validation.metric not in ("auto", "loss"):
            raise RequestError(
                "Layering networks are judged by mean average precision (auto) or by loss; set validation.metric."
            )
        self.family = family
        self.settings = settings
        self.around = around
        self.completes_overlaps = False
        self.network = family.build().to(around.device)
        if settings.channels_last:
            self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.networks: dict[str, torch.nn.Module] = {self.main: self.network}
        self.optimisers = {self.main: make_optimiser(self.network, settings.optimiser)}
        self.score_name = "loss" if settings.validation.metric == "loss" else "mean-ap"
        self.higher_is_better = self.score_name == "mean-ap"

    def begin_second_phase(self) -> None:
        """Complete overlaps from now on, and judge by mean average precision."""
        self.completes_overlaps = True

    def make_target(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return the planes of ids (n_layers, Z, Y, X); which layer is whose is the network's choice."""
        del voxel_size_um
        layers = labels if labels.ndim == 4 else labels[None]
        n_layers = self.family.n_layers
        if len(layers) > n_layers:
            layers = self.family.painted(layers)
        if layers.size and int(layers.max()) > _EXACT:
            layers = np.unique(layers, return_inverse=True)[1].reshape(layers.shape) + int(layers.min() > 0)
        planes = np.zeros((n_layers, *layers.shape[1:]), np.float32)
        planes[: len(layers)] = layers
        return planes

    def losses(self, turn: str, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss on a batch."""
        with self.around.autocast():
            logits = self.networks[turn](batch.image)
        return layering_terms(logits, batch.target, self.family.loss_rules, self.completes_overlaps, batch.known)

    def after_step(self, step: int) -> None:
        """Do nothing."""

    def judge(self, network: torch.nn.Module, stack: Stack, context: Context) -> Judgement:
        """Predict the stack; in the second phase find its objects and compare them with the true ones."""
        image, truth = stack.normalised(stack.image), stack.objects(stack.labels)
        options = PredictOptions(precision=self.settings.precision)
        predicted = predict_tiled(network, self.family, image, context, options)
        loss = self._loss_of(predicted, truth, stack.known)
        rules = LayerRules(min_size=self.settings.validation.min_size)
        layers, foreground = predicted[:-1], predicted[-1]
        if stack.known is not None:
            foreground = foreground * stack.known
        found = decode_layers(layers, foreground, rules, context.check)
        truth = truth if truth.ndim == 4 else truth[None]
        score = loss
        if self.score_name == "mean-ap":
            # Without a score the states of the first phase are ranked by their loss.
            score = self._mean_precision(found, truth) if self.completes_overlaps else np.nan
        middle = truth.shape[1] // 2
        shown = [flatten_by_rule(objects[:, middle], "last") for objects in (found, truth)]
        return Judgement(loss, float(score), Example(image[0, middle], layers[:, middle].max(0), *shown))

    def _loss_of(self, predicted: NDArray[np.float32], truth: NDArray[Any], known: NDArray[np.bool_] | None) -> float:
        target = self.make_target(truth, None)
        logits = torch.logit(torch.from_numpy(predicted), _CERTAIN)
        every = torch.ones(predicted.shape[1:]) if known is None else torch.from_numpy(known.astype(np.float32))
        slices = [tensor.movedim(1, 0) for tensor in (logits, torch.from_numpy(target), every[None])]
        terms = layering_terms(slices[0], slices[1], self.family.loss_rules, self.completes_overlaps, slices[2])
        return sum(float(term) for term in terms.values())

    @staticmethod
    def _mean_precision(found: NDArray[Any], truth: NDArray[Any]) -> float:
        table = count_layer_contingency(found, pack_layers(truth))
        return score_layered_images([table]).mean_ap


TASKS.add("layering", LayeringTask)
