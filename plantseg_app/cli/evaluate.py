"""``plantseg-app evaluate``: how well a segmentation agrees with the truth."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from plantseg_app.cli.parser import (
    Parser,
    add_command,
    add_reading_options,
    add_talking_options,
    existing_file,
    read_labels,
    split_dataset,
)
from plantseg_app.cli.terminal import Terminal

if TYPE_CHECKING:
    from plantseg_app.core.volume import Volume
    from plantseg_app.evaluate import CocoScores, Scores


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "evaluate", "score a segmentation against the truth", run)
    parser.add_argument("segmentation", metavar="SEGMENTATION", help="label image; FILE.h5:NAME names a data set")
    parser.add_argument("ground_truth", metavar="GROUND_TRUTH", help="label image of the same shape")
    parser.add_argument("--layered", action="store_true", help="instances that may overlap, one or more planes a file")
    parser.add_argument(
        "--confidence",
        metavar="FILE",
        help="map of how sure each object is, as instance-confidence makes it: adds the COCO average precision",
    )
    add_reading_options(parser)
    add_talking_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score and print."""
    from plantseg_app.evaluate import evaluate_labels, evaluate_layers

    terminal = Terminal.of(arguments)
    for name in filter(None, (arguments.segmentation, arguments.ground_truth, arguments.confidence)):
        existing_file(str(split_dataset(name)[0]))
    segmentation = read_labels(arguments.segmentation, arguments)
    truth = read_labels(arguments.ground_truth, arguments)
    score = evaluate_layers if arguments.layered else evaluate_labels
    scores = score(segmentation.data, truth.data)
    ranked = _coco_scores(segmentation, truth, arguments)
    terminal.print_json(scores.to_json_dict() | ({} if ranked is None else {"coco": coco_json(ranked)}))
    for line in [*table_lines(scores), *([] if ranked is None else coco_lines(ranked))]:
        terminal.say(line)
    return 0


def _coco_scores(segmentation: Volume, truth: Volume, arguments: argparse.Namespace) -> CocoScores | None:
    """Rank the objects by their mean on the map of confidence; None without a map."""
    if arguments.confidence is None:
        return None
    from plantseg_app.core.volume import Kind
    from plantseg_app.evaluate import coco_average_precision, count_contingency, count_layer_contingency, mean_scores
    from plantseg_app.io import read_volume

    path, dataset = split_dataset(arguments.confidence)
    confidence = read_volume(path, kind=Kind.FOREGROUND, dataset=dataset).data
    count = count_layer_contingency if arguments.layered else count_contingency
    table = count(segmentation.data, truth.data)
    return coco_average_precision([table], [mean_scores(segmentation.data, confidence)])


def coco_json(scores: CocoScores) -> dict[str, float | None]:
    """Return the COCO scores as plain values, undefined ones as None."""
    return {name: None if math.isnan(value) else value for name, value in vars(scores).items()}


def coco_lines(scores: CocoScores) -> list[str]:
    """Return the COCO scores as lines of the table."""
    names = {
        "ap": "mean over IoU 0.50 to 0.95, ranked by confidence",
        "ap50": "at IoU 0.50",
        "ap75": "at IoU 0.75",
        "ap_small": "objects below 32 x 32 pixels",
        "ap_medium": "objects to 96 x 96 pixels",
        "ap_large": "larger objects",
    }
    return [f"{'COCO ' + name:<20}{getattr(scores, name):>8.4f}  {meaning}" for name, meaning in names.items()]


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
