"""How far the work has come: cells that were looked at, corrections, time; and a text for the methods of a paper.

>>> import numpy as np
>>> from plantseg_app.proofread.session import ProofreadSession
>>> from plantseg_app.proofread.tools.marks import Lock
>>> session = ProofreadSession(np.array([[[1, 1, 2, 2, 5]]], np.uint32), author="Ann")
>>> _ = session.do(Lock(cells=(1, 5)))
>>> progress_of(session).words
'2 of 3 cells checked · no corrections · 0 min'
>>> print(progress_of(session).summary)
Of 3 cells, 2 were checked by hand (2 marked as correct, 0 as unsure). No corrections were made.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Mapping

from plantseg_app import __version__
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tissue import Mark
from plantseg_app.proofread.tool import TOOLS

PAUSE_S = 300.0
"""A longer time between two corrections is a pause and not counted as work."""

_MARKING = ("lock", "unsure", "unmark")


@dataclasses.dataclass(frozen=True)
class Progress:
    """What has been done to the labels of a session, undone corrections left out.

    Attributes
    ----------
    n_cells
        How many there are now.
    n_correct, n_unsure
        How many of them are marked so.
    corrections
        How many changed voxels, by the title of their tool.
    authors
        Who made them, in the order of their first.
    seconds
        Time between corrections and marks, without pauses.
    """

    n_cells: int
    n_correct: int
    n_unsure: int
    corrections: Mapping[str, int]
    authors: tuple[str, ...]
    seconds: float

    @property
    def n_checked(self) -> int:
        """Cells of which a person has said something."""
        return self.n_correct + self.n_unsure

    @property
    def n_corrections(self) -> int:
        """All corrections."""
        return sum(self.corrections.values())

    @property
    def words(self) -> str:
        """One line for the window."""
        made = {0: "no corrections", 1: "1 correction"}.get(self.n_corrections, f"{self.n_corrections} corrections")
        return f"{self.n_checked} of {self.n_cells} cells checked · {made} · {self.seconds / 60:.0f} min"

    @property
    def summary(self) -> str:
        """Two or three sentences for the methods of a paper."""
        checked = (
            f"Of {self.n_cells} cells, {self.n_checked} were checked by hand ({self.n_correct} marked as correct, "
            f"{self.n_unsure} as unsure)."
        )
        if not self.n_corrections:
            return f"{checked} No corrections were made."
        by_tool = "; ".join(f"{title.lower()}: {count}" for title, count in self.corrections.items())
        people = f" by {', '.join(self.authors)}" if self.authors else ""
        noun = "correction was" if self.n_corrections == 1 else "corrections were"
        return (
            f"{checked} {self.n_corrections} {noun} made{people} in {self.seconds / 60:.0f} minutes with PlantSeg App "
            f"{__version__} ({by_tool})."
        )


def progress_of(session: ProofreadSession) -> Progress:
    """Return how far the work on a session has come, what its journal brought included."""
    edits = session.edits
    counts = collections.Counter(TOOLS.get(edit.tool).title for edit in edits if edit.tool not in _MARKING)
    times = sorted(edit.at_s for edit in edits)
    gaps = (later - earlier for earlier, later in itertools.pairwise(times))
    said = collections.Counter(mark for cell, mark in session.marks.items() if cell in session.tissue.index)
    return Progress(
        n_cells=len(session.tissue.index),
        n_correct=said[Mark.CORRECT],
        n_unsure=said[Mark.UNSURE],
        corrections=dict(counts.most_common()),
        authors=tuple(dict.fromkeys(edit.author for edit in edits if edit.author)),
        seconds=sum(gap for gap in gaps if gap <= PAUSE_S),
    )
