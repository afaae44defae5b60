"""``plantseg-app steps``: every step with its inputs, settings, ranges and help."""

from __future__ import annotations

import argparse

from plantseg_app.cli.parser import Parser, add_command, add_talking_options
from plantseg_app.cli.terminal import Terminal


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "steps", "list all steps with their settings", run)
    add_talking_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the steps."""
    import plantseg_app.steps  # noqa: F401 - importing fills the registry
    from plantseg_app.core.describe import describe_step
    from plantseg_app.core.step import STEPS

    terminal = Terminal.of(arguments)
    described = [describe_step(step) for step in STEPS]
    terminal.print_json([step.to_json_dict() for step in described])
    width = max((len(step.id) for step in described), default=0)
    for step in described:
        ports = ", ".join(f"[{port.name}]" if port.optional else port.name for port in step.ports)
        terminal.say(f"{step.id:<{width}}  {step.title}: {ports} -> {step.makes}")
    terminal.say("\nplantseg-app step ID --help shows the settings of one of them.")
    return 0
