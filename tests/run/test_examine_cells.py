from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import Cancelled
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.work_list import Examination, WorkList
from plantseg_app.run.desk import Desk
from plantseg_app.run.examine_cells import ExamineCells


def test_another_process_sees_what_this_one_would(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.kron(np.arange(1, 13, dtype=np.uint32).reshape(1, 3, 4), np.ones((4, 6, 6), np.uint32))
    boundary = rng.random(labels.shape, dtype=np.float32)
    told: list[tuple[str, Any]] = []
    desk = Desk(tmp_path / "session", tmp_path / "own", lambda name, event: told.append((name, event)))
    size = (1.0, 0.5, 0.5)
    refs = [
        desk.store.add(Volume(data, kind, size)) for data, kind in ((labels, Kind.LABELS), (boundary, Kind.BOUNDARY))
    ]
    seen = pickle.loads(pickle.dumps(ExamineCells(*refs).run(desk)))
    session = ProofreadSession(labels, boundary=boundary, spacing=size)
    # NaN is not equal to itself.
    assert repr(seen) == repr(Examination.of(session.tissue))
    assert [doubt.cell for doubt in WorkList(session, seen).doubts] == [
        doubt.cell for doubt in WorkList(session).doubts
    ]
    assert told[-1][1].done == 12
    desk.cancel()
    with pytest.raises(Cancelled):
        ExamineCells(*refs).run(desk)
