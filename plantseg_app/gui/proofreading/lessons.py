"""What can be learned from the cells that are being corrected: with which image, with which models, written where.

Knows the document and the session; no widget and no process.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import RequestError
from plantseg_app.gui.document import Document, Result
from plantseg_app.gui.model_fit import fits_of
from plantseg_app.paths import home_dir, samples_dir
from plantseg_app.proofread.annotation import annotation_of
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tissue import Mark
from plantseg_app.train.pairs import write_annotated
from plantseg_app.train.settings import StackFiles
from plantseg_app.zoo.card import ModelCard
from plantseg_app.zoo.catalogue import list_models

_LEARNS_FROM_FEW = "spoco"
_EXPORTED = "correct-cells"


@dataclasses.dataclass(frozen=True)
class Lesson:
    """Correct cells that were written to files: as a training names them, and how many there are."""

    files: StackFiles
    n_cells: int

    @property
    def in_words(self) -> str:
        """Where they are and what to do with them."""
        count = "1 correct cell" if self.n_cells == 1 else f"{self.n_cells} correct cells"
        path, mask = Path(self.files.path), Path(self.files.ignore)
        return (
            f"{count} and their image are in {path.name}; {mask.name} says where nothing is known. Both lie in "
            f"{path.parent}. To train on them, drop the first on the area Train, or name both in the settings of "
            "“plantseg-app train”."
        )


def correct_cells(session: ProofreadSession) -> list[int]:
    """Return the cells that are marked as correct."""
    return [cell for cell, mark in session.marks.items() if mark is Mark.CORRECT and cell in session.tissue.index]


def image_of(document: Document, cells: Volume) -> Volume:
    """Return the open image on the voxels of `cells`, cut to them where they are a crop of it.

    Raises
    ------
    RequestError
        If there is none.
    """
    main = document.main_image
    images = [*([] if main is None else [main.volume]), *(image.volume for image in document.images.values())]
    images += [result.volume for result in document.results.values()]
    raw = [image for image in images if image.kind is Kind.RAW]
    fitting = (image for image in raw if image.shape_vox == cells.shape_vox)
    if (found := next(fitting, None)) is not None:
        return found
    place = cells.place
    if place is not None:
        for image in raw:
            box = image.data[(..., *place.slices)]
            if image.shape_vox == place.full_shape_vox and box.shape[-3:] == cells.shape_vox:
                return image.replace(data=box, place=place)
    raise RequestError("No open image lies on the voxels of these cells; open the one that they were made of.")


def teachable_models(document: Document, image: Volume, overlaps: bool) -> list[ModelCard]:
    """Return the models that can be trained further on cells of an image; the one that suits it best comes first.

    Parameters
    ----------
    document
        Says how well models suit, and which one is in use: that one comes first of all.
    image
        On the voxels of the cells.
    overlaps
        Whether the cells may overlap.
    """
    installed = list_models()
    ranked = [fit.model for fit in fits_of(document, installed)] or installed
    cards = [model.card for model in ranked if _can_learn(model.card, image, overlaps)]
    in_use = {getattr(node.step, "model", None) for node in document.workflow.nodes.values()}
    return sorted(cards, key=lambda card: card.id not in in_use)


def few_cells_models(cards: Sequence[ModelCard]) -> list[ModelCard]:
    """Return those of the models that can learn from a few cells to find all others."""
    return [card for card in cards if card.family["kind"] == _LEARNS_FROM_FEW]


def _can_learn(card: ModelCard, image: Volume, overlaps: bool) -> bool:
    n_channels = len(image.data) if image.data.ndim == 4 else 1
    sees_overlaps = any(output.kind is Kind.LAYERS for output in card.outputs)
    return (
        not card.own_graph
        and len(card.inputs) == n_channels
        and all(channel.kind is Kind.RAW for channel in card.inputs)
        and (card.dimensionality == "2D" or not image.is_2d)
        and (sees_overlaps or not overlaps)
    )


def export_place(document: Document, base: Result) -> tuple[Path, str]:
    """Return folder and name for exported cells: beside the labels or the image where one may write, else at home.

    What lies among the files of the program stays as it is.
    """
    opened, main = document.images.get(base.name), document.main_image
    paths = [image.path for image in (opened, main) if image is not None and image.path is not None]
    stem = paths[0].stem if paths else base.name.replace(" ", "-")
    own = [path.parent for path in paths if os.access(path.parent, os.W_OK) and path.parent != samples_dir()]
    folder = own[0] if own else home_dir() / "corrections"
    return folder, f"{stem}-{_EXPORTED}"


def export_lesson(session: ProofreadSession, image: Volume, folder: Path, name: str) -> Lesson:
    """Write the cells marked as correct as an annotation, in place of an older one of that name; slow.

    Raises
    ------
    Refused
        If there are none.
    ResourceError
        If the files cannot be written.
    """
    annotation = annotation_of(session.tissue)
    return Lesson(write_annotated(annotation, image, folder, name), len(annotation.cells))


def known_cells(session: ProofreadSession, like: Volume) -> Volume:
    """Return labels of the cells marked as correct alone; slow.

    Raises
    ------
    Refused
        If there are none, or cells may overlap.
    """
    cells = correct_cells(session)
    if session.tissue.is_layered:
        raise Refused("Proposals are for cells that do not overlap.")
    if not cells:
        raise Refused("No cell is marked as correct yet; mark those that are right (L), and they can be learned from.")
    labels = session.labels
    is_known = np.isin(labels, np.array(cells, labels.dtype))
    return like.replace(data=np.where(is_known, labels, 0).astype(labels.dtype), kind=Kind.LABELS)
