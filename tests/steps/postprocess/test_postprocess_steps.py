"""The post-processing steps do what their algorithms do, in two dimensions and three."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.core.context import QuietContext
from plantseg_app.core.step import STEPS, make_step
from plantseg_app.core.volume import Kind, Volume, VoxelSize

SCALE = VoxelSize(0.5, 0.25, 0.25)


def run(step_id: str, labels: np.ndarray, settings: dict[str, Any] | None = None, **others: Volume) -> np.ndarray:
    inputs = {"labels": Volume(labels, Kind.LABELS, SCALE), **others}
    result = make_step(step_id, settings).execute(inputs, QuietContext(device="cpu", n_threads=1))
    assert result.voxel_size_um == SCALE
    return result.data


@pytest.fixture(params=[1, 3], ids=["slice", "stack"])
def cells(request: pytest.FixtureRequest) -> np.ndarray:
    labels = np.zeros((request.param, 12, 30), np.uint32)
    labels[..., :10], labels[..., 10:18], labels[..., 22:] = 70_000, 5, 9
    labels[:, 4:6, 9:11] = 3
    return labels


def test_small_objects_merge_or_drop(cells: np.ndarray) -> None:
    assert set(np.unique(run("remove-small", cells, {"min_size": 30}))) == {0, 5, 9, 70_000}
    dropped = run("remove-small", cells, {"min_size": 30, "how": "drop"})
    assert not dropped[cells == 3].any()
    assert np.array_equal(dropped[cells != 3], cells[cells != 3])


def test_the_boundary_decides_where_a_small_object_goes(cells: np.ndarray) -> None:
    for wall_from, expected in ((0, 5), (10, 70_000)):
        boundary = np.zeros(cells.shape, np.float32)
        boundary[..., wall_from : wall_from + 10] = 1.0
        given = Volume(boundary, Kind.BOUNDARY)
        assert (run("remove-small", cells, {"min_size": 30}, boundary=given)[cells == 3] == expected).all()


def test_holes_background_and_numbers(cells: np.ndarray) -> None:
    cells[:, 8, 3] = 0
    assert (run("fill-holes", cells, {"by_slice": True})[:, 8, 3] == 70_000).all()
    assert not run("background-from-largest", cells)[cells == 70_000].any()
    assert set(np.unique(run("relabel", cells))) == set(range(5))
    assert run("relabel", cells, {"split_components": False}).max() == 4


def test_foreground_of_either_kind(cells: np.ndarray) -> None:
    inside = np.zeros(cells.shape, np.float32)
    inside[..., 18:] = 0.9
    for kind in (Kind.FOREGROUND, Kind.NUCLEI):
        kept = run("background-from-foreground", cells, foreground=Volume(inside, kind))
        assert set(np.unique(kept)) == {0, 9}


def test_nuclei_smoothing_and_growing(cells: np.ndarray) -> None:
    nuclei = np.zeros(cells.shape, np.uint32)
    nuclei[:, 7:10, 8:13] = 1
    joined = run("split-merge-by-nuclei", cells, nuclei=Volume(nuclei, Kind.LABELS))
    assert set(np.unique(joined)) == {0, 3, 9, 70_000}
    assert set(np.unique(run("smooth-labels", cells))) == set(np.unique(cells))
    grown = run("expand-labels", cells, {"distance_um": 0.5})
    assert (grown[..., 18:20] == 5).all()
    assert (grown[..., 20:22] == 9).all()


@pytest.mark.parametrize("value", [0, 4])
def test_nothing_but_background_or_one_object(value: int) -> None:
    labels = np.full((2, 6, 6), value, np.uint32)
    extra = {
        "foreground": Volume(np.ones(labels.shape, np.float32), Kind.FOREGROUND),
        "nuclei": Volume(np.zeros(labels.shape, np.uint32), Kind.LABELS),
    }
    for step in STEPS:
        if step.__module__.startswith("plantseg_app.steps.postprocess.") and "labels" in step.reads:
            needed = {port: extra[port] for port in step.reads if port in extra}
            result = run(step.id, labels, **needed)
            assert len(np.unique(result)) == 1
