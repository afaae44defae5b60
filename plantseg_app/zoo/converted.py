"""What all conversions of foreign files share: reading of descriptions, facts that nobody stated, the card.

>>> stated({"licence": "MIT", "authors": ["Somebody"]})["licence"], stated({})["authors"]
('MIT', ['not stated'])
>>> as_id("My Model (2)")
'my-model-2'
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from plantseg_app.core.step import readable_errors
from plantseg_app.errors import InputError, RequestError, did_you_mean
from plantseg_app.zoo.card import CARD_FILE, ModelCard, ModelFile, Normalisation, Weights
from plantseg_app.zoo.facts import ModelFacts
from plantseg_app.zoo.offers import Offer
from plantseg_app.zoo.plain_yaml import load_plain

if TYPE_CHECKING:
    from plantseg_app.networks.family import NetworkFamily

WEIGHTS_FILE = "weights.safetensors"
NOT_STATED = "not stated"
_LARGEST_DESCRIPTION_BYTES = 2 * 2**20


def read_description(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; code in the text is never run.

    Raises
    ------
    InputError
        If the file is missing, larger than any description, no YAML, or no mapping.
    """
    try:
        if path.stat().st_size > _LARGEST_DESCRIPTION_BYTES:
            raise InputError(f"{path} has {path.stat().st_size} bytes; no description of a model is that long.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no readable text: {error}") from error
    plain = load_plain(text, str(path))
    if not isinstance(plain, Mapping):
        raise InputError(f"{path} must be a mapping of entries; it is none.")
    return {str(key): value for key, value in plain.items()}


def stated(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts for a card, with "not stated" for what every card has to say."""
    return {"description": NOT_STATED, "licence": NOT_STATED, "authors": [NOT_STATED], **facts}


def facts_of(offer: Offer) -> dict[str, Any]:
    """Return what an offer says about its model, as plain data."""
    return offer.model_dump(mode="json", include=set(ModelFacts.model_fields))


def as_id(name: str) -> str:
    """Return an id made of any name."""
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-._") or "model"


def describe_file(path: Path) -> ModelFile:
    """Return name, checksum and size of a file of a model."""
    with path.open("rb") as stream:
        checksum = hashlib.file_digest(stream, "sha256").hexdigest()
    return ModelFile(file=path.name, sha256=checksum, size_bytes=path.stat().st_size)


def matching(listed: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return a list of named things, with what `listed` (plain data or None) says about those of the same name."""
    known = {entry.get("name"): entry for entry in listed or () if isinstance(entry, Mapping)}
    return [{**known.get(name, {}), "name": name} for name in names]


def checked_outputs(said: Sequence[str], n_channels: int, meanings: Sequence[str]) -> list[str]:
    """Return what a person says that the output channels show.

    Raises
    ------
    RequestError
        If there are more or fewer channels, or a word is not known or there twice.
    """
    if len(said) != n_channels or len(set(said)) != len(said):
        raise RequestError(
            f"The model predicts {n_channels} channel(s); name each once, not {', '.join(said) or 'none'}."
        )
    for word in said:
        if word not in meanings:
            raise RequestError(f'"{word}" is nothing that an output can be here. {did_you_mean(word, meanings)}')
    return list(said)


def write_card(
    target: Path, facts: Mapping[str, Any], family: NetworkFamily, normalisation: Normalisation, weights: str
) -> ModelCard:
    """Write the card of the model in `target`, whose weights and other files are there already.

    Parameters
    ----------
    target
        The folder of the model; every file in it is listed with its checksum.
    facts
        Plain facts (`ModelFacts`), with or without inputs and outputs, and ``training``.
    family
        The architecture: channels, outputs and dimensions are taken from it.
    normalisation
        How grey values are prepared.
    weights
        The name of the file of weights.

    Raises
    ------
    InputError
        Naming the fact that no card can hold.
    """
    inputs = list(facts.get("inputs") or ())
    if len(inputs) != family.in_channels:
        inputs = [
            {"name": "image" if family.in_channels == 1 else f"channel {i + 1}"} for i in range(family.in_channels)
        ]
    outputs = matching(facts.get("outputs"), tuple(output.name for output in family.outputs))
    for described, output in zip(outputs, family.outputs, strict=True):
        described["kind"] = output.kind
    others = sorted(path for path in target.iterdir() if path.name not in (weights, CARD_FILE))
    try:
        card = ModelCard(
            **{
                **stated(facts),
                "dimensionality": "2D" if family.is_2d else "3D",
                "inputs": inputs,
                "outputs": outputs,
                "family": family.to_plain(),
                "normalisation": normalisation,
                "weights": Weights(**describe_file(target / weights).model_dump()),
                "files": [describe_file(path) for path in others],
            }
        )
    except ValidationError as error:
        raise InputError(
            readable_errors(error, "The description of the model", list(ModelCard.model_fields))
        ) from error
    (target / CARD_FILE).write_text(card.to_yaml(), encoding="utf-8")
    return card
