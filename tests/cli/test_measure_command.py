"""``plantseg-app measure``: the promised command."""

from __future__ import annotations

import csv
import json

import numpy as np

from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import write_volume


def test_a_segmentation_and_its_images_become_a_table(tmp_path, capsys):
    labels = np.zeros((3, 8, 8), np.uint32)
    labels[:, 2:4, 2:6] = 70000
    cells = write_volume(tmp_path / "cells.tif", Volume(labels, Kind.LABELS, (1.0, 0.5, 0.5)))
    image = write_volume(tmp_path / "signal.h5", Volume(np.stack([labels % 7, labels * 0 + 3]), Kind.RAW))
    table = tmp_path / "cells.csv"
    words = ["measure", str(cells), "--image", str(image), "--image", str(image), "--output", str(table), "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["output"], said["n_cells"]) == (str(table), 1)
    with table.open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert list(row) == said["columns"]
    assert (row["label"], row["n_voxels"], row["volume_um3"]) == ("70000", "24", "6")
    assert (row["signal_c0_mean"], row["signal-2_c1_sum"]) == (str(70000 % 7), "72")
    assert main(["measure", str(cells), "--output", str(table)]) == 0
    assert "1 cell\n" in capsys.readouterr().out
    assert "signal" not in table.read_text()


def test_overlapping_cells_and_an_unknown_voxel_size(tmp_path, capsys):
    planes = np.zeros((2, 1, 4, 4), np.uint32)
    planes[0, 0, :3], planes[1, 0, 2:] = 1, 2
    cells = write_volume(tmp_path / "layers.tif", Volume(planes, Kind.LAYERED_LABELS))
    assert main(["measure", str(cells), "--layered", "--output", str(tmp_path / "a.csv")]) == 0
    assert "voxel size is not known" in capsys.readouterr().err
    assert (tmp_path / "a.csv").read_text().splitlines()[0].startswith("layer,label,n_voxels,equivalent_diameter_vox")


def test_what_is_wrong_is_one_line(tmp_path, capsys):
    cells = write_volume(tmp_path / "cells.tif", Volume(np.ones((1, 4, 4), np.uint32), Kind.LABELS))
    other = write_volume(tmp_path / "other.tif", Volume(np.ones((1, 4, 5), np.uint8), Kind.RAW))
    table = str(tmp_path / "cells.csv")
    for words, status in (
        ([str(cells), "--output", str(tmp_path / "cells.xlsx")], 2),
        ([str(tmp_path / "none.tif"), "--output", table], 2),
        ([str(cells), "--image", str(tmp_path / "none.tif"), "--output", table], 2),
        ([str(cells)], 2),
        ([str(cells), "--image", str(other), "--output", table, "--quiet"], 1),
    ):
        assert main(["measure", *words]) == status
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "cells.csv").exists()
