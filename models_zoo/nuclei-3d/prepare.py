"""Make the stacks that `nuclei-3d` learns from: a part of a real one, and simulated nuclei.

    python prepare.py FOLDER prepared
    plantseg-app train train.yaml

FOLDER holds `1135_mini.h5` (data sets `raw` and `label`, attribute `element_size_um`). The network learns from its rows
0 to 61, and is judged on rows 66 to 99; four rows between are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

REAL_STACK = "1135_mini.h5"
TRAIN_ROWS, VALIDATION_ROWS = slice(0, 62), slice(66, 100)
VOXEL_SIZE_UM = (0.284, 0.2, 0.2)
SHAPE = (56, 96, 96)

Floats = NDArray[np.float32]


def save(path: Path, raw: NDArray[np.generic], labels: NDArray[np.generic], size_um: tuple[float, ...]) -> None:
    """Write one stack as HDF5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, data in (("raw", raw), ("label", labels)):
            file[name] = data
            file[name].attrs["element_size_um"] = size_um


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Floats:
    """Return noise of zero mean and unit variance with grains of about `sigma` voxels, equal on all axes in space."""
    widths = np.array(VOXEL_SIZE_UM[1]) / VOXEL_SIZE_UM * sigma
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), widths, mode="wrap")
    return np.asarray(noise / (noise.std() + 1e-9), np.float32)


def ellipsoids(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Return nuclei: bumpy ellipsoids of random size and tilt, some of them touching, none overlapping."""
    labels = np.zeros(shape, np.uint16)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) * VOXEL_SIZE_UM
    typical, spread = np.exp(rng.uniform(np.log(0.9), np.log(2.4))), rng.uniform(0.1, 0.35)
    bumps = smooth_noise(rng, shape, 5.0) * rng.uniform(0.02, 0.12)
    crowd = rng.uniform(0.5, 1.15)
    wanted = int(rng.uniform(0.05, 0.4) * np.prod(np.array(shape) * VOXEL_SIZE_UM) / (4.19 * typical**3)) + 2
    centres: list[tuple[NDArray[np.float64], float]] = []
    for _ in range(6 * wanted):
        radius = typical * np.exp(rng.normal(0, spread))
        centre = rng.uniform(-0.05, 1.05, 3) * np.array(shape) * VOXEL_SIZE_UM
        if any(np.linalg.norm(centre - other) < crowd * (radius + size) for other, size in centres):
            continue
        centres.append((centre, radius))
        axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        radii = radius * np.exp(rng.normal(0, 0.17, 3))
        reach = 1.6 * radius
        low = np.clip(((centre - reach) / VOXEL_SIZE_UM).astype(int), 0, shape)
        high = np.clip(((centre + reach) / VOXEL_SIZE_UM).astype(int) + 2, 0, shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        distance = np.linalg.norm((grid[box] - centre) @ axes / radii, axis=-1) + bumps[box]
        inside = (distance < 1) & (labels[box] == 0)
        labels[box][inside] = len(centres)
        if len(centres) >= wanted:
            break
    return labels


def texture(rng: np.random.Generator, labels: NDArray[np.uint16], level: Floats) -> Floats:
    """Return nuclei of given brightness with uneven stain and, in half of the stacks, darker nucleoli."""
    image = level[labels]
    image *= np.clip(1 + rng.uniform(0.05, 0.45) * smooth_noise(rng, SHAPE, rng.uniform(1.0, 2.5)), 0.05, None)
    if rng.random() < 0.5:
        # Nucleoli hold less of the stain; they lie inside.
        depth = ndimage.distance_transform_edt(labels > 0, VOXEL_SIZE_UM)
        holes = (smooth_noise(rng, SHAPE, rng.uniform(2, 4)) > rng.uniform(0.9, 1.6)) & (depth > 0.5)
        image[holes] *= rng.uniform(0.2, 0.7)
    return image


def surroundings(rng: np.random.Generator, labels: NDArray[np.uint16]) -> Floats:
    """Return what else shines: haze or, in more than half, cytoplasm with dark vacuoles; thin bright things in some."""
    haze = np.clip(1 + rng.uniform(0.1, 0.6) * smooth_noise(rng, SHAPE, rng.uniform(6, 14)), 0, None)
    if rng.random() < 0.4:
        image = rng.uniform(0, 0.35) * haze
    else:
        # As in the real stack, where nuclei are 1.4 to 2.3 times as bright as what lies around them.
        vacuoles = smooth_noise(rng, SHAPE, rng.uniform(3, 8)) > rng.uniform(0.0, 1.5)
        grain = np.clip(1 + rng.uniform(0, 0.4) * smooth_noise(rng, SHAPE, rng.uniform(1, 4)), 0, None)
        image = rng.uniform(0.2, 0.7) * haze * grain * np.where(vacuoles, rng.uniform(0.1, 0.8), 1)
    if rng.random() < 0.4:
        sheet = np.abs(smooth_noise(rng, SHAPE, rng.uniform(12, 22)))
        where = smooth_noise(rng, SHAPE, 15) > rng.uniform(-0.5, 1.2)
        image += np.where((sheet < 0.05) & where & (labels == 0), rng.uniform(0.3, 2.5), 0)
    return np.where(labels > 0, rng.uniform(0, 0.4) * image, image).astype(np.float32)


def simulate(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return a stack of stained nuclei as a confocal or light-sheet microscope shows it, and its labels."""
    labels = ellipsoids(rng, SHAPE)
    level = np.exp(rng.normal(0, rng.uniform(0.1, 0.45), int(labels.max()) + 1)).astype(np.float32)
    if rng.random() < 0.4:
        level[rng.random(len(level)) < 0.25] *= rng.uniform(0.45, 0.8)
    level[0] = 0
    image = texture(rng, labels, level) + surroundings(rng, labels)
    lateral = np.exp(rng.uniform(np.log(0.4), np.log(1.3)))
    image = ndimage.gaussian_filter(image, (lateral * rng.uniform(0.8, 1.8), lateral, lateral))
    depth = np.linspace(0, 1, SHAPE[0], dtype=np.float32)[:, None, None]
    image = image * np.exp(-(depth if rng.random() < 0.5 else 1 - depth) * rng.uniform(0, 1.0))
    # A photon count of 6 where nuclei are, as in the real stack, is as likely as one of 100.
    photons = np.exp(rng.uniform(np.log(4), np.log(150)))
    image = rng.poisson(np.clip(image, 0, None) * photons).astype(np.float32) / photons
    if rng.random() < 0.6:
        image = ndimage.gaussian_filter(image, rng.uniform(0.2, 0.8))
    low, high = np.percentile(image, (0.5, rng.uniform(97, 99.95)))
    image = np.clip((image - low) / (high - low), 0, 1)
    return (255 * image).astype(np.uint8), labels


def main() -> None:
    """Fill the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help=f"folder with {REAL_STACK}")
    parser.add_argument("output", type=Path, help="folder to fill")
    parser.add_argument("--count", type=int, default=160, help="simulated stacks")
    arguments = parser.parse_args()
    with h5py.File(arguments.data / REAL_STACK) as file:
        raw, labels = file["raw"][:], file["label"][:]
        size_um = tuple(float(n) for n in file["raw"].attrs["element_size_um"])
    for part, rows in (("train", TRAIN_ROWS), ("validation", VALIDATION_ROWS)):
        save(arguments.output / part / "real.h5", raw[:, rows], labels[:, rows], size_um)
    for number in range(arguments.count):
        image, nuclei = simulate(np.random.default_rng([35, number]))
        part = "validation" if number % 20 == 19 else "train"
        save(arguments.output / part / f"simulated-{number:04d}.h5", image, nuclei, VOXEL_SIZE_UM)


if __name__ == "__main__":
    main()
