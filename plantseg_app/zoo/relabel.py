"""What the outputs of a model show, said by a person: the card of the model is changed, its weights are not."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, get_args

from plantseg_app.errors import RequestError, did_you_mean
from plantseg_app.io.atomic import replacing
from plantseg_app.zoo.bioimageio.meanings import MEANINGS
from plantseg_app.zoo.card import CARD_FILE, ModelCard
from plantseg_app.zoo.catalogue import InstalledModel, find_model
from plantseg_app.zoo.converted import matching

# Where in the settings of a family the channels are named.
_NAMED_IN = {"graph": "maps", "boundary": "predicts"}


def can_be_relabelled(model: InstalledModel) -> bool:
    """Return whether what the outputs show is a matter of words, and the model the person's own."""
    return model.card.family["kind"] in _NAMED_IN and model.is_own


def relabel_outputs(model_id: str, words: Mapping[str, str]) -> InstalledModel:
    """Give outputs of a model other names, and so other kinds of volume; this loads torch.

    Parameters
    ----------
    model_id
        One of the person's own models.
    words
        What each output shows (`MEANINGS`, or any other word of a graph), by its present name; others stay.

    Raises
    ------
    RequestError
        If the model is not the person's own, has no such output, or a word is there twice or not possible.
    """
    model = find_model(model_id)
    if not can_be_relabelled(model):
        raise RequestError(
            f"What the outputs of {model_id} show is not a matter of words, or it is not your own model."
        )
    present = [output.name for output in model.card.outputs]
    for name in words:
        if name not in present:
            raise RequestError(f'The model {model_id} predicts no "{name}". {did_you_mean(name, present)}')
    new = [words.get(name, name) for name in present]
    if len(set(new)) != len(new):
        raise RequestError("Two outputs would have the same name; give each one of its own.")
    card = _relabelled(model.card, words)
    with replacing(model.folder / CARD_FILE) as partial:
        partial.write_text(card.to_yaml(), encoding="utf-8")
    return InstalledModel(card, model.folder)


def _relabelled(card: ModelCard, words: Mapping[str, str]) -> ModelCard:
    family = dict(card.family)
    if family["kind"] == "graph":
        family["maps"] = [_renamed(entry, words) for entry in family["maps"]]
    else:
        from plantseg_app.networks.boundary.family import Meaning

        for word in words.values():
            if word not in get_args(Meaning):
                raise RequestError(
                    f'An output of this network cannot be "{word}". {did_you_mean(word, get_args(Meaning))}'
                )
        family["predicts"] = [words.get(name, name) for name in family["predicts"]]
    changed = card.model_copy(update={"family": family})
    # Imported here because reading cards must not cost the second that torch takes to load.
    from plantseg_app.networks.family import make_family

    importlib.import_module("plantseg_app.networks.families")
    outputs = make_family(family).outputs
    described = matching([output.model_dump() for output in card.outputs], tuple(output.name for output in outputs))
    for entry, output in zip(described, outputs, strict=True):
        entry["kind"] = output.kind
    # Through text, so that it is checked like any card.
    plain = changed.model_dump(mode="json") | {"outputs": described}
    return ModelCard.from_yaml(ModelCard.model_validate(plain).to_yaml(), f"The card of {card.id}")


def _renamed(entry: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    if entry["name"] not in words:
        return dict(entry)
    word = words[entry["name"]]
    return {"name": word, "kind": MEANINGS[word].value if word in MEANINGS else "raw"}
