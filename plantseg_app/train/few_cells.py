"""Annotate, train, look, correct: a network learns from a few cells and proposes all others, again and again.

A person paints or corrects some cells, and says nothing of the rest. A SPOCO network learns from these alone (what is
not annotated may hold cells, too), finds the cells of the whole image, and the person goes on from there. It begins
with a model of that kind, or from nothing.

>>> image, cells = np.zeros((1, 80, 90), np.uint8), np.zeros((1, 80, 90), np.uint32)
>>> cells[0, 10:30, 10:30] = 1
>>> settings = few_cells_settings("my-model", image, cells)
>>> settings.family["kind"], settings.family["dimensions"], settings.patches.shape_vox
('spoco', '2D', (1, 80, 80))
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.proposal import around_settled
from plantseg_app.core.context import Context, QuietContext
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError, RequestError
from plantseg_app.train.data import Stack
from plantseg_app.train.events import TrainEvents, send
from plantseg_app.train.outcome import Segment, train_on
from plantseg_app.train.settings import (
    AugmentSettings,
    OptimiserSettings,
    PatchSettings,
    ScheduleSettings,
    StoppingSettings,
    TrainSettings,
    ValidationSettings,
)
from plantseg_app.train.suggest import suggested_rate

DEFAULT_MINUTES = 5.0

_FEATURE_MAPS = (16, 32, 64, 96)
_LARGEST_PATCH = {True: (1, 192, 192), False: (32, 96, 96)}
_NEW_RATE = 3e-3
_MOST_STEPS = 100_000
_JUDGED_TIMES = 5
# Cells of more pixels across are seen well enough on a grid twice as coarse.
_FINE_DIAMETER_VOX = 12
_REACH_DIAMETERS = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class Round:
    """What came of one round.

    Attributes
    ----------
    model
        Folder of the new model, with which the next round may begin.
    proposal
        All cells, those that were learned from as they are.
    n_learned, n_proposed
        How many cells were learned from, and how many others the model proposes.
    """

    model: str
    proposal: Volume
    n_learned: int
    n_proposed: int

    @property
    def words(self) -> str:
        """What came of it, for people."""
        learned = "1 cell, which stays as it is," if self.n_learned == 1 else f"{self.n_learned} cells, which stay,"
        others = "1 other" if self.n_proposed == 1 else f"{self.n_proposed} others"
        return f"Learned from {learned} and proposed {others}."


def few_cells_settings(
    output: str,
    image: NDArray[Any],
    cells: NDArray[Any],
    start_from: str = "",
    minutes: float = DEFAULT_MINUTES,
) -> TrainSettings:
    """Return settings that suit an image and the cells that are known in it, to be changed where wanted.

    Parameters
    ----------
    output
        Folder of the new model.
    image
        ([C,] Z, Y, X).
    cells
        (Z, Y, X) labels of the known cells alone.
    start_from
        Id or folder of the SPOCO model to begin with; "": a new network.
    minutes
        How long to train.

    Raises
    ------
    RequestError
        If there are no cells, or the model is of another kind.
    """
    diameters = typical_diameter(cells)
    family = _family_of(start_from) if start_from else _new_family(image, cells, diameters)
    is_2d = family.is_2d
    patch = tuple(
        max(grid, min(most, size) // grid * grid)
        for most, size, grid in zip(_LARGEST_PATCH[is_2d], cells.shape, family.grid_vox, strict=True)
    )
    return TrainSettings(
        output=output,
        start_from=start_from,
        family=family.to_plain(),
        patches=PatchSettings(
            shape_vox=(1 if is_2d else patch[0], *patch[1:]), batch=2 if is_2d else 1, min_labelled=0
        ),
        augment=AugmentSettings(flip_z=not is_2d, rotate=0.3, scale=0.3, blur=0.1),
        optimiser=OptimiserSettings(rate=suggested_rate(True) if start_from else _NEW_RATE, clip=1.0, average=0.99),
        schedule=ScheduleSettings(warmup_steps=20),
        stopping=StoppingSettings(steps=_MOST_STEPS, minutes=minutes),
        validation=ValidationSettings(every=_MOST_STEPS, min_size=max(10, round(0.1 * diameters**2))),
    )


def typical_diameter(cells: NDArray[Any]) -> float:
    """Return the median over the cells of the diameter, in voxels, of the disk of their largest cross section.

    Raises
    ------
    RequestError
        If there are none.
    """
    names = np.unique(cells)
    names = names[names > 0]
    if not len(names):
        raise RequestError("There is no cell to learn from; paint or mark some first.")
    dense = np.searchsorted(names, cells)
    sections = np.stack([np.bincount(d[c > 0], minlength=len(names)) for d, c in zip(dense, cells, strict=True)])
    return float(np.median(2 * np.sqrt(sections.max(0) / np.pi)))


def learn_from_few(
    settings: TrainSettings,
    image: Volume,
    cells: NDArray[Any],
    segment: Segment,
    context: Context | None = None,
    events: TrainEvents | None = None,
    resume: bool = False,
) -> Round:
    """Train on known cells, let the new model find all of them, and keep the known ones as they are.

    Parameters
    ----------
    settings
        As `few_cells_settings` makes them.
    image
        The whole image.
    cells
        (Z, Y, X) labels of the known cells alone; what has no label is not known.
    segment
        How cells are found with a model.
    context, events, resume
        As for `plantseg_app.train.loop.train`.

    Raises
    ------
    RequestError, InputError
        If settings, image and cells do not fit together.
    Cancelled
        If the user asked to stop; the training can be resumed.
    """
    if cells.shape != image.shape_vox:
        raise InputError(f"The image has {image.shape_vox} voxels (Z, Y, X) and the cells {cells.shape}.")
    context, events = context or QuietContext(), events or TrainEvents()
    stack = Stack.from_arrays(
        np.asarray(image.data), cells, cells > 0, settings.normalisation, image.voxel_size_um, image.name or "image"
    )
    model = str(train_on(settings, [stack], context, events, resume))
    send(events.message, "The new model looks for all cells.")
    found = segment(model, image)
    proposal = around_settled(np.asarray(found.data), cells)
    n_learned, n_all = (len(np.unique(labels[labels > 0])) for labels in (cells, proposal))
    volume = image.replace(data=proposal, kind=Kind.LABELS)
    return Round(model, volume, n_learned, n_all - n_learned)


def _family_of(model: str) -> Any:
    """Return the family of a model as it learns from objects alone."""
    from plantseg_app.zoo.catalogue import find_model

    family = find_model(model).card.network_family()
    if family.kind != "spoco":
        raise RequestError(
            f"The model {model} is of the kind {family.kind}; only SPOCO models learn from a few cells. Take one, or "
            "begin from nothing."
        )
    return family.for_objects_alone()


def _new_family(image: NDArray[Any], cells: NDArray[Any], diameter: float) -> Any:
    importlib.import_module("plantseg_app.networks.families")
    from plantseg_app.networks.family import make_family

    return make_family(
        {
            "kind": "spoco",
            "dimensions": "2D" if cells.shape[0] == 1 else "3D",
            "image_channels": len(image) if image.ndim == 4 else 1,
            "feature_maps": _FEATURE_MAPS if cells.shape[0] == 1 else _FEATURE_MAPS[:3],
            "stride": 2 if diameter >= _FINE_DIAMETER_VOX else 1,
            "loss_every_vox": 2,
            "reach_vox": max(8.0, round(_REACH_DIAMETERS * diameter)),
        }
    )
