"""Putting models into the user's own folder, and taking them out again.

A model arrives as a folder with a card and weights, as a training leaves it. It is checked as a whole, copied beside
its place, and renamed into it, so that a killed copy leaves no half model.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from plantseg_app import paths
from plantseg_app.errors import InputError, RequestError
from plantseg_app.zoo.card import CARD_FILE, ModelCard
from plantseg_app.zoo.catalogue import InstalledModel, find_model, read_catalogue
from plantseg_app.zoo.load import verify_weights

_LARGEST_COMPANION_BYTES = 20 * 2**20


def add_model(folder: Path, model_id: str | None = None) -> InstalledModel:
    """Copy the model in `folder` into the user's models; checkpoints of its training are left behind.

    Parameters
    ----------
    folder
        Holds ``card.yaml`` and the weights it names.
    model_id
        Another id than the card's, for example when that is taken.

    Raises
    ------
    RequestError
        If the folder is no model, or the id is taken.
    InputError
        If card or weights are damaged.
    """
    if not (folder / CARD_FILE).is_file():
        raise RequestError(f"{folder} holds no {CARD_FILE}, so it is no model; give the folder that a training left.")
    card = ModelCard.read(folder)
    verify_weights(InstalledModel(card, folder))
    if model_id is not None:
        # Through text, so that the new id is checked like that of any card.
        card = ModelCard.from_yaml(card.model_copy(update={"id": model_id}).to_yaml(), f'The new id "{model_id}"')
    taken = {model.card.id: model.folder for model in read_catalogue().models}
    target = paths.user_models_dir() / card.id
    if card.id in taken or target.exists():
        raise RequestError(
            f'There is a model "{card.id}" already, in {taken.get(card.id, target)}; give the new one another --id, or '
            f"remove the old one: plantseg-app models remove {card.id}."
        )
    paths.user_models_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=paths.user_models_dir()) as beside:
        copy = Path(beside) / card.id
        _copy_files(folder, copy, card.weights.file)
        (copy / CARD_FILE).write_text(card.to_yaml(), encoding="utf-8")
        verify_weights(InstalledModel(card, copy))
        copy.rename(target)
    return InstalledModel(card, target)


def remove_model(model_id: str) -> Path:
    """Delete a model of the user's, and return the folder that is gone.

    Raises
    ------
    RequestError
        If there is no such model, or it ships with the program.
    """
    folder = _user_folder(model_id)
    with tempfile.TemporaryDirectory(prefix=".removing-", dir=folder.parent) as beside:
        # Renamed first: a deletion that is killed leaves no model with half its files.
        shutil.move(folder, Path(beside) / folder.name)
    return folder


def _user_folder(model_id: str) -> Path:
    home = paths.user_models_dir().resolve()
    try:
        folder = find_model(model_id).folder
    except InputError:
        # A damaged model must be removable too.
        folder = paths.user_models_dir() / model_id
    if folder.resolve().parent != home:
        raise RequestError(f"The model {model_id} is not among your own in {home}, so it is not removed.")
    return folder


def _copy_files(source: Path, target: Path, weights: str) -> None:
    """Copy the weights and the small files beside them; folders, such as a training's checkpoints, stay."""
    target.mkdir()
    for file in source.iterdir():
        if file.is_file() and (file.name == weights or file.stat().st_size <= _LARGEST_COMPANION_BYTES):
            shutil.copyfile(file, target / file.name)
