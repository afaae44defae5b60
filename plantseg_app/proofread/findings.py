"""What speaks for and against each cell: its faces, walls within it, its size, shape, holes, pieces and nuclei.

A cell is looked at in its own box, so that after a correction only the cells around need another look. Nothing is
judged here; see `plantseg_app.proofread.doubt`.

>>> tissue = Tissue(np.array([[[7, 7, 0, 7, 9]]], np.uint32))
>>> found = examine(tissue, 7)
>>> found.size_vox, found.n_pieces, found.faces[0].neighbour
(3, 2, 9)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.flooding import Spacing, flood, label_touching, local_maxima, scale_sigma, smooth
from plantseg_app.algorithms.nuclei import BOUNDARY_SIGMA
from plantseg_app.algorithms.region_graph import measure_edges
from plantseg_app.proofread.cell_index import CellIndex
from plantseg_app.proofread.tissue import Tissue, shares_held

_SMALLEST_PART = 0.1
_LEAST_FACE_VOX = 12
_FACE_QUANTILE = 0.3
_FACES_KEPT = 4
_RIM_SHARE = 0.2
_RIM_VOX = 2.0
_LEAST_PART_VOX = 20
_BROAD = 0.4
_LONG_VOX = 16
_SIGMA_SHARE = 0.1


class Face(NamedTuple):
    """Where a cell touches another: the other, the area, and the evidence (the boundary map where it is weak).

    Evidence is the value that 30 % of the face stay below; NaN without a map.
    """

    neighbour: int
    area: float
    evidence: float


class Findings(NamedTuple):
    """What was seen of one cell.

    Attributes
    ----------
    size_vox
        Number of voxels.
    at_border
        Whether it touches the border of the image, where it may be cut off.
    surface
        Area of its faces, in the unit of the spacing; what lies at the border of the image is not counted.
    n_pieces, loose_vox
        Pieces connected over faces, and the voxels outside the largest.
    hole_vox
        Voxels that it encloses.
    faces
        Its weakest faces of some size, the weakest first; without a map the largest.
    rim_evidence, core_evidence
        Mean of the boundary map over its surface and over its core; NaN without a map.
    wall_evidence
        Mean of the boundary map along the strongest wall that cuts the core into two parts of some size, less where
        the wall is a narrow passage; NaN when there is none, or no map.
    waist
        How much narrower its narrowest place is than the thinner of the bodies on both sides, 0 to 1.
    n_nuclei
        Nuclei of which it holds more than half; -1 when none are open.
    """

    size_vox: int
    at_border: bool
    surface: float
    n_pieces: int
    loose_vox: int
    hole_vox: int
    faces: tuple[Face, ...]
    rim_evidence: float
    core_evidence: float
    wall_evidence: float
    waist: float
    n_nuclei: int


class Scale(NamedTuple):
    """How closely cells are looked at; the same for all that are compared.

    Attributes
    ----------
    steps
        Every how many voxels walls and waists are looked for, (Z, Y, X).
    sigma
        Width of the Gaussian whose minima are the middles of basins, in voxels of the finest axis.
    """

    steps: tuple[int, int, int] = (1, 1, 1)
    sigma: float = 1.0


def usual_scale(tissue: Tissue) -> Scale:
    """Return a scale for the usual cell: coarser steps along axes along which half of the cells are long."""
    table = tissue.index.table()
    if not len(table["id"]):
        return Scale()
    extents = np.median(table["high"] - table["low"], axis=0)
    z, y, x = (1 + int(extent >= _LONG_VOX) for extent in extents)
    finest = float((extents * tissue.spacing).max() / min(tissue.spacing))
    return Scale((z, y, x), min(max(_SIGMA_SHARE * finest, 1.0), 4.0))


def examine(tissue: Tissue, cell: int, scale: Scale | None = None) -> Findings:
    """Look at a cell, at the usual scale by default; KeyError when it is not there."""
    return Sight.of(tissue, cell).examine(usual_scale(tissue) if scale is None else scale)


class Sight(NamedTuple):
    """All that is looked at of one cell: its labels copied, so that another thread may look while they are corrected.

    Attributes
    ----------
    cell
        Its id.
    labels
        (Z, Y, X), its box with a voxel around.
    boundary, nuclei
        The same box of the maps, or None.
    nucleus_index
        Where each nucleus is, or None.
    spacing
        Edge lengths of a voxel (z, y, x).
    size_vox, at_border
        As in `Findings`.
    """

    cell: int
    labels: NDArray[Any]
    boundary: NDArray[Any] | None
    nuclei: NDArray[Any] | None
    nucleus_index: CellIndex | None
    spacing: Spacing
    size_vox: int
    at_border: bool

    @classmethod
    def of(cls, tissue: Tissue, cell: int) -> Sight:
        """Return what is to be seen of a cell now; KeyError when it is not there."""
        box = tissue.box_around((cell,), margin_vox=1)
        return cls(
            cell=cell,
            labels=tissue.planes[tissue.index.layer(cell)][box].copy(),
            boundary=None if tissue.boundary is None else tissue.boundary[box],
            nuclei=None if tissue.nuclei is None else tissue.nuclei[box],
            nucleus_index=None if tissue.nuclei is None else tissue.nucleus_index,
            spacing=tissue.spacing,
            size_vox=tissue.index.size(cell),
            at_border=tissue.is_at_border(cell),
        )

    def examine(self, scale: Scale) -> Findings:
        """Look at the cell."""
        inside = self.labels == self.cell
        boundary = None if self.boundary is None else np.ascontiguousarray(self.boundary, np.float32)
        n_pieces, loose_vox = _pieces(inside)
        rim = _Rim.of(self.labels, self.cell, boundary, self.spacing)
        core, wall, waist = _within(inside, boundary, self.spacing, scale)
        return Findings(
            size_vox=self.size_vox,
            at_border=self.at_border,
            surface=float(rim.areas.sum()),
            n_pieces=n_pieces,
            loose_vox=loose_vox,
            hole_vox=_hole_vox(inside),
            faces=rim.weakest_faces(),
            rim_evidence=rim.mean_evidence,
            core_evidence=core,
            wall_evidence=wall,
            waist=waist,
            n_nuclei=self._n_nuclei(inside),
        )

    def _n_nuclei(self, inside: NDArray[np.bool_]) -> int:
        if self.nuclei is None or self.nucleus_index is None:
            return -1
        return sum(share > 0.5 for share in shares_held(self.nuclei[inside], self.nucleus_index).values())


def _pieces(inside: NDArray[np.bool_]) -> tuple[int, int]:
    import cc3d

    pieces, count = cc3d.connected_components(inside, connectivity=6, out_dtype=np.uint32, return_N=True)
    if count < 2:
        return int(count), 0
    sizes = np.bincount(np.asarray(pieces).ravel())[1:]
    return int(count), int(sizes.sum() - sizes.max())


def _hole_vox(inside: NDArray[np.bool_]) -> int:
    """Return the number of voxels around which the cell closes, be they background or others."""
    import cc3d

    rim = [(0, 0) if inside.shape[0] == 1 else (1, 1), (1, 1), (1, 1)]
    outside = np.asarray(cc3d.connected_components(np.pad(~inside, rim, constant_values=True), connectivity=6))
    return int(np.count_nonzero(outside) - np.count_nonzero(outside == outside[0, 0, 0]))


class _Rim(NamedTuple):
    """The voxel faces between a cell and all else: the label beyond, the area, and the boundary map between."""

    beyond: NDArray[Any]
    areas: NDArray[np.float64]
    values: NDArray[np.float32] | None

    @classmethod
    def of(
        cls, labels: NDArray[Any], cell: int, boundary: NDArray[np.float32] | None, spacing: tuple[float, ...]
    ) -> _Rim:
        beyond, areas, values = [], [], []
        for axis in range(3):
            low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
            high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
            is_face = (labels[low] == cell) != (labels[high] == cell)
            first, second = labels[low][is_face], labels[high][is_face]
            # One of both is the cell; the other is beyond.
            beyond.append(np.where(first == cell, second, first))
            areas.append(np.full(len(first), math.prod(spacing) / spacing[axis]))
            if boundary is not None:
                values.append((boundary[low][is_face] + boundary[high][is_face]) / 2)
        return cls(np.concatenate(beyond), np.concatenate(areas), np.concatenate(values) if values else None)

    @property
    def mean_evidence(self) -> float:
        return math.nan if self.values is None or not len(self.values) else float(self.values.mean())

    def weakest_faces(self) -> tuple[Face, ...]:
        """Return the few weakest faces that are large enough to tell."""
        order = np.argsort(self.beyond, kind="stable")
        names, starts, counts = np.unique(self.beyond[order], return_index=True, return_counts=True)
        least = min(_LEAST_FACE_VOX, int(counts[names > 0].max(initial=0)))
        faces = []
        for name, start, count in zip(names.tolist(), starts.tolist(), counts.tolist(), strict=True):
            if name and count >= least:
                members = order[start : start + count]
                evidence = math.nan
                if self.values is not None:
                    rank = int(_FACE_QUANTILE * (count - 1))
                    evidence = float(np.partition(self.values[members], rank)[rank])
                faces.append(Face(int(name), float(self.areas[members].sum()), evidence))
        by_weakness = sorted(faces, key=lambda face: -face.area if self.values is None else face.evidence)
        return tuple(by_weakness[:_FACES_KEPT])


def _within(
    inside: NDArray[np.bool_], boundary: NDArray[np.float32] | None, spacing: tuple[float, ...], scale: Scale
) -> tuple[float, float, float]:
    """Return the evidence in the core of a cell and along the strongest wall in it, and how narrow its waist is."""
    from bioimage_cpp.distance import distance_transform

    coarse = tuple(slice(None, None, step) for step in scale.steps)
    body = np.ascontiguousarray(inside[coarse])
    lengths = tuple(step * length / min(spacing) for step, length in zip(scale.steps, spacing, strict=True))
    # Without an end there is no distance to it.
    depth = (
        np.full(body.shape, float(sum(body.shape)), np.float32)
        if body.all()
        else np.asarray(distance_transform(body, sampling=list(lengths)), np.float32)
    )
    waist = _waist(depth, body, lengths)
    if boundary is None:
        return math.nan, math.nan, waist
    # The wall around the cell is none within it.
    core = depth > max(_RIM_VOX, _RIM_SHARE * float(depth.max(initial=0)))
    if not core.any():
        return math.nan, math.nan, waist
    relief = np.ascontiguousarray(smooth(boundary, scale_sigma(BOUNDARY_SIGMA, spacing))[coarse])
    # Widths of Gaussians that follow each other add up as squares.
    further = math.sqrt(max(scale.sigma**2 - BOUNDARY_SIGMA**2, 0.0))
    seeding = smooth(relief, tuple(further / length for length in lengths))
    values = np.ascontiguousarray(boundary[coarse])
    wall = _strongest_wall(_basins(seeding, relief, core), values, int(np.count_nonzero(core)))
    return float(values[core].mean()), wall, waist


def _basins(seeding: NDArray[np.float32], relief: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Return the basins of a relief within a cell, one for each local minimum of a smoother relief."""
    shielded = np.where(inside, seeding, np.float32(np.inf))
    minima, _ = label_touching(local_maxima(-shielded) & inside)
    return flood(relief, minima, inside)


def _strongest_wall(parts: NDArray[np.uint32], boundary: NDArray[np.float32], size: int) -> float:
    """Return the largest mean evidence at which parts of some size meet when basins join, the weakest wall first."""
    links: dict[int, dict[int, list[float]]] = {}
    sizes: dict[int, int] = dict(enumerate(np.bincount(parts.ravel()).tolist()))
    for block in measure_edges(parts, boundary):
        for (a, b), length, mean in zip(block.edges.tolist(), block.lengths, block.means, strict=True):
            if a and b and a != b:
                for one, other in ((a, b), (b, a)):
                    total = links.setdefault(one, {}).setdefault(other, [0.0, 0.0])
                    total[0] += float(length)
                    total[1] += float(length) * float(mean)
    strongest = math.nan
    least = max(_SMALLEST_PART * size, _LEAST_PART_VOX)
    while links:
        _, keep, gone = min((t[1] / t[0], a, b) for a, row in links.items() for b, t in row.items() if a < b)
        area, evidence = links[keep][gone]
        smaller = min(sizes[keep], sizes[gone])
        if smaller >= least:
            # A narrow passage between two lobes runs along the wall around the cell, and says little.
            width = min(1.0, area / (_BROAD * smaller ** (2 / 3)))
            strongest = max(width * evidence / area, -math.inf if math.isnan(strongest) else strongest)
        _join(links, keep, gone)
        sizes[keep] += sizes.pop(gone)
    return strongest


def _join(links: dict[int, dict[int, list[float]]], keep: int, gone: int) -> None:
    for other, (length, total) in links.pop(gone).items():
        del links[other][gone]
        if other == keep:
            continue
        for one, two in ((keep, other), (other, keep)):
            both = links[one].setdefault(two, [0.0, 0.0])
            both[0] += length
            both[1] += total
    if not links[keep]:
        del links[keep]


def _waist(depth: NDArray[np.float32], inside: NDArray[np.bool_], spacing: tuple[float, ...]) -> float:
    """Return how much narrower a cell is between two bodies than in the thinner of them; 0 when it is one body."""
    from scipy.ndimage import maximum

    size = int(np.count_nonzero(inside))
    blurred = smooth(depth, scale_sigma(1.0, spacing))
    parts = _basins(-blurred, -blurred, inside)
    deepest = np.asarray(maximum(blurred, parts, np.arange(int(parts.max(initial=0)) + 1)))
    sizes = np.bincount(parts.ravel())
    narrowest = 0.0
    groups = list(range(len(deepest)))
    passes = [
        (-float(low), *pair)
        for block in measure_edges(parts, -blurred)
        for pair, low in zip(block.edges.tolist(), block.lowest, strict=True)
        if pair[0] and pair[1]
    ]
    for width, a, b in sorted(passes, reverse=True):
        one, two = _root(groups, a), _root(groups, b)
        if one == two:
            continue
        if min(sizes[one], sizes[two]) >= _SMALLEST_PART * size:
            narrowest = max(narrowest, 1 - max(width, 0.0) / float(min(deepest[one], deepest[two])))
        groups[two] = one
        sizes[one] += sizes[two]
        deepest[one] = max(deepest[one], deepest[two])
    return narrowest


def _root(groups: list[int], member: int) -> int:
    while groups[member] != member:
        member = groups[member]
    return member
