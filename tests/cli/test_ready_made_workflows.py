"""Every workflow that ships: it loads, it says what it is for, and it makes cells of a small real stack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plantseg_app import paths
from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.evaluate import evaluate_labels
from plantseg_app.io import read_volume, write_volume
from plantseg_app.networks.boundary.family import BoundaryFamily
from plantseg_app.run.workflows import DEFAULT_WORKFLOW, default_workflow, find_workflow

SAMPLE = paths.samples_dir() / "sample_ovule.h5"
NAMES = sorted(path.stem for path in paths.workflows_dir().glob("*.yaml"))
# Nuclei workflows are run on nuclei, in tests/models_zoo.
FOR_MEMBRANES = [name for name in NAMES if name != "nuclei-mask-outline"]
BOX = (slice(8, 24), slice(30, 94), slice(30, 94))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A crop of the sample as an image, as a boundary map, and nuclei drawn into the middle of its true cells."""
    folder = tmp_path_factory.mktemp("sample")
    raw, labels = read_volume(SAMPLE), read_volume(SAMPLE, kind=Kind.LABELS)
    crop, truth = raw.data[BOX], labels.data[BOX]
    grid = np.stack(np.meshgrid(*(np.arange(length) for length in truth.shape), indexing="ij"), axis=-1)
    nuclei = np.zeros(truth.shape, np.float32)
    for label in np.unique(truth):
        inside = grid[truth == label]
        centre = inside[((inside - inside.mean(0)) ** 2).sum(1).argmin()]
        nuclei[((grid - centre) ** 2).sum(-1) <= 9] = 1.0
    scale = raw.voxel_size_um
    return {
        "image": write_volume(folder / "image.tif", Volume(crop.copy(), Kind.RAW, scale)),
        "boundary": write_volume(
            folder / "boundary.tif", Volume(crop.astype(np.float32) / crop.max(), Kind.BOUNDARY, scale)
        ),
        "nuclei": write_volume(folder / "nuclei.tif", Volume(nuclei, Kind.NUCLEI, scale)),
        "truth": write_volume(folder / "truth.tif", Volume(truth.copy(), Kind.LABELS, scale)),
    }


def test_the_default_workflows_exist():
    assert DEFAULT_WORKFLOW in NAMES
    assert BoundaryFamily().default_workflow in NAMES
    assert default_workflow("membranes-3d") == DEFAULT_WORKFLOW


@pytest.mark.parametrize("name", FOR_MEMBRANES)
def test_a_ready_made_workflow_makes_cells(name, files, tmp_path, capsys):
    workflow = find_workflow(name)
    assert workflow.name == name
    assert workflow.title
    assert len(workflow.description) > 40
    assert all(source.help for source in workflow.sources.values())
    main_source, *others = workflow.sources
    words = ["segment", str(files[main_source]), "--workflow", name, "--output", str(tmp_path / "cells.tif")]
    for other in others:
        words += ["--source", f"{other}={files[other]}"]
    assert main([*words, "--quiet"]) == 0, capsys.readouterr().err
    cells = read_volume(tmp_path / "cells.tif", kind=Kind.LABELS)
    truth = read_volume(files["truth"], kind=Kind.LABELS)
    assert cells.voxel_size_um == pytest.approx((0.235, 0.15, 0.15))
    scores = evaluate_labels(cells.data, truth.data)
    # A crop this small has few whole cells; one cell everywhere, or noise, would score above 0.6.
    assert scores.adapted_rand_error < 0.4
