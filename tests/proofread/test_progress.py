"""How far the work has come, from corrections at known times."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from plantseg_app.proofread import session as session_module
from plantseg_app.proofread.progress import progress_of
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tools.marks import Lock, MarkUnsure
from plantseg_app.proofread.tools.merge import Merge


def test_time_without_pauses_and_nothing_that_was_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    seconds = iter((0, 60, 180, 180 + 3600, 180 + 3660, 9999))
    monkeypatch.setattr(session_module, "now", lambda: (begin + datetime.timedelta(seconds=next(seconds))).isoformat())
    session = ProofreadSession(np.array([[[1, 2, 3, 4, 5, 6]]], np.uint32), author="Ann")
    session.do(Merge(cells=(1, 2)))
    session.do(Lock(cells=(3,)))
    session.do(Merge(cells=(1, 4)))
    session.author = "Ben"
    session.do(MarkUnsure(cells=(6,)))
    session.do(Merge(cells=(1, 5)))
    session.undo()
    progress = progress_of(session)
    assert (progress.n_cells, progress.n_correct, progress.n_unsure) == (4, 1, 1)
    assert progress.corrections == {"Merge cells": 2}
    assert progress.authors == ("Ann", "Ben")
    assert progress.seconds == 180
    assert "2 corrections were made by Ann, Ben in 3 minutes" in progress.summary
