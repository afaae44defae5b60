"""``plantseg-app self-train PLAN.yaml``: improve a network on stacks without labels, round by round."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from plantseg_app.cli.parser import Parser, add_command, add_running_options, add_talking_options
from plantseg_app.cli.terminal import PROGRAM, Terminal
from plantseg_app.cli.train import following, interrupt_sets
from plantseg_app.errors import RequestError

EXAMPLE = """\
rounds: 4
unlabelled:
  - {image: stacks/one.tif}                       # the rule decides what is right
  - {image: stacks/two.tif, segmentation: two-cells.tif, cells: [3, 8, 12]}
  - {image: stacks/three.tif, mask: three-approved.tif}
rule: {wall: 0.6, inside: 0.2, min_size: 200}
train:
  output: improved                                # students go to improved/round-1 ...
  start_from: membranes-3d                        # the first teacher
  data:
    train: []                                     # labelled stacks to learn from as well
    validation: [stacks/labelled.h5]
  optimiser: {rate: 0.0005}
  stopping: {steps: 1000}
"""


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "self-train", "improve a network on stacks without labels, round by round", run)
    parser.add_argument("config", nargs="?", type=Path, metavar="PLAN.yaml", help="the plan; see --example")
    parser.add_argument("--example", action="store_true", help="print a plan to start from, and stop")
    add_running_options(parser)
    add_talking_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the rounds, and say where the last student is; a stopped one goes on where it was."""
    terminal = Terminal.of(arguments)
    if arguments.example:
        terminal.say(EXAMPLE.rstrip())
        return 0
    if arguments.config is None:
        raise RequestError(f"Name a plan; {PROGRAM} self-train --example prints one to start from.")
    from plantseg_app.run.context import RunContext
    from plantseg_app.run.events import RunnerEvents
    from plantseg_app.train.events import TrainEvents
    from plantseg_app.train.self_training import SelfTraining, self_train

    plan = SelfTraining.from_yaml(arguments.config)
    told, cancel, events = RunnerEvents(), threading.Event(), TrainEvents()
    told.message.connect(terminal.note)
    context = RunContext(told, cancel, arguments.device, arguments.threads)
    try:
        with following(events, terminal), interrupt_sets(cancel, terminal):
            model = self_train(plan, context, events)
    finally:
        context.close()
    terminal.print_json({"model": str(model)})
    terminal.say(f"{plan.rounds} rounds done; the model is {model}")
    return 0
