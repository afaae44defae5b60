"""Speed and memory of mean shift against scikit-learn, on the same points in the same run.

The points are an embedding as a network leaves it: objects of one frame, each with noise around its place, 12 numbers a
pixel. scikit-learn runs once, ours several times; both must find the same clusters.

    OMP_NUM_THREADS=1 python benchmarks/mean_shift.py   448 x 448, minutes because of scikit-learn
    python benchmarks/mean_shift.py --size 160          seconds
    python benchmarks/mean_shift.py --size 1024 --alone time and peak memory of ours
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from plantseg_app.algorithms.mean_shift import mean_shift

N_CHANNELS = 12
BANDWIDTH = 0.5


def make_field(size, n_objects, noise, seed):
    """Return (size^2, 12) float32: Voronoi objects, the noise grows towards their borders as it does in practice."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, size, (n_objects, 2))
    grid = np.stack(np.mgrid[:size, :size], -1).reshape(-1, 2)
    distance, nearest = cKDTree(centres).query(grid, k=2)
    border = np.exp(-(distance[:, 1] - distance[:, 0]) / 3)
    embeddings = rng.uniform(-0.8, 0.8, (n_objects, N_CHANNELS))
    mixed = embeddings[nearest[:, 0]] * (1 - border[:, None] / 2) + embeddings[nearest[:, 1]] * border[:, None] / 2
    return (mixed + rng.normal(0, noise, (size * size, N_CHANNELS))).astype(np.float32)


def timed(function, repeats):
    seconds, result = [], None
    for _ in range(repeats):
        begun = time.process_time()
        result = function()
        seconds.append(time.process_time() - begun)
    return float(np.median(seconds)), result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=448)
    parser.add_argument("--objects", type=int, default=30)
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="do not run scikit-learn")
    arguments = parser.parse_args()
    points = make_field(arguments.size, arguments.objects, arguments.noise, seed=0)
    mean_shift(points[:500], BANDWIDTH)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{arguments.size} x {arguments.size} x {N_CHANNELS}, {arguments.objects} objects, noise {arguments.noise}")
    print("processor seconds; set OMP_NUM_THREADS=1 so that both sides have one thread")
    found = {}
    for seeding in ("bins", "points"):
        seconds, found[seeding] = timed(lambda s=seeding: mean_shift(points, BANDWIDTH, s), arguments.repeats)
        print(f"| ours, {seeding} | {seconds:.2f} | {len(found[seeding].centres)} clusters |")
        found[seeding, "seconds"] = seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / 1e6:.2f} GB, of which {(peak - before) / 1e6:.2f} GB for mean shift")
    if arguments.alone:
        return
    from sklearn.cluster import MeanShift

    seconds, theirs = timed(lambda: MeanShift(bandwidth=BANDWIDTH, bin_seeding=True).fit(points.astype(np.float64)), 1)
    agree = float((theirs.labels_ == found["bins"].labels).mean())
    print(f"| scikit-learn | {seconds:.2f} | {len(theirs.cluster_centers_)} clusters |")
    print(f"pixels with the same label: {100 * agree:.3f} %")
    for seeding in ("bins", "points"):
        print(f"{seeding}: {seconds / found[seeding, 'seconds']:.1f} times as fast")


if __name__ == "__main__":
    main()
