"""How many simulated errors stand at the top of the list of doubtful cells.

    python benchmarks/suspicious_cells.py                        # four simulated stacks, some ten minutes on two cores
    python benchmarks/suspicious_cells.py --labels CELLS.h5      # the shapes of real cells
    python benchmarks/suspicious_cells.py --boundary MAP.h5 --labels CELLS.h5     # and a real boundary map

Cells that are right are imaged by the step `simulate-stack` and their boundaries found by `membranes-3d`. Then six
cells in a hundred get an error: two joined (40 %), one cut by a plane (40 %), a part given to a neighbour (10 %), an
island in another cell (5 %), a hole (5 %). An error is found when one of its cells is in the part of the list that is
looked at.
The numbers in `plantseg_app/proofread/doubt.py` were chosen on the stacks of --tuning alone.
"""

from __future__ import annotations

import argparse
import time
import zlib

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects

import plantseg_app.steps  # noqa: F401 - the steps are named by their ids
from plantseg_app.algorithms.region_graph import build_region_graph, make_dense
from plantseg_app.algorithms.simulate.tissue import TissueSettings, generate_tissue
from plantseg_app.core.context import QuietContext
from plantseg_app.core.step import make_step
from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.io import read_volume
from plantseg_app.proofread.doubt import examine_all, rank
from plantseg_app.proofread.tissue import Tissue

STACKS = ("voronoi-whole-11", "elongated-body-12", "pavement-side-13", "voronoi-side-14")
TUNING = ("voronoi-whole-1", "elongated-body-2", "pavement-side-3", "voronoi-body-4")
VOXEL_UM = VoxelSize(0.5, 0.25, 0.25)
SHARES = {"merge": 0.4, "split": 0.4, "shift": 0.1, "island": 0.05, "hole": 0.05}
LOOKED_AT = (0.05, 0.1, 0.2)
SMALLEST_VOX, LEAST_CONTACT = 200, 20


class Errors:
    """Right labels into which errors are made one by one; each cell takes part in one error at most."""

    def __init__(self, labels, rng):
        self.labels, self.rng = make_dense(labels)[0].copy(), rng
        graph = build_region_graph(self.labels, np.zeros(labels.shape, np.uint8))
        self.boxes = find_objects(self.labels.astype(np.int32))
        self.n_cells = graph.n_nodes - 1
        self.is_free = graph.sizes >= SMALLEST_VOX
        self.is_free[0] = False
        self.neighbours = {}
        for a, b in graph.edges[graph.lengths >= LEAST_CONTACT].tolist():
            self.neighbours.setdefault(a, []).append(b)
            self.neighbours.setdefault(b, []).append(a)
        self.next_id = graph.n_nodes
        self.made = []

    def make(self, share):
        """Make errors in this share of the cells."""
        kinds = self.rng.choice(
            list(SHARES), p=list(SHARES.values()), size=max(1, round(share * self.n_cells))
        ).tolist()
        for cell in self.rng.permutation(np.arange(1, self.n_cells + 1)).tolist():
            if kinds and self.is_free[cell]:
                cells = getattr(self, kinds[-1])(cell, self.boxes[cell - 1])
                if cells:
                    self.made.append((kinds.pop(), cells))
                    self.is_free[[name for name in cells if name < len(self.is_free)]] = False

    def near(self, cell):
        return [other for other in self.neighbours.get(cell, []) if self.is_free[other]]

    def merge(self, cell, _):
        near = self.near(cell)
        if not near:
            return None
        other = int(self.rng.choice(near))
        space = self.labels[self.boxes[other - 1]]
        space[space == other] = cell
        self.is_free[other] = False
        return [cell]

    def half(self, cell, box):
        """Return the voxels of a cell on one side of a plane, and the direction away from it."""
        voxels = np.argwhere(self.labels[box] == cell)
        direction = self.rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        along = (voxels - voxels.mean(0)) @ direction
        return voxels[along < np.quantile(along, self.rng.uniform(0.25, 0.5))], -direction

    def split(self, cell, box):
        part, _ = self.half(cell, box)
        self.labels[box][tuple(part.T)] = self.next_id
        self.next_id += 1
        return [cell, self.next_id - 1]

    def shift(self, cell, box):
        near = self.near(cell)
        if not near:
            return None
        part, direction = self.half(cell, box)
        middle = {name: np.array([s.start + s.stop for s in self.boxes[name - 1]]) for name in (cell, *near)}
        other = max(near, key=lambda name: float((middle[name] - middle[cell]) @ direction))
        self.labels[box][tuple(part.T)] = other
        return [cell, other]

    def ball(self, cell, box):
        """Return a ball well within a cell, None where it is too thin."""
        depth = distance_transform_edt(np.pad(self.labels[box] == cell, 1))[1:-1, 1:-1, 1:-1]
        if depth.max() < 4:
            return None
        centre = np.unravel_index(depth.argmax(), depth.shape)
        squares = sum((axis - place) ** 2 for axis, place in zip(np.indices(depth.shape), centre, strict=True))
        return (squares < (0.6 * depth.max()) ** 2) & (depth > 0)

    def island(self, cell, _):
        for other in self.near(cell)[:1]:
            box = self.boxes[other - 1]
            ball = self.ball(other, box)
            if ball is not None:
                self.labels[box][ball] = cell
                return [cell, other]
        return None

    def hole(self, cell, box):
        ball = self.ball(cell, box)
        if ball is None:
            return None
        self.labels[box][ball] = 0
        return [cell]


def cells_of(name):
    """Return simulated tissue."""
    kind, organ, seed = name.split("-")
    settings = TissueSettings(
        kind=kind, organ=organ, seed=int(seed), shape_vox=(64, 288, 288), voxel_size_um=tuple(VOXEL_UM)
    )
    return Volume(make_dense(generate_tissue(settings).astype(np.uint32))[0], Kind.LABELS, VOXEL_UM), int(seed)


def boundary_of(cells, seed):
    """Return the boundary map that the shipped model finds in a simulated image of cells."""
    raw = make_step("simulate-stack", {"seed": seed}).execute({"labels": cells}, QuietContext())
    predict = make_step("predict", {"model": "membranes-3d"})
    return predict.execute({next(iter(predict.reads)): raw}, QuietContext())


def evaluate(name, cells, boundary, share):
    """Print how many errors are found in the first part of the list."""
    errors = Errors(cells.data, np.random.default_rng(zlib.crc32(name.encode())))
    errors.make(share)
    tissue = Tissue(errors.labels, boundary=boundary.data, spacing=tuple(cells.spacing))
    begun = time.perf_counter()
    order = [doubt.cell for doubt in rank(examine_all(tissue), tissue.shape_vox[0] == 1)]
    ms = 1e3 * (time.perf_counter() - begun) / len(order)
    found = {}
    for looked_at in LOOKED_AT:
        top = set(order[: max(1, round(looked_at * len(order)))])
        found[looked_at] = [(kind, not top.isdisjoint(ids)) for kind, ids in errors.made]
    shares = " | ".join(f"{np.mean([hit for _, hit in found[part]]):.2f}" for part in LOOKED_AT)
    kinds = []
    for kind in SHARES:
        hits = [hit for made, hit in found[0.1] if made == kind]
        kinds.append(f"{sum(hits)}/{len(hits)}")
    print(f"| {name} | {len(order)} | {len(errors.made)} | {shares} | {' | '.join(kinds)} | {ms:.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", help="right cells, with their voxel size")
    parser.add_argument("--boundary", help="a boundary map of them; else one is simulated")
    parser.add_argument("--tuning", action="store_true", help="the stacks on which the numbers were chosen")
    parser.add_argument("--share", type=float, default=0.06, help="of the cells that get an error")
    arguments = parser.parse_args()
    parts = " | ".join(f"in the first {part:.0%}" for part in LOOKED_AT)
    print(f"| stack | cells | errors | {parts} | {' | '.join(SHARES)} | ms a cell |\n|{'---|' * (7 + len(SHARES))}")
    if arguments.labels:
        cells = read_volume(arguments.labels, kind=Kind.LABELS)
        given = arguments.boundary
        boundary = read_volume(given, kind=Kind.BOUNDARY) if given else boundary_of(cells, 0)
        evaluate(arguments.labels.rpartition("/")[2], cells, boundary, arguments.share)
        return
    for name in TUNING if arguments.tuning else STACKS:
        cells, seed = cells_of(name)
        evaluate(name, cells, boundary_of(cells, seed), arguments.share)


if __name__ == "__main__":
    main()
