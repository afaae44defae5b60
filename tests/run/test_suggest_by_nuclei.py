from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import Cancelled
from plantseg_app.run.desk import Desk
from plantseg_app.run.suggest_by_nuclei import SuggestByNuclei


def test_another_process_says_what_to_merge(tmp_path: Path) -> None:
    labels = np.array([[[1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]]], np.uint32)
    nuclei = np.array([[[0, 0, 5, 5, 0, 0, 0, 0, 6, 6, 0, 0]]], np.uint32)
    told: list[tuple[str, Any]] = []
    desk = Desk(tmp_path / "session", tmp_path / "own", lambda name, event: told.append((name, event)))
    refs = [desk.store.add(Volume(data, Kind.LABELS)) for data in (labels, nuclei)]
    found = pickle.loads(pickle.dumps(SuggestByNuclei(*refs, locked=(4,)).run(desk)))
    assert [suggestion.words for suggestion in found] == ["Cells 1 and 2 share a nucleus: merge them"]
    assert told[0][1].total == 6
    desk.cancel()
    with pytest.raises(Cancelled):
        SuggestByNuclei(*refs).run(desk)
