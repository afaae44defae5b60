"""``plantseg-app predict``: what a network sees in an image, without making cells of it."""

from __future__ import annotations

import argparse

from plantseg_app.cli.files import add_file_options, run_files
from plantseg_app.cli.parser import Parser, add_command


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "predict", "run a network over images and write its maps", run)
    add_file_options(parser, "OUT.h5|DIR")
    parser.add_argument("--model", required=True, metavar="ID", help="plantseg-app models list shows them")
    parser.add_argument("--tile", metavar="Z,Y,X", help="tile size in voxels (chosen from the free memory)")


def run(arguments: argparse.Namespace) -> int:
    """Predict."""
    from plantseg_app.run.workflows import prediction_workflow

    settings = {"model": arguments.model}
    if arguments.tile is not None:
        settings["tile"] = arguments.tile
    return run_files(arguments, prediction_workflow(settings))
