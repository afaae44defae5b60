"""Every model that is known, here or to be downloaded, and finding one among them by what it is for.

Reads cards and lists alone; the network is not touched.

>>> wish = Wish(words="ovule", dimensionality="3D", structure="boundaries")
>>> [model.card.id for model in known_models() if wish.matches(model.card) and model.installed is None][:2]
['confocal_3d_unet_ovules_ds1x', 'confocal_3d_unet_ovules_ds2x']
"""

from __future__ import annotations

import dataclasses

from plantseg_app.core.volume import Kind
from plantseg_app.zoo.catalogue import InstalledModel, list_models
from plantseg_app.zoo.facts import ModelFacts
from plantseg_app.zoo.offers import Offer, read_offers

FINDS = {
    Kind.BOUNDARY: "boundaries",
    Kind.FOREGROUND: "mask",
    Kind.NUCLEI: "nuclei",
    Kind.DISTANCE: "distances",
    Kind.AFFINITIES: "affinities",
    Kind.EMBEDDING: "embedding",
    Kind.LAYERS: "layers",
}
"""What a model makes, in a word."""


@dataclasses.dataclass(frozen=True)
class KnownModel:
    """A model that is on this machine, can be downloaded, or both.

    Attributes
    ----------
    card
        The facts: the card of the installed model, or else the offer.
    installed
        None when it is not here.
    offer
        None when nobody offers it.
    """

    card: ModelFacts
    installed: InstalledModel | None = None
    offer: Offer | None = None


def known_models() -> list[KnownModel]:
    """Return all models by id; one that is installed and offered is there once."""
    offers = {offer.id: offer for offer in read_offers().offers}
    here = {model.card.id: KnownModel(model.card, model, offers.get(model.card.id)) for model in list_models()}
    known = {name: KnownModel(offer, None, offer) for name, offer in offers.items()} | here
    return [known[name] for name in sorted(known)]


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a model has to be; what is empty does not count.

    Attributes
    ----------
    words
        All of them must stand in what is said about the model; capitals do not matter.
    dimensionality
        ``2D`` or ``3D``.
    structure
        What it has to find, in words of `structure_of` or of the image that it reads, such as nuclei or membrane.
    modality
        A kind of microscopy, for example ``confocal``; models for any microscopy fit.
    """

    words: str = ""
    dimensionality: str = ""
    structure: str = ""
    modality: str = ""

    @property
    def is_only_words(self) -> bool:
        """Whether nothing but words is wished for."""
        return not (self.dimensionality or self.structure or self.modality)

    def matches(self, card: ModelFacts) -> bool:
        """Return whether a model is all of this."""
        text = searched_text(card) if self.words else ""
        return (
            all(word in text for word in self.words.casefold().split())
            and self.dimensionality.upper() in ("", card.dimensionality)
            and (not self.structure or self.structure.casefold() in _structures(card))
            and (not self.modality or _suits(modalities(card), self.modality.casefold()))
        )


def _suits(known: list[str], wanted: str) -> bool:
    return any(wanted in word.casefold() or word == "any" for word in known)


def _structures(card: ModelFacts) -> str:
    return ", ".join([structure_of(card), *(channel.name for channel in card.inputs)]).casefold()


def finds_text(card: ModelFacts) -> str:
    """Return what the model makes, in words."""
    words = dict.fromkeys(FINDS.get(output.kind, output.kind.value) for output in card.outputs)
    return ", ".join(words)


def structure_of(card: ModelFacts) -> str:
    """Return what the model finds, as its card says or else by what it makes."""
    return card.segments or finds_text(card)


def searched_text(card: ModelFacts) -> str:
    """Return all that a person might search for, in lower case."""
    channels = " ".join(f"{channel.name} {channel.description}" for channel in card.inputs)
    data = " ".join(source.name for source in card.data)
    words = (card.id, card.title, card.description, card.segments, card.modality, card.organism, card.tissue)
    more = (card.dimensionality, channels, data, finds_text(card), *card.authors)
    names = (*card.names, card.collection) if isinstance(card, Offer) else ()
    return " ".join((*words, *more, *names)).casefold()


def modalities(card: ModelFacts) -> list[str]:
    """Return the kinds of microscopy that the card names."""
    return [part.strip() for part in card.modality.split(",") if part.strip()]
