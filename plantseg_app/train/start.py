"""What a training starts from: a network with random weights, or a model that is trained further."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor, nn

from plantseg_app.errors import RequestError
from plantseg_app.networks.family import NetworkFamily, make_family
from plantseg_app.networks.graph.family import NOT_TRAINABLE
from plantseg_app.networks.weights import guess_architecture, put_weights, read_weights
from plantseg_app.train.data import Stack
from plantseg_app.train.settings import TrainSettings
from plantseg_app.zoo.card import ModelCard
from plantseg_app.zoo.catalogue import find_model
from plantseg_app.zoo.load import verify_model


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """A family, the weights to begin with (None: random), and the card they come from."""

    family: NetworkFamily
    weights: dict[str, Tensor] | None = None
    card: ModelCard | None = None
    name: str = ""

    def put_into(self, network: nn.Module) -> None:
        """Put the weights, if there are any, into a network of the family.

        Raises
        ------
        InputError
            If they do not fit.
        """
        if self.weights is not None:
            put_weights(network, self.weights, self.name)

    def adapted(self, stacks: Sequence[Stack], report: Callable[[str], None]) -> Start:
        """Return the start with a family that has taken from the training labels what it needs."""
        return dataclasses.replace(self, family=self.family.adapted([stack.labels for stack in stacks], report))

    def complete(self, settings: TrainSettings) -> TrainSettings:
        """Return the settings with what the start says about images: its grey scale and voxel size."""
        changes = {"family": self.family.to_plain()}
        if self.card is None:
            return settings.model_copy(update=changes)
        data = settings.data
        data = data.model_copy(
            update={
                "normalisation": data.normalisation or self.card.normalisation,
                "voxel_size_um": data.voxel_size_um or self.card.voxel_size_um,
            }
        )
        return settings.model_copy(update={**changes, "data": data})


def find_start(settings: TrainSettings) -> Start:
    """Return what the settings start from.

    Raises
    ------
    RequestError
        If the model is not known or the family is wrong.
    InputError
        If the model is damaged.
    """
    importlib.import_module("plantseg_app.networks.families")
    family = None if settings.family is None else make_family(settings.family)
    if not settings.start_from:
        if family is None:
            raise RequestError("Give a family, for example {kind: boundary}, or a model to start_from.")
        return Start(family)
    path = Path(settings.start_from)
    if path.is_file():
        weights = read_weights(path)
        if family is None:
            family = make_family({"kind": "boundary", **guess_architecture(weights).settings()})
        return Start(family, weights, None, str(path))
    model = find_model(settings.start_from)
    verify_model(model)
    if model.card.own_graph:
        raise RequestError(f"{model.card.id}: {NOT_TRAINABLE}")
    weights = read_weights(model.weights_path)
    before = model.card.network_family()
    family = family or before
    return Start(family, family.weights_of(before, weights), model.card, str(model.weights_path))


def check_fits(family: NetworkFamily, settings: TrainSettings, stacks: Sequence[Stack]) -> None:
    """Refuse patches and images that the network cannot read.

    Raises
    ------
    RequestError
        Saying what to change.
    """
    shape = settings.patches.shape_vox
    if family.is_2d and shape[0] != 1:
        raise RequestError(f"A 2D network learns from single slices: patches.shape_vox must be 1,Y,X, not {shape}.")
    if any(n % grid for n, grid in zip(shape, family.grid_vox, strict=True)):
        raise RequestError(
            f"patches.shape_vox is {shape}; this network needs multiples of {family.grid_vox} (Z, Y, X)."
        )
    if family.frame_vox is not None and tuple(shape) != tuple(family.frame_vox):
        raise RequestError(
            f"This network is tied to frames of {family.frame_vox} voxels (Z, Y, X), so patches.shape_vox must be "
            f"that, not {shape}."
        )
    for stack in stacks:
        if len(stack.image) != family.in_channels:
            raise RequestError(
                f"The network reads {family.in_channels} image channels and {stack.name} has {len(stack.image)}; set "
                "image_channels of the family, or channel of the file."
            )
        if stack.table is not None and not family.learns_overlaps:
            raise RequestError(
                f"{stack.name} holds objects that may overlap, which a network of kind {family.kind} cannot learn; "
                "take a layering network, or make plain labels with the step flatten-layers and set layered to false."
            )
