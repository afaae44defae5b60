"""Every workflow that ships: it loads, it says what it is for, and it makes cells of a small real stack."""

from __future__ import annotations

import numpy as np
import pytest

from plantseg_app import paths
from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.evaluate import evaluate_labels
from plantseg_app.io import read_volume, write_volume
from plantseg_app.networks.boundary.family import BoundaryFamily
from plantseg_app.run.cache import MemoryCache
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflows import DEFAULT_WORKFLOW, default_workflow, find_workflow

SAMPLE = paths.samples_dir() / "sample_ovule.h5"
NAMES = sorted(path.stem for path in paths.workflows_dir().glob("*.yaml"))
# Workflows for other things than membranes are run on those, in tests/models_zoo.
OTHERS = (
    "nuclei-mask-outline",
    "nuclei-mask",
    "overlapping-large-objects",
    "overlapping-objects",
    "harmonic-mask",
    "harmonic-embedding",
    "harmonic-whole",
    "spoco-foreground",
    "spoco-objects",
    "spoco-sparse",
    "spoco-uneven-light",
    "wnet-objects",
)
FOR_MEMBRANES = [name for name in NAMES if name not in OTHERS]
BOX = (slice(8, 24), slice(30, 94), slice(30, 94))


@pytest.fixture(scope="module")
def volumes() -> dict[str, Volume]:
    """A crop of the sample as an image, as a boundary map, and nuclei drawn into the middle of its true cells."""
    raw, labels = read_volume(SAMPLE), read_volume(SAMPLE, kind=Kind.LABELS)
    crop, truth = raw.data[BOX].copy(), labels.data[BOX].copy()
    grid = np.stack(np.meshgrid(*(np.arange(length) for length in truth.shape), indexing="ij"), axis=-1)
    nuclei = np.zeros(truth.shape, np.float32)
    for label in np.unique(truth):
        inside = grid[truth == label]
        centre = inside[((inside - inside.mean(0)) ** 2).sum(1).argmin()]
        nuclei[((grid - centre) ** 2).sum(-1) <= 9] = 1.0
    scale = raw.voxel_size_um
    return {
        "image": Volume(crop, Kind.RAW, scale),
        "boundary": Volume(crop.astype(np.float32) / crop.max(), Kind.BOUNDARY, scale),
        "nuclei": Volume(nuclei, Kind.NUCLEI, scale),
        "truth": Volume(truth, Kind.LABELS, scale),
    }


@pytest.fixture(scope="module")
def runner() -> Runner:
    """One for all, so that what several workflows begin with is computed once."""
    return Runner(MemoryCache(10**8))


def segmented(workflow: Workflow, volumes: dict[str, Volume], runner: Runner) -> Volume:
    return runner.run(workflow, {source: volumes[source] for source in workflow.sources})[workflow.outputs[0]]


def test_the_default_workflows_exist():
    assert DEFAULT_WORKFLOW in NAMES
    assert BoundaryFamily().default_workflow in NAMES
    assert default_workflow("membranes-3d") == DEFAULT_WORKFLOW


@pytest.mark.parametrize("name", FOR_MEMBRANES)
def test_a_ready_made_workflow_makes_cells(name, volumes, runner):
    workflow = find_workflow(name)
    assert workflow.name == name
    assert workflow.title
    assert len(workflow.description) > 40
    assert all(source.help for source in workflow.sources.values())
    cells = segmented(workflow, volumes, runner)
    assert cells.kind is Kind.LABELS
    assert cells.voxel_size_um == volumes["truth"].voxel_size_um
    scores = evaluate_labels(cells.data, volumes["truth"].data)
    # A crop this small has few whole cells; one cell everywhere, or noise, would score above 0.6.
    assert scores.adapted_rand_error < 0.4


def test_segment_runs_the_default_workflow_and_writes_what_it_made(volumes, runner, tmp_path, capsys):
    image = write_volume(tmp_path / "image.tif", volumes["image"])
    assert main(["segment", str(image), "--output", str(tmp_path / "cells.tif"), "--quiet"]) == 0
    assert "cells" in capsys.readouterr().out
    cells = read_volume(tmp_path / "cells.tif", kind=Kind.LABELS)
    workflow = find_workflow(DEFAULT_WORKFLOW)
    np.testing.assert_array_equal(cells.data, segmented(workflow, volumes, runner).data)
    assert cells.voxel_size_um == pytest.approx((0.235, 0.15, 0.15))
    assert find_workflow(tmp_path / "cells.tif") == workflow
