"""The tool that takes over the cells that a network proposes, around those that are locked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from plantseg_app.algorithms.proposal import around_settled
from plantseg_app.algorithms.region_graph import make_dense
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Assign, Change, Mark, Tissue
from plantseg_app.proofread.tool import Field, Tool


def _as_labels(value: object) -> NDArray[Any]:
    labels = np.asarray(value)
    if labels.ndim != 3 or labels.dtype.kind != "u":
        raise ValueError(f"A proposal is labels, Z, Y, X; this is {labels.dtype} of {labels.ndim} axes")
    return labels


class TakeProposal(Tool):
    """Replace all cells that are not locked as correct by those of a proposal.

    A proposed cell loses the voxels of locked ones, and vanishes where they hold most of it. All are undone together.
    """

    id: ClassVar[str] = "take-proposal"
    title: ClassVar[str] = "Take a proposal over"

    proposal: Annotated[NDArray[Any], BeforeValidator(_as_labels)] = Field(
        description="The proposed cells, of the shape of the labels.", exclude=True
    )

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Clear what is not locked, and put the proposed cells there."""
        if tissue.is_layered:
            raise Refused("Proposals are for cells that do not overlap.")
        labels = tissue.planes[0]
        if self.proposal.shape != labels.shape:
            raise Refused(f"The proposal has {self.proposal.shape} voxels (Z, Y, X) and the labels {labels.shape}.")
        locked = [cell for cell, mark in tissue.marks.items() if mark is Mark.CORRECT]
        is_locked = np.isin(labels, np.array(locked, labels.dtype))
        settled = np.where(is_locked, labels, 0).astype(labels.dtype)
        dense, names = make_dense(np.where(is_locked, 0, around_settled(self.proposal, settled)))
        # The first part becomes background, those after it new cells.
        parts = np.where(is_locked, np.uint32(0), dense + np.uint32(1))
        z, y, x = (slice(0, n) for n in labels.shape)
        yield Assign(0, (z, y, x), parts, (0, 0, *tissue.new_ids(len(names) - 1)))

    @property
    def words(self) -> str:
        """What was done."""
        count = len(np.unique(self.proposal[self.proposal > 0]))
        return f"Took over a proposal of {count} cells"
