"""From files of any sort to a model folder: this program's own, and whatever other programs write.

Two doors lead here: a download, which knows from its offer what the model is for, and ``models add``, which knows
nothing but the files. Both hand over files and an empty folder, and get a model in it: ``card.yaml`` and what it names.
Whoever calls gives the model its final id, checks it as a whole, and moves it to its place.

A new sort of files is one `FileFormat` in `FORMATS`: how to recognise it, and how to make a model of it. To make one is

* to write into `target` alone, and to leave the files as they are;
* to run nothing that the files bring along: no pickled objects, no scripts, no path out of a folder;
* to take from the offer, where there is one, what the files do not say (title, voxel size, meaning of outputs),
  and else to say "not stated" rather than to guess;
* to raise `InputError` with one sentence when the files are not fit.
"""

from __future__ import annotations

import dataclasses
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from plantseg_app.errors import InputError, RequestError
from plantseg_app.zoo.bioimageio.importing import convert_bioimageio
from plantseg_app.zoo.bioimageio.package import is_bioimageio
from plantseg_app.zoo.card import CARD_FILE, ModelCard
from plantseg_app.zoo.catalogue import InstalledModel
from plantseg_app.zoo.load import load_network, verify_model
from plantseg_app.zoo.offers import Offer
from plantseg_app.zoo.plantseg import CONFIG_FILE, convert_plantseg, is_plantseg
from plantseg_app.zoo.questions import NO_ANSWERS, Answers
from plantseg_app.zoo.unpacking import is_archive

_LARGEST_COMPANION_BYTES = 20 * 2**20


@dataclasses.dataclass(frozen=True)
class FileFormat:
    """One sort of files that a model can be made of.

    Attributes
    ----------
    name
        What people call it, with what belongs to it.
    recognises
        Whether a folder or a single file is of this sort; looks at names and first bytes only, and never raises.
    convert
        ``convert(source, target, offer, answers)`` makes the model in the empty folder `target`; `offer` is None when a
        person adds files of their own, and `answers` is what the person has said besides.
    """

    name: str
    recognises: Callable[[Path], bool]
    convert: Callable[[Path, Path, Offer | None, Answers], None]


def import_files(source: Path, target: Path, offer: Offer | None = None, answers: Answers = NO_ANSWERS) -> ModelCard:
    """Make a model in the empty folder `target` of the files in `source`, and return its card.

    Parameters
    ----------
    source
        A folder, or a single file such as a package; a folder that holds nothing but one file counts as that file, too.
    target
        An empty folder.
    offer
        What the catalogue says about the files, when they were downloaded.
    answers
        What a person says about them.

    Raises
    ------
    RequestError
        If the files are of no sort that is known; `SourceQuestion`, if source code in them would have to run.
    InputError
        If they are damaged, unfit, or would have to run code.
    """
    candidates = [source]
    if source.is_dir() and len(entries := list(source.iterdir())) == 1 and entries[0].is_file():
        candidates.append(entries[0])
    for candidate in candidates:
        for file_format in FORMATS:
            if file_format.recognises(candidate):
                file_format.convert(candidate, target, offer, answers)
                card = ModelCard.read(target)
                verify_model(InstalledModel(card, target))
                return card
    if any(is_archive(candidate) and not zipfile.is_zipfile(candidate) for candidate in candidates):
        raise InputError(f"The archive {source} is damaged or cut short; fetch it again.")
    known = "; ".join(file_format.name for file_format in FORMATS)
    raise RequestError(f"{source} is no model. What can be added: {known}.")


def _holds_card(source: Path) -> bool:
    return (source / CARD_FILE).is_file()


def _copy_model(source: Path, target: Path, offer: Offer | None, answers: Answers) -> None:
    """Copy card, weights and the small files beside them; folders, such as a training's checkpoints, stay behind."""
    del offer, answers
    card = ModelCard.read(source)
    try:
        # A card may describe weights to the last bit that no network can use.
        load_network(InstalledModel(card, source))
    except RequestError as error:
        raise InputError(f"The model in {source} is none that this program can run. {error}") from error
    needed = {card.weights.file, *(file.file for file in card.files)}
    for file in source.iterdir():
        if file.name in needed or _is_companion(file):
            shutil.copyfile(file, target / file.name)


def _is_companion(file: Path) -> bool:
    # What a link points to does not belong to the model.
    return file.is_file() and not file.is_symlink() and file.stat().st_size <= _LARGEST_COMPANION_BYTES


FORMATS: tuple[FileFormat, ...] = (
    FileFormat(f"a folder with {CARD_FILE} and weights, as a training leaves it", _holds_card, _copy_model),
    FileFormat(
        f"a folder of PlantSeg or pytorch-3dunet, with {CONFIG_FILE} and a .pytorch checkpoint",
        is_plantseg,
        convert_plantseg,
    ),
    FileFormat(
        "a package of BioImage.IO: a zip archive, a folder with rdf.yaml or bioimageio.yaml, or such a file",
        is_bioimageio,
        convert_bioimageio,
    ),
)
"""Every sort of files that is known; the first one that recognises them is taken."""
