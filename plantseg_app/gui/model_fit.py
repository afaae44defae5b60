"""How well models suit the image that is open, for every page that lists them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from plantseg_app.core.volume import VoxelSize
from plantseg_app.gui.document import Document
from plantseg_app.run.prediction import network_input
from plantseg_app.zoo.scale import Described, ModelFit, rank_models

M = TypeVar("M", bound=Described)

_STRUCTURES = {"membranes": "membrane", "nuclei": "nuclei"}
"""What cards call the things that images of a role show."""
_ANY_STACK = (2, 1, 1)


def fits_of(document: Document, models: Iterable[M], voxel_size_um: VoxelSize | None = None) -> list[ModelFit[M]]:
    """Return models with the one first that suits the main image best; nothing when no image is open.

    A voxel size that a person names counts instead of that of the image, and also where there is none.
    """
    image = document.main_image
    if image is None:
        return [] if voxel_size_um is None else rank_models(models, _ANY_STACK, voxel_size_um)
    seen, diameter = network_input(document.workflow, image.volume), document.cell_diameter_vox
    return rank_models(
        models,
        seen.shape_vox,
        voxel_size_um or seen.voxel_size_um,
        structure=_STRUCTURES.get(image.role, ""),
        cell_diameter_vox=None if diameter is None else diameter * seen.zoom,
    )
