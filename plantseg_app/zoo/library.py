"""Putting models into the user's own folder, and taking them out again.

A model arrives as files of some sort. A whole model is made of them beside its place, checked, and renamed into it, so
that whatever goes wrong leaves the other models as they were and no half one.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from plantseg_app import paths
from plantseg_app.errors import InputError, RequestError
from plantseg_app.zoo.card import CARD_FILE, FetchedFile, ModelCard
from plantseg_app.zoo.catalogue import InstalledModel, find_model, list_models, read_catalogue
from plantseg_app.zoo.importing import import_files
from plantseg_app.zoo.load import verify_model
from plantseg_app.zoo.offers import Offer
from plantseg_app.zoo.questions import NO_ANSWERS, Answers

_ADDING = ".adding-"
_ABANDONED_S = 24 * 3600.0


def add_model(source: Path, model_id: str | None = None, answers: Answers = NO_ANSWERS) -> InstalledModel:
    """Make a model of a person's own files among the user's models, and return it.

    Parameters
    ----------
    source
        A folder or file of a sort that `plantseg_app.zoo.importing` knows.
    model_id
        Another id than the files give, for example when that is taken.
    answers
        What the person says that the files leave open.

    Raises
    ------
    RequestError
        If there is no model in `source`, or the id is taken; `SourceQuestion`, if source code in it would have to run.
    InputError
        If it is damaged.
    """
    if not source.exists():
        raise RequestError(f"There is no {source}; give the folder or file of the model to add.")
    return install(source, model_id, answers=answers)


def add_under_free_id(source: Path, answers: Answers = NO_ANSWERS) -> InstalledModel:
    """Make a model of a person's own files under an id that is free; one whose weights are here already is returned.

    Raises
    ------
    RequestError, InputError
        As `add_model`.
    """
    if not source.exists():
        raise RequestError(f"There is no {source}; give the folder or file of the model to add.")
    with _made_of(source, None, answers) as (made, card):
        here = [model for model in list_models() if model.card.weights.sha256 == card.weights.sha256]
        return here[0] if here else _put_in_place(made, card, _free_id(card.id))


def add_named(source: Path, name: str) -> InstalledModel:
    """Make a model of a person's own files, called `name`, under an id that follows from it and is free.

    Raises
    ------
    RequestError, InputError
        As `add_model`; also if the name has no letter and no digit.
    """
    model_id = id_of_name(name)
    if not model_id:
        raise RequestError(f'Give the model a name with letters or digits; "{name}" was given.')
    with _made_of(source, None, NO_ANSWERS) as (made, card):
        return _put_in_place(made, card.model_copy(update={"title": name.strip()}), _free_id(model_id))


def id_of_name(name: str) -> str:
    """Return an id made of a name for people, "" where nothing of it can be used.

    >>> id_of_name("My Model (2)")
    'my-model-2'
    """
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-._")


def install(
    source: Path,
    model_id: str | None = None,
    offer: Offer | None = None,
    fetched: Sequence[FetchedFile] = (),
    answers: Answers = NO_ANSWERS,
) -> InstalledModel:
    """Make a model of the files in `source`, and put it into its place in one go.

    Parameters
    ----------
    source, offer, answers
        As in `import_files`.
    model_id
        The id that it gets; None: the one that the files give.
    fetched
        Where the files came from, if they were downloaded.

    Raises
    ------
    RequestError, InputError
        As `add_model`.
    """
    with _made_of(source, offer, answers) as (made, card):
        card = card.model_copy(update={"fetched": tuple(fetched)}) if fetched else card
        return _put_in_place(made, card, card.id if model_id is None else model_id)


@contextmanager
def _made_of(source: Path, offer: Offer | None, answers: Answers) -> Iterator[tuple[Path, ModelCard]]:
    """Yield a model made of files, in a folder beside its place that is gone in the end."""
    home = paths.user_models_dir()
    home.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(home)
    with tempfile.TemporaryDirectory(prefix=f"{_ADDING}{os.getpid()}-", dir=home) as beside:
        made = Path(beside) / "model"
        made.mkdir()
        yield made, import_files(source, made, offer, answers)


def _put_in_place(made: Path, card: ModelCard, model_id: str) -> InstalledModel:
    """Give a model that is whole its id and its place."""
    # Through text, so that the new id is checked like that of any card.
    card = ModelCard.from_yaml(card.model_copy(update={"id": model_id}).to_yaml(), f'The new id "{model_id}"')
    check_free(card.id)
    (made / CARD_FILE).write_text(card.to_yaml(), encoding="utf-8")
    verify_model(InstalledModel(card, made))
    target = paths.user_models_dir() / card.id
    made.rename(target)
    return InstalledModel(card, target)


def _free_id(wanted: str) -> str:
    """Return an id that no model has, the wanted one or that with a number."""
    taken, model_id, count = {model.card.id for model in list_models()}, wanted, 1
    while model_id in taken or (paths.user_models_dir() / model_id).exists():
        count += 1
        model_id = f"{wanted}-{count}"
    return model_id


def clear_after(process_id: int) -> None:
    """Remove what a process of this machine that was killed left of a model that it was adding."""
    for left in paths.user_models_dir().glob(f"{_ADDING}{process_id}-*"):
        shutil.rmtree(left, ignore_errors=True)


def _clear_abandoned(home: Path) -> None:
    for left in home.glob(f"{_ADDING}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left)


def check_free(model_id: str) -> None:
    """Refuse an id that is taken.

    Raises
    ------
    RequestError
        Saying where the other model lies.
    """
    taken = {model.card.id: model.folder for model in read_catalogue().models}
    target = paths.user_models_dir() / model_id
    if model_id in taken or target.exists():
        raise RequestError(
            f'There is a model "{model_id}" already, in {taken.get(model_id, target)}; give the new one another --id, '
            f"or remove the old one: plantseg-app models remove {model_id}."
        )


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
