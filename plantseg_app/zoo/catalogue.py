"""Which trained models are at hand: those that ship with the program, and those in the user's own folder.

Reads cards alone; neither weights nor torch are touched.

>>> all(model.folder.is_dir() for model in list_models())
True
"""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path

from plantseg_app import paths
from plantseg_app.errors import AbsentError, InputError, RequestError, did_you_mean
from plantseg_app.zoo.card import CARD_FILE, ModelCard


@dataclasses.dataclass(frozen=True)
class InstalledModel:
    """A model on this machine: its card and the folder in which card and weights lie."""

    card: ModelCard
    folder: Path

    @property
    def is_own(self) -> bool:
        """Whether it lies in the person's own folder, so that it can be changed and removed."""
        return self.folder.resolve().parent == paths.user_models_dir().resolve()

    @property
    def weights_path(self) -> Path:
        """The file of weights; whether it is there and whole is checked when it is loaded."""
        return self.folder / self.card.weights.file


@dataclasses.dataclass(frozen=True)
class BrokenModel:
    """A folder that should hold a model and does not, and why."""

    folder: Path
    reason: str


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """All models found, sorted by id, and all folders that could not be read."""

    models: tuple[InstalledModel, ...]
    broken: tuple[BrokenModel, ...]


def read_catalogue() -> Catalogue:
    """Look through the shipped models and the user's; one damaged card does not hide the others."""
    found: dict[str, InstalledModel] = {}
    broken: list[BrokenModel] = []
    for folder in _model_folders(paths.bundled_models_dir()) + _model_folders(paths.user_models_dir()):
        try:
            card = _read_card(folder)
        except InputError as error:
            broken.append(BrokenModel(folder, str(error)))
            continue
        if card.id in found:
            taken = found[card.id].folder
            broken.append(
                BrokenModel(folder, f"The id {card.id} is taken by the model in {taken}; change one of them.")
            )
        else:
            found[card.id] = InstalledModel(card, folder)
    return Catalogue(tuple(found[name] for name in sorted(found)), tuple(broken))


def list_models() -> list[InstalledModel]:
    """Return all usable models, sorted by id; `read_catalogue` also tells of those that are not."""
    return list(read_catalogue().models)


def find_model(id_or_path: str | Path) -> InstalledModel:
    """Return a model by its id, or by the folder that holds its card.

    Raises
    ------
    AbsentError
        If there is no such model; the message says how to download it, or suggests the nearest id.
    RequestError
        If a folder holds none.
    InputError
        If it is there but its card is damaged.
    """
    catalogue = read_catalogue()
    for model in catalogue.models:
        if model.card.id == id_or_path:
            return model
    for broken in catalogue.broken:
        if broken.folder.name == id_or_path:
            raise InputError(f"The model {id_or_path} cannot be used: {broken.reason}")
    folder = Path(id_or_path).expanduser()
    if id_or_path and (folder / CARD_FILE).is_file():
        return InstalledModel(_read_card(folder), folder.resolve())
    if folder.is_dir() and len(folder.parts) > 1:
        raise RequestError(f"The folder {folder} holds no {CARD_FILE}, so it is no model.")
    if (offered := _offered(str(id_or_path))) is not None:
        raise AbsentError(
            f'The model "{id_or_path}" is not on this machine; download it in the area Models, or by: plantseg-app '
            f"models download {offered}"
        )
    hint = did_you_mean(str(id_or_path), [model.card.id for model in catalogue.models])
    raise AbsentError(f'There is no model "{id_or_path}". {hint}')


def _offered(name: str) -> str | None:
    """Return the id under which a model can be downloaded, or None."""
    from plantseg_app.zoo.offers import find_offer

    try:
        return find_offer(name).id
    except RequestError:
        return None


def _model_folders(parent: Path) -> list[Path]:
    try:
        entries = sorted(parent.iterdir())
    except OSError:
        # No folder yet, or none that may be read: nobody has put a model there.
        return []
    return [entry for entry in entries if (entry / CARD_FILE).is_file()]


def _read_card(folder: Path) -> ModelCard:
    """Read a card, or remember it when the file has not changed: workflows ask for the same one many times."""
    try:
        state = os.stat(folder / CARD_FILE)
    except OSError as error:
        raise InputError(f"The model card in {folder} cannot be read: {error}") from error
    return _read_card_once(folder, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=64)
def _read_card_once(folder: Path, _mtime_ns: int, _size: int) -> ModelCard:
    return ModelCard.read(folder)
