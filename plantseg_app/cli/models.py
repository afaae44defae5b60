"""``plantseg-app models list|search|show|guides|download|remove``: the trained networks, here and elsewhere."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from plantseg_app.cli import model_exchange
from plantseg_app.cli.guides import add_guides
from plantseg_app.cli.parser import Parser, add_command, add_talking_options, existing_file, voxel_size
from plantseg_app.cli.terminal import Terminal

if TYPE_CHECKING:
    from plantseg_app.core.volume import Shape3, VoxelSize


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command and its own commands."""
    parser = add_command(commands, "models", "find, download, add, check or remove trained networks", run_list)
    words = "list|search|show|guides|download|remove|add|export|refresh|verify"
    actions = parser.add_subparsers(title="what to do", metavar=words, required=True)
    listing = add_command(actions, "list", "list the models on this machine", run_list)
    _add_searching(actions)
    showing = add_command(actions, "show", "show what a model is and how far it can be trusted", run_show)
    showing.add_argument("id", metavar="ID", help="the model, here or to download")
    drawing = add_guides(actions)
    getting = add_command(actions, "download", "download a model that search finds", run_download)
    getting.add_argument("id", metavar="ID", help="the model, by its id or the name that PlantSeg gives it")
    getting.add_argument("--id", dest="new_id", metavar="ID", help="call it this (default: its id)")
    getting.add_argument(
        "--accept-change",
        action="store_true",
        help="take files that differ from those downloaded first, where nobody publishes their checksums",
    )
    removing = add_command(actions, "remove", "delete one of your own models", run_remove)
    removing.add_argument("id", metavar="ID", help="the model")
    model_exchange.add_to(actions)
    for action in (listing, showing, drawing, getting, removing):
        add_talking_options(action)


def _add_searching(actions: argparse._SubParsersAction[Parser]) -> None:
    searching = add_command(actions, "search", "find a model by what it is for, here or to download", run_search)
    searching.add_argument("words", metavar="WORD", nargs="*", help="words that are said about it, such as ovule")
    group = searching.add_argument_group("what it has to be")
    group.add_argument("--dimension", choices=("2D", "3D"), type=str.upper, help="for single images, or for stacks")
    group.add_argument("--structure", metavar="NAME", default="", help="what it finds: boundaries, nuclei, worms")
    group.add_argument("--modality", metavar="NAME", default="", help="microscopy: confocal, light-sheet")
    group = searching.add_argument_group("what it is for: the model of the nearest scale comes first")
    group.add_argument("--image", metavar="FILE", help="an image whose shape and voxel size count")
    group.add_argument("--voxel-size", metavar="Z,Y,X", type=voxel_size, help="voxel size in micrometres")
    add_talking_options(searching)


def run_list(arguments: argparse.Namespace) -> int:
    """List the models on this machine."""
    from plantseg_app.cli.model_text import plain_model, scale_text
    from plantseg_app.zoo.catalogue import read_catalogue

    terminal = Terminal.of(arguments)
    catalogue = read_catalogue()
    for broken in catalogue.broken:
        terminal.note(f"{broken.folder} holds no usable model: {broken.reason}")
    terminal.print_json([plain_model(model) for model in catalogue.models])
    cards = [model.card for model in catalogue.models]
    width = max((len(card.id) for card in cards), default=0)
    for card in cards:
        terminal.say(f"{card.id:<{width}}  {card.dimensionality}  {scale_text(card):<22}  {card.title}")
    if not cards:
        terminal.say("No model is installed.")
    return 0


def run_search(arguments: argparse.Namespace) -> int:
    """Find models, here and to download."""
    from plantseg_app.cli.model_text import plain_known, search_lines
    from plantseg_app.core.volume import VoxelSize
    from plantseg_app.zoo.bioimageio.collection import read_collection
    from plantseg_app.zoo.offers import read_offers
    from plantseg_app.zoo.scale import rank_models
    from plantseg_app.zoo.search import Wish, known_models

    terminal = Terminal.of(arguments)
    for problem in read_offers().problems:
        terminal.note(problem)
    terminal.note(f"The list of BioImage.IO: {read_collection().age_text()} (plantseg-app models refresh).")
    wish = Wish(" ".join(arguments.words), arguments.dimension or "", arguments.structure, arguments.modality)
    found = [model for model in known_models() if wish.matches(model.card)]
    advice: dict[str, str] = {}
    if arguments.image or arguments.voxel_size:
        shape, size = _image_of(arguments.image, wish.dimensionality)
        given = VoxelSize(*arguments.voxel_size) if arguments.voxel_size else size
        fits = rank_models(found, shape, given)
        found = [fit.model for fit in fits]
        advice = {fit.model.card.id: fit.sentence for fit in fits}
    terminal.print_json([plain_known(model, advice.get(model.card.id)) for model in found])
    for line in search_lines(found, advice):
        terminal.say(line)
    if not found:
        terminal.say("No model is known that is all of this.")
    return 0


def _image_of(name: str | None, dimensionality: str) -> tuple[Shape3, VoxelSize | None]:
    """Return shape and voxel size of an image; without one, of a stack or of a slice."""
    if name is None:
        return ((1 if dimensionality == "2D" else 2), 1, 1), None
    from plantseg_app.io import inspect_image

    image = inspect_image(existing_file(name))
    lengths = dict(zip(image.axes or "ZYX"[-len(image.shape) :], image.shape, strict=False))
    return (lengths.get("Z", 1), lengths.get("Y", 1), lengths.get("X", 1)), image.voxel_size_um


def run_show(arguments: argparse.Namespace) -> int:
    """Show one model, here or to download."""
    from plantseg_app.cli.model_text import card_lines, installed_lines, offer_lines, plain_model
    from plantseg_app.errors import RequestError
    from plantseg_app.zoo.catalogue import find_model
    from plantseg_app.zoo.offers import find_offer

    terminal = Terminal.of(arguments)
    try:
        model = find_model(arguments.id)
    except RequestError as unknown:
        try:
            offer = find_offer(arguments.id)
        except RequestError:
            # What is said of models that are here fits better.
            raise unknown from None
        terminal.print_json(offer.model_dump(mode="json"))
        lines = [*card_lines(offer), *offer_lines(offer)]
    else:
        terminal.print_json(plain_model(model))
        lines = [*card_lines(model.card), *installed_lines(model)]
    for line in lines:
        terminal.say(line)
    return 0


def run_download(arguments: argparse.Namespace) -> int:
    """Download a model."""
    from plantseg_app.cli.model_text import plain_model
    from plantseg_app.zoo.download import download_model
    from plantseg_app.zoo.offers import find_offer

    terminal = Terminal.of(arguments)
    offer = find_offer(arguments.id)
    with terminal.downloading() as news:
        model = download_model(offer, news, arguments.new_id, accept_change=arguments.accept_change)
    terminal.print_json(plain_model(model))
    terminal.say(f"{model.card.id}: here, in {model.folder}")
    if any(file.checksum == "first download" for file in model.card.fetched):
        terminal.note(f"{offer.collection} publishes no checksums; those of this download are held on to.")
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    """Delete one of the user's own models."""
    from plantseg_app.zoo.library import remove_model

    terminal = Terminal.of(arguments)
    folder = remove_model(arguments.id)
    terminal.print_json({"id": arguments.id, "removed": str(folder)})
    terminal.say(f"{arguments.id}: removed, was in {folder}")
    return 0
