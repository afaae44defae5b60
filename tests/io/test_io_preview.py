"""One slice of a file, and its size in memory, are those of the volume that would be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

from plantseg_app.core.volume import Kind
from plantseg_app.errors import InputError, ResourceError
from plantseg_app.io import inspect_image, preview, read_volume
from plantseg_app.io.preview import plan_reading, read_slice

CASES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((5, 6, 7), {"axes": "ZYX"}),
    ((5, 6, 7), {"axes": "-ZYX"}),
    ((4, 6, 7), {"axes": "-Z-Y-X"}),
    ((6, 7, 5), {"axes": "YXZ"}),
    ((6, 7), {"axes": "YX"}),
    ((6, 7), {"axes": "XY"}),
    ((2, 5, 6, 7), {"axes": "CZYX", "channel": 1}),
    ((3, 2, 5, 6, 7), {"axes": "TCZYX", "channel": 1, "time": 2}),
    ((5, 6, 7, 3), {"axes": "ZYXC", "channel": 2}),
]


@pytest.mark.parametrize("ending", [".tif", ".h5"])
@pytest.mark.parametrize(("shape", "how"), CASES)
def test_the_slice_is_the_middle_of_what_would_be_read(
    tmp_path: Path, ending: str, shape: tuple[int, ...], how: dict[str, Any]
) -> None:
    data = np.random.default_rng(0).integers(0, 999, shape).astype(np.uint16)
    file = tmp_path / f"a{ending}"
    if ending == ".tif":
        tifffile.imwrite(file, data, photometric="minisblack")
    else:
        with h5py.File(file, "w") as stream:
            stream["raw"] = data
    image = inspect_image(file).image
    volume = read_volume(file, **how)
    plan = plan_reading(image, **how)
    assert (plan.shape, plan.n_bytes) == (volume.data.shape, volume.data.nbytes)
    assert np.array_equal(read_slice(file, image, **how), volume.data[len(volume.data) // 2])


def test_the_brightness_of_a_colour_picture(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.random.default_rng(0).integers(0, 255, (9, 8, 3), dtype=np.uint8), photometric="rgb")
    image = inspect_image(file).image
    expected = read_volume(file, channel="gray")
    assert np.allclose(read_slice(file, image, channel="gray"), expected.data[0])
    assert plan_reading(image, channel="gray").n_bytes == expected.data.nbytes


def test_labels_are_planned_as_wide_as_they_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.full((3, 4, 5), 7, np.uint8), imagej=True, metadata={"axes": "ZYX"})
    assert plan_reading(inspect_image(file).image, Kind.LABELS).n_bytes == 60 * 4


def test_a_choice_that_must_be_made_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.zeros((3, 2, 4, 5), np.uint8), imagej=True, metadata={"axes": "ZCYX"})
    with pytest.raises(InputError, match="2 channels"):
        plan_reading(inspect_image(file).image)


def test_little_is_read_for_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as stream:
        stream["raw"] = np.zeros((10, 20, 30), np.uint8)
    image = inspect_image(file).image
    monkeypatch.setattr(preview, "_MOST_BYTES", 20 * 30)
    assert read_slice(file, image, axes="ZYX").shape == (20, 30)
    with pytest.raises(ResourceError, match="too much"):
        read_slice(file, image, axes="YXZ")
