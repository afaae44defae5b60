"""The models of W-Net and SPOCO through their own workflows: drawn nuclei, from the command line."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.evaluate import average_precision, count_contingency, symmetric_best_dice
from plantseg_app.io import read_volume, write_volume


def drawn_nuclei(shape: tuple[int, int] = (230, 270)) -> tuple[np.ndarray, np.ndarray]:
    """Round nuclei of different sizes, some side by side with a dent between them."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels, centres = np.zeros((1, *shape), np.uint32), np.mgrid[25 : shape[0] - 20 : 42, 25 : shape[1] - 20 : 42]
    for name, (cy, cx) in enumerate(np.stack(centres, -1).reshape(-1, 2), start=1):
        radius = rng.uniform(7, 13)
        labels[0][((y - cy) ** 2 + (x - cx - name % 2 * 12) ** 2 < radius**2) & (labels[0] == 0)] = name
    image = ndimage.gaussian_filter(20 + 120.0 * (labels > 0), (0, 1, 1)) + rng.normal(0, 3, labels.shape)
    return np.clip(image, 0, 255).astype(np.uint8), labels


def segmented(tmp_path, image, model):
    path = write_volume(tmp_path / "image.tif", Volume(image, Kind.RAW))
    output = tmp_path / "objects.tif"
    assert main(["segment", str(path), "--model", model, "--output", str(output), "--quiet"]) == 0
    return read_volume(output, kind=Kind.LABELS).data


def drawn_endothelium():
    folder = Path(__file__).parents[2] / "models_zoo"
    spec = importlib.util.spec_from_file_location("drawn", folder / "drawn.py")
    drawn = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawn)
    return drawn.draw_endothelium((160, 200), 3)


LEAST = {"nuclei-wnet": 0.8, "nuclei-spoco": 0.8, "nuclei-spoco-sparse": 0.7}


@pytest.mark.parametrize("model", LEAST)
def test_drawn_nuclei_are_found(tmp_path, model):
    image, labels = drawn_nuclei()
    found = segmented(tmp_path, image, model)
    assert found.shape == labels.shape
    assert average_precision(count_contingency(found, labels), 0.5) >= LEAST[model]


def test_cells_are_found_where_the_image_fades(tmp_path):
    image, labels = drawn_endothelium()
    found = segmented(tmp_path, image, "endothelium-spoco")
    assert symmetric_best_dice(count_contingency(found, labels)) >= 0.75
    # The dark side as well as the bright one.
    dark = count_contingency(found[..., :60], labels[..., :60])
    assert symmetric_best_dice(dark) >= 0.65
