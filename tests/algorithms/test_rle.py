"""Run lengths are those of pycocotools 2.0.11, and nothing is lost on the way."""

from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.algorithms.rle import mask_of_runs, pack_runs, polygon_mask, run_lengths, unpack_runs
from plantseg_app.errors import InputError

# pycocotools.mask.encode of the ring below.
RING = (
    r"QP1;\26K4M2M4M2N2N2N2O0O2N2N2O0O2O0O2N2O000O2O0O2O000O2O000O2O00000O2O0000000O2O0000POVO0j0M\O0d0O^O0b0O@0`0OB0>"
    r"0B0>0B0>OD0<0D0<0D0<0D0<0D0<1B0>0B0>0B0>1@0`01^O0b01\O0d03VO0j0P100001N100000001N1000001N10001N10001N101N10001N2"
    r"N101N101N2N2N101N2N2N2N3L3N3L5JXg1"
)


def ring():
    y, x = np.mgrid[:90, :130]
    return ((y - 40) ** 2 / 900 + (x - 60) ** 2 / 2500 < 1) & ~((y - 40) ** 2 + (x - 60) ** 2 < 90)


def test_the_text_is_that_of_pycocotools():
    assert pack_runs(run_lengths(ring())) == RING
    np.testing.assert_array_equal(mask_of_runs(unpack_runs(RING), (90, 130)), ring())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_any_mask_survives(share):
    mask = np.random.default_rng(3).random((37, 53)) < share
    runs = run_lengths(mask)
    assert runs.sum() == mask.size
    np.testing.assert_array_equal(unpack_runs(pack_runs(runs)), runs)
    np.testing.assert_array_equal(mask_of_runs(runs, (37, 53)), mask)


def test_large_runs_survive():
    runs = np.array([0, 5_000_000, 3, 70_000, 2**31, 1], np.int64)
    np.testing.assert_array_equal(unpack_runs(pack_runs(runs)), runs)


def test_polygons_are_filled_within_a_pixel_of_those_of_pycocotools():
    mask = polygon_mask([[10.0, 10.0, 40.0, 12.0, 35.0, 50.0, 8.0, 30.0], [50, 0, 60, 0, 60, 5, 50, 5]], (90, 130))
    assert mask[:, :45].sum() == pytest.approx(864, abs=10)
    assert mask[:, 45:].sum() == 50


@pytest.mark.parametrize(
    ("text", "words"), [("23", "come to 5"), ("2é1", "no packed"), ("`", "middle of a number"), ("2O1", "come to")]
)
def test_damaged_masks_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        mask_of_runs(unpack_runs(text), (2, 3))
