"""The watershed steps: one default for each setting, names kept, masks heeded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.algorithms.watershed import DEFAULTS
from plantseg_app.core.context import QuietContext
from plantseg_app.core.fields import DEFAULT_BETA, DEFAULT_MIN_SIZE
from plantseg_app.core.step import STEPS, make_step
from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.errors import InputError


def run(step_id: str, inputs: dict[str, Volume], **settings: Any) -> Volume:
    return make_step(step_id, settings).execute(inputs, QuietContext(device="cpu", n_threads=2))


def test_there_is_one_default_for_each_setting() -> None:
    step = make_step("dt-watershed")
    for name, value in dataclasses.asdict(DEFAULTS).items():
        assert getattr(step, name) == value
    partitions = [STEPS.get(step_id) for step_id in ("gasp", "multicut", "mutex-watershed", "lifted-multicut")]
    assert {partition.model_fields["beta"].default for partition in partitions} == {DEFAULT_BETA} == {0.6}
    sizes = {
        s.model_fields["min_size"].default for s in (*partitions, STEPS.get("watershed"), STEPS.get("remove-small"))
    }
    assert sizes == {DEFAULT_MIN_SIZE} == {DEFAULTS.min_size}


def test_thick_slices_count_as_thick(make_tissue: Callable[..., Any]) -> None:
    boundary = Volume(make_tissue((10, 50, 50), 12).boundary, Kind.BOUNDARY, VoxelSize(1.0, 0.2, 0.2))
    aware = run("dt-watershed", {"boundary": boundary})
    unaware = run("dt-watershed", {"boundary": boundary}, use_voxel_size=False)
    assert not np.array_equal(aware.data, unaware.data)
    assert np.array_equal(unaware.data, run("dt-watershed", {"boundary": boundary.replace(voxel_size_um=None)}).data)
    assert aware.voxel_size_um == boundary.voxel_size_um


@pytest.mark.parametrize("step_id", ["dt-watershed", "watershed"])
def test_the_result_keeps_scale_and_origin(step_id: str, make_tissue: Callable[..., Any]) -> None:
    boundary = Volume(make_tissue((1, 40, 40), 12).boundary, Kind.BOUNDARY, VoxelSize(1, 0.2, 0.2), name="leaf")
    result = run(step_id, {"boundary": boundary})
    assert (result.kind, result.name, result.voxel_size_um) == (Kind.LABELS, "leaf", boundary.voxel_size_um)
    assert result.shape_vox == boundary.shape_vox


@pytest.mark.parametrize("step_id", ["dt-watershed", "watershed"])
def test_numbers_that_are_none_are_refused(step_id: str) -> None:
    broken = np.zeros((2, 5, 5), np.float32)
    broken[1, 2, 3] = np.nan
    with pytest.raises(InputError):
        run(step_id, {"boundary": Volume(broken, Kind.BOUNDARY)})


@pytest.mark.parametrize("kind", [Kind.LABELS, Kind.FOREGROUND])
def test_seeds_grow_within_the_mask(kind: Kind, make_tissue: Callable[..., Any]) -> None:
    labels, boundary = make_tissue((10, 40, 40), 12)
    seeds = np.where(np.random.default_rng(0).random(labels.shape) < 0.02, labels.astype(np.uint64) + 2**40, 0)
    mask = np.zeros(labels.shape, np.uint32 if kind is Kind.LABELS else np.float32)
    mask[:, 5:35] = 1
    inputs = {
        "boundary": Volume(boundary, Kind.BOUNDARY),
        "seeds": Volume(np.where(mask > 0, seeds, 0), Kind.LABELS),
        "mask": Volume(mask, kind),
    }
    grown = run("seeded-watershed", inputs).data
    assert not grown[mask == 0].any()
    assert np.mean(grown[mask > 0] == labels[mask > 0].astype(np.uint64) + 2**40) > 0.9


def test_no_seeds_is_said() -> None:
    context = QuietContext(device="cpu", n_threads=1)
    inputs = {
        "boundary": Volume(np.zeros((1, 4, 4), np.float32), Kind.BOUNDARY),
        "seeds": Volume(np.zeros((1, 4, 4), np.uint32), Kind.LABELS),
    }
    assert not make_step("seeded-watershed").execute(inputs, context).data.any()
    assert "no seed" in context.messages[0]
