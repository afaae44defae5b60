"""Training of W-Nets: both U-Nets at once, judged by the objects that grow from the deepest pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plantseg_app.algorithms.angular_clustering import AngleRules, ByAngle
from plantseg_app.algorithms.instances import InstanceRules, find_instances
from plantseg_app.core.context import Context
from plantseg_app.core.volume import VoxelSize
from plantseg_app.errors import RequestError
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.networks.framed import cut_frame
from plantseg_app.networks.wnet.family import ANGLE_DEG, WNetFamily
from plantseg_app.networks.wnet.network import Answer
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

# Objects of one image differ in size, and small ones are never as deep as 0.7 of the deepest.
_QUICK = AngleRules(ANGLE_DEG, seed_threshold=0.3, seed_sigma=1.5, seed_distance=6, smoothing=1.0, rim_distance=0.1)


class WNetTask:
    """Implements `TrainingTask` for the W-Net family."""

    main = "network"

    def __init__(self, family: NetworkFamily, settings: TrainSettings, around: Surroundings) -> None:
        if not isinstance(family, WNetFamily):
            raise RequestError(f"Networks of kind {family.kind} are not trained as W-Nets.")
        self.family = family
        self.settings = settings
        self.around = around
        self.score_name = check_embedding_settings(family, settings)
        self.higher_is_better = self.score_name != "loss"
        self.network = build_network(family, settings, around.device)
        self.networks: dict[str, torch.nn.Module] = {self.main: self.network}
        self.optimisers = {self.main: make_optimiser(self.network, settings.optimiser)}

    def make_target(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return the relative depth and the ids, (2, Z, Y, X)."""
        return self.family.truth(labels, voxel_size_um)

    def losses(self, turn: str, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss on a batch."""
        with self.around.autocast():
            answer = self.networks[turn].parts(batch.image)  # type: ignore[operator]
        return self.family.terms(answer, batch.target, batch.known)

    def after_step(self, step: int) -> None:
        """Do nothing."""

    def judge(self, network: torch.nn.Module, stack: Stack, context: Context) -> Judgement:
        """Predict the stack, find its objects, and compare them with its labels."""
        family, image = self.family, stack.normalised(stack.image)
        embedding, depth = predict_outputs(network, family, image, self.settings.precision, context)
        clustering = ByAngle(depth[0], _QUICK)
        rules = InstanceRules(self.settings.validation.min_size)
        inside = np.ones(stack.labels.shape, bool)
        found = find_instances(embedding, inside, clustering, rules, family.embedding_channels, context.check)
        truth = self.family.truth(stack.labels, stack.voxel_size_um)
        if family.frame_vox is None:
            loss = self._loss(embedding, family.distance_scale * depth, truth, stack.known)
        else:
            loss = self._loss_of_frames(network, image, truth, stack.known)
        score = loss if self.score_name == "loss" else score_objects(found, stack, self.score_name)
        middle = len(found) // 2
        return Judgement(loss, score, Example(image[0, middle], depth[0, middle], found[middle], stack.labels[middle]))

    @torch.no_grad()
    def _loss(
        self,
        embedding: NDArray[np.float32],
        distance: NDArray[np.float32],
        truth: NDArray[np.float32],
        known: NDArray[np.bool_] | None,
    ) -> float:
        arrays = as_batch(self.family, embedding, distance, truth, None if known is None else known[None])
        answer = Answer(arrays[0], arrays[1], None)
        return sum(float(term) for term in self.family.terms(answer, arrays[2], arrays[3]).values())

    @torch.no_grad()
    def _loss_of_frames(
        self,
        network: torch.nn.Module,
        image: NDArray[np.float32],
        truth: NDArray[np.float32],
        known: NDArray[np.bool_] | None,
    ) -> float:
        """Return the mean loss over the frames of an image."""
        everywhere = np.ones((1, *image.shape[1:]), np.float32) if known is None else known[None].astype(np.float32)
        found = []
        for frame in self.family.frame_grid((image.shape[1], image.shape[2], image.shape[3])):
            seen, said, there = (cut_frame(part, frame) for part in (image, truth, everywhere))
            with self.around.autocast():
                batch = as_batch(self.family, seen)[0].to(self.around.device)
                answer = network.parts(batch)  # type: ignore[operator]
            target, inside = as_batch(self.family, said, there)
            found.append(sum(float(term) for term in self.family.terms(answer, target, inside).values()))
        return float(np.mean(found))


TASKS.add("wnet", WNetTask)
