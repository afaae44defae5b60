r"""Make the images that `membranes-2d` learns from: simulated sections and projections, and two real tissues.

    python prepare.py prepared --labels cells.h5 --epithelium FOLDER --embryo arabidopsis_embryo_3d.tif
    plantseg-app train train.yaml

cells.h5 is sample_cells.h5 of pytorch-3dunet. FOLDER is mdck_zo1_epithelium: `images/NAME.tif` and, in
`labels/NAME_border.tif`, a map of the cell borders with gaps. The embryo is a stack without labels; it gets those that
`membranes-3d` is sure of, because in 3D a wall is more easily told from what else shines in a section.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from plantseg_app.algorithms.simulate import recipe as tissue
from plantseg_app.algorithms.simulate.recipe import random_stack
from plantseg_app.io import read_volume
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflows import find_workflow
from plantseg_app.train.self_training import ConfidenceRule, sure_cells

VALIDATION_IMAGE = "Myo1c_KO_Zo_1_9"
# Beyond this distance from the other one (in voxels), a drawn border or a flooded line is not believed.
REACH = 4.0
# Edge of the simulated images.
SIZE = 176


def save(path: Path, raw: NDArray[np.generic], labels: NDArray[np.generic]) -> None:
    """Write one image as HDF5; label -1 says that nothing is known there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["raw"] = raw[None]
        file["label"] = labels[None].astype(np.int16)


def save_sections(number: int, output: Path, labels: Path) -> None:
    """Write two sections of one simulated stack, or a single one to validate, with cells that training never sees."""
    part, places = ("validation", (8,)) if number % 8 == 7 else ("train", (4, 12))
    volume = cells_of_volume(labels, "validation" if part == "validation" else "training")
    sample = random_stack(np.random.default_rng([76, number]), volume, (16, SIZE, SIZE), 0.25)
    for z in places:
        if (sample.labels[z] > 0).mean() > 0.15:
            save(output / part / f"section-{number:05d}-{z:02d}.h5", sample.raw[z], sample.labels[z])


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
    if rng.random() < 0.25:
        # Long cells side by side, as in stems and veins.
        spacing = spacing * np.array([0.8, rng.uniform(1.5, 5.0)])
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


def vesicle_places(rng: np.random.Generator, cell: NDArray[np.bool_], spacing: float) -> NDArray[np.floating]:
    """Return (N, 2) places in one cell: strewn, or along curved rows from wall to wall."""
    inside = np.argwhere(cell)
    places = []
    if rng.random() < 0.6:
        number = rng.poisson(len(inside) * tissue.log_uniform(rng, 0.02, 0.35) / (2 * spacing) ** 2)
        places.append(inside[rng.integers(0, len(inside), number)] + rng.uniform(-0.5, 0.5, (number, 2)))
    for _ in range(int(rng.integers(0, 4))):
        middle, angle, bend = inside[rng.integers(len(inside))], rng.uniform(0, 2 * np.pi), rng.normal(0, 0.03)
        for sign in (-1, 1):
            at, direction, row = middle.astype(float), angle, []
            for _ in range(200):
                step = spacing * rng.uniform(0.7, 1.6)
                direction += bend * step + rng.normal(0, 0.1)
                at = at + sign * step * np.array([np.sin(direction), np.cos(direction)])
                y, x = np.rint(at).astype(int)
                if not (0 <= y < cell.shape[0] and 0 <= x < cell.shape[1] and cell[y, x]):
                    break
                row.append(at + rng.normal(0, 0.2 * spacing, 2))
            places.append(np.array(row).reshape(-1, 2))
    return np.concatenate([*places, np.zeros((0, 2))])


def vesicles(rng: np.random.Generator, labels: NDArray[np.int32]) -> NDArray[np.floating]:
    """Return bright vesicles and granules, (Y, X), in some of the cells; the brightness of a usual wall is 1."""
    image = np.zeros(labels.shape, np.float32)
    share, usual = rng.uniform(0.5, 1.0), tissue.log_uniform(rng, 0.5, 3.5)
    brightness, hollow = rng.uniform(0.4, 1.4), rng.random() < 0.3
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None or rng.random() > share:
            continue
        size = min(usual * np.exp(rng.normal(0, 0.35)), 6.0)
        for y, x in vesicle_places(rng, labels[box] == number, 1.6 * size + 0.8):
            radius = min(max(size * np.exp(rng.normal(0, 0.3)), 0.5), 6.0)
            reach = int(radius + 3)
            cy, cx = y + box[0].start, x + box[1].start
            y0, x0 = max(int(cy) - reach, 0), max(int(cx) - reach, 0)
            patch = image[y0 : int(cy) + reach + 1, x0 : int(cx) + reach + 1]
            gy, gx = np.ogrid[y0 : y0 + patch.shape[0], x0 : x0 + patch.shape[1]]
            distance = np.hypot(gy - cy, gx - cx)
            spot = np.clip(radius + 0.5 - distance, 0, 1)
            if hollow and radius > 2:
                spot = spot * np.clip(distance / radius, 0.2, 1)
            np.maximum(patch, spot * brightness * rng.uniform(0.5, 1.0), out=patch)
    return ndimage.gaussian_filter(image, rng.uniform(0.3, 1.0))


def granular(rng: np.random.Generator, volume: tissue.Labels, size: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return a section (Y, X) of cells full of vesicles, granules and speckle, and its cells."""
    kind = rng.choice(["sheet", "real", "generated"], p=[0.35, 0.4, 0.25])
    shape = (10, size + 16, size + 16)
    if kind == "sheet":
        labels = np.repeat(lobed_cells(rng, size + 16), 5, 0)
    else:
        labels = tissue.cells_from_volume(rng, volume, shape) if kind == "real" else tissue.synthetic_cells(rng, shape)
    middle = len(labels) // 2
    inside = tissue.cytoplasm_image(rng, labels, dense=bool(rng.random() < 0.15))
    image = tissue.seen_through_microscope(rng, tissue.wall_image(rng, labels), inside, light_sheet=False)
    spots = vesicles(rng, labels[middle])
    if rng.random() < 0.4:
        grain = rng.uniform(1, 4)
        speckle = np.exp(rng.uniform(0.3, 1.0) * tissue.smooth_noise(rng, (1, *spots.shape), (1, grain, grain))[0])
        spots = spots + rng.uniform(0.03, 0.25) * np.minimum(speckle, 4) * (labels[middle] > 0)
    image = image + spots.astype(np.float32)
    if rng.random() < 0.3:
        # Strands of cytoplasm.
        strands = np.abs(tissue.smooth_noise(rng, image.shape, (3, rng.uniform(0.8, 2), rng.uniform(6, 20))))
        image = image + rng.uniform(0.05, 0.3) * np.clip(1.2 - strands, 0, None) * (labels > 0)
    if rng.random() < 0.35:
        # One region shines much more than another.
        image = image * np.exp(rng.uniform(0.3, 1.0) * tissue.smooth_noise(rng, image.shape, (99, 70, 70)))
    image = tissue.dimmed(rng, image, labels > 0, light_sheet=False)
    crop = (slice(8, -8), slice(8, -8))
    raw = tissue.digitised(rng, image[middle - 1 : middle + 2, 8:-8, 8:-8], over_exposed=False)[1]
    return raw, labels[middle][crop]


def save_granular(number: int, output: Path, labels: Path) -> None:
    """Write one section with vesicles; every fortieth validates, with cells that training never sees."""
    part = "validation" if number % 40 == 39 else "train"
    volume = cells_of_volume(labels, "validation" if part == "validation" else "training")
    raw, cells = granular(np.random.default_rng([78, number]), volume, SIZE)
    if (cells > 0).mean() > 0.15:
        save(output / part / f"granular-{number:05d}.h5", raw, cells)


@functools.cache
def cells_of_volume(path: Path, split: str) -> tissue.Labels:
    """Return the part of the real cells that belongs to the split, as `../membranes-3d/simulate.py` divides them."""
    source = Path(__file__).parents[1] / "membranes-3d" / "simulate.py"
    specification = importlib.util.spec_from_file_location("simulate", source)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.read_labels(path, split)


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


def real_embryo(source: Path, output: Path) -> None:
    """Cut labelled sections along all three axes out of a stack that `membranes-3d` segments."""
    workflow = find_workflow("membranes-gasp").model_copy(update={"outputs": ("boundary", "cells")})
    found = Runner().run(workflow, {"image": read_volume(source)})
    raw, boundary, cells = read_volume(source).data, found["boundary"].data, found["cells"].data
    outside = int(np.bincount(cells.ravel()).argmax())
    sure = sure_cells(cells, boundary, ConfidenceRule(wall=0.5, largest=4.0))
    known = ndimage.binary_dilation(np.isin(cells, [*sure, outside]), np.ones((3, 3, 3)))
    labels = np.where(known, np.where(cells == outside, 0, cells), -1)
    for axis in range(3):
        for place in range(2, raw.shape[axis], 3):
            section = labels.take(place, axis)
            if (section > 0).mean() > 0.1:
                save(output / "train" / f"embryo-{axis}-{place:03d}.h5", raw.take(place, axis), section)


def main() -> None:
    """Fill the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder to fill")
    parser.add_argument("--labels", type=Path, required=True, help="cells.h5")
    parser.add_argument("--epithelium", type=Path, required=True, help="folder mdck_zo1_epithelium")
    parser.add_argument("--embryo", type=Path, required=True, help="arabidopsis_embryo_3d.tif")
    parser.add_argument("--sections", type=int, default=88, help="simulated stacks, two sections of each")
    parser.add_argument("--sheets", type=int, default=500, help="simulated projections")
    parser.add_argument("--granular", type=int, default=954, help="simulated sections full of vesicles")
    arguments = parser.parse_args()
    output, labels = arguments.output, arguments.labels
    real_epithelium(arguments.epithelium, output)
    real_embryo(arguments.embryo, output)
    for number in range(arguments.sheets):
        raw, cells = epithelium(np.random.default_rng([77, number]), SIZE)
        save(output / ("validation" if number % 40 == 39 else "train") / f"sheet-{number:05d}.h5", raw, cells)
    for number in range(arguments.granular):
        save_granular(number, output, labels)
    for number in range(arguments.sections):
        save_sections(number, output, labels)


if __name__ == "__main__":
    main()
