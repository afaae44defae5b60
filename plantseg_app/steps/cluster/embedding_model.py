"""What the card of the model that made an embedding says about clustering it."""

from __future__ import annotations

from typing import NamedTuple

from plantseg_app.errors import RequestError


class EmbeddingModel(NamedTuple):
    """What a model says about its embedding; None: unknown.

    Attributes
    ----------
    n_channels
        Channels of one frame's embedding.
    bandwidth
        Distance within which the embeddings of one object lie.
    separation
        Distance from which embeddings are those of different objects.
    by_slice
        Whether each slice was embedded by itself.
    """

    n_channels: int | None
    bandwidth: float | None
    separation: float | None
    by_slice: bool = False


def embedding_model(name: str) -> EmbeddingModel:
    """Return what the model called `name` says; nothing for an empty name.

    Raises
    ------
    RequestError
        If there is no such model, or it makes no embedding.
    """
    if not name:
        return EmbeddingModel(None, None, None)
    from plantseg_app.core.volume import Kind
    from plantseg_app.zoo.catalogue import find_model

    family = find_model(name).card.network_family()
    channels = [output.channels for output in family.outputs if output.kind is Kind.EMBEDDING]
    if not channels:
        raise RequestError(f"The model {name} makes no embedding; choose the model that made this one, or none.")
    return EmbeddingModel(len(channels[0]), family.cluster_bandwidth, family.cluster_separation, family.is_2d)


def decisive_card(name: str) -> str:
    """Return what of the card of the model called `name` decides a clustering; "" for an empty name."""
    if not name:
        return ""
    from plantseg_app.zoo.catalogue import find_model

    return find_model(name).card.model_dump_json(include={"family"})
