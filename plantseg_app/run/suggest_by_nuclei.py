"""Comparing cells with nuclei in the child process; the window shows what is suggested."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from plantseg_app.run.desk import Desk, Task
from plantseg_app.run.open_tissue import open_tissue
from plantseg_app.run.store import VolumeRef

if TYPE_CHECKING:
    from plantseg_app.proofread.nuclei_help import Suggestion


@dataclasses.dataclass(frozen=True)
class SuggestByNuclei(Task):
    """Find what to merge and to split so that each cell has one nucleus.

    Attributes
    ----------
    labels, nuclei
        Cells as they are now, and nuclei, of the same shape.
    boundary
        A map that helps, or None.
    locked
        Cells that are correct; nothing is suggested for them.
    """

    labels: VolumeRef
    nuclei: VolumeRef
    boundary: VolumeRef | None = None
    locked: tuple[int, ...] = ()
    title: str = "Comparing cells with nuclei"

    def run(self, desk: Desk) -> list[Suggestion]:
        """Return suggestions in the order of `plantseg_app.proofread.nuclei_help.suggest`.

        Raises
        ------
        Cancelled
            If the person asked to stop.
        Refused
            If objects overlap.
        """
        from plantseg_app.proofread.nuclei_help import suggest
        from plantseg_app.proofread.tissue import Mark

        tissue = open_tissue(desk, self.labels, self.boundary, self.nuclei)
        tissue.marks.update(dict.fromkeys(self.locked, Mark.CORRECT))
        context = desk.context(n_threads=1)
        try:
            n_looked_at = len(tissue.index) + len(tissue.nucleus_index)
            steps = context.track(range(n_looked_at), self.title, n_looked_at)
            return suggest(tissue, check=lambda: _go_on(steps))
        finally:
            context.close()


def _go_on(steps: Iterator[int]) -> None:
    next(steps, None)
