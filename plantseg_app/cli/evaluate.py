"""``plantseg-app evaluate``: how well segmentations agree with the truth, image by image and taken together."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from plantseg_app.errors import InputError

if TYPE_CHECKING:
    from plantseg_app.evaluate import CocoScores, Contingency, DataSetScores, Scores

_NOTE = """SEGMENTATION and GROUND_TRUTH may each be a folder, or a pattern in quotes such as "found/*_cells.tif": files
that are named alike are scored one by one and, objects of all of them counted together, as a data set. With --layered
a data set is scored as the layering method was published: mean AP over IoU 0.5, 0.6 ... 0.9."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Scored:
    """One segmentation: what it was compared with, its scores, its table of objects, their confidence by id."""

    segmentation: str
    truth: str
    scores: Scores
    table: Contingency
    confidence: dict[int, float] | None


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "evaluate", "score segmentations against the truth", run)
    parser.epilog = _NOTE
    parser.add_argument(
        "segmentation",
        metavar="SEGMENTATION",
        help="label image, FILE.h5:NAME names a data set; or a folder or pattern",
    )
    parser.add_argument("ground_truth", metavar="GROUND_TRUTH", help="label image of the same shape; or the like")
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
    from plantseg_app.evaluate import coco_average_precision, score_images, score_layered_images
    from plantseg_app.run.file_sets import match_files

    terminal = Terminal.of(arguments)
    places = filter(None, (arguments.segmentation, arguments.ground_truth, arguments.confidence))
    sets = match_files(*places)
    for name in (name for names in sets for name in names):
        existing_file(str(split_dataset(name)[0]))
    scored = [_score(names, arguments, is_alone=len(sets) == 1) for names in sets]
    tables = [one.table for one in scored]
    ranked = None
    if arguments.confidence is not None:
        ranked = coco_average_precision(tables, [one.confidence or {} for one in scored])
    together = (score_layered_images if arguments.layered else score_images)(tables)
    is_many = len(scored) > 1 or scored[0].segmentation != arguments.segmentation
    terminal.print_json(_as_json(scored, together, ranked, is_many, arguments.layered))
    lines = image_lines(scored) if is_many else table_lines(scored[0].scores)
    if is_many or arguments.layered:
        lines += data_set_lines(together, arguments.layered)
    for line in [*lines, *([] if ranked is None else coco_lines(ranked))]:
        terminal.say(line)
    return 0


def _score(names: tuple[str, ...], arguments: argparse.Namespace, is_alone: bool) -> _Scored:
    """Score one segmentation; of several, say which one cannot be."""
    from plantseg_app.core.volume import Kind
    from plantseg_app.evaluate import count_contingency, layer_tables, mean_scores, score_tables
    from plantseg_app.io import read_volume

    try:
        segmentation, truth = (read_labels(name, arguments).data for name in names[:2])
        if arguments.layered:
            objects, regions = layer_tables(segmentation, truth)
        else:
            objects = regions = count_contingency(segmentation, truth)
        confidence = None
        if len(names) > 2:
            path, dataset = split_dataset(names[2])
            confidence = mean_scores(segmentation, read_volume(path, kind=Kind.FOREGROUND, dataset=dataset).data)
    except InputError as error:
        raise error if is_alone else InputError(f"{names[0]}: {error}") from error
    return _Scored(names[0], names[1], score_tables(objects, regions), objects, confidence)


def _as_json(
    scored: list[_Scored], together: DataSetScores, ranked: CocoScores | None, is_many: bool, is_layered: bool
) -> dict[str, Any]:
    """Return the scores of one image under their names; of several as a list, with those of the data set."""
    images = [one.scores.to_json_dict() for one in scored]
    result: dict[str, Any] = images[0]
    if is_many:
        files = [{"segmentation": one.segmentation, "ground_truth": one.truth} for one in scored]
        result = {"images": [names | scores for names, scores in zip(files, images, strict=True)]}
    if is_many or is_layered:
        result["data_set"] = together.to_json_dict()
    return result | ({} if ranked is None else {"coco": coco_json(ranked)})


def image_lines(scored: list[_Scored]) -> list[str]:
    """Return a line an image, with the scores that say most."""
    names = [Path(one.segmentation).name for one in scored]
    width = max(map(len, [*names, "image"]))
    lines = [f"{'image':<{width}}  Rand error     SBD     AJI  AP 0.50  mean AP  segmented  true"]
    for name, one in zip(names, scored, strict=True):
        scores = one.scores
        numbers = f"{scores.sbd:8.4f}{scores.aji:8.4f}{scores.ap[0].ap:9.4f}{scores.mean_ap:9.4f}"
        counts = f"{scores.n_segmented:11d}{scores.n_reference:6d}"
        lines.append(f"{name:<{width}}{scores.adapted_rand_error:12.4f}{numbers}{counts}")
    return lines


def data_set_lines(scores: DataSetScores, is_layered: bool) -> list[str]:
    """Return the scores of the images taken together."""
    images = "image" if scores.n_images == 1 else "images taken together"
    rule = "as the layering method was scored" if is_layered else "one-to-one matches"
    shown = [entry for entry in scores.ap if is_layered or entry.iou in (0.5, 0.75)]
    steps = "0.5, 0.6 ... 0.9" if is_layered else "0.50, 0.55 ... 0.95"
    return [
        "",
        f"{scores.n_images} {images}, {rule}: {scores.n_segmented} segmented, {scores.n_reference} true",
        *(f"{f'AP at {entry.iou:.2f}':<20}{entry.ap:>8.4f}" for entry in shown),
        f"{'mean AP':<20}{scores.mean_ap:>8.4f}  1 is best: mean over IoU {steps}",
        f"{'AJI':<20}{scores.aji:>8.4f}",
    ]


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
