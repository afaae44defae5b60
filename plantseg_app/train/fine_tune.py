"""Fine-tuning on a few cells that a person marked as correct, and whether it was of use, told by others of them.

The cells come from `plantseg_app.proofread.annotation`: labels of these alone, a mask of where nothing is known, and a
part that is held out. The network before and the one after segment the held-out part; what counts is how well the cells
there are found. The training itself is judged on what it learns from, so that the held-out part decides nothing.

>>> settings = fine_tune_settings("membranes-3d", "improved", StackFiles(path="learn.h5", ignore="learn-unknown.tif"))
>>> settings.start_from, settings.stopping.steps, settings.optimiser.rate
('membranes-3d', 300, 0.0003)
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plantseg_app.core.context import Context, QuietContext
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.evaluate import Contingency, count_contingency, count_layer_contingency, seg_score
from plantseg_app.io.reader import read_volume
from plantseg_app.train.data import Stack, read_stack
from plantseg_app.train.events import TrainEvents, send
from plantseg_app.train.label_files import is_layered
from plantseg_app.train.outcome import Segment, train_on
from plantseg_app.train.settings import (
    DataSettings,
    OptimiserSettings,
    ScheduleSettings,
    StackFiles,
    StoppingSettings,
    TrainSettings,
    ValidationSettings,
)
from plantseg_app.train.suggest import suggested_rate, suited_patches

if TYPE_CHECKING:
    # torch takes long to import.
    from plantseg_app.networks.family import NetworkFamily

_STEPS = 300
_JUDGED_TIMES = 4
_FOUND = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOutScore:
    """How well the cells of the held-out part are found.

    Attributes
    ----------
    seg
        Mean over the cells of the intersection over union with the segment that covers more than half of them.
    n_found
        Cells for which that is at least a half.
    cells
        What was segmented there.
    """

    seg: float
    n_found: int
    cells: Volume


@dataclasses.dataclass(frozen=True, eq=False)
class FineTuned:
    """What came of a fine-tuning.

    Attributes
    ----------
    model
        The folder of the new model.
    n_learned, n_held_out
        Cells that were learned from and judged on.
    before, after
        The held-out part by the old and by the new model.
    """

    model: Path
    n_learned: int
    n_held_out: int
    before: HeldOutScore
    after: HeldOutScore

    @property
    def words(self) -> str:
        """What came of it, for people."""
        change = self.after.seg - self.before.seg
        verdict = "better" if change > 0.005 else "worse" if change < -0.005 else "no better and no worse"
        return (
            f"Learned from {self.n_learned} cells. Of {self.n_held_out} others, {self.before.n_found} were found "
            f"before and {self.after.n_found} after (SEG {self.before.seg:.2f} and {self.after.seg:.2f}): {verdict}."
        )


def fine_tune_settings(
    model: str, output: str, training: StackFiles, family: NetworkFamily | None = None
) -> TrainSettings:
    """Return settings for a short training that begins with a model, to be changed where wanted.

    Parameters
    ----------
    model
        Id or folder of what is trained further.
    output
        Folder of the new model.
    training
        The files of what is learned from.
    family
        Of the model's network, for patches that suit it; a 3D one by default.
    """
    base = TrainSettings(output=output, start_from=model)
    patches = base.patches
    if family is not None:
        patches = suited_patches(patches, family.is_2d, family.learns_overlaps)
        if family.frame_vox is not None:
            patches = patches.model_copy(update={"shape_vox": family.frame_vox})
    return base.model_copy(
        update={
            "data": DataSettings(train=(training,)),
            "patches": patches,
            "optimiser": OptimiserSettings(rate=suggested_rate(fine_tunes=True)),
            "schedule": ScheduleSettings(warmup_steps=_STEPS // 10),
            "stopping": StoppingSettings(steps=_STEPS),
            "validation": ValidationSettings(every=_STEPS // _JUDGED_TIMES),
        }
    )


def fine_tune(
    settings: TrainSettings,
    held_out: StackFiles,
    segment: Segment,
    context: Context | None = None,
    events: TrainEvents | None = None,
    resume: bool = False,
) -> FineTuned:
    """Train a model further, and compare it with the old one on the held-out part.

    Parameters
    ----------
    settings
        As `fine_tune_settings` makes them.
    held_out
        The files of what is judged on; no voxel of it is trained on.
    segment
        How cells are found with a model.
    context, events, resume
        As for `plantseg_app.train.loop.train`.

    Raises
    ------
    RequestError, InputError
        If settings, files and network do not fit together.
    Cancelled
        If the user asked to stop; the training can be resumed.
    """
    from plantseg_app.train.start import find_start

    context, events = context or QuietContext(), events or TrainEvents()
    send(events.message, "The held-out part is segmented with the model as it is.")
    before = judge(settings.start_from, held_out, segment)
    start = find_start(settings)
    data = start.complete(settings).data
    stacks = [read_stack(files, data) for files in settings.data.train]
    if any(output.name == "boundary" for output in start.family.outputs):
        stacks = [with_walls(stack) for stack in stacks]
    model = train_on(settings, stacks, context, events, resume)
    send(events.message, "The held-out part is segmented with the new model.")
    after = judge(str(model), held_out, segment)
    n_learned = sum(len(np.unique(stack.labels)) - 1 for stack in stacks)
    return FineTuned(model, n_learned, _table(before.cells, held_out).objects.n_references, before, after)


def judge(model: str, held_out: StackFiles, segment: Segment) -> HeldOutScore:
    """Return how well a model finds the cells of the held-out part."""
    cells = segment(model, read_volume(held_out.path or held_out.image, dataset=held_out.image_dataset))
    table = _table(cells, held_out)
    objects = table.objects
    good = np.unique(objects.reference_index[objects.iou >= _FOUND])
    return HeldOutScore(seg_score(table), len(good), cells)


def with_walls(stack: Stack) -> Stack:
    """Return a stack in which one voxel more is known around what is.

    A wall is two voxels thick, and the cell behind it may be wrong but the wall is not.
    """
    return stack if stack.known is None else dataclasses.replace(stack, known=known_with_walls(stack.known))


def known_with_walls(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask (Z, Y, X) with one voxel more around it within each slice."""
    return np.asarray(ndimage.binary_dilation(known, np.ones((1, 3, 3), bool)))


def read_reference(files: StackFiles) -> Volume:
    """Return the cells, or layers of objects, that a part was annotated with."""
    kind = Kind.LAYERED_LABELS if is_layered(files) else Kind.LABELS
    return read_volume(files.path or files.labels, kind=kind, dataset=files.labels_dataset)


def _table(cells: Volume, held_out: StackFiles) -> Contingency:
    reference = read_reference(held_out).data
    if reference.ndim == 4:
        found = cells.data if cells.kind is Kind.LAYERED_LABELS else cells.data[None]
        return count_layer_contingency(found, reference)
    flat = cells.data if cells.data.ndim == 3 else cells.data.max(axis=0)
    return count_contingency(flat, reference)
