"""The harmonic models through their own workflows: drawn worms and nuclei, small and larger than a frame."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.evaluate import average_precision, count_contingency
from plantseg_app.io import read_volume, write_volume
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflows import default_workflow, find_workflow, with_model, with_settings


def drawn_worms(shape: tuple[int, int], places: list[tuple[float, float, float]]) -> np.ndarray:
    """Bent stripes of 100 x 10 pixels, as long and wide as worms at the scale of the model."""
    labels = np.zeros((1, *shape), np.uint32)
    for name, (y, x, angle) in enumerate(places, start=1):
        line = np.zeros(shape, bool)
        for _ in range(90):
            line[round(y), round(x)] = True
            y, x, angle = y + np.sin(angle), x + np.cos(angle), angle + 0.008
        labels[0][ndimage.binary_dilation(line, iterations=5)] = name
    return labels


WORMS = [(100, 60, 0.2), (260, 200, 1.4), (400, 420, 0.0), (90, 420, 0.9), (420, 120, -0.6), (250, 560, 1.0)]


def test_drawn_worms_are_told_apart(tmp_path):
    labels = drawn_worms((520, 696), WORMS)
    image = write_volume(tmp_path / "mask.tif", Volume((labels > 0).astype(np.uint8) * 255, Kind.FOREGROUND))
    output = tmp_path / "worms.tif"
    assert main(["segment", str(image), "--model", "worms-harmonic", "--output", str(output), "--quiet"]) == 0
    found = read_volume(output, kind=Kind.LABELS).data
    np.testing.assert_array_equal(found > 0, labels > 0)
    assert average_precision(count_contingency(found, labels), 0.5) >= 0.6


def test_a_plate_larger_than_a_frame_is_stitched():
    labels = drawn_worms((520, 1100), [*WORMS, (300, 640, 0.3), (120, 900, 0.5), (380, 850, 1.2)])
    workflow = with_model(find_workflow(default_workflow("worms-harmonic")), "worms-harmonic")
    mask = Volume((labels > 0).astype(np.uint8), Kind.FOREGROUND)
    found = Runner().run(workflow, {next(iter(workflow.sources)): mask})[workflow.outputs[0]].data
    np.testing.assert_array_equal(found > 0, labels > 0)
    assert 6 <= found.max() <= 14


def drawn_well(labels: np.ndarray) -> np.ndarray:
    """A bright well with dark worms, (1, Y, X) uint16."""
    y, x = np.mgrid[: labels.shape[1], : labels.shape[2]]
    well = (np.abs((y - 292) / 214) ** 4 + np.abs((x - 343) / 214) ** 4) < 1
    light = 2700 - 1000 * ((y - 292) ** 2 + (x - 343) ** 2) / 214**2 / 2
    depth = ndimage.distance_transform_edt(labels[0])
    image = np.where(well, light * (1 - 0.6 * np.minimum(depth, 4) / 4), 120)
    noise = np.random.default_rng(0).normal(0, 15, image.shape)
    return (ndimage.gaussian_filter(image, 1) + noise).clip(0).astype(np.uint16)[None]


IN_WELL = [(160, 200, 0.2), (300, 220, 1.2), (420, 330, 0.0), (150, 420, 0.8), (440, 180, -0.7), (330, 430, 0.3)]


def test_drawn_worms_are_found_in_brightfield():
    labels = drawn_worms((520, 696), IN_WELL)
    workflow = with_model(find_workflow(default_workflow("worms-harmonic-brightfield")), "worms-harmonic-brightfield")
    workflow = with_settings(workflow, {"objects": {"min_size": 350, "min_seed_pixels": 5}})
    found = Runner().run(workflow, {"image": Volume(drawn_well(labels), Kind.RAW)})["objects"].data
    assert average_precision(count_contingency(found, labels), 0.5) >= 0.5


@pytest.mark.parametrize("name", ["harmonic-embedding", "harmonic-whole"])
def test_drawn_nuclei_are_found(name):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:256, :256]
    labels = np.zeros((1, 256, 256), np.uint32)
    for number, (cy, cx) in enumerate(np.stack(np.mgrid[40:230:60, 40:230:60], -1).reshape(-1, 2), start=1):
        labels[0][(y - cy) ** 2 + (x - cx) ** 2 < 12**2] = number
    image = 20 + 120 * (labels > 0) + rng.normal(0, 4, labels.shape)
    image = ndimage.gaussian_filter(image, (0, 1, 1)).astype(np.uint8)
    workflow = find_workflow(name)
    found = Runner().run(workflow, {"image": Volume(image, Kind.RAW)})[workflow.outputs[0]]
    assert found.kind is Kind.LABELS
    if name == "harmonic-embedding":
        assert average_precision(count_contingency(found.data, labels), 0.5) >= 0.6
