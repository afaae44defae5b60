"""Looking at all cells in the child process, for the list of what to proofread; the window shows what comes back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from plantseg_app.run.desk import Desk, Task
from plantseg_app.run.open_tissue import open_tissue
from plantseg_app.run.store import VolumeRef

if TYPE_CHECKING:
    from plantseg_app.proofread.work_list import Examination


@dataclasses.dataclass(frozen=True)
class ExamineCells(Task):
    """Look at each cell of labels, some ten milliseconds a cell.

    Attributes
    ----------
    labels
        As they are now; what is corrected meanwhile is looked at again by `plantseg_app.proofread.work_list.WorkList`.
    boundary, nuclei
        Maps that help, or None.
    """

    labels: VolumeRef
    boundary: VolumeRef | None = None
    nuclei: VolumeRef | None = None
    title: str = "Looking at all cells"

    def run(self, desk: Desk) -> Examination:
        """Return what was seen, for a `WorkList` of the session.

        Raises
        ------
        Cancelled
            If the person asked to stop.
        """
        from plantseg_app.proofread.work_list import Examination

        tissue = open_tissue(desk, self.labels, self.boundary, self.nuclei)
        context = desk.context(n_threads=1)
        try:
            cells = tissue.index.ids()
            return Examination.of(tissue, context.track(cells, self.title, len(cells)))
        finally:
            context.close()
