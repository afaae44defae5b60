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

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.context import Context, QuietContext
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.evaluate import Contingency, count_contingency, count_layer_contingency, seg_score
from plantseg_app.io.reader import read_volume
from plantseg_app.proofread.annotation import annotation_of, hold_out
from plantseg_app.proofread.tissue import Tissue
from plantseg_app.train.data import Stack, read_stack
from plantseg_app.train.events import TrainEvents, send
from plantseg_app.train.label_files import is_layered
from plantseg_app.train.outcome import Segment, train_on
from plantseg_app.train.pairs import write_annotated
from plantseg_app.train.settings import (
    AugmentSettings,
    CardSettings,
    DataSettings,
    OptimiserSettings,
    ScheduleSettings,
    StackFiles,
    StoppingSettings,
    TrainSettings,
    ValidationSettings,
)
from plantseg_app.train.suggest import suggested_rate, suited_patches
from plantseg_app.zoo.card import CARD_FILE, ModelCard
from plantseg_app.zoo.facts import Score

STEPS = 300
"""How long a fine-tuning is, unless somebody says otherwise."""

_RIM_VOX = 4
_JUDGED_TIMES = 4
_WARMING_SHARE = 0.1
_INHERITED = (
    "workflow", "segments", "modality", "organism", "tissue", "object_diameter_um",
    "licence", "authors", "citation", "doi",
)  # fmt: skip
_SAYS_WHERE = {Kind.FOREGROUND, Kind.NUCLEI, Kind.DISTANCE}
# For its foreground all that is unknown stands for background, where none is known.
_OBJECTS_ALONE = ("spoco",)
_TAUGHT = "Trained further on cells that were corrected by hand."
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
    model: str, output: str, training: StackFiles, card: ModelCard | None = None, steps: int = STEPS
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
    card
        Of the model, for patches that suit its network, and for what the new card takes over from it; without it a 3D
        network is assumed. This loads torch.
    steps
        How many steps to take.

    Raises
    ------
    RequestError, InputError
        As `ModelCard.network_family`.
    """
    base = TrainSettings(output=output, start_from=model)
    settings = base.model_copy(
        update={
            "data": DataSettings(train=(training,)),
            "optimiser": OptimiserSettings(rate=suggested_rate(fine_tunes=True)),
            "schedule": ScheduleSettings(warmup_steps=round(_WARMING_SHARE * steps)),
            "stopping": StoppingSettings(steps=steps),
            "validation": ValidationSettings(every=max(1, steps // _JUDGED_TIMES)),
        }
    )
    return settings if card is None else _suited(settings, card)


def rim_for(card: ModelCard) -> int:
    """Return how much background around correct cells, in voxels, a model has to learn from, too.

    One that says where objects are would forget that there is anything else; 0 for all others. Those that find walls
    learn enough of what lies beside a cell by these.
    """
    kinds = {output.kind for output in card.outputs}
    needs_some = kinds & _SAYS_WHERE and Kind.BOUNDARY not in kinds and card.family["kind"] not in _OBJECTS_ALONE
    return _RIM_VOX if needs_some else 0


def write_parts(tissue: Tissue, image: Volume, folder: Path, card: ModelCard) -> tuple[StackFiles, StackFiles]:
    """Write what a model learns from and what it is tried on, of the cells marked as correct; slow.

    Parameters
    ----------
    tissue, image
        The cells and their image.
    folder
        For the files.
    card
        Of the model.

    Raises
    ------
    Refused
        If there are too few.
    ResourceError
        If the files cannot be written.
    """
    learned, held_out = hold_out(annotation_of(tissue, rim_vox=rim_for(card)))
    return write_annotated(learned, image, folder, "learn"), write_annotated(held_out, image, folder, "held-out")


def _suited(settings: TrainSettings, card: ModelCard) -> TrainSettings:
    """Return the settings with patches and facts that follow from the model that is the start."""
    family = card.network_family()
    # What is to tell objects apart must see several of them.
    sees_objects = family.learns_overlaps or (family.is_2d and family.cluster_bandwidth is not None)
    patches = suited_patches(settings.patches, family.is_2d, sees_objects)
    shape_vox = family.frame_vox or patches.shape_vox
    # Few cells may be less than a twentieth of every patch.
    patches = patches.model_copy(update={"shape_vox": shape_vox, "min_labelled": 0.0})
    return settings.model_copy(
        update={
            "patches": patches,
            "augment": AugmentSettings(flip_z=not family.is_2d),
            "card": _card_after(card),
        }
    )


def _card_after(card: ModelCard) -> CardSettings:
    """Return what the card of the new model takes over from that of the old one."""
    return CardSettings(
        title=card.title if _TAUGHT in card.description else f"{card.title}, fine-tuned",
        description=card.description if _TAUGHT in card.description else f"{card.description} {_TAUGHT}",
        channels=tuple(channel.name for channel in card.inputs),
        data="Own images, cells corrected by hand.",
        **{name: getattr(card, name) for name in _INHERITED},
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
    tuned = FineTuned(model, n_learned, _table(before.cells, held_out).objects.n_references, before, after)
    _note_score(tuned)
    return tuned


def _note_score(tuned: FineTuned) -> None:
    """Put into the card how well cells are found that were not learned from, in place of those that were."""
    # It brings torch.
    from plantseg_app.train.export import write_text

    score = Score(
        data=f"{tuned.n_held_out} cells corrected by hand, held out",
        metric="seg",
        value=round(tuned.after.seg, 4),
        remark=f"{tuned.before.seg:.4f} before it was trained further",
    )
    card = ModelCard.read(tuned.model).model_copy(update={"scores": (score,)})
    write_text(tuned.model / CARD_FILE, card.to_yaml())


def judge(model: str, held_out: StackFiles, segment: Segment) -> HeldOutScore:
    """Return how well a model finds the cells of the held-out part."""
    cells = segment(model, read_image(held_out))
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
    # Here, because the window imports this module at its start and scipy takes long.
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(known, np.ones((1, 3, 3), bool)))


def read_image(files: StackFiles) -> Volume:
    """Return the image of an annotated part."""
    return read_volume(files.path or files.image, dataset=files.image_dataset, channel=files.channel)


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
