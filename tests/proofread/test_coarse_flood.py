"""Large cells are flooded coarsely first; that must give what flooding at full resolution gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from plantseg_app.proofread import parting
from plantseg_app.proofread.parting import grow_parts
from plantseg_app.proofread.tissue import Tissue


@pytest.mark.parametrize("shape", [(40, 90, 90), (1, 160, 160)])
def test_it_parts_cells_where_flooding_in_one_piece_does(
    make_tissue: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int]
) -> None:
    labels, boundary = make_tissue(shape, 40.0, noise=0.05, seed=4)
    tissue = Tissue(labels.copy(), boundary=boundary)
    cells = tissue.index.ids()
    box = tissue.box_around(cells)
    seeds = np.zeros(labels.shape, np.uint32)
    for number, cell in enumerate(cells[:3], start=1):
        places = np.argwhere(labels == cell)
        order = np.argsort(((places - places.mean(0)) ** 2).sum(1))
        seeds[tuple(places[order[:20]].T)] = number
    inside = np.isin(labels, cells[:3])
    monkeypatch.setattr(parting, "AT_ONCE_VOX", labels.size)
    exact = grow_parts(tissue, box, seeds.copy(), inside)
    monkeypatch.setattr(parting, "AT_ONCE_VOX", 1)
    coarse = grow_parts(tissue, box, seeds.copy(), inside)
    assert (coarse[~inside] == 0).all()
    np.testing.assert_array_equal(coarse[seeds > 0], seeds[seeds > 0])
    assert ((exact > 0) == (coarse > 0)).mean() > 0.999
    assert (exact == coarse)[inside].mean() > 0.998


def test_without_a_map_it_finds_the_same_neck(monkeypatch: pytest.MonkeyPatch) -> None:
    z, y, x = np.indices((52, 52, 92)) - 26
    inside = (z**2 + y**2 + x**2 < 24**2) | (z**2 + y**2 + (x - 40) ** 2 < 24**2)
    box = (slice(0, 52), slice(0, 52), slice(0, 92))
    seeds = np.zeros(inside.shape, np.uint32)
    seeds[26, 26, 10], seeds[20, 20, 80] = 1, 2
    tissue = Tissue(inside.astype(np.uint32))
    monkeypatch.setattr(parting, "AT_ONCE_VOX", inside.size)
    exact = grow_parts(tissue, box, seeds.copy(), inside)
    monkeypatch.setattr(parting, "AT_ONCE_VOX", 1)
    coarse = grow_parts(tissue, box, seeds.copy(), inside)
    assert (exact == coarse)[inside].mean() > 0.99
    assert len(np.unique(coarse[..., :42][inside[..., :42]])) == 1


def test_pieces_that_no_seed_reaches_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = np.zeros((40, 40, 80), bool)
    inside[..., :60], inside[..., 66:] = True, True
    seeds = np.zeros(inside.shape, np.uint32)
    seeds[5, 5, 5], seeds[5, 5, 50] = 1, 2
    monkeypatch.setattr(parting, "AT_ONCE_VOX", 1)
    tissue = Tissue(inside.astype(np.uint32))
    parts = grow_parts(tissue, (slice(0, 40), slice(0, 40), slice(0, 80)), seeds, inside)
    assert (parts[..., 66:] == 0).all()
    assert set(np.unique(parts[..., :60])) == {1, 2}
