from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plantseg_app.core.quantities import human_bytes
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError
from plantseg_app.io import read_volume, read_workflow, write_volume
from plantseg_app.run.batch import plan_jobs, run_batch
from plantseg_app.run.estimate import estimate_run
from plantseg_app.run.jobs import ExtraSource, Job, JobResult, JobSettings, ReadOptions, count_cells, process_file

GOLDEN = Path(__file__).with_name("two_steps.golden.yaml")


def test_the_written_form_of_a_workflow_stays(workflow):
    """Files with this text are on people's disks: it must be read for ever, and written so that older files compare."""
    assert workflow.to_yaml() == GOLDEN.read_text(encoding="utf-8")
    assert Workflow.from_yaml(GOLDEN.read_text(encoding="utf-8")) == workflow


def test_the_record_in_a_result_is_a_workflow_that_makes_it_again(workflow, image, tmp_path):
    path = write_volume(tmp_path / "in.tif", image)
    settings = JobSettings(workflow_yaml=workflow.to_yaml(), source="image", read=ReadOptions(voxel_size_um=(1, 1, 1)))
    done = process_file(Job(path, tmp_path / "out.tif"), settings)
    record = read_workflow(tmp_path / "out.tif")
    assert record == settings.record(path)
    assert record.splitlines()[0] == "# image: in.tif voxel_size_um=(1, 1, 1)"
    again = JobSettings(workflow_yaml=record, source="image")
    repeated = process_file(Job(path, tmp_path / "again.tif"), again)
    np.testing.assert_array_equal(repeated.outputs["cells"].data, done.outputs["cells"].data)
    assert read_volume(tmp_path / "out.tif", kind=Kind.LABELS).voxel_size_um == pytest.approx((1, 1, 1))


def test_further_outputs_are_named_after_the_input(workflow, image, tmp_path):
    path = write_volume(tmp_path / "in.tif", image)
    both = workflow.model_copy(update={"outputs": ("cells", "second")})
    settings = JobSettings(workflow_yaml=both.to_yaml(), source="image")
    assert run_batch(plan_jobs([path], tmp_path / "out"), settings)[0].status == "done"
    assert (tmp_path / "out" / "in.tif").exists()
    assert read_volume(tmp_path / "out" / "in_second.tif").data.max() == pytest.approx(image.data.max() + 3)
    other = write_volume(tmp_path / "in_second.tif", image)
    with pytest.raises(RequestError, match=r"in_second\.tif"):
        run_batch(plan_jobs([path, other], tmp_path / "out"), settings)


def test_a_folder_of_sources_needs_exactly_one_file_of_the_name(tmp_path):
    (tmp_path / "a.tif").touch()
    source = ExtraSource(tmp_path, ReadOptions())
    assert source.file_for(Path("elsewhere/a.h5")) == tmp_path / "a.tif"
    with pytest.raises(RequestError, match="found: none"):
        source.file_for(Path("b.tif"))
    (tmp_path / "a.h5").touch()
    with pytest.raises(RequestError, match=r"a\.h5, a\.tif"):
        source.file_for(Path("a.tif"))


def test_a_row_of_the_summary_is_read_back():
    result = JobResult(Path("a.tif"), Path("out/a.tif"), "done", 1.5, 70001, "")
    assert JobResult.from_plain(result.to_plain()) == result
    with pytest.raises(ValueError, match="unknown status"):
        JobResult.from_plain(result.to_plain() | {"status": "dream"})


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_cells_are_counted_whatever_their_numbers(dtype):
    labels = np.array([[[0, 1, 1], [5, 2**31, 0]]], dtype)
    assert count_cells(labels) == 3
    assert count_cells(np.zeros((1, 2, 2), dtype)) == 0
    many = np.arange(80_000, dtype=dtype).reshape(1, 200, 400)
    assert count_cells(many) == 79_999


def test_the_estimate_adds_times_and_takes_the_hungriest_node(workflow):
    estimate = estimate_run(workflow, {"image": (10, 100, 100)})
    assert [node.node for node in estimate.nodes] == ["first", "second", "cells"]
    assert estimate.peak_bytes == 12 * 100_000
    assert estimate.seconds == pytest.approx(3 * 0.01)
    assert estimate.fits
    assert human_bytes(512) == "512 bytes"


def test_folders_are_searched_for_images_alone(tmp_path, image):
    for name in ("b.tif", "a.h5", ".hidden.tif"):
        write_volume(tmp_path / "in" / name, image)
    (tmp_path / "in" / "readme.txt").touch()
    (tmp_path / "in" / "sub").mkdir()
    jobs = plan_jobs([tmp_path / "in"], tmp_path / "out")
    assert [job.output.name for job in jobs] == ["a.tif", "b.tif"]
    with pytest.raises(RequestError, match="holds no image"):
        plan_jobs([tmp_path / "in" / "sub"], tmp_path / "out")
    with pytest.raises(RequestError, match="is a file"):
        plan_jobs([tmp_path / "in"], tmp_path / "out.tif")


def test_volumes_are_what_the_workflow_says(workflow, tmp_path):
    path = write_volume(tmp_path / "labels.tif", Volume(np.ones((1, 2, 2), np.uint32), Kind.LABELS))
    done = process_file(Job(path, tmp_path / "out.h5"), JobSettings(workflow.to_yaml(), "image"))
    assert done.sources["image"].kind is Kind.RAW
    assert done.result.n_cells == 0
