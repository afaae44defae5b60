"""The voxel size is found wherever programs hide it, in any unit, or is honestly unknown."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

from plantseg_app.core.volume import Origin
from plantseg_app.errors import InputError
from plantseg_app.io import inspect_image, read_volume
from plantseg_app.io.tiff_scale import scale_of_series
from plantseg_app.io.voxelsize import micrometres

STACK = np.zeros((4, 5, 6), np.uint8)
TRUTH = (0.235, 0.15, 0.16)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("nm", 1e-3), ("nanometer", 1e-3), ("um", 1), ("µm", 1), ("μm", 1), ("\\u00B5m", 1), ("micron", 1),
        ("microns", 1), ("Micron", 1), ("micrometer", 1), ("micrometre", 1), ("micrometers", 1), ("µm\x00", 1),
        (b"um", 1), ("Âµm", 1), ("mm", 1e3), ("cm", 1e4), ("m", 1e6), ("meter", 1e6), ("inch", 25400), ("in", 25400),
        ("inches", 25400), ("Å", 1e-4), ("pixel", None), ("pixels", None), ("", None), (" ", None), (None, None),
        ("furlong", None), ("-", None),
    ],
)  # fmt: skip
def test_units(unit: Any, expected: float | None) -> None:
    assert micrometres(unit) == expected


def size_of(file: Path) -> tuple[float, ...] | None:
    volume = read_volume(file)
    assert inspect_image(file).voxel_size_um == volume.voxel_size_um == volume.origin.voxel_size_um
    return volume.voxel_size_um


def assert_truth(file: Path, expected: tuple[float, ...] = TRUTH) -> None:
    found = size_of(file)
    assert found is not None, inspect_image(file).voxel_size_source
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("unit", ["nm", "um", "\\u00B5m", "micron", "microns", "mm", "cm", "inch"])
def test_imagej(unit: str, tmp_path: Path) -> None:
    factor = micrometres(unit)
    assert factor is not None
    tifffile.imwrite(
        tmp_path / "a.tif",
        STACK,
        imagej=True,
        resolution=(factor / TRUTH[2], factor / TRUTH[1]),
        metadata={"axes": "ZYX", "spacing": TRUTH[0] / factor, "unit": unit},
    )
    assert_truth(tmp_path / "a.tif")


def test_imagej_leaves_out_a_spacing_of_one(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", STACK, imagej=True, resolution=(5, 4), metadata={"axes": "ZYX", "unit": "micron"}
    )
    assert_truth(tmp_path / "a.tif", (1.0, 0.25, 0.2))
    assert "as ImageJ means it" in inspect_image(tmp_path / "a.tif").voxel_size_source


@pytest.mark.parametrize("unit", ["pixel", "furlong"])
def test_imagej_unit_that_is_no_length(unit: str, tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", STACK, imagej=True, resolution=(5, 4), metadata={"axes": "ZYX", "unit": unit, "spacing": 2}
    )
    assert size_of(tmp_path / "a.tif") is None
    assert unit in inspect_image(tmp_path / "a.tif").voxel_size_source


def test_imagej_without_unit(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "ZYX"})
    assert size_of(tmp_path / "a.tif") is None
    tifffile.imwrite(
        tmp_path / "a.tif",
        STACK,
        imagej=True,
        resolution=(1 / 0.16, 1 / 0.15),
        metadata={"axes": "ZYX", "spacing": 0.235},
    )
    assert_truth(tmp_path / "a.tif")
    assert "micrometres assumed" in inspect_image(tmp_path / "a.tif").voxel_size_source


def test_two_dimensions_need_no_spacing(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], imagej=True, resolution=(5, 4), metadata={"unit": "um"})
    assert_truth(tmp_path / "a.tif", (0.25, 0.25, 0.2))


@pytest.mark.parametrize("unit", ["nm", "µm", "mm", "cm", "m", "Å", "in"])
def test_ome(unit: str, tmp_path: Path) -> None:
    factor = micrometres(unit)
    assert factor is not None
    metadata: dict[str, Any] = {"axes": "ZYX"}
    for letter, length in zip("ZYX", TRUTH, strict=True):
        metadata |= {f"PhysicalSize{letter}": length / factor, f"PhysicalSize{letter}Unit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, photometric="minisblack", metadata=metadata)
    assert_truth(tmp_path / "a.ome.tif")


def test_ome_unit_defaults_to_micrometres_and_z_may_be_missing(tmp_path: Path) -> None:
    metadata: dict[str, Any] = {"axes": "ZYX", "PhysicalSizeX": 0.16, "PhysicalSizeY": 0.15}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, photometric="minisblack", metadata=metadata)
    assert size_of(tmp_path / "a.ome.tif") is None
    assert "no distance between slices" in inspect_image(tmp_path / "a.ome.tif").voxel_size_source
    metadata["PhysicalSizeZ"] = 0.235
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, photometric="minisblack", metadata=metadata)
    assert_truth(tmp_path / "a.ome.tif")
    metadata["PhysicalSizeXUnit"] = "pixel"
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, photometric="minisblack", metadata=metadata)
    assert size_of(tmp_path / "a.ome.tif") is None


@pytest.mark.parametrize(("unit", "factor"), [("CENTIMETER", 1e4), ("INCH", 25400.0)])
def test_resolution_tags(unit: str, factor: float, tmp_path: Path) -> None:
    options: dict[str, Any] = {"resolution": (factor / 0.16, factor / 0.15), "resolutionunit": unit, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], **options)
    assert_truth(tmp_path / "a.tif", (0.15, 0.15, 0.16))
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack", **options)
    assert size_of(tmp_path / "a.tif") is None
    assert "0.15 and 0.16 um" in inspect_image(tmp_path / "a.tif").voxel_size_source


@pytest.mark.parametrize(("resolution", "unit"), [(72, "INCH"), (300, "INCH"), (118.11, "CENTIMETER"), (1, "NONE")])
def test_resolutions_of_printers_are_passed_over(resolution: float, unit: str, tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", STACK[0], resolution=(resolution, resolution), resolutionunit=unit, metadata=None
    )
    assert size_of(tmp_path / "a.tif") is None


def test_spacing_and_unit_in_tifffile_s_own_description(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        STACK,
        photometric="minisblack",
        resolution=(1 / 0.16, 1 / 0.15),
        metadata={"axes": "ZYX", "spacing": 0.235, "unit": "um"},
    )
    assert_truth(tmp_path / "a.tif")


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_nonsense_is_unknown_and_no_obstacle(bad: float, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = STACK
        file["raw"].attrs["element_size_um"] = (bad, 0.1, 0.1)
    assert size_of(tmp_path / "a.h5") is None
    assert "not a voxel size" in inspect_image(tmp_path / "a.h5").voxel_size_source


def _h5(file: Path, data: np.ndarray = STACK, **attributes: Any) -> Path:
    with h5py.File(file, "w") as opened:
        opened["raw"] = data
        opened["raw"].attrs.update(attributes)
    return file


def test_hdf5_attributes(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    assert_truth(_h5(file, element_size_um=TRUTH))
    assert_truth(_h5(file, element_size_um=np.array(TRUTH, np.float32)))
    assert_truth(_h5(file, resolution=np.array(TRUTH) * 1000, unit="nm"))
    assert_truth(_h5(file, resolution=np.array(TRUTH) * 1000, units=[b"nm", b"nm", b"nm"]))
    assert_truth(_h5(file, resolution=TRUTH))
    assert "micrometres assumed" in inspect_image(file).voxel_size_source
    assert size_of(_h5(file, resolution=TRUTH, unit="pixel")) is None
    assert size_of(_h5(file)) is None
    assert_truth(_h5(file, STACK[0], element_size_um=(0.15, 0.16)), (0.15, 0.15, 0.16))
    with h5py.File(file, "w") as opened:
        opened["group/raw"] = STACK
        opened["group"].attrs["element_size_um"] = TRUTH
    assert_truth(file)


def test_hdf5_axistags(tmp_path: Path) -> None:
    # The axes are X, Y, Z here: the size follows the letters, not the place.
    tags = {
        "axes": [
            {"key": key, "typeFlags": 2, "resolution": size * 1000, "description": ""}
            for key, size in zip("xyz", reversed(TRUTH), strict=True)
        ]
    }
    units = json.dumps({"x": "nm", "y": "nm", "z": "nm"})
    file = _h5(tmp_path / "a.h5", np.zeros((6, 5, 4), np.uint8), axistags=json.dumps(tags), axis_units=units)
    assert_truth(file)
    assert read_volume(file).data.shape == (4, 5, 6)


def test_given_size_wins_and_the_origin_keeps_the_stored_one(tmp_path: Path) -> None:
    volume = read_volume(_h5(tmp_path / "cells.h5", element_size_um=TRUTH), voxel_size_um=(1, 2, 3))
    assert volume.voxel_size_um == (1.0, 2.0, 3.0)
    assert volume.name == "cells"
    assert volume.origin == Origin(str(tmp_path / "cells.h5"), "data set raw", (4, 5, 6), volume.origin.voxel_size_um)
    np.testing.assert_allclose(volume.origin.voxel_size_um or (), TRUTH)
    with pytest.raises(InputError, match="three positive lengths"):
        read_volume(tmp_path / "cells.h5", voxel_size_um=(0, 1, 1))


def _headers(**found: Any) -> Any:
    """Return a stand-in for a file with headers that tifffile reads and cannot write."""
    page = SimpleNamespace(tags={}, shaped_description=None)
    nothing = {"is_lsm": False, "is_micromanager": False, "imagej_metadata": None, "pages": SimpleNamespace(first=page)}
    return SimpleNamespace(**(nothing | found))


@pytest.mark.parametrize(
    ("step", "depth", "expected"),
    [(0.235, 4, (0.235, 0.15, 0.15)), (-0.235, 4, (0.235, 0.15, 0.15)), (0, 4, None), (0, 1, (0.15, 0.15, 0.15))],
)
def test_micromanager(step: float, depth: int, expected: tuple[float, ...] | None) -> None:
    summary = {"Summary": {"PixelSize_um": 0.15, "z-step_um": step}}
    tif = _headers(is_micromanager=True, micromanager_metadata=summary)
    series = SimpleNamespace(keyframe=tif.pages.first)
    assert scale_of_series(tif, series, None, depth).voxel_size_um == expected


def test_lsm_counts_in_metres() -> None:
    lsm = {"VoxelSizeX": 1.6e-7, "VoxelSizeY": 1.5e-7, "VoxelSizeZ": 2.35e-7}
    tif = _headers(is_lsm=True, lsm_metadata=lsm)
    found = scale_of_series(tif, SimpleNamespace(keyframe=tif.pages.first), None, 4).voxel_size_um
    np.testing.assert_allclose(found or (), TRUTH)
