"""From an installed model to its network, with the weights checked before they are trusted."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plantseg_app.errors import InputError
from plantseg_app.zoo.card import ModelCard, ModelFile
from plantseg_app.zoo.catalogue import InstalledModel, find_model, read_catalogue

if TYPE_CHECKING:
    import torch

_MOST_NETWORKS_KEPT = 2


def load_network(model: InstalledModel, device: torch.device | str = "cpu") -> torch.nn.Module:
    """Return the trained network of `model` on `device`, ready to predict.

    The last networks are kept: asking again is free, and gives the same object, which nobody should train.

    Raises
    ------
    InputError
        If the weights are missing, are not those of the card (checksum), or do not fit the architecture.
    RequestError
        If the card asks for a network family or setting that this program does not know.
    ResourceError
        If the network does not fit into the memory of the device.
    """
    verify_model(model)
    return _load_once(model.folder, model.card.weights.sha256, model.card.to_yaml(), str(device))


def verify_model(model: InstalledModel) -> None:
    """Check that weights and further files are those that the card describes; computed once while they stay unchanged.

    Raises
    ------
    InputError
        Saying which file differs, and how.
    """
    for file in (model.card.weights, *model.card.files):
        _verify_file(model, file)


def verify_models(ids: Sequence[str] = ()) -> dict[str, str]:
    """Return for each of the models what is wrong with its files, "" where nothing is; all models by default.

    Folders that hold no usable model are named after the folder.

    Raises
    ------
    RequestError
        If there is no model of that id.
    """
    catalogue = read_catalogue()
    broken = {model.folder.name: model.reason for model in catalogue.broken}
    models = {model.card.id: model for model in catalogue.models}
    names = ids or sorted({**broken, **models})
    return {name: broken[name] if name in broken else _problem(models.get(name) or find_model(name)) for name in names}


def _problem(model: InstalledModel) -> str:
    try:
        verify_model(model)
    except InputError as error:
        return str(error)
    return ""


def _verify_file(model: InstalledModel, expected: ModelFile) -> None:
    path = model.folder / expected.file
    try:
        state = os.stat(path)
    except OSError as error:
        raise InputError(
            f"The file {path} of the model {model.card.id} is missing; install the model again."
        ) from error
    if state.st_size != expected.size_bytes:
        raise InputError(
            f"The file {path} has {state.st_size} bytes instead of {expected.size_bytes}: it is not complete or of "
            f"another version. Install the model {model.card.id} again."
        )
    if _sha256(str(path), state.st_mtime_ns, state.st_size) != expected.sha256:
        raise InputError(
            f"The file {path} is not the one that the card of {model.card.id} describes (the checksum differs), so "
            "it is not loaded. Install the model again."
        )


@functools.lru_cache(maxsize=64)
def _sha256(path: str, _mtime_ns: int, _size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=_MOST_NETWORKS_KEPT)
def _load_once(folder: Path, _sha256_of_weights: str, card_text: str, device: str) -> torch.nn.Module:
    import torch

    from plantseg_app.networks.device import move_network

    card = ModelCard.from_yaml(card_text)
    network = card.network_family().load(InstalledModel(card, folder).weights_path)
    return move_network(network, torch.device(device)).eval()
