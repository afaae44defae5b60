"""What a fine-tuning on corrections does in its child process; imports no Qt, because the child loads this module.

It stands here because it joins `plantseg_app.run`, `plantseg_app.train` and `plantseg_app.proofread`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from plantseg_app.core.volume import Volume
from plantseg_app.gui.areas.training_task import events_for
from plantseg_app.run.desk import Desk, Task
from plantseg_app.run.store import VolumeRef
from plantseg_app.train.journal import begin_journal
from plantseg_app.train.settings import StackFiles, TrainSettings


@dataclasses.dataclass(frozen=True)
class FineTuneDone:
    """What came of it.

    Attributes
    ----------
    model
        The folder of the new model.
    words
        How the old and the new model do on cells that neither learned from.
    seg_before, seg_after
        The same as numbers, 0 to 1.
    image, reference, before, after
        The held-out part: the image, the cells marked as correct, and what both models found.
    """

    model: str
    words: str
    seg_before: float
    seg_after: float
    image: VolumeRef
    reference: VolumeRef
    before: VolumeRef
    after: VolumeRef


@dataclasses.dataclass(frozen=True)
class FineTuneTask(Task):
    """Train a model further on cells marked as correct, and compare it on others with the one before.

    Attributes
    ----------
    settings
        As `plantseg_app.train.fine_tune.fine_tune_settings` makes them.
    held_out
        What both models are compared on.
    resume
        Whether it goes on from its last checkpoint.
    device
        Where it runs, when the settings leave that open.
    n_threads
        Cores to use; all by default.
    """

    settings: TrainSettings
    held_out: StackFiles
    resume: bool = False
    device: str = "auto"
    n_threads: int | None = None

    @property
    def title(self) -> str:  # type: ignore[override]
        """What is being done."""
        return f"Learning from corrections: {Path(self.settings.output).name}"

    def run(self, desk: Desk) -> FineTuneDone:
        """Return what came of it.

        Raises
        ------
        Cancelled, RequestError, InputError
            As `plantseg_app.train.fine_tune.fine_tune`.
        """
        from plantseg_app.io.reader import read_volume
        from plantseg_app.run.segmenting import segment_with
        from plantseg_app.train.fine_tune import fine_tune, read_reference

        begin_journal(self.settings, self.resume)

        def segment(model: str, image: Volume) -> Volume:
            return segment_with(model, image, desk.runner(self.device, self.n_threads))

        context = desk.context(self.device, self.n_threads)
        try:
            events = events_for(desk, self.settings)
            tuned = fine_tune(self.settings, self.held_out, segment, context, events, self.resume)
        finally:
            context.close()
        image = read_volume(self.held_out.path or self.held_out.image, dataset=self.held_out.image_dataset)
        volumes = (image, read_reference(self.held_out), tuned.before.cells, tuned.after.cells)
        refs = [desk.store.add(volume) for volume in volumes]
        return FineTuneDone(str(tuned.model), tuned.words, tuned.before.seg, tuned.after.seg, *refs)

    def describe(self) -> str:
        """Return the settings as text."""
        return self.settings.to_yaml()
