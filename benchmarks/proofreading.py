"""Corrections on a large volume against the usual practice, a numpy relabel of the whole volume, in the same run.

    python benchmarks/proofreading.py             # 256 x 1024 x 1024, about 23,000 cells; needs some 4 GB

Each correction is timed several times on cells of the tissue and on cubes of 50 and 200 voxels; the clock includes
writing the journal to the disk. `extra` is the most memory that the process held beyond what it had before, as a
multiple of the touched box of labels; below a few MB it is the allocator's, so the large cube tells more (Linux only).
The bars: 100 ms each, merge at least 50 times as fast as numpy, extra below 2.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tools.merge import Merge
from plantseg_app.proofread.tools.split import Split

REPOSITORY = Path(__file__).resolve().parents[1]
TILE = (64, 256, 256)
CELL_SIZE = 23.3
CUBES = (50, 200)


def make_volume(shape):
    """Return labels and a boundary map (uint8) of tissue that repeats under new ids, with two cubes at the corners."""
    spec = importlib.util.spec_from_file_location("synthetic_tissue", REPOSITORY / "tests" / "tissue.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tile = module.make_tissue(TILE, CELL_SIZE, seed=1)
    wall = (tile.boundary * 255).astype(np.uint8)
    labels, boundary = np.empty(shape, np.uint32), np.empty(shape, np.uint8)
    most = int(tile.labels.max())
    for number, start in enumerate(np.ndindex(*(size // step for size, step in zip(shape, TILE, strict=True)))):
        box = tuple(slice(a * step, (a + 1) * step) for a, step in zip(start, TILE, strict=True))
        labels[box] = tile.labels + np.uint32(number * most)
        boundary[box] = wall
    cubes = []
    for edge, corner in zip(CUBES, (0, 60), strict=True):
        cubes.append(int(labels.max()) + 1)
        labels[(slice(0, edge),) * 2 + (slice(corner, corner + edge),)] = cubes[-1]
    return labels, boundary, cubes


def timed(act):
    """Return the seconds that `act` took."""
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def held_beyond(act):
    """Return the most bytes that `act` held beyond those before: of arrays, or of the process where that is more."""
    on_linux = sys.platform == "linux"
    tracemalloc.start()
    if on_linux:
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
    act()
    of_arrays = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return max(of_arrays, _status("VmHWM") - before if on_linux else 0)


def _status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def box_bytes(box, labels):
    return int(np.prod([part.stop - part.start for part in box])) * labels.itemsize


def measure(session, tool):
    """Return milliseconds of doing, undoing and redoing, and what doing and undoing hold beyond, in touched boxes."""
    acts = (lambda: session.do(tool), session.undo, session.redo)
    seconds = [timed(act) for act in acts]
    session.undo()
    touched = box_bytes(session.tissue.box_around(tool.cells), session.labels)
    held = [held_beyond(act) / touched for act in acts[:2]]
    return [1e3 * value for value in seconds] + held


def split(session, cell):
    """Return a split by two short scribbles at the far ends of a cell along Y."""
    box = session.tissue.index.box(cell)
    voxels = np.argwhere(session.labels[box] == cell) + [part.start for part in box]
    voxels = voxels[np.argsort(voxels[:, 1], kind="stable")]
    return Split(cells=(cell,), scribbles=(voxels[:20], voxels[-20:]))


def touching(session, cell):
    """Return a cell beside another."""
    box = session.tissue.box_around((cell,), margin_vox=1)
    return next(other for other in np.unique(session.labels[box]).tolist() if other != cell)


def relabel_with_numpy(labels, pair):
    def act():
        labels[labels == pair[1]] = pair[0]

    return 1e3 * statistics.median(timed(act) for _ in range(3))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="256,1024,1024", help="multiples of 64,256,256")
    parser.add_argument("--repeat", type=int, default=20)
    arguments = parser.parse_args()
    labels, boundary, cubes = make_volume(tuple(map(int, arguments.shape.split(","))))
    begun = time.perf_counter()
    session = ProofreadSession(labels, boundary=boundary)
    print(f"{labels.shape}, {len(session.tissue.index)} cells; indexed once in {time.perf_counter() - begun:.1f} s")
    rng = np.random.default_rng(0)
    numpy_ms = relabel_with_numpy(labels.copy(), (1, 2))
    print(f"numpy relabel of the whole volume: {numpy_ms:.0f} ms\n")
    with tempfile.TemporaryDirectory() as folder:
        session.open_journal(Path(folder) / "labels.corrections.jsonl")
        cells = rng.choice(session.tissue.index.ids()[: -len(CUBES)], arguments.repeat, replace=False).tolist()
        cases = {
            "merge of two touching cells": [Merge(cells=(cell, touching(session, cell))) for cell in cells],
            "merge of two cells far apart": [Merge(cells=pair) for pair in zip(cells, cells[::-1], strict=True)],
            "split of a cell of the tissue": [split(session, cell) for cell in cells],
        }
        for edge, cube in zip(CUBES, cubes, strict=True):
            n_times = arguments.repeat if edge < 100 else 3
            cases[f"merge of a cube of {edge}"] = [Merge(cells=(touching(session, cube), cube))] * n_times
            cases[f"split of a cube of {edge}"] = [split(session, cube)] * n_times
        print("| correction | do, ms | undo, ms | redo, ms | times numpy | extra do | extra undo |")
        print("|---|---|---|---|---|---|---|")
        for name, tools in cases.items():
            rows = [measure(session, tool) for tool in tools]
            do, undo, redo, *extra = (statistics.median(column) for column in zip(*rows, strict=True))
            numbers = (do, undo, redo, numpy_ms / do, *extra)
            print(f"| {name} | " + " | ".join(f"{number:.3g}" for number in numbers) + " |", flush=True)
        session.close()


if __name__ == "__main__":
    main()
