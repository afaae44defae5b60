"""Random stacks to train on: shapes and microscopes drawn anew for each, from easy to much harder than real ones.

Shapes are random pieces of a real label volume (turned, stretched, bent) or generated tissue. The recipe of the
boundary models that ship; lengths are in voxels.

>>> stack = random_stack(np.random.default_rng(0), None, (8, 32, 32))
>>> stack.raw.dtype, stack.raw.shape == stack.labels.shape
(dtype('uint8'), True)
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.simulate.fields import Floats, grid, log_uniform, smooth_noise
from plantseg_app.algorithms.simulate.microscope import (
    Attenuation,
    BrightCells,
    Camera,
    Illumination,
    Interior,
    Optics,
    Staining,
    Triple,
    cell_interiors,
    illuminated,
    recorded,
    stained_walls,
    through_optics,
)
from plantseg_app.algorithms.simulate.tissue import (
    Labels,
    OrganKind,
    brick_seeds,
    nearest_seed,
    organ_mask,
    relaxed_seeds,
    unequal_weights,
    without_crumbs,
)
from plantseg_app.errors import InputError


@dataclasses.dataclass(frozen=True)
class RandomStack:
    """A rendered stack: `raw` uint8 and `labels` int32, both (Z, Y, X); label 0 is outside the tissue."""

    raw: NDArray[np.uint8]
    labels: Labels


def random_stack(
    rng: np.random.Generator, volume: Labels | None, shape_vox: tuple[int, int, int], dense_share: float = 0.0
) -> RandomStack:
    """Return one stack; cells come from `volume` in three cases of five, else they are generated.

    Parameters
    ----------
    rng
        The source of everything random.
    volume
        Labels of real cells, (Z, Y, X).
    shape_vox
        (Z, Y, X) of the stack.
    dense_share
        Share of stacks with dense cytoplasm and over-exposure, the hardest thing in real ones.
    """
    dense = dense_share > 0 and rng.random() < dense_share
    # Rendered with a margin, so that light from beyond the crop is there.
    padded = (shape_vox[0] + 8, shape_vox[1] + 16, shape_vox[2] + 16)
    if volume is not None and rng.random() < 0.6:
        labels = cells_from_volume(rng, volume, padded)
    else:
        labels = synthetic_cells(rng, padded)
    light_sheet = bool(rng.random() < 0.3)
    image = seen_through_microscope(rng, wall_image(rng, labels), cytoplasm_image(rng, labels, dense), light_sheet)
    image = dimmed(rng, image, labels > 0, light_sheet)
    crop = (slice(4, -4), slice(8, -8), slice(8, -8))
    raw = digitised(rng, image[crop], dense and rng.random() < 0.8)
    return RandomStack(raw, without_crumbs(np.ascontiguousarray(labels[crop])))


# ------------------------------------------------------------------------------------------------ shapes


def bent_grid(rng: np.random.Generator, shape_vox: tuple[int, ...]) -> list[Floats]:
    """Return voxel coordinates displaced by a smooth field (elastic deformation)."""
    strong, weak = rng.uniform(0, 5), rng.uniform(0, 1.2)
    return [
        np.asarray(
            axis + strong * smooth_noise(rng, shape_vox, (20, 32, 32)) + weak * smooth_noise(rng, shape_vox, (6, 8, 8)),
            np.float32,
        )
        for axis in grid(shape_vox)
    ]


def turned_and_scaled(rng: np.random.Generator, coordinates: list[Floats], scale: list[float]) -> list[Floats]:
    """Return source coordinates: divided by `scale`, turned in YX by a random angle, tilted and flipped."""
    z, y, x = (axis / s for axis, s in zip(coordinates, scale, strict=True))
    angle = rng.uniform(0, 2 * np.pi)
    z = z * rng.choice([-1, 1])
    tilt = rng.normal(0, 0.25)
    y, x = y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)
    z, y = z * np.cos(tilt) - y * np.sin(tilt), z * np.sin(tilt) + y * np.cos(tilt)
    return [z, y, x * rng.choice([-1, 1])]


def cells_from_volume(rng: np.random.Generator, volume: Labels, shape_vox: tuple[int, ...]) -> Labels:
    """Return a bent, turned and stretched piece of `volume` with enough tissue in it.

    Raises
    ------
    InputError
        If the volume holds no cell.
    """
    if not (volume > 0).any():
        raise InputError("The label volume holds no cell; give one with labelled cells.")
    size = log_uniform(rng, 0.6, 2.0)
    flat = log_uniform(rng, 0.5, 1.1)
    scale = [size * flat, size * rng.uniform(0.85, 1.2), size * rng.uniform(0.85, 1.2)]
    coordinates = turned_and_scaled(rng, bent_grid(rng, shape_vox), scale)
    if rng.random() < 0.3:
        coordinates = [coordinates[1], coordinates[0], coordinates[2]]
    wanted = rng.uniform(0.3, 0.95)
    best, best_gap = volume, np.inf
    for _ in range(12):
        centre = [rng.uniform(0.1, 0.9) * n for n in volume.shape]
        index = tuple(
            np.clip(np.rint(c + m), 0, n - 1).astype(np.intp)
            for c, m, n in zip(coordinates, centre, volume.shape, strict=True)
        )
        thin = volume[tuple(i[::3, ::8, ::8] for i in index)]
        gap = abs(float((thin > 0).mean()) - wanted)
        if gap < best_gap:
            best, best_gap = volume[index], gap
        if gap < 0.12:
            break
    return without_crumbs(best)


def organ(rng: np.random.Generator, coordinates: list[Floats]) -> NDArray[np.bool_]:
    """Return where the tissue is: everywhere, beyond a wavy surface, or inside a rounded body."""
    kinds: tuple[OrganKind, ...] = ("whole", "side", "body")
    return organ_mask(rng, coordinates, kinds[int(rng.choice(3, p=[0.3, 0.4, 0.3]))])


def synthetic_cells(rng: np.random.Generator, shape_vox: tuple[int, ...]) -> Labels:
    """Return Voronoi-like tissue: relaxed or brick-like seeds, unequal and stretched cells, curved walls."""
    coordinates = grid(shape_vox)
    bent = bent_grid(rng, shape_vox)
    size = log_uniform(rng, 8, 36)
    stretch = np.exp(rng.normal(0, 0.25, 3)) * (log_uniform(rng, 0.4, 1), 1, 1)
    bricks = rng.random() < 0.25
    if bricks:
        stretch = stretch * (0.8, 0.8, rng.uniform(1, 3))
    spacing = np.maximum(size * stretch, 6.0)
    source = turned_and_scaled(rng, bent, [1.0, 1.0, 1.0])
    box = np.array([np.ptp(axis) for axis in source], float) + 2 * spacing
    if bricks:
        seeds = brick_seeds(rng, box, spacing, rng.uniform(0.03, 0.2))
    else:
        seeds = relaxed_seeds(rng, box, spacing, int(rng.integers(0, 5)))
    points = np.stack([axis.ravel() / s for axis, s in zip(source, spacing, strict=True)], 1)
    weights = unequal_weights(rng, len(seeds), rng.uniform(0, 0.35))
    owner = nearest_seed(seeds / spacing, points, weights).reshape(shape_vox) + 1
    return without_crumbs(np.where(organ(rng, coordinates), owner, 0).astype(np.int32))


# ------------------------------------------------------------------------------------------------ microscopes


def wall_image(rng: np.random.Generator, labels: Labels) -> Floats:
    """Return walls of a random staining."""
    has_grain = rng.random() < 0.7
    staining = Staining(
        variation=rng.uniform(0.05, 0.45),
        weak_share=float(rng.choice([0, 0.03, 0.1])),
        outer=log_uniform(rng, 0.6, 2.5),
        on_both_sides=bool(rng.random() < 0.6),
        grain=rng.uniform(0.05, 0.5) if has_grain else 0.0,
        grain_vox=_triple(rng, 1, 6),
    )
    return stained_walls(rng, labels, staining)


def cytoplasm_image(rng: np.random.Generator, labels: Labels, dense: bool) -> Floats:
    """Return what shines inside the cells; `dense`: in some cells as much as the walls."""
    bright = []
    if rng.random() < 0.35:
        bright.append(BrightCells(share=rng.uniform(0.05, 0.5), low=0.15, high=0.8))
    if dense:
        bright.append(BrightCells(share=rng.uniform(0.15, 0.7), low=0.3, high=1.0))
    nuclei = rng.uniform(0.1, 0.6) if rng.random() < 0.3 else 0.0
    interior = Interior(
        cytoplasm=float(rng.choice([0.03, 0.1, 0.25], p=[0.35, 0.4, 0.25])) * rng.uniform(0.4, 1.6),
        variation=rng.uniform(0.1, 0.7),
        bright_cells=tuple(bright),
        outside=float(rng.choice([0, 0.02, 0.08])) * rng.random(),
        gradient=rng.uniform(-0.6, 0.6) if rng.random() < 0.4 else 0.0,
        texture=rng.uniform(0.05, 0.6) if rng.random() < 0.7 else 0.0,
        texture_vox=_triple(rng, 2, 9),
        nuclei_low=-0.8 * nuclei,
        nuclei_high=nuclei,
        nuclei_radius=rng.uniform(0.3, 0.6),
        granules=log_uniform(rng, 2e-5, 1.5e-3) if rng.random() < 0.4 else 0.0,
        granule_brightness=rng.uniform(0.3, 2.5),
    )
    return cell_interiors(rng, labels, interior)


def seen_through_microscope(rng: np.random.Generator, walls: Floats, inside: Floats, light_sheet: bool) -> Floats:
    """Return the image behind random optics."""
    lateral = log_uniform(rng, 0.5, 2.2)
    axial = lateral * (rng.uniform(1.5, 3) if light_sheet else rng.uniform(1.0, 2.2))
    axial = min(max(axial, 0.7), 3.0)
    optics = Optics(
        psf_sigma_vox=(axial, lateral, lateral),
        interior_blur=0.7,
        haze=float(rng.choice([0.1, 0.4, 1.0])) * rng.uniform(0.1, 0.8),
        haze_sigma_vox=(2 * rng.uniform(1, 5), 4 * rng.uniform(1, 4), 4 * rng.uniform(1, 4)),
    )
    return through_optics(walls, inside, optics)


def dimmed(rng: np.random.Generator, image: Floats, tissue: NDArray[np.bool_], light_sheet: bool) -> Floats:
    """Return the image under random illumination: less with depth, uneven, with the stripes of a light sheet."""
    total = float(rng.choice([0, 0.5, 1.3])) * rng.uniform(0.3, 1.2)
    from_below = bool(rng.random() < 0.5)
    losses = [Attenuation(per_vox=total / max(image.shape[0] - 1, 1), in_tissue_alone=False, is_reversed=from_below)]
    if rng.random() < 0.4:
        axis = int(rng.integers(0, 3))
        deepest = max(int(tissue.sum(axis).max()), 1)
        losses.append(Attenuation(per_vox=rng.uniform(0.2, 1.2) / deepest, axis=axis))
    has_stripes = light_sheet or rng.random() < 0.05
    fine, long = (rng.uniform(3, 30), rng.uniform(2, 6)), 400.0
    illumination = Illumination(
        attenuation=tuple(losses),
        unevenness=rng.uniform(0.05, 0.35) if rng.random() < 0.5 else 0.0,
        stripes=rng.uniform(0.03, 0.2) if has_stripes else 0.0,
        stripes_vox=(fine[0], fine[1], long) if rng.random() < 0.5 else (fine[0], long, fine[1]),
    )
    return illuminated(rng, image, tissue, illumination)


def digitised(rng: np.random.Generator, image: Floats, over_exposed: bool) -> NDArray[np.uint8]:
    """Return the 8-bit image of a random camera; much of it saturated if `over_exposed`."""
    photons = log_uniform(rng, 100, 3000) if over_exposed else log_uniform(rng, 6, 1500)
    lateral = rng.uniform(0.4, 1.3) if rng.random() < 0.45 else 0.0
    usual_white = float(rng.choice([80, 92, 98, 99.5, 99.95], p=[0.1, 0.2, 0.25, 0.25, 0.2]))
    camera = Camera(
        photons=photons,
        background=float(rng.choice([0, 0.01, 0.1])) * rng.random(),
        read_noise_photons=photons * float(rng.choice([0.0, 0.01, 0.05])) * rng.random(),
        smoothing_sigma_vox=(lateral * rng.uniform(0, 1.2), lateral, lateral),
        black_percentile=float(rng.choice([0.1, 1, 10])),
        white_percentile=rng.uniform(65, 97) if over_exposed else usual_white,
        gamma=log_uniform(rng, 0.5, 1.6),
        darkest=rng.uniform(0, 20) / 255,
        brightest=float(rng.choice([255, rng.uniform(60, 255)])) / 255,
    )
    return np.asarray(recorded(rng, image, camera), np.uint8)


def _triple(rng: np.random.Generator, low: float, high: float) -> Triple:
    return rng.uniform(low, high), rng.uniform(low, high), rng.uniform(low, high)
