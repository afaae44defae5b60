"""The table of shared voxels against counting one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from plantseg_app.algorithms import overlap
from plantseg_app.algorithms.overlap import count_overlaps


@pytest.mark.parametrize("slab", [7, 2**22])
def test_it_counts_every_voxel_once(monkeypatch: pytest.MonkeyPatch, slab: int) -> None:
    monkeypatch.setattr(overlap, "SLAB_VOX", slab)
    rng = np.random.default_rng(0)
    first = rng.integers(0, 5, (3, 6, 7)).astype(np.uint32)
    second = (rng.integers(0, 4, (3, 6, 7)) * 1_000_000_007).astype(np.uint32)
    table = count_overlaps(first, second)
    expected = Counter(zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))
    found = dict(zip(zip(table.first.tolist(), table.second.tolist(), strict=True), table.counts.tolist(), strict=True))
    assert found == dict(expected)
    assert list(found) == sorted(found)
