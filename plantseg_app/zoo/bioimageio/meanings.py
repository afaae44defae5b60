"""What the outputs of a foreign model most probably show, by the words in its description; and the facts for its card.

>>> guess_meanings(["probability"], "A 2d U-Net trained on the nuclei broad dataset. nucleus dsb2018")
[('nuclei', <Kind.FOREGROUND: 'foreground'>)]
>>> [name for name, _ in guess_meanings(["channel0", "channel1"], "Predicts nuclei and their boundaries")]
['nuclei', 'boundary']
>>> [name for name, _ in guess_meanings(["flow y", "flow x"], "Cellpose for plant nuclei")]
['flow-y', 'flow-x']
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from plantseg_app.core.volume import Kind
from plantseg_app.zoo.bioimageio.tensors import DescribedTensors, voxel_size_um
from plantseg_app.zoo.converted import NOT_STATED, as_id

Meaning = tuple[str, Kind]

MEANINGS: dict[str, Kind] = {
    "boundary": Kind.BOUNDARY,
    "nuclei": Kind.FOREGROUND,
    "foreground": Kind.FOREGROUND,
    "background": Kind.RAW,
}
"""The outputs that steps look for, and the kinds of volume that they become."""

# In this order: "nuclei boundary" is a boundary.
_WORDS = (
    ("background", r"\bbackground|\bbg\b"),
    ("boundary", r"boundar|membrane|outline|edge|contour|border|cell.?wall"),
    ("nuclei", r"nucle"),
    ("foreground", r"foreground|\bfg\b|mask|interior|inside"),
)
_SAYS_NOTHING = re.compile(r"^(?:\W|\d|channel|output|probabilit(?:y|ies)|pred(?:iction)?|map|mask|c|out|tensor|raw)*$")
# Its nuclei networks say first where nuclei are and then where their outlines are, and call neither by name.
_PLANTSEG = r"plant-?seg|3d-?unet"
_MODALITIES = {
    "confocal": r"confocal",
    "light-sheet": r"light.?sheet",
    "wide field": r"wide.?field",
    "electron microscopy": r"electron|\bs?[et]m\b|fib.?sem",
    "bright field": r"bright.?field",
    "phase contrast": r"phase.?contrast",
    "fluorescence": r"fluorescence",
}
_ORGANISMS = {"Arabidopsis thaliana": r"arabidopsis", "Mus musculus": r"\bmouse\b", "Drosophila": r"drosophila"}


def guess_meanings(channel_names: Sequence[str], about: str) -> list[Meaning]:
    """Return name and kind of each output channel; a channel of unknown meaning is an image under its own name.

    Parameters
    ----------
    channel_names
        As the description calls them.
    about
        What the description says in words: name, sentence, tags.
    """
    about = about.lower()
    found = [_by_words(name) for name in channel_names]
    if all(_SAYS_NOTHING.match(name.lower()) for name in channel_names):
        mentions = [word for word, pattern in _WORDS[1:3] if re.search(pattern, about)]
        if len(channel_names) == 1 and mentions:
            # What is looked for is said first: boundaries of nuclei are boundaries.
            found = [mentions[0]]
        elif len(channel_names) == 2 and (
            len(mentions) == 2 or (mentions == ["nuclei"] and re.search(_PLANTSEG, about))
        ):
            found = ["nuclei", "boundary"]
        elif len(channel_names) == 2 and mentions == ["boundary"]:
            found = ["foreground", "boundary"]
    return name_outputs([word or as_id(name) for word, name in zip(found, channel_names, strict=True)])


def name_outputs(words: Sequence[str]) -> list[Meaning]:
    """Return name and kind of each output; a word that is there twice is numbered, since it cannot be told apart."""
    made: list[Meaning] = []
    for word in words:
        taken = {name for name, _ in made}
        number = next(n for n in range(1, len(words) + 2) if _numbered(word, n) not in taken)
        made.append((_numbered(word, number), MEANINGS.get(word, Kind.RAW)))
    return made


def _numbered(word: str, number: int) -> str:
    return word if number == 1 else f"{word}-{number}"


def _by_words(name: str) -> str | None:
    if _SAYS_NOTHING.match(name.lower()) and name.lower().strip() != "mask":
        return None
    return next((word for word, pattern in _WORDS if re.search(pattern, name.lower())), None)


def words_about(model: Any) -> str:
    """Return what a description says in words."""
    return " ".join([str(model.name), str(model.description or ""), *(str(tag) for tag in model.tags)])


def facts_about(model: Any, tensors: DescribedTensors) -> dict[str, Any]:
    """Return the facts for a card that a description gives, as plain data."""
    about = words_about(model).lower()
    cited = next((entry for entry in model.cite if entry.doi), None)
    facts: dict[str, Any] = {
        "id": as_id(str(model.id or model.name)),
        "title": str(model.name),
        "description": str(model.description or NOT_STATED),
        "segments": ", ".join(word for word, pattern in (("cell boundaries", _WORDS[1][1]), ("nuclei", _WORDS[2][1]))
                              if re.search(pattern, about)),
        "modality": ", ".join(word for word, pattern in _MODALITIES.items() if re.search(pattern, about)),
        "organism": ", ".join(word for word, pattern in _ORGANISMS.items() if re.search(pattern, about)),
        "licence": str(model.license or NOT_STATED),
        # Some write the place of work behind the name.
        "authors": [str(author.name).split(";")[0].strip() for author in model.authors] or [NOT_STATED],
        "citation": "; ".join(" ".join(str(entry.text).split()) for entry in model.cite),
        "doi": str(cited.doi) if cited is not None else "",
        "inputs": [{"name": name} for name in tensors.input_names],
        "voxel_size_um": voxel_size_um(model),
    }  # fmt: skip
    trained_on = getattr(model.training_data, "id", None) or getattr(model.training_data, "name", None)
    if trained_on:
        facts["data"] = [{"name": str(trained_on), "seen_as": "train"}]
    return facts
