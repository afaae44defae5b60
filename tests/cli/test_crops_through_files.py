"""A crop that is written, worked on and pasted back by separate commands ends where it was cut out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plantseg_app.algorithms.filters import gaussian
from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Place, Volume, VoxelSize
from plantseg_app.io import read_volume, write_volume

SIZE = VoxelSize(0.3, 0.1, 0.1)
BOX = (slice(2, 6), slice(0, 12), slice(5, 15))


@pytest.fixture
def full(tmp_path: Path) -> Path:
    data = np.random.default_rng(0).integers(0, 256, (8, 12, 20)).astype(np.uint8)
    return write_volume(tmp_path / "full.tif", Volume(data, Kind.RAW, SIZE))


@pytest.fixture
def crop(full: Path, tmp_path: Path) -> Path:
    return step("crop", full, tmp_path / "crop.tif", "--box", "2:6, :, 5:15")


def step(name: str, image: Path, output: Path, *words: str) -> Path:
    assert main(["step", name, "--image", str(image), "--output", str(output), "--quiet", *words]) == 0
    return output


@pytest.mark.parametrize("suffix", [".tif", ".h5"])
def test_a_filtered_crop_is_pasted_back(suffix, full, tmp_path):
    crop = step("crop", full, tmp_path / f"crop{suffix}", "--box", "2:6, :, 5:15")
    smooth = step("gaussian", crop, tmp_path / f"smooth{suffix}", "--sigma", "1.5")
    back = read_volume(step("paste-back", smooth, tmp_path / f"back{suffix}", "--into", str(full)))
    original = read_volume(full).data
    expected = original.astype(np.float32)
    # 1.5 voxels of the finest axis; the slices are three times as far apart.
    filtered = gaussian(original[BOX], (0.5, 1.5, 1.5))
    expected[BOX] = filtered
    np.testing.assert_allclose(back.data, expected, rtol=1e-6)
    assert back.place is None
    alone = read_volume(step("paste-back", smooth, tmp_path / f"alone{suffix}"))
    expected[...] = 0
    expected[BOX] = filtered
    np.testing.assert_allclose(alone.data, expected, rtol=1e-6)
    assert alone.voxel_size_um == pytest.approx(SIZE)


def test_a_crop_of_a_crop_knows_its_place_in_the_full_image(full, crop, tmp_path):
    inner = step("crop", crop, tmp_path / "inner.tif", "--box", "1:3, 2:4, 1:4")
    place = read_volume(inner).place
    assert place is not None
    assert (place.start_vox, place.stop_vox, place.full_shape_vox) == ((3, 2, 6), (5, 4, 9), (8, 12, 20))
    back = step("paste-back", inner, tmp_path / "back.tif", "--into", str(full))
    np.testing.assert_array_equal(read_volume(back).data, read_volume(full).data)


def test_a_crop_that_was_rescaled_returns_to_the_grid_it_was_read_with(crop, tmp_path):
    double = step("rescale", crop, tmp_path / "double.tif", "--factor", "1,2,2", "--interpolation", "nearest")
    assert read_volume(double).place == read_volume(crop).place
    workflow = tmp_path / "there_and_back.yaml"
    workflow.write_text(
        "workflow: 1\nname: x\ntitle: X\nsources: {image: raw}\nnodes:\n"
        "  part: {step: crop, settings: {box: ':, :, 0:10'}, inputs: {image: image}}\n"
        "  large: {step: rescale, settings: {factor: [1, 2, 2]}, inputs: {image: part}}\n"
        "  again: {step: rescale, settings: {to: original}, inputs: {image: large}}\n"
    )
    output = tmp_path / "again.tif"
    assert main(["run", str(workflow), str(double), "--output", str(output), "--quiet"]) == 0
    # Half of a crop that has twice the voxels of its box along Y and X.
    assert read_volume(output).shape_vox == (4, 24, 10)


def test_a_segmented_crop_keeps_its_place(crop, workflow_file, tmp_path):
    cells = tmp_path / "cells.tif"
    assert main(["segment", str(crop), "--output", str(cells), "--workflow", str(workflow_file), "--quiet"]) == 0
    labels = read_volume(cells, kind=Kind.LABELS)
    assert labels.place == Place((2, 0, 5), (6, 12, 15), (8, 12, 20), SIZE)
    back = read_volume(step("paste-back", cells, tmp_path / "back.tif"), kind=Kind.LABELS).data
    np.testing.assert_array_equal(back[BOX], labels.data)
    assert np.count_nonzero(back) == labels.data.size
