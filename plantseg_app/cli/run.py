"""``plantseg-app run``: any workflow over files, here or on a cluster."""

from __future__ import annotations

import argparse

from plantseg_app.cli.files import add_file_options, add_workflow_options, run_files
from plantseg_app.cli.parser import Parser, add_command


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "run", "run a workflow over images", run)
    parser.add_argument("workflow", metavar="WORKFLOW.yaml", help="a YAML file, or the name of a ready-made workflow")
    add_file_options(parser, "DIR")
    add_workflow_options(parser)
    parser.add_argument(
        "--scheduler", default="local", metavar="local|ADDRESS", help="where to run: here, or on a dask cluster"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the workflow over the inputs."""
    from plantseg_app.cli.assignments import parse_assignments
    from plantseg_app.run.workflows import find_workflow, with_settings

    workflow = with_settings(find_workflow(arguments.workflow), parse_assignments(arguments.set))
    return run_files(arguments, workflow)
