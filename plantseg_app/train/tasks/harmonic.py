"""Training of harmonic embeddings: targets on the network's own grid, judged by the objects that mean shift finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plantseg_app.algorithms.instances import ByMeanShift, InstanceRules, find_instances
from plantseg_app.algorithms.region_graph import make_dense
from plantseg_app.core.context import Context
from plantseg_app.core.volume import VoxelSize
from plantseg_app.errors import RequestError
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.networks.framed import cut_frame
from plantseg_app.networks.harmonic.family import HarmonicFamily
from plantseg_app.networks.harmonic.loss import harmonic_terms
from plantseg_app.networks.harmonic.network import HarmonicUNet
from plantseg_app.networks.harmonic.targets import frame_target
from plantseg_app.networks.plan import PredictOptions
from plantseg_app.networks.predict import predict_tiled
from plantseg_app.train.data import Stack
from plantseg_app.train.events import Example
from plantseg_app.train.patches import Batch
from plantseg_app.train.quick_segmentation import average_precision_at_half
from plantseg_app.train.settings import LossSettings, TrainSettings
from plantseg_app.train.tasks.supervised import make_optimiser
from plantseg_app.train.tasks.task import TASKS, Judgement, Surroundings

# An untrained network scatters its embeddings, and every scattered point would start a search of its own.
_SEED_SHARE = 1e-3


class HarmonicTask:
    """Implements `TrainingTask` for the harmonic family."""

    main = "network"

    def __init__(self, family: NetworkFamily, settings: TrainSettings, around: Surroundings) -> None:
        if not isinstance(family, HarmonicFamily):
            raise RequestError(f"Networks of kind {family.kind} are not trained as harmonic embeddings.")
        if settings.loss not in (LossSettings(), LossSettings(name="family")):
            raise RequestError("Harmonic embeddings have a loss of their own; leave the settings of loss out.")
        if settings.validation.metric not in ("auto", "average-precision", "loss"):
            raise RequestError("Harmonic embeddings are judged by average-precision or loss; set validation.metric.")
        self.family = family
        self.settings = settings
        self.around = around
        self.network = family.build().to(around.device)
        if settings.channels_last:
            layout = torch.channels_last if family.is_2d else torch.channels_last_3d
            self.network = self.network.to(memory_format=layout)  # type: ignore[call-overload]
        self.networks: dict[str, torch.nn.Module] = {self.main: self.network}
        self.optimisers = {self.main: make_optimiser(self.network, settings.optimiser)}
        self.score_name = "loss" if settings.validation.metric == "loss" else "average-precision"
        self.higher_is_better = self.score_name == "average-precision"

    def make_target(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NDArray[np.float32]:
        """Return the target on the network's own grid."""
        del voxel_size_um
        family = self.family
        return frame_target(labels, family.guide_table, family.target_rules, family.stride)

    def losses(self, turn: str, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss on a batch."""
        network = self.networks[turn]
        with self.around.autocast():
            answer = network.coarse(batch.image)  # type: ignore[operator]
        return self._terms(answer, batch.target, batch.known)

    def _terms(self, answer: Tensor, target: Tensor, known: Tensor | None) -> dict[str, Tensor]:
        if known is not None and self.family.stride > 1:
            # A cell is known when all of its voxels are.
            steps = (1, self.family.stride, self.family.stride)[-(known.ndim - 2) :]
            pool = torch.nn.functional.max_pool2d if known.ndim == 4 else torch.nn.functional.max_pool3d
            known = 1 - pool(1 - known, steps)
        return harmonic_terms(answer, target, self.family.n_guides, self.family.foreground_weight, known)

    def after_step(self, step: int) -> None:
        """Do nothing."""

    def judge(self, network: torch.nn.Module, stack: Stack, context: Context) -> Judgement:
        """Predict the stack, find its objects, and compare them with its labels."""
        family, image = self.family, stack.normalised(stack.image)
        loss = self._loss_of_frames(network, image, stack)
        options = [PredictOptions(precision=self.settings.precision, channels=o.channels) for o in family.outputs]
        embedding, *maps = (predict_tiled(network, family, image, context, one) for one in options)
        inside: NDArray[np.bool_] | None = None
        if family.foreground == "given":
            inside = image[0] > 0.5
        elif maps:
            inside = maps[0][0] > 0.5
        n_points = stack.labels.size if inside is None else int(inside.sum())
        clustering = ByMeanShift(family.bandwidth, min_seed_points=max(1, round(_SEED_SHARE * n_points)))
        rules = InstanceRules(min_size=self.settings.validation.min_size, fills_foreground=True)
        labels = find_instances(embedding, inside, clustering, rules, family.n_guides, context.check)
        score = loss
        if self.score_name == "average-precision":
            score = average_precision_at_half(labels, stack.labels, stack.known)
        middle = len(labels) // 2
        offset = 0 if len(embedding) == family.n_guides else 1
        example = Example(image[0, middle], embedding[offset, middle], labels[middle], stack.labels[middle])
        return Judgement(loss, score, example)

    @torch.no_grad()
    def _loss_of_frames(self, network: torch.nn.Module, image: NDArray[np.float32], stack: Stack) -> float:
        """Return the mean loss over the frames of a stack."""
        family, found = self.family, []
        dense = make_dense(stack.labels)[0].astype(np.float32)
        everywhere = np.ones(stack.labels.shape, bool) if stack.known is None else stack.known
        coarse = HarmonicUNet.coarse
        for frame in family.frame_grid(stack.shape_vox):
            seen = cut_frame(np.concatenate([image, dense[None], everywhere[None].astype(np.float32)]), frame)
            target = self.make_target(seen[-2].astype(np.uint32), stack.voxel_size_um)[None]
            arrays = [seen[None, :-2], target, seen[None, None, -1]]
            if family.is_2d:
                arrays = [array[:, :, 0] for array in arrays]
            tensors = [torch.from_numpy(np.ascontiguousarray(array)).to(self.around.device) for array in arrays]
            with self.around.autocast():
                answer = coarse(network, tensors[0])  # type: ignore[arg-type]
            found.append(sum(float(term) for term in self._terms(answer, tensors[1], tensors[2]).values()))
        return float(np.mean(found))


TASKS.add("harmonic", HarmonicTask)
