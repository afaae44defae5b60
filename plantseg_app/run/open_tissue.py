"""Cells and their maps in the child process, for tasks that look at all cells; imports nothing that takes long.

A task of the computing process calls ``open_tissue(desk, labels, boundary, nuclei)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plantseg_app.run.desk import Desk
from plantseg_app.run.store import VolumeRef

if TYPE_CHECKING:
    from plantseg_app.proofread.tissue import Tissue


def open_tissue(desk: Desk, labels: VolumeRef, boundary: VolumeRef | None, nuclei: VolumeRef | None) -> Tissue:
    """Return cells with the maps that help to judge them; labels are copied, since a tissue may write to them.

    Raises
    ------
    InputError
        If labels or maps do not fit.
    """
    import numpy as np

    from plantseg_app.proofread.tissue import Tissue

    cells = desk.open(labels)
    return Tissue(
        np.array(cells.data),
        boundary=None if boundary is None else desk.open(boundary).data,
        nuclei=None if nuclei is None else desk.open(nuclei).data,
        spacing=tuple(cells.spacing),
    )
