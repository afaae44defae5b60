"""Images drawn from random numbers, for pictures and tests of models whose own images may not be shown.

They look enough like worms in a well, cells of a smear and the endothelium of a cornea for networks that have learned
from such images, and may be shown anywhere.

    python drawn.py endothelium FOLDER        writes image.tif and labels.tif
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import write_volume


def draw_worms(shape: tuple[int, int], n_worms: int, seed: int) -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    """Return an image (1, Y, X) of dark worms in a bright well, and a plane (N, 1, Y, X) for each worm."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    middle, radius = (shape[0] / 2, shape[1] / 2), 0.44 * min(shape)
    inside = ((np.abs(y - middle[0]) / radius) ** 5 + (np.abs(x - middle[1]) / radius) ** 5) < 1
    light = ndimage.gaussian_filter(inside.astype(float), 2)
    light *= 2700 - 900 * ((y - middle[0] - 20) ** 2 + (x - middle[1] + 10) ** 2) / (2 * radius**2)
    image = 100 + light
    grain = ndimage.gaussian_filter(rng.normal(0, 1, shape), 1.2)
    planes = []
    while len(planes) < n_worms:
        thickness = _worm(shape, rng)
        mask = thickness > 0
        # Whole worms alone, of which a part may lie over others.
        if mask.sum() < 500 or not inside[mask].all() or not _lies_well(mask, planes):
            continue
        dark = np.clip(ndimage.gaussian_filter(thickness, 0.8) / 3.2, 0, 1) * (0.66 + 0.5 * grain)
        image = 100 + (image - 100) * (1 - np.clip(dark, 0, 0.9))
        planes.append(mask)
    image = ndimage.gaussian_filter(image, 0.7) + rng.normal(0, 8, shape)
    numbered = np.stack(planes)[:, None] * np.arange(1, n_worms + 1, dtype=np.uint32).reshape(-1, 1, 1, 1)
    return np.clip(image, 0, 65535).astype(np.uint16)[None], numbered


def _worm(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how thick a worm is at each pixel: a line that bends, thin at its ends."""
    length = rng.uniform(95, 125)
    along = np.linspace(0, 1, 160)
    angle = rng.uniform(0, 2 * np.pi) + rng.uniform(-2.2, 2.2) * along + rng.uniform(0, 0.7) * np.sin(7 * along)
    step = length / len(along)
    start = rng.uniform((0.15 * shape[0], 0.15 * shape[1]), (0.85 * shape[0], 0.85 * shape[1]))
    line = start[:, None] + step * np.cumsum([np.sin(angle), np.cos(angle)], 1)
    half = rng.uniform(4.2, 5.4) * np.minimum(1, np.minimum(along * 7, (1 - along) * 4)) ** 0.6
    thickness = np.zeros(shape)
    for (row, column), width in zip(line.T, half, strict=True):
        rows, columns = (slice(max(0, int(at) - 7), max(0, int(at) + 8)) for at in (row, column))
        y, x = np.ogrid[rows, columns]
        box = thickness[rows, columns]
        np.maximum(box, width - np.hypot(y - row, x - column)[: box.shape[0], : box.shape[1]], out=box)
    return thickness


def _lies_well(mask: NDArray[np.bool_], others: list[NDArray[np.bool_]]) -> bool:
    """Return whether an object has most of its pixels for itself."""
    covered = np.any(others, 0) if others else np.zeros_like(mask)
    return bool((mask & covered).sum() < 0.15 * mask.sum())


def draw_cells(shape: tuple[int, int], n_cells: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Return an image (1, Y, X) of cells that the light shines through, and a plane (N, 1, Y, X) for each cell."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    image, planes = np.full(shape, 238.0), []
    while len(planes) < n_cells:
        at = rng.uniform((0.25 * shape[0], 0.25 * shape[1]), (0.75 * shape[0], 0.75 * shape[1]))
        angle, distance = np.arctan2(y - at[0], x - at[1]), np.hypot(y - at[0], x - at[1])
        waves = [rng.uniform(-0.09, 0.09) * np.sin(n * angle + rng.uniform(0, 6)) for n in (2, 3, 5)]
        rim = rng.uniform(52, 72) * (1 + np.sum(waves, 0))
        mask = distance < rim
        shared = [(mask & other).sum() / min(mask.sum(), other.sum()) for other in planes]
        # Cells of one clump, none of which lies over most of another one.
        if planes and not 0.05 < max(shared) < 0.35:
            continue
        veil = ndimage.gaussian_filter(rng.normal(0, 1, shape), 5)
        cytoplasm = rng.uniform(0.80, 0.86) + 0.25 * veil - 0.05 * (rim - distance < 3)
        nucleus = np.hypot((y - at[0]) / rng.uniform(0.8, 1.2), x - at[1]) < rng.uniform(7, 9)
        seen = np.where(nucleus, 0.35, cytoplasm)
        image = np.where(mask, image * np.clip(seen, 0.3, 1), image)
        planes.append(mask)
    image = ndimage.gaussian_filter(image, 0.8) + rng.normal(0, 2, shape)
    numbered = np.stack(planes)[:, None] * np.arange(1, n_cells + 1, dtype=np.uint32).reshape(-1, 1, 1, 1)
    return np.clip(image, 0, 255).astype(np.uint8)[None], numbered


def draw_endothelium(shape: tuple[int, int], seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Return an image (1, Y, X) of cells side by side with dark lines between them, and labels (1, Y, X)."""
    rng = np.random.default_rng(seed)
    distance = 24
    rows, columns = np.mgrid[-1 : shape[0] // distance + 2, -1 : shape[1] // distance + 2]
    # Rows that are shifted by half a cell make hexagons, which random steps make uneven.
    places = np.stack([rows, columns + rows % 2 / 2], -1).reshape(-1, 2) * distance + rng.normal(0, 3, (rows.size, 2))
    pixels = np.stack(np.mgrid[: shape[0], : shape[1]], -1)
    distances, ranked = cKDTree(places).query(pixels, 2)
    to_line, nearest = (distances[..., 1] - distances[..., 0]) / 2, ranked[..., 0]
    grain = ndimage.gaussian_filter(rng.normal(0, 1, shape), 1.5) * 0.5
    bright = (
        0.25 + 0.6 * (1 - np.exp(-((to_line / 3) ** 2))) * rng.uniform(0.8, 1.1, len(places))[nearest] + 0.3 * grain
    )
    light = np.interp(pixels[..., 1], [0, 0.4 * shape[1], shape[1]], [0.25, 0.7, 1.0])
    image = ndimage.gaussian_filter(255 * 0.75 * light * np.clip(bright, 0, 1.3), 0.8)
    labels = np.where(to_line > 1, nearest + 1, 0).astype(np.uint32)
    return np.clip(image, 0, 255).astype(np.uint8)[None], labels[None]


DRAWN = {
    "worms": lambda: draw_worms((520, 696), 12, 11),
    "cells": lambda: draw_cells((512, 512), 5, 5),
    "endothelium": lambda: draw_endothelium((256, 256), 2),
}
"""The images that pictures show."""


if __name__ == "__main__":
    drawn, truth = DRAWN[sys.argv[1]]()
    write_volume(Path(sys.argv[2]) / "image.tif", Volume(drawn, Kind.RAW), overwrite=True)
    kind = Kind.LABELS if truth.ndim == 3 else Kind.LAYERED_LABELS
    write_volume(Path(sys.argv[2]) / "labels.tif", Volume(truth, kind), overwrite=True)
