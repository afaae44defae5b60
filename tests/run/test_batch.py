"""What the summary of a batch holds when only a part of it is run again, and what a batch takes for an image."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from plantseg_app.errors import RequestError
from plantseg_app.io import write_volume
from plantseg_app.run.batch import images_in, note_failure, plan_jobs, read_summary, run_batch
from plantseg_app.run.jobs import JobResult, JobSettings
from plantseg_app.run.read_settings import ReadSettings


def statuses(folder: Path) -> dict[str, str]:
    with (folder / "summary.csv").open() as file:
        return {Path(row["input"]).stem: row["status"] for row in csv.DictReader(file)}


def test_running_a_part_again_keeps_the_rows_of_the_others(workflow, image, tmp_path):
    write_volume(tmp_path / "in" / "a.tif", image)
    write_volume(tmp_path / "in" / "c.tif", image)
    (tmp_path / "in" / "b.tif").write_bytes(b"rubbish")
    settings = JobSettings(workflow.to_yaml(), "image")
    jobs = plan_jobs([tmp_path / "in"], tmp_path / "out")
    run_batch(jobs, settings)
    assert statuses(tmp_path / "out") == {"a": "done", "b": "failed", "c": "done"}
    write_volume(tmp_path / "in" / "b.tif", image)
    (result,) = run_batch(jobs[1:2], settings, resume=True)
    assert result.status == "done"
    assert list(statuses(tmp_path / "out").items()) == [("a", "done"), ("b", "done"), ("c", "done")]
    # Without resuming it is a new batch.
    run_batch(jobs[:1], settings)
    assert statuses(tmp_path / "out") == {"a": "done"}


def test_a_failure_that_killed_the_process_is_noted_by_others(tmp_path):
    first = JobResult(tmp_path / "a.tif", tmp_path / "out" / "a.tif", "failed", error="it crashed")
    note_failure(first)
    second = JobResult(tmp_path / "b.tif", tmp_path / "out" / "b.tif", "failed", error="no memory")
    note_failure(second)
    assert read_summary(tmp_path / "out") == {first.output: first, second.output: second}


def test_the_ending_of_the_results_can_be_chosen(tmp_path):
    assert plan_jobs([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "out", ".h5")[1].output.name == "b.h5"


def test_a_folder_without_images_is_refused(tmp_path, image):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(RequestError, match="no image"):
        images_in(tmp_path)
    write_volume(tmp_path / "z.tif", image)
    (tmp_path / "inner.tif").mkdir()
    assert images_in(tmp_path) == [tmp_path / "z.tif"]


@pytest.mark.parametrize("axes", ["ZZX", "ABC", "Z,Y"])
def test_axes_that_are_none_are_refused(axes):
    with pytest.raises(ValueError, match="axes are letters"):
        ReadSettings(axes=axes)
