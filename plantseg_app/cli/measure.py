"""``plantseg-app measure``: the sizes, places and brightness of cells as a table."""

from __future__ import annotations

import argparse
from pathlib import Path
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


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "measure", "write the sizes and places of all cells into a CSV file", run)
    parser.add_argument("segmentation", metavar="SEGMENTATION", help="label image; FILE.h5:NAME names a data set")
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="FILE",
        help="also measure the brightness of this image, all channels of it; may be given several times",
    )
    parser.add_argument("--output", required=True, metavar="cells.csv", type=Path, help="the table")
    parser.add_argument("--layered", action="store_true", help="cells that may overlap, one or more planes a file")
    add_reading_options(parser)
    add_talking_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and write."""
    from plantseg_app.io.table_file import check_csv_name
    from plantseg_app.run.measure import measure_cells

    terminal = Terminal.of(arguments)
    output = check_csv_name(arguments.output)
    for name in (arguments.segmentation, *arguments.image):
        existing_file(str(split_dataset(name)[0]))
    labels = read_labels(arguments.segmentation, arguments)
    if labels.voxel_size_um is None:
        terminal.note("The voxel size is not known, so sizes are in voxels; give --voxel-size Z,Y,X for micrometres.")
    images: dict[str, Volume] = {}
    for name in arguments.image:
        images[_free_name(name, images)] = _read_image(name, arguments.nan)
    table = measure_cells(labels, images)
    table.write_csv(output)
    terminal.say(f"{output}: {table.n_rows} {'cell' if table.n_rows == 1 else 'cells'}")
    terminal.print_json({"output": str(output), "n_cells": table.n_rows, "columns": list(table.names)})
    return 0


def _read_image(name: str, nan: str | None) -> Volume:
    from plantseg_app.core.volume import Kind
    from plantseg_app.io import read_volume
    from plantseg_app.run.jobs import ReadOptions

    path, dataset = split_dataset(name)
    return read_volume(path, kind=Kind.RAW, **ReadOptions(dataset=dataset, channel="all", nan=nan).given())


def _free_name(name: str, taken: dict[str, Volume]) -> str:
    """Return what the columns of an image begin with: the name of its data set or file, with a number if taken."""
    path, dataset = split_dataset(name)
    stem = dataset.rsplit("/", 1)[-1] if dataset else path.name.split(".")[0]
    found, number = stem, 1
    while found in taken:
        number += 1
        found = f"{stem}-{number}"
    return found
