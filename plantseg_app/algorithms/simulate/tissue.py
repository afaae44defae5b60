"""Tissue whose every cell is known: label volumes to draw images of, to test with and to train on.

>>> labels = generate_tissue(TissueSettings(shape_vox=(8, 48, 48), cell_diameter_um=4.0, seed=1))
>>> labels.shape, int(labels.min()), len(np.unique(labels)) == int(labels.max())
((8, 48, 48), 1, True)
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from plantseg_app.algorithms.simulate.fields import Floats, grid, smooth_noise
from plantseg_app.errors import RequestError

Labels = NDArray[np.int32]
TissueKind = Literal["voronoi", "elongated", "pavement"]
OrganKind = Literal["whole", "side", "body"]

TISSUE_KINDS: tuple[TissueKind, ...] = ("voronoi", "elongated", "pavement")
ORGAN_KINDS: tuple[OrganKind, ...] = ("whole", "side", "body")

SMALLEST_CELL_VOX = 60
_REPAIR_ROUNDS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class TissueSettings:
    """What tissue to make.

    Attributes
    ----------
    kind
        voronoi: polyhedra of unequal size; elongated: long cells in files, as in roots; pavement: flat, lobed cells in
        layers, as in the epidermis of leaves.
    shape_vox
        (Z, Y, X); Z = 1 makes plane cells.
    voxel_size_um
        (Z, Y, X) in micrometres.
    cell_diameter_um
        Diameter of the ball (of the disc in 2D) that is as large as the average cell.
    elongation
        Length of elongated cells, in units of their width.
    lobes
        How deep the lobes of pavement cells are, in units of the cell diameter.
    organ
        whole: tissue everywhere; side: background beyond a wavy surface; body: a rounded organ with background around.
    seed
        The same seed gives the same tissue.

    Raises
    ------
    RequestError
        If a number is out of range.
    """

    kind: TissueKind = "voronoi"
    shape_vox: tuple[int, int, int] = (64, 128, 128)
    voxel_size_um: tuple[float, float, float] = (0.5, 0.25, 0.25)
    cell_diameter_um: float = 8.0
    elongation: float = 3.0
    lobes: float = 0.12
    organ: OrganKind = "whole"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in TISSUE_KINDS or self.organ not in ORGAN_KINDS:
            raise RequestError(
                f"Tissue is {', '.join(TISSUE_KINDS)} in an organ {', '.join(ORGAN_KINDS)}; "
                f"{self.kind} in {self.organ} was asked for."
            )
        if min(self.shape_vox) < 1 or min(self.voxel_size_um) <= 0:
            raise RequestError(f"Shape {self.shape_vox} and voxel size {self.voxel_size_um} must be positive.")
        axes = self.voxel_size_um[1:] if self.shape_vox[0] == 1 else self.voxel_size_um
        if not self.cell_diameter_um >= 4 * max(axes):
            raise RequestError(
                f"Cells {self.cell_diameter_um:g} um wide are smaller than four voxels of {max(axes):g} um; "
                "ask for larger cells or smaller voxels."
            )
        if not 1 <= self.elongation <= 20 or not 0 <= self.lobes <= 0.5:
            raise RequestError(
                f"Elongation is 1 to 20 and lobes 0 to 0.5; {self.elongation:g} and {self.lobes:g} were given."
            )


def generate_tissue(settings: TissueSettings) -> Labels:
    """Return cells 1..n without gaps in the numbers, each in one piece (6-connected); 0 is outside the organ.

    Returns
    -------
    ndarray
        (Z, Y, X) int32.
    """
    rng = np.random.default_rng(settings.seed)
    used = slice(1, 3) if settings.shape_vox[0] == 1 else slice(0, 3)
    voxel_um = np.array(settings.voxel_size_um)
    coordinates = [axis * size for axis, size in zip(grid(settings.shape_vox), voxel_um, strict=True)]
    bent = _bent(rng, coordinates, settings)[used]
    spacing = _cell_spacing(settings)[used]
    if settings.kind == "elongated":
        bent = _turned(rng, bent)
    box = np.array([np.ptp(axis) for axis in bent]) + 2 * spacing
    # Nearer than a cell's height is next to nothing against another layer: pavement cells lie in strict layers.
    metric = spacing * (0.25, 1, 1)[used] if settings.kind == "pavement" else spacing
    seeds = _seeds(rng, box, spacing, settings.kind)
    centre = [(axis.min() + axis.max()) / 2 for axis in bent]
    points = np.stack([(axis - m).ravel() / s for axis, m, s in zip(bent, centre, metric, strict=True)], 1)
    owner = nearest_seed(seeds / metric, points, unequal_weights(rng, len(seeds), 0.15))
    labels = owner.reshape(settings.shape_vox) + 1
    tissue = organ_mask(rng, coordinates, settings.organ)
    return connected_cells(np.where(tissue, labels, 0).astype(np.int32))


def _cell_spacing(settings: TissueSettings) -> NDArray[np.float64]:
    """Return the distances of cell centres along Z, Y, X in um, whose product is the volume (2D: area) of a cell."""
    flat = settings.shape_vox[0] == 1
    diameter = settings.cell_diameter_um
    n_axes = 2 if flat else 3
    edge = diameter * (math.pi / (4 if flat else 6)) ** (1 / n_axes)
    proportions = np.ones(3)
    if settings.kind == "elongated":
        proportions[2] = settings.elongation
    elif settings.kind == "pavement":
        proportions[0] = 0.4
    used = proportions[-n_axes:]
    return np.asarray(edge * proportions / used.prod() ** (1 / n_axes))


def _bent(rng: np.random.Generator, coordinates: list[Floats], settings: TissueSettings) -> list[Floats]:
    """Displace coordinates smoothly: a gentle bend for curved walls and, for pavement cells, lobes."""
    shape = settings.shape_vox
    diameter_vox = settings.cell_diameter_um / np.array(settings.voxel_size_um)
    gentle = [2 * float(d) for d in diameter_vox]
    amplitude = 0.12 * settings.cell_diameter_um
    bent = [axis + amplitude * smooth_noise(rng, shape, gentle) for axis in coordinates]
    if settings.kind == "pavement" and settings.lobes > 0:
        # The same through the height of a cell, as the walls of pavement cells stand upright.
        lobe = [gentle[0], *(max(2.0, 0.22 * float(d)) for d in diameter_vox[1:])]
        depth = settings.lobes * settings.cell_diameter_um
        bent[1:] = [axis + depth * smooth_noise(rng, shape, lobe) for axis in bent[1:]]
    return bent


def _turned(rng: np.random.Generator, coordinates: list[Floats]) -> list[Floats]:
    """Turn the last two axes by a random angle."""
    angle = rng.uniform(0, np.pi)
    *rest, y, x = coordinates
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return [*rest, y * cosine - x * sine, y * sine + x * cosine]


def _seeds(
    rng: np.random.Generator, box: NDArray[np.float64], spacing: NDArray[np.float64], kind: TissueKind
) -> NDArray[np.float64]:
    if kind == "elongated":
        return brick_seeds(rng, box, spacing, 0.08)
    if kind == "voronoi" or len(box) == 2:
        return relaxed_seeds(rng, box, spacing, 2)
    heights = np.arange(-box[0] / 2, box[0] / 2, spacing[0])
    layers = [relaxed_seeds(rng, box[1:], spacing[1:], 2) for _ in heights]
    return np.concatenate([np.insert(layer, 0, z, axis=1) for z, layer in zip(heights, layers, strict=True)])


# ------------------------------------------------------------------------------------------------ building blocks


def relaxed_seeds(
    rng: np.random.Generator, box: NDArray[np.float64], spacing: NDArray[np.float64], rounds: int
) -> NDArray[np.float64]:
    """Return centres of cells in a centred box, one for each product of `spacing`; `rounds` even their sizes (Lloyd).

    Returns
    -------
    ndarray
        (n, axes) float64, in the unit of `box`.
    """
    axes = len(box)
    count = max(4, round(float(np.prod(box / spacing))))
    seeds = rng.uniform(-0.5, 0.5, (count, axes)) * box
    for _ in range(rounds):
        points = rng.uniform(-0.5, 0.5, (12 * count, axes)) * box
        owner = cKDTree(seeds / spacing).query(points / spacing)[1]
        total = np.bincount(owner, minlength=count)[:, None]
        sums = np.stack([np.bincount(owner, points[:, i], minlength=count) for i in range(axes)], 1)
        seeds = np.where(total > 0, sums / np.maximum(total, 1), seeds)
    return seeds


def brick_seeds(
    rng: np.random.Generator, box: NDArray[np.float64], spacing: NDArray[np.float64], disorder: float
) -> NDArray[np.float64]:
    """Return centres of cells in files along the last axis, each file shifted against its neighbours: (n, axes)."""
    axes = [np.arange(-b / 2, b / 2 + s, s) for b, s in zip(box, spacing, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    points[..., -1] += rng.uniform(-0.5, 0.5, (*points.shape[:-2], 1)) * spacing[-1]
    points += rng.normal(0, disorder, points.shape) * spacing
    return np.asarray(points.reshape(-1, len(box)))


def unequal_weights(rng: np.random.Generator, count: int, spread: float) -> NDArray[np.float64]:
    """Return a weight for each seed; the larger, the smaller the cell."""
    return np.asarray(np.abs(rng.normal(0, spread, count)))


def nearest_seed(
    seeds: NDArray[np.floating], points: NDArray[np.floating], weights: NDArray[np.floating]
) -> NDArray[np.intp]:
    """Return the index of the seed that owns each point in the power diagram of the seeds.

    A further coordinate of the seeds, 0 for the points, makes some cells larger and some smaller.
    """
    tree = cKDTree(np.column_stack([seeds, weights]))
    return np.asarray(tree.query(np.column_stack([points, np.zeros(len(points))]))[1], np.intp)


def organ_mask(rng: np.random.Generator, coordinates: list[Floats], kind: OrganKind) -> NDArray[np.bool_]:
    """Return where the tissue is: everywhere, beyond a wavy surface, or inside a rounded body; (Z, Y, X)."""
    shape = coordinates[0].shape
    if kind == "whole":
        return np.ones(shape, bool)
    size = np.array([float(np.ptp(axis)) for axis in coordinates]) + 1e-6
    wave = smooth_noise(rng, shape, (30, 40, 40)) * 0.12
    if kind == "side":
        normal = rng.normal(size=3) * (0.7, 1, 1)
        normal /= np.linalg.norm(normal)
        height = np.sum([c * n for c, n in zip(coordinates, normal, strict=True)], axis=0)
        span = float(np.abs(normal) @ size) / 2
        return np.asarray(height / span + wave > rng.uniform(-0.7, 0.25))
    radius = rng.uniform(0.35, 0.8, 3) * size * (1.5, 1, 1)
    centre = rng.normal(0, 0.15, 3) * size
    inside = np.sum([((c - m) / r) ** 2 for c, m, r in zip(coordinates, centre, radius, strict=True)], axis=0)
    return np.asarray(inside + 2 * wave < 1)


def connected_cells(labels: Labels, smallest_vox: int = 8) -> Labels:
    """Keep the largest piece of each cell, give the others to their nearest neighbour, and number the cells 1..n."""
    import cc3d

    for _ in range(_REPAIR_ROUNDS):
        pieces = np.asarray(cc3d.connected_components(labels, connectivity=6))
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        first = np.zeros(len(sizes), np.int64)
        first[pieces.ravel()] = labels.ravel()
        ordered = np.lexsort((np.arange(len(sizes)), -sizes, first))
        keep = np.zeros(len(sizes), bool)
        keep[ordered[np.unique(first[ordered], return_index=True)[1]]] = True
        lost = ~(keep & (sizes >= smallest_vox))[pieces] & (labels > 0)
        if not lost.any() or lost.sum() == (labels > 0).sum():
            break
        labels = _given_to_nearest(labels, lost, labels > 0)
    return _numbered(labels)


def without_crumbs(labels: Labels, smallest_vox: int = SMALLEST_CELL_VOX) -> Labels:
    """Give voxels of tiny labels to their nearest neighbour and number the rest 1..n (0 stays)."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    small = (counts < smallest_vox)[inverse.reshape(labels.shape)]
    if small.any() and not small.all():
        labels = _given_to_nearest(labels, small, np.ones(labels.shape, bool))
    return _numbered(labels)


def smoothed_cells(labels: Labels) -> Labels:
    """Return cells with even walls: the insides of the cells, grown until they touch.

    Labels drawn or corrected slice by slice have ragged walls, real walls have not.
    """
    inside = ndimage.minimum_filter(labels, 5) == ndimage.maximum_filter(labels, 5)
    if not inside.any():
        return labels
    return np.ascontiguousarray(_given_to_nearest(labels, ~inside, np.ones(labels.shape, bool)))


def _given_to_nearest(labels: Labels, lost: NDArray[np.bool_], among: NDArray[np.bool_]) -> Labels:
    """Return labels in which `lost` voxels take the label of the nearest voxel that is not, and lies in `among`."""
    nearest = ndimage.distance_transform_edt(lost | ~among, return_distances=False, return_indices=True)
    return np.where(lost, labels[tuple(nearest)], labels).astype(np.int32)


def _numbered(labels: Labels) -> Labels:
    ids = np.unique(labels)
    ids = ids[ids > 0]
    return np.where(labels > 0, np.searchsorted(ids, labels) + 1, 0).astype(np.int32)
