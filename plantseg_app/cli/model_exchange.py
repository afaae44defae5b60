"""``plantseg-app models add|export|refresh|verify``: models from and for other programs, and whether they are whole."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plantseg_app.cli.parser import Parser, add_command, add_talking_options, existing_file
from plantseg_app.cli.terminal import Terminal

if TYPE_CHECKING:
    from plantseg_app.zoo.trial import Trial


def add_to(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add the commands to those of ``models``."""
    adding = add_command(actions, "add", "make a model of files of your own", run_add)
    adding.add_argument(
        "source",
        metavar="FOLDER|FILE",
        type=Path,
        help="a model of this program, of PlantSeg or pytorch-3dunet, or a package of BioImage.IO",
    )
    adding.add_argument("--id", dest="new_id", metavar="ID", help="call it this (default: the id that its files give)")
    adding.add_argument(
        "--outputs",
        metavar="NAME,...",
        default="",
        help="what each output channel shows: boundary, foreground, nuclei, background or another word (default: as "
        "the files say)",
    )
    adding.add_argument(
        "--run-source",
        metavar="SHA256",
        default="",
        help="run the source code in the package that has this checksum, once, to draw its network; read it before",
    )
    exporting = add_command(actions, "export", "write a model as a package of BioImage.IO", run_export)
    exporting.add_argument("id", metavar="ID", help="the model")
    exporting.add_argument("target", metavar="FILE.zip", type=Path, help="the package to write")
    exporting.add_argument("--image", metavar="FILE", help="an image for the test in the package (default: a sample)")
    refreshing = add_command(actions, "refresh", "fetch the list of the BioImage.IO collection anew", run_refresh)
    checking = add_command(actions, "verify", "check that the files of models are whole", run_verify)
    checking.add_argument("ids", metavar="ID", nargs="*", help="the models (default: all)")
    checking.add_argument(
        "--run",
        dest="tries",
        action="store_true",
        help="load their networks, too, and let them predict the test images that came with them",
    )
    for action in (adding, exporting, refreshing, checking):
        add_talking_options(action)


def run_add(arguments: argparse.Namespace) -> int:
    """Make a model of a person's own files."""
    from plantseg_app.cli.model_text import plain_model
    from plantseg_app.zoo.library import add_model
    from plantseg_app.zoo.questions import Answers, SourceQuestion

    terminal = Terminal.of(arguments)
    said = tuple(word.strip() for word in arguments.outputs.split(",") if word.strip())
    try:
        model = add_model(arguments.source, arguments.new_id, Answers(said, arguments.run_source))
    except SourceQuestion as question:
        terminal.say(question.source.text)
        raise
    terminal.print_json(plain_model(model))
    terminal.say(f"{model.card.id}: added, in {model.folder}")
    if model.card.own_graph:
        terminal.note("The model runs its own graph, which this program has looked through but does not know.")
    unknown = [output.name for output in model.card.outputs if output.kind.value == "raw"]
    if len(unknown) == len(model.card.outputs):
        terminal.note(f"Nothing says what its outputs show ({', '.join(unknown)}); add it again with --outputs.")
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    """Write a model as a package."""
    from plantseg_app.zoo.bioimageio.exporting import export_bioimageio
    from plantseg_app.zoo.catalogue import find_model

    terminal = Terminal.of(arguments)
    model = find_model(arguments.id)
    path = export_bioimageio(model, arguments.target, _channels_of(arguments.image))
    terminal.print_json({"id": model.card.id, "package": str(path), "size_bytes": path.stat().st_size})
    terminal.say(f"{model.card.id}: written to {path}")
    return 0


def _channels_of(name: str | None) -> Any:
    if name is None:
        return None
    from plantseg_app.io import read_volume

    data = read_volume(existing_file(name)).data
    return data if data.ndim == 4 else data[None]


def run_refresh(arguments: argparse.Namespace) -> int:
    """Fetch the list of the collection."""
    from plantseg_app.zoo.bioimageio.collection import refresh_collection

    terminal = Terminal.of(arguments)
    with terminal.downloading() as news:
        collection = refresh_collection(news)
    fetched = collection.fetched.isoformat() if collection.fetched else None
    terminal.print_json({"models": collection.n_models, "fetched": fetched, "left_out": dict(collection.left_out)})
    more = f"; {len(collection.left_out)} are not for this program" if collection.left_out else ""
    terminal.say(f"BioImage.IO: {collection.n_models} models can be downloaded{more}.")
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    """Check the files of models, and what they predict if asked; exit status 1 when one is not as it should be."""
    from plantseg_app.zoo.load import verify_models

    terminal = Terminal.of(arguments)
    problems = verify_models(arguments.ids)
    trials = _trials([name for name, text in problems.items() if not text]) if arguments.tries else {}
    for name, trial in trials.items():
        if isinstance(trial, str):
            problems[name] = trial
        elif trial is not None:
            problems[name] = trial.problem
    tried = {name: {"largest_difference": _difference(trial)} for name, trial in trials.items()}
    terminal.print_json(
        [
            {"id": name, "whole": not text, "problem": text or None, **tried.get(name, {})}
            for name, text in problems.items()
        ]
    )
    for name, text in problems.items():
        terminal.say(f"{name}: {_verdict(text, trials.get(name), is_tried=name in trials)}")
    damaged = [name for name, text in problems.items() if text]
    for name in damaged:
        terminal.error(f"{name}: {problems[name]}")
    return 1 if damaged else 0


def _trials(ids: list[str]) -> dict[str, Trial | str | None]:
    """Return how each model did on its test image, or why it could not be tried."""
    from plantseg_app.errors import InputError, ResourceError
    from plantseg_app.zoo.catalogue import find_model
    from plantseg_app.zoo.trial import try_model

    trials: dict[str, Trial | str | None] = {}
    for name in ids:
        try:
            trials[name] = try_model(find_model(name))
        except (InputError, ResourceError) as error:
            trials[name] = str(error)
    return trials


def _difference(trial: Trial | str | None) -> float | None:
    return None if trial is None or isinstance(trial, str) else trial.largest_difference


def _verdict(problem: str, trial: Trial | str | None, *, is_tried: bool) -> str:
    if problem:
        return "damaged"
    difference = _difference(trial)
    if difference is None:
        return "whole, and its network loads; it has no test image" if is_tried else "whole"
    return f"whole, and predicts its test image to {difference:.1g}"
