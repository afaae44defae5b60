"""``plantseg-app evaluate``: how well a segmentation agrees with the truth."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from plantseg_app.cli.parser import (
    Parser,
    add_command,
    add_reading_options,
    add_talking_options,
    existing_file,
    read_options,
    split_dataset,
)
from plantseg_app.cli.terminal import Terminal

if TYPE_CHECKING:
    from plantseg_app.core.volume import Volume
    from plantseg_app.evaluate import Scores


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "evaluate", "score a segmentation against the truth", run)
    parser.add_argument("segmentation", metavar="SEGMENTATION", help="label image; FILE.h5:NAME names a data set")
    parser.add_argument("ground_truth", metavar="GROUND_TRUTH", help="label image of the same shape")
    parser.add_argument("--layered", action="store_true", help="instances that may overlap, one or more planes a file")
    add_reading_options(parser)
    add_talking_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score and print."""
    from plantseg_app.evaluate import evaluate_labels, evaluate_layers

    terminal = Terminal.of(arguments)
    for name in (arguments.segmentation, arguments.ground_truth):
        existing_file(str(split_dataset(name)[0]))
    segmentation = _read(arguments.segmentation, arguments)
    truth = _read(arguments.ground_truth, arguments)
    score = evaluate_layers if arguments.layered else evaluate_labels
    scores = score(segmentation.data, truth.data)
    terminal.print_json(scores.to_json_dict())
    for line in table_lines(scores):
        terminal.say(line)
    return 0


def table_lines(scores: Scores) -> list[str]:
    """Return the scores as lines of a table, with what is best and what each means."""
    rows = [
        ("adapted Rand error", scores.adapted_rand_error, "0 is best: pairs of voxels put together wrongly"),
        ("VOI split", scores.voi_split, "0 is best, bits: cells cut apart"),
        ("VOI merge", scores.voi_merge, "0 is best, bits: cells run together"),
        ("SEG", scores.seg, "1 is best: mean overlap of the true cells"),
        ("SBD", scores.sbd, "1 is best: symmetric best Dice"),
        ("AJI", scores.aji, "1 is best: aggregated Jaccard"),
        *((f"AP at {entry.iou:.2f}", entry.ap, "1 is best") for entry in scores.ap if entry.iou in (0.5, 0.75)),
        ("mean AP", scores.mean_ap, "1 is best: mean over IoU 0.50 to 0.95"),
    ]
    lines = [f"{name:<20}{value:>8.4f}  {meaning}" for name, value, meaning in rows]
    counts = f"{scores.n_segmented} segmented, {scores.n_reference} true, difference {scores.dic:+d}"
    return [*lines, f"{'cells':<20}{counts}"]


def _read(name: str, arguments: argparse.Namespace) -> Volume:
    from plantseg_app.core.volume import Kind
    from plantseg_app.io import read_volume

    path, dataset = split_dataset(name)
    options = read_options(arguments)
    if dataset is not None:
        options = dataclasses.replace(options, dataset=dataset)
    kind = Kind.LAYERED_LABELS if arguments.layered else Kind.LABELS
    return read_volume(path, kind=kind, **options.given())
