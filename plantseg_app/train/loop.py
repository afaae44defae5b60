"""The training loop, to be read from top to bottom: prepare, step, judge, keep, stop, finish.

It knows no family of networks: what is trained and how it is judged is a `TrainingTask`.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from plantseg_app.core.context import Context, QuietContext
from plantseg_app.errors import Cancelled, InputError, RequestError
from plantseg_app.networks.device import resolve_device
from plantseg_app.train.annotated import annotated_part
from plantseg_app.train.average import follow
from plantseg_app.train.checkpoint import BEST, FIRST_PHASE, LAST, load_checkpoint
from plantseg_app.train.data import Stack, check_lists, load_data
from plantseg_app.train.events import StepDone, TrainEvents, TrainingEnded, ValidationDone, send
from plantseg_app.train.export import TrainResult, export_model
from plantseg_app.train.patches import Batch, PatchSource, stream_batches
from plantseg_app.train.settings import TrainSettings
from plantseg_app.train.start import check_fits, find_start
from plantseg_app.train.state import TrainingState, seed_step
from plantseg_app.train.tasks import AlternatingTask, Surroundings, TwoViewTask, make_task
from plantseg_app.train.tensorboard import logging_to
from plantseg_app.train.validate import validate, validation_pieces

Data = tuple[list[Stack], list[Stack]]


def train(
    settings: TrainSettings,
    context: Context | None = None,
    events: TrainEvents | None = None,
    resume: bool = False,
    data: Data | None = None,
) -> TrainResult:
    """Train a network and leave a model folder.

    Parameters
    ----------
    settings
        Everything the result depends on.
    context
        Threads, device (where the settings say ``auto``), and cancelling, which keeps the best state so far.
    events
        Whom to tell.
    resume
        Continue from the last checkpoint, if there is one; the result is that of a training never stopped.
    data
        Stacks to train and to validate on, instead of those the settings name.

    Raises
    ------
    RequestError, InputError
        If settings, files and network do not fit together, or the loss becomes NaN.
    """
    context, events = context or QuietContext(), events or TrainEvents()
    if data is None:
        check_lists(settings.data.train, settings.data.validation, settings.data.split)
    elif not all(any(stack.is_labelled for stack in part) for part in data):
        raise RequestError("There is nothing to train on, or nothing to validate on; give labelled stacks for both.")
    folder = Path(settings.output) / "run"
    if (folder / LAST).exists() and not resume:
        raise RequestError(f"{settings.output} already holds a training; resume it, or name another output.")
    device = resolve_device(settings.device if settings.device != "auto" else context.device)
    # Whoever calls keeps random numbers and threads as they were.
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(), logging_to(folder / "tensorboard", events, settings.tensorboard):
            torch.set_num_threads(max(1, context.n_threads))
            return _Training(settings, context, events, folder, device).run(resume, data)
    finally:
        torch.set_num_threads(threads)
        shutil.rmtree(folder / "stacks", ignore_errors=True)


class _Training:
    """One training: its fixed parts; what changes is in `state`."""

    state: TrainingState

    def __init__(
        self, settings: TrainSettings, context: Context, events: TrainEvents, folder: Path, device: torch.device
    ) -> None:
        self.start = find_start(settings)
        self.settings = self.start.complete(settings)
        self.context, self.events, self.folder = context, events, folder
        self.around = Surroundings.on(device, settings.precision)

    def run(self, resume: bool, data: Data | None) -> TrainResult:
        """Train until it is time to stop, and make the model."""
        settings = self.settings
        self.folder.mkdir(parents=True, exist_ok=True)
        stacks, held_out = data or load_data(settings.data, self.context, self.folder / "stacks")
        check_fits(self.start.family, settings, [*stacks, *held_out])
        stacks = annotated_part(stacks, settings.data)
        self.start = self.start.adapted(stacks, lambda text: send(self.events.message, text))
        family = self.start.family
        self.settings = settings = self.start.complete(settings)
        self.pieces = validation_pieces(held_out, settings.validation, family.is_2d)
        torch.manual_seed(settings.seed)
        task = make_task(family, settings, self.around)
        self.start.put_into(task.networks[task.main])
        self.state = TrainingState(settings, task)
        if resume and (self.folder / LAST).exists():
            self.state.restore(load_checkpoint(self.folder / LAST))
        two_views = isinstance(task, TwoViewTask) and task.wants_second_view
        source = PatchSource(
            stacks, task.make_target, settings.patches, settings.augment, family.mirrors_borders, two_views
        )
        first = self.state.step * settings.patches.accumulate
        with contextlib.closing(stream_batches(source, settings.seed, first)) as batches:
            try:
                reason = self.loop(batches)
            except Cancelled:
                reason = "cancelled"
                self.state.save(self.folder / LAST)
        return self.finish(reason)

    def loop(self, batches: Iterator[Batch]) -> str:
        """Take steps and judge the network at intervals; return why it ended."""
        state, stopping = self.state, self.settings.stopping
        began = time.monotonic() - state.seconds
        while True:
            if state.is_validation_due:
                self.judge()
                state.seconds = time.monotonic() - began
                state.save(self.folder / LAST)
            if state.is_phase_over:
                shutil.copyfile(self.folder / BEST, self.folder / FIRST_PHASE)
                state.begin_second_phase(load_checkpoint(self.folder / BEST))
                send(self.events.message, f"Step {state.step}: the second phase begins with step {state.best_step}.")
            if reason := state.stop_reason():
                break
            self.context.check()
            losses = self.take_step(batches)
            state.seconds = time.monotonic() - began
            send(self.events.step, StepDone(state.step, stopping.steps, losses, state.rate, state.seconds))
        return reason

    def take_step(self, batches: Iterator[Batch]) -> dict[str, float]:
        """Let every optimiser take its turn on the same patches; return the terms of the loss."""
        state, settings, task = self.state, self.settings, self.state.task
        seed_step(settings.seed, state.step)
        state.rate = settings.optimiser.rate * state.schedule.factor(state.step, state.progress)
        parts = [next(batches).to(self.around.device) for _ in range(settings.patches.accumulate)]
        told: dict[str, float] = {}
        turns = task.turns(state.step) if isinstance(task, AlternatingTask) else tuple(task.optimisers)
        for turn in turns:
            optimiser = task.optimisers[turn]
            task.networks[turn].train()
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = state.rate
            for part in parts:
                terms = task.losses(turn, part)
                (torch.stack(list(terms.values())).sum() / len(parts)).backward()  # type: ignore[no-untyped-call]
                for name, term in terms.items():
                    told[name] = told.get(name, 0.0) + float(term.detach()) / len(parts)
            self.refuse_nan(told)
            if settings.optimiser.clip:
                torch.nn.utils.clip_grad_norm_(task.networks[turn].parameters(), settings.optimiser.clip)
            optimiser.step()
        task.after_step(state.step)
        if state.averaged is not None:
            follow(state.averaged, state.network, state.step, settings.optimiser.average)
        state.step += 1
        if task.main in turns:
            state.recent_losses.append(sum(told.values()))
        return told

    def judge(self) -> None:
        """Validate, remember, and keep the best."""
        state, task, checkpoints = self.state, self.state.task, self.settings.checkpoints
        verdict = validate(task, state.judged, self.pieces, self.context)
        row, is_best = state.note(verdict)
        if is_best:
            state.save(self.folder / BEST)
        if checkpoints.every and state.step // checkpoints.every > (state.step - 1) // checkpoints.every:
            state.save(self.folder / f"step-{state.step:07d}.pt")
        event = ValidationDone(
            state.step,
            row["train_loss"],
            row["loss"],
            row["score"],
            task.score_name,
            is_best,
            state.seconds,
            verdict.example,
        )
        send(self.events.validation, event)

    def refuse_nan(self, losses: dict[str, float]) -> None:
        """Raise `InputError` when the loss is no number, after making the model of the best state."""
        if not all(math.isfinite(value) for value in losses.values()):
            self.finish("the loss became NaN")
            raise InputError(self.state.describe_nan(losses))

    def finish(self, reason: str) -> TrainResult:
        """Make the model of the best state, or of the last one when none was judged, and tell the end."""
        if not self.state.history and reason == "cancelled" and self.state.step:
            self.state.best_step = self.state.step
            self.state.save(self.folder / BEST)
        result = export_model(self.settings, self.start.family, self.state, self.folder / BEST, reason)
        send(self.events.ended, TrainingEnded(reason, "" if result.model is None else str(result.model)))
        return result
