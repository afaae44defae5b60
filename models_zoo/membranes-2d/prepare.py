r"""Make the images that `membranes-2d` learns from: simulated sections and projections, and a real epithelium.

    python ../membranes-3d/simulate.py --labels cells.h5 --output renderings --count 692 --seed 1
    python ../membranes-3d/simulate.py --labels cells.h5 --output renderings --count 384 --seed 2
    python ../membranes-3d/simulate.py --labels cells.h5 --output renderings --count 737 --seed 3 --dense-share 0.5
    python ../membranes-3d/simulate.py --labels cells.h5 --output held-out --count 24 --seed 9001 \
        --split validation
    python prepare.py prepared --renderings renderings --held-out held-out --epithelium FOLDER
    plantseg-app train train.yaml

cells.h5 is sample_cells.h5 of pytorch-3dunet. FOLDER is mdck_zo1_epithelium: `images/NAME.tif` and, in
`labels/NAME_border.tif`, a map of the cell borders with gaps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from plantseg_app.algorithms.simulate import recipe as tissue

VALIDATION_IMAGE = "Myo1c_KO_Zo_1_9"
# Beyond this distance from the other one (in voxels), a drawn border or a flooded line is not believed.
REACH = 4.0


def save(path: Path, raw: NDArray[np.generic], labels: NDArray[np.generic]) -> None:
    """Write one image as HDF5; label -1 says that nothing is known there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["raw"] = raw[None]
        file["label"] = labels[None].astype(np.int16)


def sections(source: Path, target: Path, n_slices: int) -> int:
    """Cut slices, evenly spread, out of every rendered stack; return how many."""
    count = 0
    for path in sorted(source.glob("*.npz")):
        with np.load(path) as sample:
            raw, labels = sample["raw"], sample["labels"]
        for i in range(n_slices):
            z = (2 * i + 1) * len(raw) // (2 * n_slices)
            if (labels[z] > 0).mean() > 0.15:
                save(target / f"section-{path.stem}-{z:02d}.h5", raw[z], labels[z])
                count += 1
    return count


def lobed_cells(rng: np.random.Generator, size: int) -> tissue.Labels:
    """Return a flat tissue (1, Y, X): cells of unequal size with straight, wavy or jagged walls."""
    shape = (1, size, size)
    diameter = tissue.log_uniform(rng, 10, 90)
    coordinates = tissue.grid(shape)
    wave = rng.choice([0.0, 0.06, 0.15], p=[0.4, 0.3, 0.3]) * diameter * rng.uniform(0.5, 1.2)
    grain = diameter * rng.uniform(0.12, 0.4)
    jagged = rng.choice([0.0, 1.2], p=[0.6, 0.4]) * rng.random()
    bent = [
        axis
        + wave * tissue.smooth_noise(rng, shape, (1, max(grain, 4), max(grain, 4)))
        + jagged * tissue.smooth_noise(rng, shape, (1, 4, 4))
        for axis in coordinates[1:]
    ]
    spacing = diameter * np.exp(rng.normal(0, 0.25, 2))
    count = max(4, int(np.prod((size + 2 * spacing) / spacing)))
    seeds = rng.uniform(-0.5, 0.5, (count, 2)) * (size + 2 * spacing)
    points = np.stack([axis.ravel() / s for axis, s in zip(bent, spacing, strict=True)], 1)
    for _ in range(int(rng.integers(0, 4))):
        probe = rng.uniform(-0.5, 0.5, (10 * count, 2)) * (size + 2 * spacing)
        owner = cKDTree(seeds / spacing).query(probe / spacing)[1]
        total = np.bincount(owner, minlength=count)
        for i in range(2):
            mean = np.bincount(owner, probe[:, i], minlength=count) / np.maximum(total, 1)
            seeds[:, i] = np.where(total > 0, mean, seeds[:, i])
    # A third coordinate of the seeds makes some cells larger and some smaller.
    weight = np.abs(rng.normal(0, rng.uniform(0, 0.5), (count, 1)))
    tree = cKDTree(np.hstack([seeds / spacing, weight]))
    owner = tree.query(np.hstack([points, np.zeros((len(points), 1))]))[1].reshape(shape) + 1
    covered = tissue.organ(rng, coordinates) if rng.random() < 0.3 else np.ones(shape, bool)
    return tissue.without_crumbs(np.where(covered, owner, 0).astype(np.int32))


def epithelium(rng: np.random.Generator, size: int) -> tuple[NDArray[np.uint8], tissue.Labels]:
    """Return a projection of a sheet of cells, (Y, X), and its cells."""
    labels = lobed_cells(rng, size + 16)
    walls = tissue.wall_image(rng, labels)
    inside = tissue.cytoplasm_image(rng, labels, dense=False)
    image = tissue.seen_through_microscope(
        rng, np.repeat(walls, 3, 0), np.repeat(inside, 3, 0), light_sheet=bool(rng.random() < 0.3)
    )
    if rng.random() < 0.5:
        # Light of other layers.
        other = rng.uniform(0.1, 0.6) * tissue.smooth_noise(rng, labels.shape, (1, 30, 30))
        image = image + np.abs(other)
    image = tissue.dimmed(rng, image, np.repeat(labels > 0, 3, 0), light_sheet=False)
    crop = (slice(8, -8), slice(8, -8))
    return tissue.digitised(rng, image.max(0)[crop][None], over_exposed=False)[0], labels[0][crop]


def cells_of_borders(border: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return cells (Y, X) from a map of borders with gaps; -1 where border map and cells contradict each other."""
    from skimage.measure import label
    from skimage.morphology import h_maxima, remove_small_objects
    from skimage.segmentation import watershed

    border = remove_small_objects(border, max_size=12)
    distance = ndimage.distance_transform_edt(~border)
    seeds = label(h_maxima(ndimage.gaussian_filter(distance, 2), 4.0))
    cells = watershed(-distance, seeds).astype(np.int32)
    lines = ndimage.maximum_filter(cells, 3) != ndimage.minimum_filter(cells, 3)
    unsupported = lines & (distance > REACH)
    astray = border & (ndimage.distance_transform_edt(~lines) > REACH)
    unknown = ndimage.distance_transform_edt(~(unsupported | astray)) < REACH
    return np.where(unknown, -1, cells)


def real_epithelium(source: Path, output: Path) -> None:
    """Bring the real images to half their size, and make cells of their border maps."""
    for path in sorted((source / "labels").glob("*_border.tif")):
        name = path.stem.removesuffix("_border")
        image = source / "images" / f"{name}.tif"
        if not image.is_file():
            continue
        import tifffile

        raw, border = tifffile.imread(image).astype(np.float32), tifffile.imread(path) > 0
        y, x = (n // 2 * 2 for n in raw.shape)
        raw = raw[:y, :x].reshape(y // 2, 2, x // 2, 2).mean((1, 3))
        border = border[:y, :x].reshape(y // 2, 2, x // 2, 2).any((1, 3))
        part = "validation" if name == VALIDATION_IMAGE else "train"
        save(output / part / f"epithelium-{name}.h5", np.round(raw).astype(np.uint16), cells_of_borders(border))


def main() -> None:
    """Fill the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder to fill")
    parser.add_argument("--renderings", type=Path, required=True, help="stacks of simulate.py to train on")
    parser.add_argument("--held-out", type=Path, required=True, help="stacks of simulate.py to validate on")
    parser.add_argument("--epithelium", type=Path, required=True, help="folder mdck_zo1_epithelium")
    parser.add_argument("--sheets", type=int, default=400, help="simulated projections")
    arguments = parser.parse_args()
    print("sections", sections(arguments.renderings, arguments.output / "train", 2))
    print("held-out sections", sections(arguments.held_out, arguments.output / "validation", 1))
    real_epithelium(arguments.epithelium, arguments.output)
    for number in range(arguments.sheets):
        raw, labels = epithelium(np.random.default_rng([77, number]), 176)
        part = "validation" if number % 40 == 39 else "train"
        save(arguments.output / part / f"sheet-{number:05d}.h5", raw, labels)


if __name__ == "__main__":
    main()
