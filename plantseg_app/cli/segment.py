"""``plantseg-app segment``: from images to cells, with the ready-made workflow unless told otherwise."""

from __future__ import annotations

import argparse
from pathlib import Path

from plantseg_app.cli.files import add_file_options, add_workflow_options, run_files
from plantseg_app.cli.parser import Parser, add_command
from plantseg_app.errors import RequestError


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "segment", "segment images into cells", run)
    add_file_options(parser)
    add_workflow_options(parser)
    group = parser.add_argument_group("method")
    group.add_argument("--model", metavar="ID", help="the network; plantseg-app models list shows them")
    group.add_argument(
        "--workflow", metavar="NAME|FILE", help="a ready-made workflow, a YAML file, or a result to repeat"
    )
    pictures = parser.add_argument_group("pictures")
    pictures.add_argument("--report", metavar="FILE.html", type=Path, help="pictures, numbers and settings on a page")
    pictures.add_argument("--overlay", metavar="FILE.png", type=Path, help="the cells over the image; single input")
    pictures.add_argument("--reference", metavar="FILE", help="the true cells, to score against; single input")


def run(arguments: argparse.Namespace) -> int:
    """Segment the inputs."""
    from plantseg_app.cli.assignments import parse_assignments
    from plantseg_app.run.workflows import default_workflow, find_workflow, with_model, with_settings

    _check_pictures(arguments)
    workflow = find_workflow(arguments.workflow or default_workflow(arguments.model))
    if arguments.model is not None:
        workflow = with_model(workflow, arguments.model)
    return run_files(arguments, with_settings(workflow, parse_assignments(arguments.set)))


def _check_pictures(arguments: argparse.Namespace) -> None:
    is_batch = len(arguments.inputs) > 1 or arguments.inputs[0].is_dir()
    if is_batch and (arguments.overlay or arguments.reference):
        raise RequestError("--overlay and --reference are for a single input file, not for several.")
