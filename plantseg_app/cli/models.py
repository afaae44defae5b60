"""``plantseg-app models list|show|add|remove``: the trained networks that are at hand."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plantseg_app.cli.parser import Parser, add_command, add_talking_options
from plantseg_app.cli.terminal import Terminal

if TYPE_CHECKING:
    from plantseg_app.zoo.card import ModelCard
    from plantseg_app.zoo.catalogue import InstalledModel


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command and its own commands."""
    parser = add_command(commands, "models", "list, show, add or remove trained networks", run_list)
    actions = parser.add_subparsers(title="what to do", metavar="list|show|add|remove", required=True)
    listing = add_command(actions, "list", "list all models", run_list)
    add_talking_options(listing)
    showing = add_command(actions, "show", "show what a model is and how far it can be trusted", run_show)
    showing.add_argument("id", metavar="ID", help="the model")
    add_talking_options(showing)
    adding = add_command(actions, "add", "copy a model folder, such as a training leaves, into your models", run_add)
    adding.add_argument("folder", metavar="FOLDER", type=Path, help="holds card.yaml and the weights")
    adding.add_argument("--id", dest="new_id", metavar="ID", help="call it this (default: the id in its card)")
    add_talking_options(adding)
    removing = add_command(actions, "remove", "delete one of your own models", run_remove)
    removing.add_argument("id", metavar="ID", help="the model")
    add_talking_options(removing)


def run_list(arguments: argparse.Namespace) -> int:
    """List all models."""
    from plantseg_app.zoo.catalogue import read_catalogue

    terminal = Terminal.of(arguments)
    catalogue = read_catalogue()
    for broken in catalogue.broken:
        terminal.note(f"{broken.folder} holds no usable model: {broken.reason}")
    terminal.print_json([plain_model(model) for model in catalogue.models])
    cards = [model.card for model in catalogue.models]
    width = max((len(card.id) for card in cards), default=0)
    for card in cards:
        terminal.say(f"{card.id:<{width}}  {card.dimensionality}  {_scale(card):<22}  {card.title}")
    if not cards:
        terminal.say("No model is installed.")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Show one model."""
    from plantseg_app.zoo.catalogue import find_model

    terminal = Terminal.of(arguments)
    model = find_model(arguments.id)
    terminal.print_json(plain_model(model))
    for line in [*card_lines(model.card), f"{'folder':<16}{model.folder}"]:
        terminal.say(line)
    return 0


def run_add(arguments: argparse.Namespace) -> int:
    """Copy a model into the user's own."""
    from plantseg_app.zoo.library import add_model

    terminal = Terminal.of(arguments)
    model = add_model(arguments.folder, arguments.new_id)
    terminal.print_json(plain_model(model))
    terminal.say(f"{model.card.id}: added, in {model.folder}")
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    """Delete one of the user's own models."""
    from plantseg_app.zoo.library import remove_model

    terminal = Terminal.of(arguments)
    folder = remove_model(arguments.id)
    terminal.print_json({"id": arguments.id, "removed": str(folder)})
    terminal.say(f"{arguments.id}: removed, was in {folder}")
    return 0


def plain_model(model: InstalledModel) -> dict[str, Any]:
    """Return the card, and where the model lies, as data for JSON."""
    return {**model.card.model_dump(mode="json"), "folder": str(model.folder)}


def card_lines(card: ModelCard) -> list[str]:
    """Return the card in words."""
    facts = [
        ("id", card.id),
        ("reads", ", ".join(f"{channel.name} ({channel.kind.value})" for channel in card.inputs)),
        ("makes", ", ".join(f"{output.name} ({output.kind.value})" for output in card.outputs)),
        ("dimensions", card.dimensionality),
        ("voxel size", _scale(card)),
        ("modality", card.modality or "not stated"),
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
        *([("cite", card.citation)] if card.citation else []),
    ]
    return [card.title, card.description, "", *(f"{name:<16}{value}" for name, value in facts)]


def _scale(card: ModelCard) -> str:
    if card.voxel_size_um is None:
        return "any voxel size"
    return " x ".join(f"{length:g}" for length in card.voxel_size_um) + " um"
