"""The models that can be downloaded, as lists on this machine say: reading them touches no network.

Three lists are read: ``models_zoo/catalogue.yaml`` of the program; ``catalogue.yaml`` in a person's own folder, where a
lab may name models on a server of its own; and that of BioImage.IO, once it was fetched. Each offer carries the same
facts as a card, and the files that make the model. What sort of files they are is told by `plantseg_app.zoo.importing`
once they are here.

>>> find_offer("generic_confocal_3D_unet").id
'confocal_3d_unet_ovules_ds2x'
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import Field, ValidationError, field_validator

from plantseg_app import paths
from plantseg_app.core.step import readable_errors
from plantseg_app.errors import InputError, RequestError, did_you_mean
from plantseg_app.zoo.card import FileName, Sha256
from plantseg_app.zoo.facts import FactsPart, ModelFacts

FORMAT_VERSION = 1
LIST_FILE = "catalogue.yaml"
COLLECTION_FILE = "bioimageio.json"
_SCHEMES = ("https", "http")


class OfferedFile(FactsPart):
    """One file to download."""

    file: FileName = Field(description="The name that it gets.")
    urls: tuple[str, ...] = Field(min_length=1, description="Where it is, the first choice first, then its mirrors.")
    sha256: Sha256 | None = Field(None, description="Its checksum, where the source publishes one.")
    size_bytes: int | None = Field(None, ge=1, description="Its size, where it is known.")

    @field_validator("urls")
    @classmethod
    def _check_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if urlsplit(url).scheme not in _SCHEMES or not urlsplit(url).hostname:
                raise ValueError(f'"{url}" is no address that starts with https:// or http://')
        return urls


class Offer(ModelFacts):
    """A model that can be downloaded."""

    collection: str = Field(description="Who offers it, for example PlantSeg or BioImage.IO.")
    page: str = Field("", description="The page about it, for people.")
    also_called: tuple[str, ...] = Field((), description="Other names under which it is found.")
    files: tuple[OfferedFile, ...] = Field(min_length=1, description="What to download.")

    @field_validator("files")
    @classmethod
    def _check_names(cls, files: tuple[OfferedFile, ...]) -> tuple[OfferedFile, ...]:
        names = [file.file.casefold() for file in files]
        if len(set(names)) != len(names):
            raise ValueError("two files have the same name")
        return files

    @property
    def names(self) -> tuple[str, ...]:
        """The id and all other names."""
        return self.id, *self.also_called

    @property
    def size_bytes(self) -> int | None:
        """How much is downloaded; None when the source does not say."""
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


@dataclasses.dataclass(frozen=True)
class Offers:
    """All offers, and what was wrong with a list.

    Attributes
    ----------
    offers
        By id.
    problems
        A sentence for each list or entry that cannot be used.
    """

    offers: tuple[Offer, ...]
    problems: tuple[str, ...]


def read_offers() -> Offers:
    """Read the program's list, the person's own and what was fetched; a wrong entry does not hide the others."""
    found: dict[str, Offer] = {}
    problems: list[str] = []
    own, fetched = paths.home_dir() / LIST_FILE, paths.collections_dir() / COLLECTION_FILE
    for path in (paths.bundled_models_dir() / LIST_FILE, own, fetched):
        try:
            state = os.stat(path)
        except OSError:
            # Most people have no list of their own.
            continue
        listed = _read_once(path, state.st_mtime_ns, state.st_size)
        problems += listed.problems
        for offer in listed.offers:
            if offer.id in found:
                problems.append(f"{path}: the id {offer.id} is taken by another model; change it.")
            else:
                found[offer.id] = offer
    return Offers(tuple(found[name] for name in sorted(found)), tuple(problems))


def find_offer(name: str) -> Offer:
    """Return an offer by its id or one of its other names; capitals and the sort of dash do not matter.

    Raises
    ------
    RequestError
        If there is none; the message suggests the nearest name.
    """
    by_name = {_plain(known): offer for offer in read_offers().offers for known in offer.names}
    if _plain(name) in by_name:
        return by_name[_plain(name)]
    hint = did_you_mean(_plain(name), by_name)
    raise RequestError(f'There is no model "{name}" to download. {hint} See: plantseg-app models search.')


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_")


@functools.lru_cache(maxsize=8)
def _read_once(path: Path, _mtime_ns: int, _size: int) -> Offers:
    try:
        text = path.read_text(encoding="utf-8")
        # JSON is YAML, too, but is read a hundred times as fast.
        plain = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        listed = _entries(plain, path)
    except (OSError, ValueError, yaml.YAMLError) as error:
        return Offers((), (f"The list of models {path} cannot be read: {' '.join(str(error).split())}",))
    except InputError as error:
        return Offers((), (str(error),))
    offers, problems = [], []
    for number, entry in enumerate(listed, 1):
        try:
            offers.append(Offer(**{str(key): value for key, value in entry.items()}))
        except ValidationError as error:
            problems.append(readable_errors(error, f"{path}, model {number}", list(Offer.model_fields)))
    return Offers(tuple(offers), tuple(problems))


def _entries(plain: Any, path: Path) -> list[Mapping[str, Any]]:
    if not isinstance(plain, Mapping) or plain.get("catalogue") != FORMAT_VERSION:
        raise InputError(f'The list of models {path} must be a mapping with "catalogue: {FORMAT_VERSION}".')
    entries = plain.get("models")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise InputError(f'The list of models {path} needs "models", a list of mappings.')
    return entries
