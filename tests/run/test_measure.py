"""The table of cells: right units in the names, and a file that others read."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError, RequestError
from plantseg_app.run.measure import measure_cells


@pytest.fixture
def cells() -> Volume:
    data = np.zeros((4, 6, 6), np.uint32)
    data[1:3, 1:3, 1:3] = 5
    data[2:4, 4:6, 3:6] = 12
    return Volume(data, Kind.LABELS, (2.0, 0.5, 0.25))


def test_sizes_are_in_micrometres_where_the_voxel_size_is_known(cells):
    table = measure_cells(cells)
    assert table["label"].tolist() == [5, 12]
    assert table["n_voxels"].tolist() == [8, 12]
    assert table["volume_um3"].tolist() == [2.0, 3.0]
    np.testing.assert_allclose(table["equivalent_diameter_um"], [(12 / np.pi) ** (1 / 3), (18 / np.pi) ** (1 / 3)])
    assert table["centroid_z_um"].tolist() == [3.0, 5.0]
    assert (table["centroid_x_vox"].tolist(), table["centroid_x_um"].tolist()) == ([1.5, 4.0], [0.375, 1.0])
    assert (table["box_start_y_vox"].tolist(), table["box_stop_y_vox"].tolist()) == ([1, 4], [3, 6])
    assert table["touches_border"].tolist() == [False, True]
    assert all(column.help for column in table.columns)


def test_without_a_voxel_size_there_are_voxels_only(cells):
    table = measure_cells(cells.replace(voxel_size_um=None))
    assert not [name for name in table.names if "um" in name]
    assert "equivalent_diameter_vox" in table.names


def test_a_slice_has_areas(cells):
    table = measure_cells(cells.replace(data=cells.data[2:3]))
    assert table["area_um2"].tolist() == [0.5, 0.75]
    assert "volume_um3" not in table.names
    np.testing.assert_allclose(table["equivalent_diameter_um"], [2 * np.sqrt(0.5 / np.pi), 2 * np.sqrt(0.75 / np.pi)])


def test_cells_that_overlap_are_measured_layer_by_layer(cells):
    layers = np.stack([cells.data, np.roll(cells.data, 1, axis=1)])
    table = measure_cells(Volume(layers, Kind.LAYERED_LABELS), {"signal": Volume(cells.data, Kind.RAW)})
    assert (table["layer"].tolist(), table["label"].tolist()) == ([0, 0, 1, 1], [5, 12, 5, 12])
    assert table["signal_mean"].tolist()[:2] == [5.0, 12.0]
    assert table["n_pieces"].tolist() == [1, 1, 1, 2]


def test_every_channel_of_every_image_is_measured(cells):
    two = np.stack([cells.data * 2.0, np.ones(cells.data.shape)])
    images = {"gfp": Volume(two, Kind.RAW), "dapi": Volume(cells.data.astype(np.uint8), Kind.RAW)}
    table = measure_cells(cells, images)
    assert table["gfp_c0_sum"].tolist() == [80.0, 288.0]
    assert (table["gfp_c1_std"].tolist(), table["dapi_max"].tolist()) == ([0.0, 0.0], [5.0, 12.0])


def test_what_does_not_fit_is_said(cells):
    with pytest.raises(InputError, match="The image gfp has"):
        measure_cells(cells, {"gfp": Volume(np.zeros((4, 6, 5)), Kind.RAW)})
    with pytest.raises(InputError, match="raw"):
        measure_cells(Volume(np.zeros((4, 6, 5)), Kind.RAW))


def test_the_file_holds_the_table(cells, tmp_path):
    table = measure_cells(cells, {"gfp": Volume(cells.data / 3, Kind.RAW)})
    file = table.write_csv(tmp_path / "new" / "cells.csv")
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == table.names
    for column in table.columns:
        np.testing.assert_allclose([float(row[column.name]) for row in rows], column.values.astype(float), rtol=1e-7)
    assert (
        measure_cells(cells.replace(data=np.zeros((1, 2, 2), np.uint32))).write_csv(file).read_text().count("\n") == 1
    )
    for name in ("cells.txt", ".csv"):
        (tmp_path / ".csv").mkdir(exist_ok=True)
        with pytest.raises(RequestError):
            table.write_csv(tmp_path / name)
