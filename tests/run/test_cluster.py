"""The cluster, with a double in place of the package ``distributed``, which is installed only where one needs it."""

from __future__ import annotations

import importlib
import sys
import types

import numpy as np
import pytest

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import RequestError, ResourceError
from plantseg_app.io import write_volume
from plantseg_app.run.batch import plan_jobs, run_batch
from plantseg_app.run.jobs import JobSettings


class Future:
    def __init__(self, work):
        try:
            self._result, self._error = work(), None
        except RuntimeError as error:
            self._error = error

    def result(self):
        return self._result

    def exception(self):
        return self._error


class Client:
    closed = False

    def __init__(self, address, timeout):
        if "nobody" in address:
            raise OSError("timed out")

    def submit(self, function, job, settings, *, pure):
        import pickle

        if "lost" in job.input.name:
            return Future(lambda: (_ for _ in ()).throw(RuntimeError("worker died")))
        # What is sent must survive the way to another machine.
        job, settings = pickle.loads(pickle.dumps((job, settings)))
        assert job.input.is_absolute()
        return Future(lambda: function(job, settings))

    def close(self):
        type(self).closed = True


@pytest.fixture
def distributed(monkeypatch):
    module = types.SimpleNamespace(Client=Client, as_completed=lambda futures: reversed(futures))
    monkeypatch.setitem(sys.modules, "distributed", module)
    Client.closed = False
    return module


@pytest.fixture
def settings(workflow) -> JobSettings:
    return JobSettings(workflow_yaml=workflow.to_yaml(), source="image")


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    volume = Volume(np.full((2, 3, 4), 9, np.uint8), Kind.RAW)
    return [write_volume(tmp_path / f"{name}.tif", volume).relative_to(tmp_path) for name in ("a", "lost", "c")]


def test_each_file_is_a_task_and_results_keep_their_order(distributed, images, settings, tmp_path):
    from pathlib import Path

    results = run_batch(plan_jobs(images, Path("out")), settings, scheduler="tcp://somewhere:8786")
    assert [result.status for result in results] == ["done", "failed", "done"]
    assert "worker died" in results[1].error
    assert [str(result.output) for result in results] == ["out/a.tif", "out/lost.tif", "out/c.tif"]
    assert (tmp_path / "out" / "a.tif").exists()
    assert Client.closed


def test_no_scheduler_at_the_address(distributed, images, settings, tmp_path):
    with pytest.raises(ResourceError, match="No dask scheduler answers"):
        run_batch(plan_jobs(images, tmp_path / "out"), settings, scheduler="tcp://nobody:1")


def test_without_the_package_the_way_to_get_it_is_named(images, settings, tmp_path, monkeypatch):
    def no_distributed(name, *args, **kwargs):
        if name == "distributed":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    real = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", no_distributed)
    with pytest.raises(RequestError, match=r'pip install "plantseg-app\[cluster\]"'):
        run_batch(plan_jobs(images, tmp_path / "out"), settings, scheduler="tcp://nobody:1")
