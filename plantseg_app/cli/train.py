"""``plantseg-app train CONFIG.yaml``: train or fine-tune a network; what comes out is a model folder."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from plantseg_app.cli.parser import Parser, add_command, add_running_options, add_talking_options
from plantseg_app.cli.terminal import PROGRAM, Terminal
from plantseg_app.errors import RequestError

if TYPE_CHECKING:
    from plantseg_app.core.volume import Volume
    from plantseg_app.run.context import RunContext
    from plantseg_app.train.events import StepDone, TrainEvents, ValidationDone
    from plantseg_app.train.export import TrainResult
    from plantseg_app.train.outcome import Segment
    from plantseg_app.train.settings import TrainSettings

_STOPPED = 130

EXAMPLE = """\
# plantseg-app train this-file.yaml        Ctrl-C keeps the best state so far; --resume goes on
output: my-model                           # the folder of the model; relative to this file
family:
  kind: boundary
  dimensions: 3D
  feature_maps: [16, 32, 64, 128]
  # predicts: [nuclei, boundary]           # mask and outlines of nuclei instead of cell boundaries
# start_from: membranes-3d                 # fine-tune a model; leave family out then
data:
  train:
    - path: stacks/first.h5                # an HDF5 file with the data sets raw and label
    - {image: tiffs/*-raw.tif, labels: tiffs/*-cells.tif}
  split: {fraction: 0.2, axis: x}          # or a list under validation:
  # ignore_label: -1
patches: {shape_vox: [32, 96, 96], batch: 2}
optimiser: {rate: 0.002}
stopping: {steps: 5000, minutes: 60}
validation: {every: 250}
card: {channels: [membrane], licence: CC-BY-4.0, authors: [Your Name]}
"""


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "train", "train or fine-tune a network from labelled stacks", run)
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG.yaml", help="the settings; see --example")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint, if there is one")
    parser.add_argument("--example", action="store_true", help="print settings to start from, and stop")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="the model's folder, instead of that in the settings"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="PART.FIELD=VALUE", help="change a setting: optimiser.rate=0.001"
    )
    add_running_options(parser)
    add_talking_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, and say where the model is."""
    from plantseg_app.train.settings import TrainSettings

    terminal = Terminal.of(arguments)
    if arguments.example:
        terminal.say(EXAMPLE.rstrip())
        return 0
    if arguments.config is None:
        raise RequestError(f"Name a file of settings; {PROGRAM} train --example prints one to start from.")
    settings = with_assignments(TrainSettings.from_yaml(arguments.config), arguments.set)
    if arguments.output is not None:
        settings = settings.replace(output=str(arguments.output.resolve()))
    result = _train(settings, arguments, terminal)
    score = None if math.isnan(result.score) else round(result.score, 4)
    terminal.print_json({**dataclasses.asdict(result), "score": score, "model": str(result.model or "") or None})
    if result.model is None:
        terminal.say("Stopped before the first step; there is no model.")
    else:
        terminal.say(
            f"{result.reason} after {result.step} steps; the model of step {result.best_step} is {result.model}"
        )
        if score is not None:
            terminal.say(f"{result.score_name.replace('-', ' ')} on the validation stacks: {score}")
        terminal.say(f"use it: {PROGRAM} segment IMAGE --model {result.model} --output cells.tif")
    return _STOPPED if result.reason == "cancelled" else 0


def with_assignments(settings: TrainSettings, assignments: list[str]) -> TrainSettings:
    """Return the settings with ``PART.FIELD=VALUE`` changes; the value is read as YAML.

    Raises
    ------
    RequestError
        If there is no such setting or the value is out of range.
    """
    import yaml

    plain: dict[str, Any] = settings.model_dump(mode="json")
    for assignment in assignments:
        place, equals, text = assignment.partition("=")
        names = place.strip().split(".")
        if not equals or not all(names):
            raise RequestError(
                f'--set takes PART.FIELD=VALUE, for example optimiser.rate=0.001; "{assignment}" was given.'
            )
        part = plain
        for name in names[:-1]:
            if not isinstance(part.get(name), dict):
                part[name] = {}
            part = part[name]
        try:
            part[names[-1]] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RequestError(f'--set {place}: the value "{text}" is not readable.') from error
    return type(settings).from_plain(plain)


def _train(settings: TrainSettings, arguments: argparse.Namespace, terminal: Terminal) -> TrainResult:
    from plantseg_app.train.loop import train

    with training(arguments, terminal) as (context, events):
        return train(settings, context, events, resume=arguments.resume)


@contextlib.contextmanager
def training(arguments: argparse.Namespace, terminal: Terminal) -> Iterator[tuple[RunContext, TrainEvents]]:
    """Give a training its context and events: shown on the terminal, stopped by Ctrl-C, on the device asked for."""
    from plantseg_app.run.context import RunContext
    from plantseg_app.run.events import RunnerEvents
    from plantseg_app.train.events import TrainEvents

    told, cancel, events = RunnerEvents(), threading.Event(), TrainEvents()
    told.message.connect(terminal.note)
    context = RunContext(told, cancel, arguments.device, arguments.threads)
    try:
        with following(events, terminal), interrupt_sets(cancel, terminal):
            yield context, events
    finally:
        context.close()


def segmenter(arguments: argparse.Namespace) -> Segment:
    """Return how a training finds cells with a model: with the model's workflow, on the device asked for."""
    from plantseg_app.run.runner import Runner
    from plantseg_app.run.segmenting import segment_with

    def segment(model: str, image: Volume) -> Volume:
        return segment_with(model, image, Runner(device=arguments.device, n_threads=arguments.threads))

    return segment


@contextlib.contextmanager
def interrupt_sets(cancel: threading.Event, terminal: Terminal) -> Iterator[None]:
    """Let the first Ctrl-C ask to stop, and the second one stop at once."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()
        terminal.note("stopping after this step; the best state so far is kept. Ctrl-C again stops at once.")

    try:
        before = signal.signal(signal.SIGINT, ask)
    except ValueError:  # not in the main thread: whoever started us handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def following(events: TrainEvents, terminal: Terminal) -> Iterator[None]:
    """Show a progress bar on a terminal, and a line for each validation."""
    from tqdm import tqdm

    hidden = terminal.quiet or not sys.stderr.isatty()
    bar: tqdm[Any] = tqdm(total=None, file=sys.stderr, unit="step", dynamic_ncols=True, leave=False, disable=hidden)

    def show_step(event: StepDone) -> None:
        bar.total = event.total
        bar.set_postfix(loss=f"{event.loss:.4f}", rate=f"{event.rate:.1e}", refresh=False)
        bar.update(event.step - bar.n)

    def show_validation(event: ValidationDone) -> None:
        bar.clear()
        best = ", the best so far" if event.is_best else ""
        terminal.note(
            f"step {event.step}, {event.seconds / 60:.1f} min: training loss {event.train_loss:.4f}, validation loss "
            f"{event.loss:.4f}, {event.score_name.replace('-', ' ')} {event.score:.4f}{best}"
        )

    events.step.connect(show_step)
    events.validation.connect(show_validation)
    events.message.connect(terminal.note)
    try:
        yield
    finally:
        bar.close()
        events.step.disconnect(show_step)
        events.validation.disconnect(show_validation)
        events.message.disconnect(terminal.note)
