"""Render realistic confocal and light-sheet stacks of stained cell membranes, with the cells they show.

Shapes are random pieces of a real label volume (turned, stretched, bent) or synthetic tissue; the image is made by a
model of the microscope: staining, point spread function, scattered light, noise and digitisation. numpy and scipy only.

Run as a program it fills a folder with samples for `train.py`::

    python simulate.py --labels sample_cells.h5 --output renderings --count 400 --seed 1
    python simulate.py --labels sample_cells.h5 --output validation --count 16 --seed 2 --split validation
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]

# The part of the label volume (a fraction of its X axis) that training never sees.
VALIDATION_X = (0.75, 1.0)
SMALLEST_CELL_VOX = 60


@dataclass(frozen=True)
class Sample:
    """A rendered stack: `raw` uint8 and `labels` int32, both (Z, Y, X); label 0 is outside the tissue."""

    raw: NDArray[np.uint8]
    labels: Labels


# ------------------------------------------------------------------------------------------------ helpers


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], scale: tuple[float, float, float]) -> Floats:
    """Return noise of zero mean and unit variance whose grains have about `scale` voxels along each axis."""
    coarse_shape = tuple(max(3, int(np.ceil(n / s)) + 3) for n, s in zip(shape, scale, strict=True))
    coarse = rng.standard_normal(coarse_shape).astype(np.float32)
    for axis, (n, s) in enumerate(zip(shape, scale, strict=True)):
        at = np.arange(n, dtype=np.float32) / max(s, n / (coarse_shape[axis] - 1.001)) + rng.uniform(0, 0.5)
        at = np.clip(at, 0, coarse_shape[axis] - 1.001)
        low = at.astype(int)
        part = (at - low).reshape([-1 if i == axis else 1 for i in range(3)]).astype(np.float32)
        part = part * part * (3 - 2 * part)
        coarse = coarse.take(low, axis) * (1 - part) + coarse.take(low + 1, axis) * part
    return (coarse - coarse.mean()) / (coarse.std() + 1e-6)


def grid(shape: tuple[int, ...]) -> list[Floats]:
    """Return the Z, Y and X coordinates of every voxel, centred on the volume."""
    axes = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in shape]
    return [np.ascontiguousarray(np.broadcast_to(a, shape)) for a in np.meshgrid(*axes, indexing="ij")]


def bent_grid(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Floats]:
    """Return voxel coordinates displaced by a smooth field (elastic deformation)."""
    strong, weak = rng.uniform(0, 5), rng.uniform(0, 1.2)
    return [
        axis
        + strong * smooth_noise(rng, shape, (20, 32, 32)).astype(np.float32)
        + weak * smooth_noise(rng, shape, (6, 8, 8))
        for axis in grid(shape)
    ]


def turned_and_scaled(rng: np.random.Generator, coordinates: list[Floats], scale: list[float]) -> list[Floats]:
    """Return source coordinates: divided by `scale`, turned in YX by a random angle and flipped."""
    z, y, x = (axis / s for axis, s in zip(coordinates, scale, strict=True))
    angle = rng.uniform(0, 2 * np.pi)
    z = z * rng.choice([-1, 1])
    tilt = rng.normal(0, 0.25)
    y, x = y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)
    z, y = z * np.cos(tilt) - y * np.sin(tilt), z * np.sin(tilt) + y * np.cos(tilt)
    return [z, y, x * rng.choice([-1, 1])]


# ------------------------------------------------------------------------------------------------ cell shapes


def without_crumbs(labels: Labels) -> Labels:
    """Give voxels of tiny labels to their nearest neighbour and number the rest 1..n (0 stays)."""
    ids, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(labels.shape)
    small = (counts < SMALLEST_CELL_VOX)[inverse]
    if small.any() and not small.all():
        nearest = ndimage.distance_transform_edt(small, return_distances=False, return_indices=True)
        labels = labels[tuple(nearest)]
        ids = np.unique(labels)
    ids = ids[ids > 0]
    return np.where(labels > 0, np.searchsorted(ids, labels) + 1, 0).astype(np.int32)


def smoothed_cells(labels: Labels) -> Labels:
    """Return cells with even walls: the insides of the cells, grown until they touch.

    Labels drawn or corrected slice by slice have ragged walls, real walls have not.
    """
    inside = ndimage.minimum_filter(labels, 5) == ndimage.maximum_filter(labels, 5)
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return np.ascontiguousarray(labels[tuple(nearest)])


def cells_from_volume(rng: np.random.Generator, volume: Labels, shape: tuple[int, ...]) -> Labels:
    """Return a bent, turned and stretched piece of `volume` with enough tissue in it."""
    size = log_uniform(rng, 0.6, 2.0)
    flat = log_uniform(rng, 0.5, 1.1)
    scale = [size * flat, size * rng.uniform(0.85, 1.2), size * rng.uniform(0.85, 1.2)]
    coordinates = turned_and_scaled(rng, bent_grid(rng, shape), scale)
    if rng.random() < 0.3:
        coordinates = [coordinates[1], coordinates[0], coordinates[2]]
    wanted = rng.uniform(0.3, 0.95)
    best, best_gap = None, np.inf
    for _ in range(12):
        centre = [rng.uniform(0.1, 0.9) * n for n in volume.shape]
        index = tuple(
            np.clip(np.rint(c + m), 0, n - 1).astype(np.intp)
            for c, m, n in zip(coordinates, centre, volume.shape, strict=True)
        )
        thin = volume[tuple(i[::3, ::8, ::8] for i in index)]
        gap = abs(float((thin > 0).mean()) - wanted)
        if gap < best_gap:
            best, best_gap = index, gap
        if gap < 0.12:
            break
    if best is None:
        raise ValueError("The label volume is empty.")
    return without_crumbs(volume[best])


def _relaxed_seeds(rng: np.random.Generator, box: NDArray[np.float64], spacing: NDArray[np.float64]) -> Floats:
    count = max(4, int(np.prod(box / spacing)))
    seeds = rng.uniform(-0.5, 0.5, (count, 3)) * box
    rounds = int(rng.integers(0, 5))
    for _ in range(rounds):
        points = rng.uniform(-0.5, 0.5, (12 * count, 3)) * box
        owner = cKDTree(seeds / spacing).query(points / spacing)[1]
        total = np.bincount(owner, minlength=count)[:, None]
        sums = np.stack([np.bincount(owner, points[:, i], minlength=count) for i in range(3)], 1)
        seeds = np.where(total > 0, sums / np.maximum(total, 1), seeds)
    return seeds.astype(np.float32)


def _brick_seeds(rng: np.random.Generator, box: NDArray[np.float64], spacing: NDArray[np.float64]) -> Floats:
    """Seeds in files, as in roots and epidermis: long cells, each file shifted against its neighbours."""
    axes = [np.arange(-b / 2, b / 2 + s, s) for b, s in zip(box, spacing, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    points[..., 2] += rng.uniform(-0.5, 0.5, (*points.shape[:2], 1)) * spacing[2]
    points += rng.normal(0, rng.uniform(0.03, 0.2), points.shape) * spacing
    return points.reshape(-1, 3).astype(np.float32)


def organ(rng: np.random.Generator, coordinates: list[Floats], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where the tissue is: everywhere, beyond a wavy surface, or inside a rounded body."""
    kind = rng.choice(["all", "side", "body"], p=[0.3, 0.4, 0.3])
    if kind == "all":
        return np.ones(shape, bool)
    wave = smooth_noise(rng, shape, (30, 40, 40)) * 0.12
    if kind == "side":
        normal = rng.normal(size=3) * (0.7, 1, 1)
        normal /= np.linalg.norm(normal)
        height = sum(c * n for c, n in zip(coordinates, normal, strict=True))
        span = float(np.abs(normal) @ np.array(shape)) / 2
        return np.asarray(height / span + wave > rng.uniform(-0.7, 0.25))
    radius = [rng.uniform(0.35, 0.8) * n for n in shape]
    radius[0] *= 1.5
    centre = [rng.normal(0, 0.15) * n for n in shape]
    inside = sum(((c - m) / r) ** 2 for c, m, r in zip(coordinates, centre, radius, strict=True))
    return np.asarray(inside + 2 * wave < 1)


def synthetic_cells(rng: np.random.Generator, shape: tuple[int, ...]) -> Labels:
    """Return Voronoi-like tissue: relaxed or brick-like seeds, unequal and stretched cells, curved walls."""
    coordinates = grid(shape)
    bent = bent_grid(rng, shape)
    size = log_uniform(rng, 8, 36)
    stretch = np.exp(rng.normal(0, 0.25, 3)) * (log_uniform(rng, 0.4, 1), 1, 1)
    bricks = rng.random() < 0.25
    if bricks:
        stretch = stretch * (0.8, 0.8, rng.uniform(1, 3))
    spacing = np.maximum(size * stretch, 6.0)
    source = turned_and_scaled(rng, bent, [1.0, 1.0, 1.0])
    box = np.array([np.ptp(axis) for axis in source], float) + 2 * spacing
    seeds = (_brick_seeds if bricks else _relaxed_seeds)(rng, box, spacing)
    points = np.stack([axis.ravel() / s for axis, s in zip(source, spacing, strict=True)], 1)
    centred = seeds / spacing.astype(np.float32)
    # A fourth coordinate of the seeds makes some cells larger and some smaller (a power diagram).
    weight = np.abs(rng.normal(0, rng.uniform(0, 0.35), (len(centred), 1)))
    tree = cKDTree(np.hstack([centred, weight]))
    owner = tree.query(np.hstack([points, np.zeros((len(points), 1))]), workers=1)[1].reshape(shape) + 1
    return without_crumbs(np.where(organ(rng, coordinates, shape), owner, 0).astype(np.int32))


# ------------------------------------------------------------------------------------------------ the image


def wall_image(rng: np.random.Generator, labels: Labels) -> Floats:
    """Return stained walls: thin surfaces between labels, each wall with a brightness of its own."""
    table = np.exp(rng.normal(0, rng.uniform(0.05, 0.45), 4096)).astype(np.float32)
    weak = rng.random(4096) < rng.choice([0, 0.03, 0.1])
    table[weak] *= rng.uniform(0.1, 0.5, int(weak.sum())).astype(np.float32)
    outer = log_uniform(rng, 0.6, 2.5)
    walls = np.zeros(labels.shape, np.float32)
    both_sides = rng.random() < 0.6
    for axis in range(3):
        n = labels.shape[axis]
        low, high = (slice(None),) * axis + (slice(0, n - 1),), (slice(None),) * axis + (slice(1, n),)
        a, b = labels[low], labels[high]
        key = (np.minimum(a, b) * 7919 + np.maximum(a, b) * 104729) % 4096
        value = np.where(a != b, table[key], 0)
        value *= np.where((a == 0) | (b == 0), outer, 1)
        walls[low] = np.maximum(walls[low], value)
        if both_sides:
            walls[high] = np.maximum(walls[high], value)
    if rng.random() < 0.7:
        grain = smooth_noise(rng, labels.shape, tuple(rng.uniform(1, 6, 3)))
        walls *= np.clip(1 + rng.uniform(0.05, 0.5) * grain, 0.05, None)
    return walls


@dataclass(frozen=True)
class Bodies:
    """Per voxel: distance to the middle of its own cell, in units of the cell's radius (inf outside)."""

    relative: Floats
    count: int


def cell_bodies(labels: Labels) -> Bodies:
    """Return where each voxel lies within its cell."""
    flat = labels.ravel()
    count = int(labels.max())
    size = np.maximum(np.bincount(flat, minlength=count + 1), 1)
    squared = np.zeros(labels.shape, np.float32)
    for axis, n in enumerate(labels.shape):
        at = np.arange(n, dtype=np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        at_flat = np.broadcast_to(at, labels.shape).ravel()
        middle = np.bincount(flat, at_flat, minlength=count + 1) / size
        spread = np.sqrt(np.bincount(flat, (at_flat - middle[flat]) ** 2, minlength=count + 1) / size) + 0.5
        squared += ((at - middle[labels]) / (2 * spread[labels])).astype(np.float32) ** 2
    relative = np.sqrt(squared)
    relative[labels == 0] = np.inf
    return Bodies(relative, count)


def cytoplasm_image(rng: np.random.Generator, labels: Labels, dense: bool) -> Floats:
    """Return what shines inside the cells: cytoplasm, nuclei, granules; `dense`: in some cells as much as walls."""
    bodies = cell_bodies(labels)
    level = rng.choice([0.03, 0.1, 0.25], p=[0.35, 0.4, 0.25]) * rng.uniform(0.4, 1.6)
    per_cell = level * np.exp(rng.normal(0, rng.uniform(0.1, 0.7), bodies.count + 1))
    if rng.random() < 0.35:
        bright = rng.random(bodies.count + 1) < rng.uniform(0.05, 0.5)
        per_cell[bright] = rng.uniform(0.15, 0.8, int(bright.sum()))
    if dense:
        bright = rng.random(bodies.count + 1) < rng.uniform(0.15, 0.7)
        per_cell[bright] = rng.uniform(0.3, 1.0, int(bright.sum()))
    per_cell[0] = rng.choice([0, 0.02, 0.08]) * rng.random()
    image = per_cell.astype(np.float32)[labels]
    relative = np.minimum(bodies.relative, 2)
    if rng.random() < 0.4:
        image *= np.clip(1 + rng.uniform(-0.6, 0.6) * (relative - 0.6), 0.1, None)
    if rng.random() < 0.7:
        texture = smooth_noise(rng, labels.shape, tuple(rng.uniform(2, 9, 3)))
        image *= np.clip(1 + rng.uniform(0.05, 0.6) * texture, 0, None)
    if rng.random() < 0.3:
        strength = (rng.uniform(-0.8, 1.0, bodies.count + 1) * rng.uniform(0.1, 0.6)).astype(np.float32)
        nucleus = 1 / (1 + np.exp((bodies.relative.clip(0, 3) - rng.uniform(0.3, 0.6)) * 12))
        image += nucleus * np.where(strength > 0, strength, strength * 0.3)[labels]
    if rng.random() < 0.4:
        spots = rng.random(labels.shape, dtype=np.float32) < log_uniform(rng, 2e-5, 1.5e-3)
        spots &= labels > 0
        image += ndimage.maximum_filter(spots, (2, 3, 3)) * rng.uniform(0.3, 2.5)
    return np.maximum(image, 0).astype(np.float32)


def seen_through_microscope(rng: np.random.Generator, walls: Floats, inside: Floats, light_sheet: bool) -> Floats:
    """Blur by the point spread function and add light from out-of-focus planes."""
    lateral = log_uniform(rng, 0.5, 2.2)
    axial = lateral * rng.uniform(1.0, 2.2) if not light_sheet else lateral * rng.uniform(1.5, 3)
    axial = min(max(axial, 0.7), 3.0)
    image = ndimage.gaussian_filter(walls, (axial, lateral, lateral), truncate=3)
    # The brightness of a typical wall is 1 after the blur; what lies inside the cells is relative to that.
    typical = np.percentile(image[walls > 0], 60) if (walls > 0).any() else 1.0
    image /= typical + 1e-6
    image += ndimage.gaussian_filter(inside, (axial * 0.7, lateral * 0.7, lateral * 0.7), truncate=3)
    haze = rng.choice([0.1, 0.4, 1.0]) * rng.uniform(0.1, 0.8)
    thin = image[::2, ::4, ::4]
    wide = ndimage.gaussian_filter(thin, (rng.uniform(1, 5), rng.uniform(1, 4), rng.uniform(1, 4)))
    wide = ndimage.zoom(wide, [n / m for n, m in zip(image.shape, wide.shape, strict=True)], order=1)
    return (image + haze * wide).astype(np.float32)


def dimmed(rng: np.random.Generator, image: Floats, tissue: NDArray[np.bool_], light_sheet: bool) -> Floats:
    """Apply loss of light with depth, uneven illumination and the stripes of a light sheet."""
    depth = np.linspace(0, 1, image.shape[0], dtype=np.float32)[:, None, None]
    if rng.random() < 0.5:
        depth = 1 - depth
    image = image * np.exp(-depth * rng.choice([0, 0.5, 1.3]) * rng.uniform(0.3, 1.2))
    if rng.random() < 0.4:
        crossed = np.cumsum(tissue, axis=int(rng.integers(0, 3)), dtype=np.float32)
        image = image * np.exp(-crossed / crossed.max().clip(1) * rng.uniform(0.2, 1.2))
    if rng.random() < 0.5:
        image = image * np.exp(rng.uniform(0.05, 0.35) * smooth_noise(rng, image.shape, (40, 50, 50)))
    if light_sheet or rng.random() < 0.05:
        line = smooth_noise(rng, image.shape, (rng.uniform(3, 30), rng.uniform(2, 6), 400))
        line = line if rng.random() < 0.5 else np.swapaxes(line, 1, 2)
        image = image * np.clip(1 + rng.uniform(0.03, 0.2) * line, 0.2, None)
    return image.astype(np.float32)


def digitised(rng: np.random.Generator, image: Floats, over_exposed: bool) -> NDArray[np.uint8]:
    """Add photon and read noise, then gamma, saturation (much of it if `over_exposed`) and 8 bits."""
    photons = log_uniform(rng, 100, 3000) if over_exposed else log_uniform(rng, 6, 1500)
    offset = rng.choice([0, 0.01, 0.1]) * rng.random()
    image = rng.poisson((image + offset) * photons).astype(np.float32) / photons
    image += rng.normal(0, rng.choice([0.0, 0.01, 0.05]) * rng.random(), image.shape).astype(np.float32)
    if rng.random() < 0.45:
        lateral = rng.uniform(0.4, 1.3)
        image = ndimage.gaussian_filter(image, (lateral * rng.uniform(0, 1.2), lateral, lateral), truncate=3)
    bottom = np.percentile(image, rng.choice([0.1, 1, 10]))
    top = np.percentile(image, rng.choice([80, 92, 98, 99.5, 99.95], p=[0.1, 0.2, 0.25, 0.25, 0.2]))
    if over_exposed:
        top = np.percentile(image, rng.uniform(65, 97))
    image = np.clip((image - bottom) / max(top - bottom, 1e-6), 0, 1)
    image = image ** log_uniform(rng, 0.5, 1.6)
    low, high = rng.uniform(0, 20), rng.choice([255, rng.uniform(60, 255)])
    return np.clip(low + image * (high - low), 0, 255).astype(np.uint8)


def simulate(
    rng: np.random.Generator, volume: Labels | None, shape: tuple[int, int, int], dense_share: float = 0.0
) -> Sample:
    """Return one stack of `shape`; cells come from `volume` in three cases of five, else they are synthetic.

    `dense_share` is the share of stacks with dense cytoplasm and over-exposure, the hardest thing in real ones.
    """
    dense = dense_share > 0 and rng.random() < dense_share
    # Rendered with a margin, so that light from beyond the crop is there.
    padded = (shape[0] + 8, shape[1] + 16, shape[2] + 16)
    if volume is not None and rng.random() < 0.6:
        labels = cells_from_volume(rng, volume, padded)
    else:
        labels = synthetic_cells(rng, padded)
    light_sheet = bool(rng.random() < 0.3)
    image = seen_through_microscope(rng, wall_image(rng, labels), cytoplasm_image(rng, labels, dense), light_sheet)
    image = dimmed(rng, image, labels > 0, light_sheet)
    crop = (slice(4, -4), slice(8, -8), slice(8, -8))
    return Sample(
        digitised(rng, image[crop], dense and rng.random() < 0.8), without_crumbs(np.ascontiguousarray(labels[crop]))
    )


def read_labels(path: Path, split: str) -> Labels:
    """Return the part of the label volume that belongs to the split ("training" or "validation")."""
    import h5py

    with h5py.File(path) as file:
        volume = file["label"][:].astype(np.int32)
    low, high = (round(f * volume.shape[2]) for f in VALIDATION_X)
    return smoothed_cells(volume[:, :, low:high] if split == "validation" else volume[:, :, :low])


def main() -> None:
    """Fill a folder with samples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="HDF5 file with a data set named label (Z, Y, X)")
    parser.add_argument("--output", type=Path, required=True, help="folder for the samples")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", choices=("training", "validation"), default="training")
    parser.add_argument("--dense-share", type=float, default=0.0, help="share of dense, over-exposed stacks")
    parser.add_argument("--shape", type=int, nargs=3, default=(40, 112, 112), metavar=("Z", "Y", "X"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    volume = read_labels(arguments.labels, arguments.split)
    for number in range(arguments.count):
        # A generator of its own for each sample: any of them can be made again alone.
        rng = np.random.default_rng([arguments.seed, number])
        path = arguments.output / f"{arguments.seed:03d}-{number:05d}.npz"
        if path.exists():
            continue
        sample = simulate(rng, volume, tuple(arguments.shape), arguments.dense_share)
        temporary = path.with_suffix(".part.npz")
        np.savez_compressed(temporary, raw=sample.raw, labels=sample.labels.astype(np.uint16))
        temporary.rename(path)


if __name__ == "__main__":
    main()
