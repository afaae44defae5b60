"""How good an embedding is, told by the objects that are found in it in a quick way, and what all its tasks share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plantseg_app.core.context import Context
from plantseg_app.errors import RequestError
from plantseg_app.evaluate import average_precision, count_contingency, symmetric_best_dice
from plantseg_app.networks.device import Precision
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.networks.plan import PredictOptions
from plantseg_app.networks.predict import predict_tiled
from plantseg_app.train.data import Stack
from plantseg_app.train.settings import LossSettings, TrainSettings

_SCORES = ("symmetric-best-dice", "average-precision")


def check_embedding_settings(family: NetworkFamily, settings: TrainSettings) -> str:
    """Return the name of the score.

    Raises
    ------
    RequestError
        If the settings ask for a loss or a score that embeddings do not have.
    """
    if settings.loss not in (LossSettings(), LossSettings(name="family")):
        raise RequestError(f"A network of kind {family.kind} has a loss of its own; leave the settings of loss out.")
    wanted = settings.validation.metric
    if wanted not in ("auto", "loss", *_SCORES):
        raise RequestError(
            f"A network of kind {family.kind} is judged by {_SCORES[0]} (auto), {_SCORES[1]} or loss; set "
            "validation.metric."
        )
    return _SCORES[0] if wanted == "auto" else wanted


def build_network(family: NetworkFamily, settings: TrainSettings, device: torch.device) -> torch.nn.Module:
    """Return the untrained network on its device, in the layout that the settings ask for."""
    network = family.build().to(device)
    if settings.channels_last:
        layout = torch.channels_last if family.is_2d else torch.channels_last_3d
        network = network.to(memory_format=layout)  # type: ignore[call-overload]
    return network


def predict_outputs(
    network: torch.nn.Module, family: NetworkFamily, image: NDArray[np.float32], precision: Precision, context: Context
) -> list[NDArray[np.float32]]:
    """Return each output (C, Z, Y, X) of the family for an image (C, Z, Y, X), activated."""
    if family.frame_vox is None:
        said = predict_tiled(network, family, image, context, PredictOptions(precision=precision))
        return [said[list(output.channels)] for output in family.outputs]
    # Embeddings of frames are stored in layers, other maps are not.
    options = [PredictOptions(precision=precision, channels=output.channels) for output in family.outputs]
    return [predict_tiled(network, family, image, context, one) for one in options]


def as_batch(family: NetworkFamily, *arrays: NDArray[Any] | None) -> list[Any]:
    """Return arrays (C, Z, Y, X) as tensors that networks and losses take: one volume, or slices (Z, C, Y, X) in 2D."""
    tensors = [None if array is None else torch.from_numpy(np.asarray(array, np.float32)) for array in arrays]
    if family.is_2d:
        return [None if tensor is None else tensor.movedim(1, 0) for tensor in tensors]
    return [None if tensor is None else tensor[None] for tensor in tensors]


def score_objects(found: NDArray[Any], stack: Stack, name: str) -> float:
    """Return the score called `name` of objects where those of the stack are known."""
    table = count_contingency(found, stack.labels, mask=stack.known)
    return float(symmetric_best_dice(table) if name == "symmetric-best-dice" else average_precision(table, 0.5))
