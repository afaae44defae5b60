"""Saving results: what lands in the folder, what is refused, what a failed save leaves behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import RequestError
from plantseg_app.io import read_volume, read_workflow
from plantseg_app.run.desk import Desk
from plantseg_app.run.export import SUFFIXES, Export, ExportItem, MeasureCells
from plantseg_app.run.store import VolumeRef

WORKFLOW = "{workflow: 1, name: nothing, sources: {}, nodes: {}}\n"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "session", tmp_path / "own", lambda name, event: None)


@pytest.fixture
def cells(desk: Desk) -> VolumeRef:
    labels = np.zeros((2, 4, 6), np.uint32)
    labels[:, :, :2], labels[:, :, 3:] = 7, 70000
    return desk.store.add(Volume(labels, Kind.LABELS, (0.5, 0.2, 0.1), "leaf"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_cells_table_and_workflow_are_written_and_read_back(
    desk: Desk, cells: VolumeRef, tmp_path: Path, suffix: str
) -> None:
    grey = desk.store.add(Volume(np.full((2, 4, 6), 3.0, np.float32), Kind.RAW, name="signal"))
    item = ExportItem("my cells!", cells, WORKFLOW, as_file=True, as_table=True)
    plan = Export(tmp_path / "new" / "out", "leaf", (item,), suffix, (("signal", grey),), WORKFLOW)
    files = plan.run(desk)
    assert [file.name for file in files] == [f"leaf_my_cells{suffix}", "leaf_my_cells.csv", "leaf_workflow.yaml"]
    back = read_volume(files[0], kind=Kind.LABELS)
    assert np.array_equal(back.data, desk.open(cells).data)
    assert back.voxel_size_um == pytest.approx((0.5, 0.2, 0.1))
    assert read_workflow(files[0]) == WORKFLOW
    header, first, second = files[1].read_text(encoding="utf-8").splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert (row["label"], row["n_voxels"], float(row["signal_mean"])) == ("7", "16", 3.0)
    assert second.startswith("70000,")
    assert files[2].read_text(encoding="utf-8") == WORKFLOW


def test_nothing_is_replaced_unless_allowed(desk: Desk, cells: VolumeRef, tmp_path: Path) -> None:
    plan = Export(tmp_path, "leaf", (ExportItem("cells", cells, WORKFLOW),))
    plan.file_of("cells").write_bytes(b"precious")
    with pytest.raises(RequestError, match=r"leaf_cells\.tif already"):
        plan.run(desk)
    assert plan.file_of("cells").read_bytes() == b"precious"
    plan.replacing_files().run(desk)
    assert read_volume(plan.file_of("cells"), kind=Kind.LABELS).shape_vox == (2, 4, 6)


def test_two_results_do_not_share_a_file(desk: Desk, cells: VolumeRef, tmp_path: Path) -> None:
    items = (ExportItem("a b", cells, WORKFLOW), ExportItem("a_b", cells, WORKFLOW))
    with pytest.raises(RequestError, match="same file name"):
        Export(tmp_path, "leaf", items).run(desk)
    assert list(tmp_path.glob("leaf*")) == []


def test_cells_are_measured_for_the_window(desk: Desk, cells: VolumeRef) -> None:
    table = MeasureCells(cells).run(desk)
    assert table["volume_um3"].tolist() == pytest.approx([0.16, 0.24])
