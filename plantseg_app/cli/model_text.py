"""Models in words and as data for JSON, for the commands that print them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plantseg_app.core.quantities import human_bytes
from plantseg_app.zoo.wording import fetched_text, files_of, grey_values_text, network_text, objects_text, tile_text

if TYPE_CHECKING:
    from plantseg_app.zoo.catalogue import InstalledModel
    from plantseg_app.zoo.facts import ModelFacts
    from plantseg_app.zoo.offers import Offer
    from plantseg_app.zoo.search import KnownModel

HERE = "installed"


def plain_model(model: InstalledModel) -> dict[str, Any]:
    """Return the card, and where the model lies, as data for JSON."""
    return {**model.card.model_dump(mode="json"), "folder": str(model.folder)}


def plain_known(model: KnownModel, advice: str | None) -> dict[str, Any]:
    """Return card or offer, whether and where the model is here, and what to do about its scale, as data for JSON."""
    here, offer = model.installed, model.offer
    return {
        **model.card.model_dump(mode="json"),
        "installed": here is not None,
        "folder": None if here is None else str(here.folder),
        "collection": None if offer is None else offer.collection,
        "advice": advice,
    }


def search_lines(models: Sequence[KnownModel], advice: Mapping[str, str]) -> list[str]:
    """Return a line a model, with what to do about its scale below it."""
    width = max((len(model.card.id) for model in models), default=0)
    places = [HERE if model.installed or model.offer is None else model.offer.collection for model in models]
    room = max(map(len, places), default=0)
    scales = [scale_text(model.card) for model in models]
    scale_room = max(map(len, scales), default=0)
    lines = []
    for model, place, scale in zip(models, places, scales, strict=True):
        card = model.card
        lines.append(f"{card.id:<{width}}  {card.dimensionality}  {scale:<{scale_room}}  {place:<{room}}  {card.title}")
        if card.id in advice:
            lines.append(f"{'':<{width}}  {advice[card.id]}")
    return lines


def card_lines(card: ModelFacts) -> list[str]:
    """Return card or offer in words."""
    facts = [
        ("id", card.id),
        ("finds", card.segments),
        ("reads", ", ".join(f"{channel.name} ({channel.kind.value})" for channel in card.inputs)),
        ("makes", ", ".join(f"{output.name} ({output.kind.value})" for output in card.outputs)),
        ("dimensions", card.dimensionality),
        ("voxel size", scale_text(card)),
        ("objects", objects_text(card)),
        ("tiles", tile_text(card)),
        ("modality", card.modality or "not stated"),
        ("organism", ", ".join(part for part in (card.organism, card.tissue) if part)),
        ("licence", card.licence),
        ("authors", ", ".join(card.authors)),
        *(
            (f"{source.seen_as} data", f"{source.name} ({source.licence or 'licence not stated'})")
            for source in card.data
        ),
        *(
            ("score", f"{score.metric} {score.value:g} on {score.data} {score.remark}".rstrip())
            for score in card.scores
        ),
        ("cite", card.citation),
        ("DOI", card.doi),
    ]
    return [card.title, card.description, "", *(f"{name:<16}{value}" for name, value in facts if value)]


def installed_lines(model: InstalledModel) -> list[str]:
    """Return network, preparation and files of an installed model, in words."""
    card = model.card
    picture = model.folder / (card.picture or "")
    facts = [
        ("network", network_text(card.family)),
        ("grey values", grey_values_text(card.normalisation)),
        ("training", card.training),
        *(("file", f"{name}, {human_bytes(size)}, sha256 {sha256}") for name, size, sha256 in files_of(card)),
        ("downloaded", fetched_text(card.fetched)),
        ("picture", str(picture) if picture.is_file() else ""),
        ("folder", str(model.folder)),
    ]
    return [f"{name:<16}{value}" for name, value in facts if value]


def offer_lines(offer: Offer) -> list[str]:
    """Return where an offer comes from, in words."""
    size = offer.size_bytes
    facts = [
        ("page", offer.page),
        ("also called", ", ".join(offer.also_called)),
        ("size", "not stated" if size is None else human_bytes(size)),
        *(
            ("file", f"{file.urls[0]} ({'checked' if file.sha256 else 'no checksum published'})")
            for file in offer.files
        ),
        ("not here yet", f"plantseg-app models download {offer.id}"),
    ]
    return [f"{name:<16}{value}" for name, value in facts if value]


def scale_text(card: ModelFacts) -> str:
    """Return the voxel size that a model was trained at, in words."""
    if card.voxel_size_um is None:
        return "any voxel size"
    return " x ".join(f"{length:g}" for length in card.voxel_size_um) + " um"
