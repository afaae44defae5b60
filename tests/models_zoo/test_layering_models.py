"""The layering models through their own workflows: drawn objects that overlap, from the command line."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.evaluate import average_precision, count_layer_contingency
from plantseg_app.io import read_volume, write_volume

LEAST = {"worms-layering": ("worms", 0.5), "cervical-layering": ("cells", 0.6)}


@pytest.fixture(scope="module")
def drawn():
    path = Path(__file__).parents[2] / "models_zoo" / "drawn.py"
    spec = importlib.util.spec_from_file_location("drawn", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DRAWN


@pytest.mark.parametrize("model", LEAST)
def test_drawn_objects_are_found_whole_where_they_overlap(tmp_path, drawn, model):
    name, least = LEAST[model]
    image, masks = drawn[name]()
    path = write_volume(tmp_path / "image.tif", Volume(image, Kind.RAW))
    output = tmp_path / "objects.tif"
    assert main(["segment", str(path), "--model", model, "--output", str(output), "--quiet"]) == 0
    found = read_volume(output, kind=Kind.LAYERED_LABELS).data
    assert found.shape[1:] == image.shape
    assert average_precision(count_layer_contingency(found, masks), 0.5) >= least
