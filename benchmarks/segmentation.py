"""Speed and accuracy of the chain from a boundary map to cells, against python-elf in the same run.

The chain is superpixels (distance transform watershed), region graph, GASP with average linkage. Both sides get the
same synthetic tissue and settings, run in turns in processes of their own, and are scored against the known cells.

    python benchmarks/segmentation.py --size S          64 x 256 x 256, half a minute
    python benchmarks/segmentation.py --size M          128 x 512 x 512, some minutes; the size of the stated bar
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

SHAPES = {"S": (64, 256, 256), "M": (128, 512, 512)}
CELL_SIZE = 20.0
BETA = 0.6
REPOSITORY = Path(__file__).resolve().parents[1]


def make_tissue(shape, seed):
    spec = importlib.util.spec_from_file_location("synthetic_tissue", REPOSITORY / "tests" / "tissue.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_tissue(shape, CELL_SIZE, noise=0.08, seed=seed)


def segment_ours(boundary, n_threads):
    from plantseg_app.algorithms.chain import finish, prepare
    from plantseg_app.algorithms.partition import gasp

    over = prepare(boundary, n_threads=n_threads)
    return finish(over, gasp(over.graph, BETA), 0, n_threads)


def segment_elf(boundary, n_threads):
    from elf.segmentation.features import compute_boundary_mean_and_length, compute_rag
    from elf.segmentation.gasp import run_GASP
    from elf.segmentation.watershed import distance_transform_watershed

    from plantseg_app.algorithms.watershed import DEFAULTS

    superpixels, _ = distance_transform_watershed(
        boundary,
        threshold=DEFAULTS.threshold,
        sigma_seeds=DEFAULTS.sigma_seeds,
        sigma_weights=DEFAULTS.sigma_weights,
        min_size=DEFAULTS.min_size,
        alpha=DEFAULTS.alpha,
    )
    graph = compute_rag(superpixels, n_threads=n_threads)
    features = compute_boundary_mean_and_length(graph, superpixels, boundary, n_threads=n_threads)
    nodes, _ = run_GASP(graph, 1 - features[:, 0] - BETA, "average", edge_sizes=features[:, 1])
    return np.take(np.asarray(nodes), superpixels)


CHAINS = {"ours": segment_ours, "elf": segment_elf}


class PeakMemory:
    """Watches the resident memory of this process from a thread; `bytes` is the most it grew by."""

    def __enter__(self):
        self._process, self._stop = psutil.Process(), threading.Event()
        self._before = self._most = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.wait(0.005):
            self._most = max(self._most, self._process.memory_info().rss)

    @property
    def bytes(self):
        """Growth since the beginning."""
        return self._most - self._before


def run_one(chain, folder, n_threads):
    """Run one chain in this process; print what it took as JSON."""
    # A run on a scrap first, so that importing libraries is neither timed nor counted.
    scrap = np.random.default_rng(0).random((8, 32, 32), dtype=np.float32)
    CHAINS[chain](scrap, n_threads)
    with PeakMemory() as peak:
        boundary = np.load(folder / "boundary.npy")
        start, cpu = time.perf_counter(), time.process_time()
        cells = CHAINS[chain](boundary, n_threads)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    memory = peak.bytes / boundary.nbytes
    from plantseg_app.evaluate import adapted_rand, count_contingency

    error = adapted_rand(count_contingency(cells.astype(np.uint32), np.load(folder / "labels.npy"))).error
    print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": memory, "error": error, "n_cells": int(cells.max())}))


def in_a_child(chain, folder, n_threads):
    command = [sys.executable, __file__, "--one", chain, "--folder", str(folder), "--threads", str(n_threads)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(size, repeats, n_threads, seed):
    shape = SHAPES[size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tissue = make_tissue(shape, seed)
        np.save(folder / "boundary.npy", tissue.boundary)
        np.save(folder / "labels.npy", tissue.labels)
        n_true = int(tissue.labels.max())
        del tissue
        runs = {chain: [] for chain in CHAINS}
        for _ in range(repeats):
            for chain in CHAINS:
                runs[chain].append(in_a_child(chain, folder, n_threads))
    medians = {
        chain: {key: float(np.median([one[key] for one in found])) for key in found[0]} for chain, found in runs.items()
    }
    print(f"\nBoundary map to cells, {size} = {' x '.join(map(str, shape))}, {n_true} cells, {n_threads} threads\n")
    print("| chain | seconds | processor seconds | adapted Rand error | cells | peak memory / float32 volume |")
    print("|---|---|---|---|---|---|")
    for chain, row in medians.items():
        print(
            f"| {chain} | {row['seconds']:.2f} | {row['cpu']:.2f} | {row['error']:.4f} | {row['n_cells']:.0f} "
            f"| {row['memory']:.2f} |"
        )
    print(f"\nspeed-up: {medians['elf']['seconds'] / medians['ours']['seconds']:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SHAPES, default="S")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", choices=CHAINS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run_one(options.one, options.folder, options.threads)
    else:
        compare(options.size, options.repeats, options.threads, options.seed)


if __name__ == "__main__":
    main()
