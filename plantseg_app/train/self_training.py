"""Self-training: a teacher segments unlabelled stacks, what is right is kept, a student learns from it, and so on.

What is right is said by a person (a mask, or the numbers of good cells, such as proofreading supplies) or by a rule:
cells whose wall is sure all around and whose inside is not. Everything else is unknown, and nothing is learned there.
The student becomes the next teacher; four rounds were enough in the thesis (Wolny 2023, Fig. 2.13).

>>> boundary = np.zeros((1, 9, 18), np.float32); boundary[:, :, 8:10] = 1
>>> labels = np.ones((1, 9, 18), np.uint32); labels[:, :, 9:] = 2
>>> boundary[:, 2:7, 11:16] = 0.8
>>> sure_cells(labels, boundary, ConfidenceRule(min_size=10)).tolist()
[1]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plantseg_app.algorithms.resample import LINEAR, NEAREST, resample, shape_for_spacing
from plantseg_app.core.context import Context, QuietContext
from plantseg_app.core.fields import Fraction
from plantseg_app.core.step import readable_errors
from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.errors import Cancelled, InputError, RequestError
from plantseg_app.io.reader import read_volume
from plantseg_app.networks.boundary.targets import thick_boundaries
from plantseg_app.networks.predict import predict_tiled
from plantseg_app.train.data import Stack, expand, read_stack
from plantseg_app.train.events import TrainEvents, send
from plantseg_app.train.fine_tune import with_walls
from plantseg_app.train.quick_segmentation import quick_segmentation
from plantseg_app.train.settings import TrainSettings

_SURE = 0.5


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ConfidenceRule(_Part):
    """Which cells of a segmentation are kept when nobody looks at them."""

    wall: Fraction = Field(0.6, description="Least mean boundary probability along the cell's own border.")
    inside: Fraction = Field(0.2, description="Largest share of sure boundary voxels in the cell's inside.")
    min_size: int = Field(200, ge=1, description="Smallest cell that is kept.", json_schema_extra={"unit": "voxel"})
    largest: float = Field(8.0, gt=1, description="Cells this many times the median size are taken for merged ones.")


class UnlabelledStack(_Part):
    """A stack without labels, and who says which of its cells are right."""

    image: str = Field(description="The image file.")
    dataset: str | None = Field(None, description="Data set of an HDF5 file.")
    mask: str = Field("", description="A mask file: what is not 0 is right in every round. Empty: see below.")
    cells: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="Numbers of the right cells in the segmentation; empty and no mask: the rule decides."
    )
    segmentation: str = Field("", description="The segmentation that mask and cells speak of; empty: the teacher's.")

    @model_validator(mode="after")
    def _check_cells(self) -> Self:
        if self.cells and not self.segmentation:
            raise ValueError("the numbers under cells need the segmentation that they are numbers of")
        return self


class SelfTraining(_Part):
    """A self-training: a teacher, stacks without labels, rounds, and how each student is trained."""

    unlabelled: tuple[UnlabelledStack, ...] = Field(min_length=1, description="The stacks.")
    rounds: int = Field(4, ge=1, le=100, description="How often the student becomes the teacher.")
    rule: ConfidenceRule = Field(ConfidenceRule(), description="What is kept where nobody says it.")
    train: dict[str, Any] = Field(
        description="Settings of a training: start_from is the teacher; data.train may list labelled stacks to "
        "learn from as well; data.validation is needed."
    )

    @classmethod
    def from_yaml(cls, path: str | Path) -> SelfTraining:
        """Read it from a file; relative paths in it are taken from its folder.

        Raises
        ------
        RequestError
            If the file is missing, not YAML, or an entry is wrong.
        """
        file = Path(path)
        try:
            plain = yaml.safe_load(file.read_text(encoding="utf-8"))
            made = cls(**plain)
        except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
            raise RequestError(f"The self-training {file} cannot be read: {error}") from error
        except ValidationError as error:
            raise RequestError(readable_errors(error, str(file), list(cls.model_fields))) from error
        folder = file.resolve().parent
        stacks = []
        for stack in made.unlabelled:
            names = ("image", "mask", "segmentation")
            update = {name: str(folder / getattr(stack, name)) for name in names if getattr(stack, name)}
            stacks.append(stack.model_copy(update=update))
        settings = TrainSettings.from_plain(made.train, f"{file}: train").at(folder)
        return made.model_copy(update={"unlabelled": tuple(stacks), "train": settings.model_dump()})


Approve = Callable[[int, NDArray[np.uint32], NDArray[np.float32]], NDArray[np.bool_]]
"""From the number of the stack, its segmentation and boundary map (Z, Y, X) to the mask of what is right."""


def self_train(
    plan: SelfTraining,
    context: Context | None = None,
    events: TrainEvents | None = None,
    approve: Approve | None = None,
) -> Path:
    """Run all rounds; return the folder of the last student.

    Parameters
    ----------
    plan
        What to do. Rounds go to ``round-1``, ``round-2`` ... below the output of its training.
    context, events
        As for `train`.
    approve
        Says what is right instead of masks, cell numbers and the rule: a person at a window.

    Raises
    ------
    RequestError
        If there is no teacher or nothing to validate on.
    InputError
        If nothing is approved in any stack.
    """
    context, events = context or QuietContext(), events or TrainEvents()
    base = TrainSettings.from_plain(plan.train)
    if not base.start_from:
        raise RequestError("Self-training needs a teacher: name a model in train.start_from.")
    images = [read_volume(stack.image, dataset=stack.dataset) for stack in plan.unlabelled]
    teacher = base.start_from
    for number in range(1, plan.rounds + 1):
        settings = base.replace(output=str(Path(base.output) / f"round-{number}"), start_from=teacher)
        labelled = _label(plan, settings, images, approve, context)
        kept = sum(stack.labels.size if stack.known is None else int(stack.known.sum()) for stack in labelled)
        total = sum(stack.labels.size for stack in labelled)
        send(events.message, f"Round {number}: {100 * kept / total:.0f} % of the voxels are taken for right.")
        teacher = str(_train_student(settings, labelled, context, events))
    return Path(teacher)


def _train_student(settings: TrainSettings, labelled: list[Stack], context: Context, events: TrainEvents) -> Path:
    from plantseg_app.train.loop import train
    from plantseg_app.train.start import find_start

    data = find_start(settings).complete(settings).data
    if not data.validation:
        raise RequestError("A student is judged on labelled stacks: list some under train.data.validation.")
    own = [read_stack(files, data) for files in expand(data.train)]
    validation = [read_stack(files, data) for files in expand(data.validation)]
    result = train(settings, context, events, resume=True, data=(own + labelled, validation))
    if result.reason == "cancelled" or result.model is None:
        raise Cancelled(f"Stopped on request; the student so far is {result.model}.")
    return result.model


# ---------------------------------------------------------------------------------------------- labels


def _label(
    plan: SelfTraining,
    settings: TrainSettings,
    images: Sequence[Volume],
    approve: Approve | None,
    context: Context,
) -> list[Stack]:
    """Return the unlabelled stacks with the labels that their teacher gives them, known where they are right."""
    from plantseg_app.train.start import find_start

    start = find_start(settings)
    complete = start.complete(settings)
    network = start.family.build()
    start.put_into(network)
    made = []
    for number, (entry, raw) in enumerate(zip(plan.unlabelled, images, strict=True)):
        image, spacing = _at_scale(raw, complete.data.voxel_size_um)
        blank = np.ones(image.shape[1:], np.uint32)
        stack = Stack.from_arrays(image, blank, None, complete.normalisation, spacing, raw.name)
        predicted = predict_tiled(network, start.family, stack.normalised(image), context)
        maps = {output.name: predicted[output.channels[0]] for output in start.family.outputs}
        labels = _read_like(entry.segmentation, blank.shape, Kind.LABELS)
        if labels is None:
            labels = quick_segmentation(maps, complete.validation, spacing, context)
        if approve is not None:
            right = approve(number, labels, maps.get("boundary", predicted[-1]))
        else:
            right = _approved(entry, labels, maps.get("boundary", predicted[-1]), plan.rule)
        if right.any():
            made.append(with_walls(dataclasses.replace(stack, labels=labels, known=right)))
    if not made:
        raise InputError("Nothing is taken for right in any stack; loosen the rule, or give a mask or cells.")
    return made


def _approved(
    entry: UnlabelledStack, labels: NDArray[np.uint32], boundary: NDArray[np.float32], rule: ConfidenceRule
) -> NDArray[np.bool_]:
    mask = _read_like(entry.mask, labels.shape, Kind.RAW)
    if entry.cells:
        right = np.isin(labels, entry.cells)
        return np.asarray(right if mask is None else right & (mask != 0))
    if mask is not None:
        return np.asarray((mask != 0) & (labels > 0))
    return np.isin(labels, sure_cells(labels, boundary, rule))


def sure_cells(labels: NDArray[np.uint32], boundary: NDArray[np.float32], rule: ConfidenceRule) -> NDArray[np.int64]:
    """Return the numbers of the cells (Z, Y, X) that a boundary map (Z, Y, X) leaves no doubt about.

    A cell is kept when the boundary map is high along its whole border, low inside, and its size is usual.
    """
    edge = thick_boundaries(labels)
    n_labels = int(labels.max()) + 1
    flat, at_edge = labels.ravel(), edge.ravel()
    sizes = np.bincount(flat, minlength=n_labels)
    n_edge = np.bincount(flat[at_edge], minlength=n_labels)
    wall = np.bincount(flat[at_edge], boundary.ravel()[at_edge], minlength=n_labels) / np.maximum(n_edge, 1)
    doubtful = ~at_edge & (boundary.ravel() > _SURE)
    share = np.bincount(flat[doubtful], minlength=n_labels) / np.maximum(sizes - n_edge, 1)
    sizes[0] = 0
    usual = float(np.median(sizes[sizes > 0])) if sizes.any() else 0.0
    kept = (wall >= rule.wall) & (share <= rule.inside) & (sizes >= rule.min_size) & (sizes <= rule.largest * usual)
    return np.flatnonzero(kept)


def _at_scale(raw: Volume, wanted: tuple[float, float, float] | None) -> tuple[NDArray[Any], VoxelSize | None]:
    image = raw.data if raw.data.ndim == 4 else raw.data[None]
    if wanted is None or raw.voxel_size_um is None:
        return image, raw.voxel_size_um
    shape = shape_for_spacing(raw.shape_vox, raw.voxel_size_um, wanted)
    return resample(image, shape, LINEAR), VoxelSize(*wanted)


def _read_like(path: str, shape: tuple[int, ...], kind: Kind) -> NDArray[Any] | None:
    """Read a mask or a segmentation, brought to `shape`; None when no file is named."""
    if not path:
        return None
    return resample(read_volume(path, kind=kind).data, shape, NEAREST)
