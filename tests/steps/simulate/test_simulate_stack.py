from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.steps.simulate.simulate_stack import SimulateStack

EVEN = {
    "photons": 100_000, "read_noise": 0, "background": 0, "attenuation_per_um": 0, "haze": 0, "staining_variation": 0,
    "faint_walls": 0, "cytoplasm": 0, "bleed_through": 0, "unevenness": 0, "saturated": 0, "pixel_type": "uint16",
}  # fmt: skip


def two_cells(voxel_size=(1.0, 0.5, 0.25), shape=(16, 40, 80)):
    labels = np.ones(shape, np.uint32)
    labels[:, :, shape[2] // 2 :] = 2
    return Volume(labels, Kind.LABELS, VoxelSize(*voxel_size), name="two")


def drawn(labels, **settings):
    raw = SimulateStack.from_settings({**EVEN, **settings}).execute({"labels": labels}, QuietContext())
    assert raw.kind is Kind.RAW
    return raw.data.astype(float)


def test_widths_in_micrometres_are_scaled_by_the_voxel_size():
    sigma = (
        SimulateStack(psf_lateral_um=0.5, psf_axial_um=2.0).microscope(VoxelSize(1.0, 0.5, 0.25)).optics.psf_sigma_vox
    )
    assert sigma == pytest.approx((2.0 / 2.3548, 0.5 / 2.3548 / 0.5, 0.5 / 2.3548 / 0.25), rel=1e-3)
    sharp, blurred = (
        (drawn(two_cells(), psf_lateral_um=width).mean((0, 1)) > 0.1 * 65535).sum() for width in (0.1, 3.0)
    )
    assert blurred > 3 * sharp


def test_deeper_walls_are_darker_and_under_a_light_sheet_farther_ones_too():
    labels = two_cells(shape=(16, 40, 80))
    labels.data[:, 20:] += 2
    loss = 0.05
    confocal = drawn(labels, attenuation_per_um=loss, psf_axial_um=0)
    by_depth = confocal[:, 2:18, 39:41].mean((1, 2))
    assert by_depth[15] / by_depth[0] == pytest.approx(np.exp(-loss * 15), rel=0.2)
    along = confocal[0, 19:21].mean(0)
    assert along[70] == pytest.approx(along[10], rel=0.5)
    sheet = drawn(labels, attenuation_per_um=0.1, psf_axial_um=0, modality="light-sheet", stripes=0)[0, 19:21].mean(0)
    assert sheet[70] < 0.6 * sheet[10]


def test_fewer_photons_make_a_noisier_image():
    few, many = (drawn(two_cells(), photons=photons, cytoplasm=0.3)[:, :, 10:30].std() for photons in (10, 1000))
    assert few > 1.5 * many


def test_a_volume_of_unknown_voxel_size_is_drawn():
    labels = two_cells()
    raw = SimulateStack().execute({"labels": labels.replace(voxel_size_um=None)}, QuietContext())
    assert raw.voxel_size_um is None
    assert raw.data.dtype == np.uint8
