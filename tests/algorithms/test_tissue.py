from __future__ import annotations

import itertools

import cc3d
import numpy as np
import pytest

from plantseg_app.algorithms.simulate.tissue import (
    ORGAN_KINDS,
    TISSUE_KINDS,
    TissueSettings,
    connected_cells,
    generate_tissue,
    smoothed_cells,
    without_crumbs,
)
from plantseg_app.errors import RequestError

SMALL = {"shape_vox": (16, 48, 56), "cell_diameter_um": 4.0}
FLAT = {"shape_vox": (1, 160, 200), "cell_diameter_um": 5.0}


def enclosed(labels):
    """Sizes of the cells that touch no side of the volume."""
    sides = [labels.take(i, axis) for axis in range(3) for i in (0, -1) if labels.shape[axis] > 1]
    cut = np.unique(np.concatenate([side.ravel() for side in sides]))
    return np.bincount(labels.ravel())[np.setdiff1d(np.unique(labels), [0, *cut])]


@pytest.mark.parametrize("kind", TISSUE_KINDS)
@pytest.mark.parametrize("size", [SMALL, FLAT], ids=["3D", "2D"])
def test_cells_are_numbered_without_gaps_and_each_is_one_piece(kind, size):
    for organ in ORGAN_KINDS:
        labels = generate_tissue(TissueSettings(kind=kind, organ=organ, seed=1, **size))
        assert labels.shape == size["shape_vox"]
        assert labels.dtype == np.int32
        ids = np.unique(labels)
        np.testing.assert_array_equal(ids[ids > 0], np.arange(1, len(ids[ids > 0]) + 1))
        assert cc3d.connected_components(labels, connectivity=6).max() == labels.max() > 5
        assert (labels == 0).any() == (organ != "whole")


@pytest.mark.parametrize("kind", TISSUE_KINDS)
def test_cells_have_the_diameter_that_was_asked_for(kind):
    wide = generate_tissue(TissueSettings(kind=kind, shape_vox=(1, 400, 400), cell_diameter_um=6.0, seed=2))
    diameter = np.sqrt(enclosed(wide).mean() * 0.25**2 * 4 / np.pi)
    assert diameter == pytest.approx(6.0, rel=0.1)
    deep = generate_tissue(TissueSettings(kind=kind, shape_vox=(48, 96, 96), cell_diameter_um=4.0, seed=2))
    volumes = enclosed(deep) * 0.5 * 0.25**2
    assert np.cbrt(volumes.mean() * 6 / np.pi) == pytest.approx(4.0, rel=0.2)


def test_elongated_cells_are_long_and_pavement_cells_are_flat_and_lobed():
    def solidity(labels):
        from skimage.measure import regionprops

        inner = [r for r in regionprops(labels[0]) if r.area > 60]
        return np.median([r.solidity for r in inner]), np.median([r.eccentricity for r in inner])

    shape = {"shape_vox": (1, 300, 300), "cell_diameter_um": 10.0, "seed": 3}
    round_, long_, lobed = (solidity(generate_tissue(TissueSettings(kind=k, **shape))) for k in TISSUE_KINDS)
    assert long_[1] > 0.85 > round_[1]
    assert lobed[0] < round_[0] - 0.05


def test_the_same_seed_gives_the_same_tissue_and_another_seed_another():
    first, again, other = (generate_tissue(TissueSettings(seed=seed, **SMALL)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"cell_diameter_um": 0.5},
        {"cell_diameter_um": float("nan")},
        {"kind": "brick"},
        {"organ": "leaf"},
        {"shape_vox": (0, 8, 8)},
        {"elongation": 0.5},
        {"lobes": 2.0},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(RequestError):
        TissueSettings(**wrong)


def test_pieces_apart_from_their_cell_go_to_its_neighbour():
    labels = np.zeros((1, 12, 12), np.int32)
    labels[:, :, :6], labels[:, :, 6:10] = 4, 9
    labels[:, 3:5, 7:9] = 4
    expected = np.zeros_like(labels)
    expected[:, :, :6], expected[:, :, 6:10] = 1, 2
    np.testing.assert_array_equal(connected_cells(labels), expected)


def test_crumbs_go_to_their_neighbour_and_background_stays():
    labels = np.zeros((10, 20, 20), np.int32)
    labels[:, 5:15, 5:15] = 7
    labels[4:6, 9:11, 9:11] = 3
    np.testing.assert_array_equal(without_crumbs(labels), labels > 0)


def test_smoothing_straightens_a_ragged_wall_and_keeps_the_cells():
    labels = np.ones((9, 24, 24), np.int32)
    for z, y in itertools.product(range(9), range(24)):
        labels[z, y, 12 + (z + y) % 2 :] = 2
    smooth = smoothed_cells(labels)
    assert set(np.unique(smooth)) == {1, 2}
    assert np.ptp((labels == 1).sum(axis=2)) == 1
    assert np.ptp((smooth == 1).sum(axis=2)) == 0
