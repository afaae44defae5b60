"""The nuclei models find drawn nuclei when they are called by their ids, as the command line promises."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.evaluate import average_precision, count_contingency
from plantseg_app.io import read_volume, write_volume


def drawn_nuclei(shape, centres, radii):
    """Return an image of blurred, noisy balls, and their labels."""
    labels = np.zeros(shape, np.uint16)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    for number, centre in enumerate(centres, 1):
        labels[(((grid - centre) / radii) ** 2).sum(-1) < 1] = number
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter((labels > 0).astype(float), [0.0 if n == 1 else 1.0 for n in shape])
    return np.clip(20 + 150 * image + rng.normal(0, 6, shape), 0, 255).astype(np.uint8), labels


def test_nuclei_2d_finds_discs(tmp_path):
    centres = [(0, y, x) for y in range(20, 128, 44) for x in range(20, 128, 44)] + [(0, 42, 64)]
    image, truth = drawn_nuclei((1, 128, 128), centres, (1, 11, 11))
    assert segment_and_score("nuclei-2d", image, truth, tmp_path) >= 0.7


def test_nuclei_3d_finds_balls(tmp_path):
    centres = [(z, y, x) for z in (10, 30) for y in (14, 48) for x in (14, 48)]
    image, truth = drawn_nuclei((40, 64, 64), centres, (7, 10, 10))
    assert segment_and_score("nuclei-3d", image, truth, tmp_path, VoxelSize(0.284, 0.2, 0.2)) >= 0.7


def test_a_mask_alone_is_enough(tmp_path):
    centres = [(0, y, x) for y in range(20, 128, 44) for x in range(20, 128, 44)] + [(0, 42, 64)]
    image, truth = drawn_nuclei((1, 128, 128), centres, (1, 11, 11))
    options = ("--workflow", "nuclei-mask")
    assert segment_and_score("nuclei-2d", image, truth, tmp_path, options=options) >= 0.7


def segment_and_score(model, image, truth, folder, voxel_size=None, options=()):
    """Return the average precision at an overlap of 0.5 of what the command line finds."""
    source = write_volume(folder / "image.tif", Volume(image, Kind.RAW, voxel_size))
    target = folder / "nuclei.tif"
    assert main(["segment", str(source), "--model", model, "--output", str(target), "--quiet", *options]) == 0
    found = read_volume(target, kind=Kind.LABELS).data
    return average_precision(count_contingency(found, truth), 0.5)
