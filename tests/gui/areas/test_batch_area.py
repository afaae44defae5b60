"""The area of batches, with the real child process and tiny stacks."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import read_volume, read_workflow, write_volume

pytestmark = pytest.mark.gui


@pytest.fixture
def stacks(tmp_path: Path, make_tissue: Callable[..., Any]) -> Path:
    """A folder of two boundary maps and one file of rubbish."""
    folder = tmp_path / "stacks"
    for seed, name in enumerate("ac"):
        _, boundary = make_tissue((8, 32, 32), seed=seed)
        volume = Volume(np.asarray(boundary, np.float32), Kind.BOUNDARY, voxel_size_um=(0.3, 0.2, 0.2))
        write_volume(folder / f"{name}.tif", volume)
    (folder / "b.tif").write_bytes(b"II*\0garbage")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def batch(bench: Any, qtbot: QtBot) -> Iterator[Any]:
    from plantseg_app.gui.areas.batch_area import BatchArea

    area = BatchArea(bench)
    qtbot.addWidget(area)
    area.show()
    area.enter()
    box = area.choices.workflow_choice.box
    box.setCurrentIndex(box.findData("boundary-map"))
    yield area
    area.shut_down()


@pytest.fixture
def choices(bench: Any, qtbot: QtBot) -> Any:
    """The settings of a batch by themselves."""
    from plantseg_app.gui.areas.batch_choices import BatchChoices

    made = BatchChoices(bench)
    qtbot.addWidget(made)
    return made


def states(batch: Any) -> dict[str, str]:
    return {row.path.name: row.state for row in batch.table.rows}


def wait_for_end(batch: Any, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not batch.is_busy and not batch.bench.runner.is_busy, timeout=120_000)


def test_a_bad_file_is_a_row_and_not_the_end(
    batch: Any, bench: Any, stacks: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    from PySide6.QtCore import Qt

    batch.take_paths([stacks])
    assert states(batch) == {"a.tif": "waiting", "b.tif": "waiting", "c.tif": "waiting"}
    assert batch.choices.output.path == stacks / "cells"
    batch.choices.output.set_path(tmp_path / "out")
    seen: list[float] = []
    batch.batch_run.moved.connect(lambda fraction, _: seen.append(fraction))
    qtbot.mouseClick(batch.start_button, Qt.MouseButton.LeftButton)
    assert batch.is_busy
    assert not batch.start_button.isEnabled()
    wait_for_end(batch, qtbot)

    assert states(batch) == {"a.tif": "done", "b.tif": "failed", "c.tif": "done"}
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert batch.status.text().startswith("2 of 3 files done; 1 failed")
    for row in batch.table.rows:
        if row.state == "done":
            labels = read_volume(tmp_path / "out" / row.path.name, kind=Kind.LABELS).data
            assert row.n_cells == len(np.unique(labels[labels > 0])) > 1
            assert row.seconds is not None
    batch.list.selectRow(1)
    assert "b.tif" in batch.reason.text()
    assert batch.table.rows[1].error in batch.reason.text()
    assert len(batch.table.rows[1].error) > 20

    with (tmp_path / "out" / "summary.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done", "failed", "done"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "2 of 3" in page
    for name in ("report.html", "summary.csv"):
        assert (tmp_path / "out" / name).as_uri() in batch.links.text()

    # What failed is mended and run again; the others are not touched, and stay in the summary.
    before = (tmp_path / "out" / "a.tif").stat().st_mtime_ns
    shutil.copy(stacks / "c.tif", stacks / "b.tif")
    qtbot.mouseClick(batch.again_button, Qt.MouseButton.LeftButton)
    assert states(batch) == {"a.tif": "done", "b.tif": "waiting", "c.tif": "done"}
    wait_for_end(batch, qtbot)
    assert states(batch) == {"a.tif": "done", "b.tif": "done", "c.tif": "done"}
    assert (tmp_path / "out" / "a.tif").stat().st_mtime_ns == before
    with (tmp_path / "out" / "summary.csv").open() as file:
        rows = {Path(row["input"]).name: row["status"] for row in csv.DictReader(file)}
    assert rows == {"a.tif": "done", "b.tif": "done", "c.tif": "done"}
    assert "3 of 3" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not batch.again_button.isEnabled()

    # A double click brings image and cells onto the canvas of the wizard, in place of those shown before.
    document = bench.document
    batch.open_result(0)
    qtbot.waitUntil(lambda: len(document.images) == 2, timeout=30_000)
    assert bench.opened == ["Proofread"]
    assert document.cells.name == "a result"
    assert bench.runner.open(document.images["a"].ref).shape_vox == (8, 32, 32)
    batch.open_result(2)
    qtbot.waitUntil(lambda: "c" in document.images, timeout=30_000)
    assert set(document.images) == {"c", "c result"}


def test_a_cancelled_batch_is_resumed(
    batch: Any, stacks: Path, tmp_path: Path, make_tissue: Callable[..., Any], qtbot: QtBot
) -> None:
    (stacks / "b.tif").unlink()
    _, boundary = make_tissue((24, 160, 160), seed=3)
    write_volume(stacks / "big.tif", Volume(np.asarray(boundary, np.float32), Kind.BOUNDARY))
    batch.take_paths([stacks / "a.tif", stacks / "big.tif", stacks / "c.tif", stacks / "notes.txt"])
    assert states(batch) == {"a.tif": "waiting", "big.tif": "waiting", "c.tif": "waiting"}
    batch.choices.output.set_path(tmp_path / "out")
    assert not batch.resume_button.isEnabled()
    batch.start()
    qtbot.waitUntil(lambda: states(batch)["big.tif"] == "running", timeout=60_000)
    batch.cancel()
    wait_for_end(batch, qtbot)
    assert states(batch) == {"a.tif": "done", "big.tif": "waiting", "c.tif": "waiting"}
    assert "Resume" in batch.status.text()
    cells = batch.table.rows[0].n_cells
    assert batch.resume_button.isEnabled()
    batch.start(resume=True)
    wait_for_end(batch, qtbot)
    assert states(batch) == {"a.tif": "skipped", "big.tif": "done", "c.tif": "done"}
    assert batch.table.rows[0].n_cells == cells


def test_a_file_that_kills_the_process_is_blamed_and_the_others_go_on(
    batch: Any, stacks: Path, tmp_path: Path, make_tissue: Callable[..., Any], qtbot: QtBot
) -> None:
    import os
    import signal

    _, boundary = make_tissue((24, 160, 160), seed=3)
    write_volume(stacks / "b.tif", Volume(np.asarray(boundary, np.float32), Kind.BOUNDARY))
    batch.take_paths([stacks / "b.tif", stacks / "c.tif"])
    batch.choices.output.set_path(tmp_path / "out")
    batch.start()
    qtbot.waitUntil(lambda: states(batch)["b.tif"] == "running", timeout=60_000)
    os.kill(batch.bench.runner._worker.pid, signal.SIGKILL)
    wait_for_end(batch, qtbot)
    assert states(batch) == {"b.tif": "failed", "c.tif": "done"}
    assert "memory" in batch.table.rows[0].error
    with (tmp_path / "out" / "summary.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["failed", "done"]


def test_workflows_come_from_the_wizard_and_from_files(choices: Any, bench: Any, stacks: Path, tmp_path: Path) -> None:
    choice = choices.workflow_choice
    assert choice.workflow == bench.document.workflow
    changed = bench.document.workflow.replace("cells", beta=0.125)
    bench.document.set_workflow(changed)
    assert choice.workflow == changed
    (tmp_path / "mine.yaml").write_text(changed.replace("cells", beta=0.25).to_yaml(), encoding="utf-8")
    choice.open_file(tmp_path / "mine.yaml")
    assert choice.workflow.nodes["cells"].step.beta == 0.25
    assert "mine.yaml" in choice.box.currentText()
    choice.open_file(stacks / "notes.txt")
    assert "notes.txt" in bench.warned[-1]
    assert choice.workflow.nodes["cells"].step.beta == 0.25


def test_a_second_image_comes_from_a_folder_or_a_channel(choices: Any, stacks: Path, tmp_path: Path) -> None:
    from plantseg_app.errors import RequestError

    box = choices.workflow_choice.box
    box.setCurrentIndex(box.findData("nuclei-guided"))
    (line,) = choices.source_lines
    assert line.name == "nuclei"
    with pytest.raises(RequestError, match="nuclei"):
        choices.job_settings()
    line.channel.setText("1")
    assert choices.job_settings().extra["nuclei"].read.channel == 1
    line.place.set_path(tmp_path / "nowhere")
    with pytest.raises(RequestError, match="nowhere"):
        choices.job_settings()
    line.place.set_path(stacks)
    extra = choices.job_settings().extra["nuclei"]
    assert extra.file_for(Path("elsewhere/a.tif")) == stacks / "a.tif"
    box.setCurrentIndex(box.findData("membranes-gasp"))
    assert choices.source_lines == []


def test_what_cannot_be_run_is_refused_and_the_rest_runs_as_told(
    batch: Any, bench: Any, stacks: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    def refused() -> str:
        return bench.warned[-1]

    batch.start()
    assert "no images" in refused()
    batch.take_paths([stacks / "a.tif", stacks / "notes.txt"])
    assert "notes.txt" in refused()
    batch.choices.output.set_path(None)
    batch.start()
    assert "folder for the results" in refused()
    batch.choices.output.set_path(stacks)
    batch.start()
    assert "written over an input" in refused()
    assert not batch.is_busy
    batch.list.selectRow(0)
    batch.remove_button.click()
    assert batch.table.rows == []

    # How files are read and written reaches the job.
    batch.choices.reading.set_step(type(batch.choices.reading.step())(voxel_size_um=(1.0, 0.5, 0.5)))
    batch.choices.format_box.setCurrentIndex(batch.choices.format_box.findData(".h5"))
    batch.take_paths([stacks / "a.tif"])
    batch.choices.output.set_path(tmp_path / "out.tif")
    batch.start()
    wait_for_end(batch, qtbot)
    made = tmp_path / "out.tif" / "a.h5"
    assert states(batch) == {"a.tif": "done"}, batch.table.rows
    assert read_volume(made, kind=Kind.LABELS).voxel_size_um.z == 1.0
    assert "voxel_size_um=(1.0, 0.5, 0.5)" in (read_workflow(made) or "")
