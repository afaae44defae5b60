"""What learning from corrections does in its child process; imports no Qt, because the child loads this module.

It stands here because it joins `plantseg_app.run` and `plantseg_app.train`, which do not know each other.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

from plantseg_app.core.volume import Volume
from plantseg_app.gui.areas.training_task import telling_events
from plantseg_app.run.desk import Desk, Task
from plantseg_app.run.store import VolumeRef
from plantseg_app.train.settings import StackFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from plantseg_app.core.context import Context
    from plantseg_app.train.events import TrainEvents
    from plantseg_app.train.outcome import Segment

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Trial:
    """How a model does on cells that it has not learned from.

    Attributes
    ----------
    seg
        Mean intersection over union, 0 to 1, as in `plantseg_app.train.fine_tune.HeldOutScore`.
    n_found
        Cells for which that is at least a half.
    cells
        What it found.
    """

    seg: float
    n_found: int
    cells: VolumeRef


@dataclasses.dataclass(frozen=True)
class FineTuneDone:
    """What came of a fine-tuning.

    Attributes
    ----------
    model
        The folder of the new model.
    title
        Of the new model.
    words
        How both models do, in a sentence.
    n_held_out
        Cells that both were tried on.
    image, reference
        The held-out part, and the cells there that were marked as correct.
    before, after
        The model as it was, and the new one.
    """

    model: str
    title: str
    words: str
    n_held_out: int
    image: VolumeRef
    reference: VolumeRef
    before: Trial
    after: Trial

    @property
    def is_worse(self) -> bool:
        """Whether the new model does worse."""
        return self.after.seg < self.before.seg


@dataclasses.dataclass(frozen=True)
class FineTuneTask(Task):
    """Train a model further on cells marked as correct, and try it on others beside the one before.

    Attributes
    ----------
    model
        Id of the model.
    output
        Folder of the new one.
    learn, held_out
        What is learned from, and what both models are tried on.
    steps
        How many to take.
    device, n_threads
        As for `Desk.context`.
    """

    model: str
    output: str
    learn: StackFiles
    held_out: StackFiles
    steps: int
    device: str = "auto"
    n_threads: int | None = None
    title: str = "Learning from corrections"

    def run(self, desk: Desk) -> FineTuneDone:
        """Return what came of it.

        Raises
        ------
        Cancelled, RequestError, InputError
            As `plantseg_app.train.fine_tune.fine_tune`.
        """
        from plantseg_app.train.fine_tune import HeldOutScore, fine_tune, fine_tune_settings, read_image, read_reference
        from plantseg_app.zoo.card import ModelCard
        from plantseg_app.zoo.catalogue import find_model

        settings = fine_tune_settings(self.model, self.output, self.learn, find_model(self.model).card, self.steps)

        def learn(segment: Segment, context: Context, events: TrainEvents) -> FineTuneDone:
            tuned = fine_tune(settings, self.held_out, segment, context, events)

            def kept(score: HeldOutScore) -> Trial:
                return Trial(score.seg, score.n_found, desk.store.add(score.cells))

            return FineTuneDone(
                model=str(tuned.model),
                title=ModelCard.read(tuned.model).title,
                words=tuned.words,
                n_held_out=tuned.n_held_out,
                image=desk.store.add(read_image(self.held_out)),
                reference=desk.store.add(read_reference(self.held_out)),
                before=kept(tuned.before),
                after=kept(tuned.after),
            )

        return _learning(desk, self.device, self.n_threads, learn)


@dataclasses.dataclass(frozen=True)
class ProposalDone:
    """What came of a round of learning from a few cells.

    Attributes
    ----------
    model
        Folder of the model, with which the next round may begin.
    n_proposed
        How many cells it proposes besides those that it learned from.
    words
        What came of it, in a sentence.
    cells
        All cells: those that were learned from as they are, and the proposed ones.
    """

    model: str
    n_proposed: int
    words: str
    cells: VolumeRef


@dataclasses.dataclass(frozen=True)
class ProposeTask(Task):
    """Learn from a few cells of an image, and propose all others.

    Attributes
    ----------
    output
        Folder of the new model.
    image, cells
        The image, and labels of the cells that are right alone.
    start_from
        Id or folder of the SPOCO model to begin with; "": a new network.
    minutes
        How long to train.
    device, n_threads
        As for `Desk.context`.
    """

    output: str
    image: VolumeRef
    cells: VolumeRef
    start_from: str
    minutes: float
    device: str = "auto"
    n_threads: int | None = None
    title: str = "Learning from a few cells"

    def run(self, desk: Desk) -> ProposalDone:
        """Return what came of it.

        Raises
        ------
        Cancelled, RequestError, InputError
            As `plantseg_app.train.few_cells.learn_from_few`.
        """
        from plantseg_app.train.few_cells import few_cells_settings, learn_from_few

        image, cells = desk.open(self.image), desk.open(self.cells)
        settings = few_cells_settings(self.output, image.data, cells.data, self.start_from, self.minutes)

        def learn(segment: Segment, context: Context, events: TrainEvents) -> ProposalDone:
            done = learn_from_few(settings, image, cells.data, segment, context, events)
            return ProposalDone(done.model, done.n_proposed, done.words, desk.store.add(done.proposal))

        return _learning(desk, self.device, self.n_threads, learn)


def _learning(desk: Desk, device: str, n_threads: int | None, learn: Callable[[Segment, Context, TrainEvents], T]) -> T:
    """Return what `learn` makes of a way to find cells with a model, a context, and events that tell the window."""
    from plantseg_app.run.segmenting import segment_with

    def segment(model: str, image: Volume) -> Volume:
        return segment_with(model, image, desk.runner(device, n_threads, keeps=False))

    context = desk.context(device, n_threads)
    try:
        return learn(segment, context, telling_events(desk))
    finally:
        context.close()
