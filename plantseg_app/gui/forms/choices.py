"""Where a form finds the choices of a field that names a source of them, such as the installed models.

A step names the source (``json_schema_extra={"choices": "zoo.models"}``); a form asks for it when it is shown, never
while modules are imported. A new source is one more entry of `CHOICES`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from plantseg_app.core.registry import Registry
from plantseg_app.gui.palette import LABEL_PALETTES


@dataclasses.dataclass(frozen=True)
class Choice:
    """One thing to choose.

    Attributes
    ----------
    id
        What is stored in the settings.
    title
        What people read.
    help
        More about it, for the tool tip.
    """

    id: str
    title: str
    help: str = ""


CHOICES: Registry[Callable[[], Sequence[Choice]]] = Registry("source of choices")
"""Sources of choices by the name that steps use."""


def installed_models() -> list[Choice]:
    """Return the models on this machine."""
    from plantseg_app.zoo.catalogue import list_models

    cards = [model.card for model in list_models()]
    return [Choice(card.id, card.title or card.id, card.description) for card in cards]


def devices() -> list[Choice]:
    """Return what networks can run on here; torch is not loaded for it."""
    from plantseg_app.run.devices import find_devices

    found = [Choice(device.id, device.title) for device in find_devices()]
    return [Choice("auto", f"automatic: {found[0].title}", "The fastest of this machine."), *found]


def label_palettes() -> list[Choice]:
    """Return the palettes in which cells can be painted."""
    return [Choice(name, palette.title, palette.help) for name, palette in LABEL_PALETTES.items()]


CHOICES.add("zoo.models", installed_models)
CHOICES.add("devices", devices)
CHOICES.add("label.palettes", label_palettes)
