"""Training of SPOCO: a network, another one that follows it and sees another view, and a critic where one is wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plantseg_app.algorithms.affinity_clustering import ByAffinities
from plantseg_app.algorithms.instances import InstanceRules, find_instances
from plantseg_app.core.context import Context
from plantseg_app.core.volume import VoxelSize
from plantseg_app.errors import RequestError
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.networks.folding import pick
from plantseg_app.networks.spoco.adversary import critic_terms, object_masks
from plantseg_app.networks.spoco.consistency import consistency_loss
from plantseg_app.networks.spoco.family import SpocoFamily, object_ids
from plantseg_app.networks.spoco.loss import LossRules, spoco_terms
from plantseg_app.networks.spoco.network import Critic
from plantseg_app.train.average import follow, make_average
from plantseg_app.train.data import Stack
from plantseg_app.train.events import Example
from plantseg_app.train.patches import Batch
from plantseg_app.train.settings import TrainSettings
from plantseg_app.train.tasks.embedding_score import (
    as_batch,
    build_network,
    check_embedding_settings,
    predict_outputs,
    score_objects,
)
from plantseg_app.train.tasks.supervised import make_optimiser
from plantseg_app.train.tasks.task import TASKS, Judgement, Surroundings

_TEACHER, _CRITIC = "teacher", "critic"
_CERTAIN = 1e-6


class _Thinning:
    """Takes one random pixel of each cell of tensors (N, C, ..., Y, X), the same of all.

    Which one differs from cell to cell: pixels at different places in their cells have to agree, too.
    """

    def __init__(self, every: int, like: Tensor) -> None:
        self.every = every
        self.choice = torch.randint(every**2, [size // every for size in like.shape[-2:]], device=like.device)

    @overload
    def __call__(self, tensor: Tensor) -> Tensor: ...
    @overload
    def __call__(self, tensor: None) -> None: ...
    def __call__(self, tensor: Tensor | None) -> Tensor | None:
        if tensor is None or self.every == 1:
            return tensor
        return pick(tensor, self.choice)

    def rules(self, rules: LossRules) -> LossRules:
        """Return the rules for thinned images."""
        reach = None if rules.reach_vox is None else rules.reach_vox / self.every
        return dataclasses.replace(rules, reach_vox=reach)


class SpocoTask:
    """Implements `TrainingTask`, `TwoViewTask` and `AlternatingTask` for the SPOCO family.

    Parameters
    ----------
    family, settings, around
        What is trained, how, and where.

    Raises
    ------
    RequestError
        If the network is of another kind, or the patches do not fit the settings.
    """

    main = "network"

    def __init__(self, family: NetworkFamily, settings: TrainSettings, around: Surroundings) -> None:
        if not isinstance(family, SpocoFamily):
            raise RequestError(f"Networks of kind {family.kind} are not trained as SPOCO.")
        shape, every = settings.patches.shape_vox, family.loss_every_vox
        if any(size % every for size in shape[1:]):
            raise RequestError(f"patches.shape_vox is {shape}; loss_every_vox needs multiples of {every} in Y and X.")
        self.family = family
        self.settings = settings
        self.around = around
        self.score_name = check_embedding_settings(family, settings)
        self.higher_is_better = self.score_name != "loss"
        network = build_network(family, settings, around.device)
        self.networks: dict[str, torch.nn.Module] = {self.main: network}
        self.optimisers = {self.main: make_optimiser(network, settings.optimiser)}
        self.wants_second_view = family.consistency_weight > 0
        if self.wants_second_view:
            # It normalises by its own view of the batch, as the network does.
            self.networks[_TEACHER] = make_average(network).train()
        if family.adversarial_weight:
            critic = Critic(settings.patches.shape_vox, family.feature_maps, family.is_2d).to(around.device)
            self.networks[_CRITIC] = critic
            self.optimisers[_CRITIC] = make_optimiser(critic, settings.optimiser)
        self._hears_critic = False

    def turns(self, step: int) -> Sequence[str]:
        """Return the network alone before the critic has a say, then one step of it for some of the critic's."""
        self._hears_critic = _CRITIC in self.networks and step >= self.family.critic_warmup_steps
        is_critics = self._hears_critic and step % (self.family.critic_steps + 1) > 0
        return (_CRITIC if is_critics else self.main,)

    def make_target(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return the ids, (1, Z, Y, X)."""
        del voxel_size_um
        return object_ids(labels)

    def losses(self, turn: str, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss on a batch."""
        return self._critic_losses(batch) if turn == _CRITIC else self._network_losses(batch)

    def _network_losses(self, batch: Batch) -> dict[str, Tensor]:
        family = self.family
        with self.around.autocast():
            logits = self.networks[self.main](batch.image)
        embedding = logits[:, : family.embedding_channels]
        thin = _Thinning(family.loss_every_vox, embedding)
        rules = thin.rules(family.loss_rules)
        terms = spoco_terms(thin(embedding), thin(batch.target), rules, thin(batch.known))
        terms |= family.foreground_terms(logits[:, family.embedding_channels :], batch.target, batch.known)
        if self.wants_second_view and batch.other_image is not None:
            terms |= self._consistency(embedding, batch, thin)
        if self._hears_critic:
            masks = object_masks(embedding, batch.target, family.loss_rules, batch.known)
            truth = 0.0 * embedding.sum() if masks is None else -self.networks[_CRITIC](masks[0]).mean()
            terms["adversarial"] = family.adversarial_weight * truth
        return terms

    def _consistency(self, embedding: Tensor, batch: Batch, thin: _Thinning) -> dict[str, Tensor]:
        family = self.family
        where = torch.ones_like(batch.target[:, :1])
        if family.consistency_on == "unlabelled":
            if batch.known is None:
                return {}
            where = 1 - batch.known
        with torch.no_grad(), self.around.autocast():
            taught = self.networks[_TEACHER](batch.other_image)[:, : family.embedding_channels]
        loss = consistency_loss(thin(embedding), thin(taught), thin(where), family.consistency_rules)
        return {"consistency": family.consistency_weight * loss}

    def _critic_losses(self, batch: Batch) -> dict[str, Tensor]:
        critic, family = self.networks[_CRITIC], self.family
        with torch.no_grad(), self.around.autocast():
            logits = self.networks[self.main](batch.image)
        masks = object_masks(logits[:, : family.embedding_channels], batch.target, family.loss_rules, batch.known)
        if masks is None:
            nothing = torch.stack([parameter.sum() for parameter in critic.parameters()]).sum() * 0
            return {"critic": nothing, "penalty": nothing}
        return critic_terms(critic, *masks, family.critic_penalty)

    def after_step(self, step: int) -> None:
        """Let the teacher follow the network, if that has moved."""
        if _TEACHER in self.networks and self.main in self.turns(step):
            follow(self.networks[_TEACHER], self.networks[self.main], step, self.family.teacher_momentum)

    def judge(self, network: torch.nn.Module, stack: Stack, context: Context) -> Judgement:
        """Predict the stack, find its objects, and compare them with its labels."""
        family, image = self.family, stack.normalised(stack.image)
        said = predict_outputs(network, family, image, self.settings.precision, context)
        embedding = said[0]
        inside = said[1][0] > 0.5 if len(said) > 1 else None
        clustering = ByAffinities(family.cluster_separation)
        rules = InstanceRules(
            self.settings.validation.min_size, fills_foreground=True, background_distance=family.push_margin
        )
        found = find_instances(embedding, inside, clustering, rules, family.embedding_channels, context.check)
        loss = self._loss_of(np.concatenate(said), stack)
        score = loss if self.score_name == "loss" else score_objects(found, stack, self.score_name)
        middle = len(found) // 2
        return Judgement(
            loss, score, Example(image[0, middle], embedding[0, middle], found[middle], stack.labels[middle])
        )

    @torch.no_grad()
    def _loss_of(self, said: NDArray[np.float32], stack: Stack) -> float:
        n_channels = self.family.embedding_channels
        known = None if stack.known is None else stack.known[None]
        logits, ids, where = as_batch(self.family, said, object_ids(stack.labels), known)
        logits = torch.cat([logits[:, :n_channels], torch.logit(logits[:, n_channels:], _CERTAIN)], 1)
        terms = spoco_terms(logits[:, :n_channels], ids, self.family.loss_rules, where)
        terms |= self.family.foreground_terms(logits[:, n_channels:], ids, where)
        return sum(float(term) for term in terms.values())


TASKS.add("spoco", SpocoTask)
