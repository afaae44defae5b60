"""``plantseg-app propose``: learn from a few cells of an image, and propose all others, again and again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plantseg_app.cli.parser import (
    Parser,
    add_command,
    add_reading_options,
    add_running_options,
    add_talking_options,
    named_image,
    read_labels,
    split_dataset,
)
from plantseg_app.cli.terminal import PROGRAM, Terminal
from plantseg_app.errors import RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from plantseg_app.core.volume import Volume
    from plantseg_app.train.few_cells import Round
    from plantseg_app.train.settings import TrainSettings

_EPILOG = f"""\
  {PROGRAM} propose image.tif painted.tif --model-output round-1 --output proposal.tif
  {PROGRAM} propose image.tif corrected.tif --start-from round-1 --model-output round-2 --output proposal.tif"""


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "propose", "learn from a few cells of an image, and propose all others", run)
    parser.epilog = _EPILOG
    parser.add_argument("image", metavar="IMAGE", help="the image; FILE.h5:NAME names a data set")
    parser.add_argument(
        "cells",
        metavar="CELLS",
        help="labels of cells that are right; where a journal beside them marks cells as correct, these alone",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="all cells, the given ones kept")
    parser.add_argument("--model-output", type=Path, required=True, metavar="FOLDER", help="folder of the new model")
    parser.add_argument(
        "--start-from", default="", metavar="ID", help="a SPOCO model to begin with (a new network), id or folder"
    )
    parser.add_argument("--minutes", type=_minutes, metavar="N", help="how long to train (5)")
    parser.add_argument("--resume", action="store_true", help="go on with a training that was stopped")
    parser.set_defaults(layered=False)
    add_reading_options(parser)
    add_running_options(parser)
    add_talking_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, propose, and say where both are."""
    from plantseg_app.io import read_volume, write_volume
    from plantseg_app.train.few_cells import DEFAULT_MINUTES, few_cells_settings

    terminal = Terminal.of(arguments)
    path, options = named_image(arguments.image, arguments)
    image = read_volume(path, **options.given())
    cells = _known_cells(arguments, terminal)
    if cells.shape != image.shape_vox:
        raise RequestError(f"The image has {image.shape_vox} voxels (Z, Y, X) and the cells {cells.shape}.")
    settings = few_cells_settings(
        str(arguments.model_output.resolve()),
        image.data,
        cells,
        arguments.start_from,
        arguments.minutes or DEFAULT_MINUTES,
    )
    done = _learn(arguments, settings, image, cells, terminal)
    write_volume(arguments.output, done.proposal)
    terminal.print_json(
        {
            "model": done.model,
            "output": str(arguments.output),
            "n_learned": done.n_learned,
            "n_proposed": done.n_proposed,
        }
    )
    terminal.say(done.words)
    terminal.say(f"{arguments.output} holds all cells; the model is {done.model}")
    return 0


def _known_cells(arguments: argparse.Namespace, terminal: Terminal) -> NDArray[Any]:
    """Return the labels of the cells that are right, and nothing else."""
    import numpy as np

    from plantseg_app.proofread.journal import journal_path
    from plantseg_app.proofread.session import ProofreadSession
    from plantseg_app.proofread.tissue import Mark

    labels = np.array(read_labels(arguments.cells, arguments).data)
    journal = journal_path(split_dataset(arguments.cells)[0])
    if not journal.exists():
        return labels
    session = ProofreadSession(labels)
    try:
        session.open_journal(journal)
        correct = [cell for cell, mark in session.marks.items() if mark is Mark.CORRECT]
    finally:
        session.close()
    if not correct:
        return labels
    terminal.note(f"{len(correct)} cells are marked as correct in {journal}; the others are not learned from")
    return np.where(np.isin(labels, np.array(correct, labels.dtype)), labels, 0).astype(labels.dtype)


def _learn(
    arguments: argparse.Namespace, settings: TrainSettings, image: Volume, cells: NDArray[Any], terminal: Terminal
) -> Round:
    from plantseg_app.cli.train import segmenter, training
    from plantseg_app.train.few_cells import learn_from_few

    with training(arguments, terminal) as (context, events):
        return learn_from_few(settings, image, cells, segmenter(arguments), context, events, arguments.resume)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < 1e6:
        raise argparse.ArgumentTypeError(f'takes a number of minutes above 0; "{text}" was given')
    return minutes
