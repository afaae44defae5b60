"""How soon a preview follows its slider: from a changed setting to the labels of the box in view.

The boxes are the largest that a preview takes: a slice of 512 x 512 and a stack of 32 x 256 x 256. Tissue and boundary
map are synthetic, mapped into memory from a file as the window has them. `first` is the time until the first result,
`slider` the median over several values of beta, each new to the cache; `held` is the longest that another thread of the
process (the one that draws the window) was kept from running meanwhile.

    python benchmarks/preview.py [--threads 2]
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.run.preview import Preview
from plantseg_app.run.preview_box import SLICE_LIMIT_VOX, STACK_LIMIT_VOX, box_in_view
from plantseg_app.run.workflow_edit import insert_after, swap
from plantseg_app.run.workflows import find_workflow

REPOSITORY = Path(__file__).resolve().parents[1]
BETAS = (0.3, 0.4, 0.5, 0.55, 0.65, 0.7, 0.8, 0.9)
PARTITIONS = ("gasp", "multicut", "lifted-multicut", "mutex-watershed")


def make_tissue(shape, seed):
    spec = importlib.util.spec_from_file_location("synthetic_tissue", REPOSITORY / "tests" / "tissue.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_tissue(shape, 16.0, noise=0.08, seed=seed)


class Heartbeat:
    """A thread that wakes every 2 ms; `longest` is the longest it was kept from doing so, in seconds."""

    def __enter__(self):
        self.longest, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _beat(self):
        last = time.perf_counter()
        while not self._stop.wait(0.002):
            now = time.perf_counter()
            self.longest, last = max(self.longest, now - last - 0.002), now


def workflows():
    plain = find_workflow("boundary-map")
    found = {partition: plain if partition == "gasp" else swap(plain, "cells", partition) for partition in PARTITIONS}
    found["gasp + remove-small"] = insert_after(plain, "cells", "remove-small")
    found["mutex-watershed on voxels"] = swap(find_workflow("membranes-mutex"), "cells", "mutex-watershed")
    return found


def measure(workflow, volumes, box, n_threads):
    preview = Preview(n_threads=n_threads)
    given = {name: volume for name, volume in volumes.items() if name in {*workflow.sources, *workflow.nodes}}
    with Heartbeat() as beat_first:
        first = preview.run(workflow, given, box).seconds
    times = []
    with Heartbeat() as beat:
        for beta in BETAS:
            begun = time.perf_counter()
            preview.run(workflow.replace("cells", beta=beta), given, box)
            times.append(time.perf_counter() - begun)
    return first, float(np.median(times)), max(times), beat_first.longest, beat.longest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print("| box | partition | first (s) | slider, median (s) | worst (s) | held, first (s) | held, slider (s) |")
    print("|---|---|---|---|---|---|---|")
    for limit in (SLICE_LIMIT_VOX, STACK_LIMIT_VOX):
        full = tuple(max(n + 16, 1) if n > 1 else 1 for n in limit)
        tissue = make_tissue(full, seed=1)
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / "map.npy", tissue.boundary)
            boundary = Volume(np.load(Path(folder) / "map.npy", mmap_mode="r"), Kind.BOUNDARY)
            nuclei = Volume(np.where(tissue.boundary < 0.15, np.float32(1), np.float32(0)), Kind.NUCLEI)
            for name, workflow in workflows().items():
                box = box_in_view((0, 0, 0), full, full)
                row = measure(workflow, {"boundary": boundary, "nuclei": nuclei}, box, options.threads)
                print(f"| {' x '.join(map(str, limit))} | {name} | " + " | ".join(f"{s:.3f}" for s in row) + " |")


if __name__ == "__main__":
    main()
