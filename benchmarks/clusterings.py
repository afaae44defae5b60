"""All clusterings on the same embedding in one run: time on one core, and what comes out.

The embedding is as a network trained with pull and push leaves it: objects on background, each around a place of its
own and 4 from all others, blurred over some pixels where they meet, with noise. HDBSCAN takes all pixels, as published;
the step takes a part of them by default, which is the line below. Writes docs/methods/clusterings.csv.

    OMP_NUM_THREADS=1 python benchmarks/clusterings.py            448 x 448, 40 x 64 x 64: minutes, all HDBSCAN
    OMP_NUM_THREADS=1 python benchmarks/clusterings.py --size 160 seconds
    OMP_NUM_THREADS=1 python benchmarks/clusterings.py --angular  angular clustering of 512 x 512 alone
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from plantseg_app.algorithms.affinity_clustering import ByAffinities, Partition
from plantseg_app.algorithms.angular_clustering import ByAngle
from plantseg_app.algorithms.consistency_clustering import ByConsistency
from plantseg_app.algorithms.density_clustering import ByDensity
from plantseg_app.algorithms.growing import depth_within
from plantseg_app.algorithms.instances import ByMeanShift, InstanceRules, find_instances
from plantseg_app.evaluate.contingency import count_contingency
from plantseg_app.evaluate.objects import symmetric_best_dice
from plantseg_app.evaluate.partition import adapted_rand

TABLE = Path(__file__).parents[1] / "docs" / "methods" / "clusterings.csv"
SEPARATION = 4.0


def make_objects(shape, n_objects, seed):
    """Return Voronoi cells around random points, of which every fifth is background; lines between them are none."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 1, (n_objects, 3)) * shape
    nearest = cKDTree(centres).query(np.stack(np.indices(shape), -1).reshape(-1, 3))[1].reshape(shape)
    return np.where(nearest % 5 == 0, 0, nearest + 1).astype(np.uint32)


def embed(labels, n_channels=16, noise=0.05, blur=0.7, seed=0):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(int(labels.max()) + 1, n_channels))
    vectors *= SEPARATION / np.linalg.norm(vectors, axis=1, keepdims=True)
    widths = [blur if size > 1 else 0 for size in labels.shape]
    smooth = np.stack([gaussian_filter(channel, widths) for channel in np.moveaxis(vectors[labels], -1, 0)])
    return (smooth + rng.normal(0, noise, smooth.shape)).astype(np.float32)


def clusterings(second, min_size):
    return {
        "affinities, mutex watershed": ByAffinities(SEPARATION),
        "affinities, GASP": ByAffinities(SEPARATION, partition=Partition.GASP),
        "affinities, multicut": ByAffinities(SEPARATION, partition=Partition.MULTICUT),
        "mean shift": ByMeanShift(0.5, min_seed_points=10),
        "consistency": ByConsistency(second, ByMeanShift(0.5, min_seed_points=10)),
        "HDBSCAN, 10000 pixels": ByDensity(min_size),
        "HDBSCAN, all pixels": ByDensity(min_size, max_points=0),
    }


def compare(name, labels, min_size):
    embedding, second = embed(labels), embed(labels, seed=1)
    # What is imported or compiled on first use is no time of the clustering.
    corner = (slice(None), slice(0, 4), slice(0, 24), slice(0, 24))
    for clustering in clusterings(second, 10).values():
        find_instances(embedding[corner], None, clustering, InstanceRules())
    rows = []
    for title, clustering in clusterings(second, min_size).items():
        rules = InstanceRules(min_size, background_distance=SEPARATION / 2 if "affinities" in title else 0)
        begun = time.process_time()
        found = find_instances(embedding, None, clustering, rules)
        seconds = time.process_time() - begun
        table = count_contingency(found, labels)
        rows.append(
            {
                "image": name,
                "clustering": title,
                "seconds": round(seconds, 2),
                "sbd": round(symmetric_best_dice(table), 3),
                "adapted rand error": round(adapted_rand(table).error, 4),
                "objects": f"{found.max()} of {len(np.unique(labels)) - 1}",
            }
        )
        print(rows[-1], flush=True)
    slowest = rows[-1]["seconds"]
    for row in rows:
        row["times as fast"] = round(slowest / max(row["seconds"], 1e-3), 1)
    return rows


def measure_angular(size=512):
    labels = make_objects((1, size, size), 60, seed=0)
    vectors = np.random.default_rng(0).normal(size=(int(labels.max()) + 1, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embedding = np.moveaxis(vectors[labels], -1, 0).astype(np.float32)
    depth = depth_within(labels, (1, 1, 1))
    most = np.zeros(int(labels.max()) + 1, np.float32)
    np.maximum.at(most, labels, depth)
    distance = depth / np.maximum(most, 1)[labels]
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        found = find_instances(embedding, None, ByAngle(distance), InstanceRules(largest_is_background=False))
        seconds.append(time.process_time() - begun)
    print(f"angular, {size} x {size}, 8 numbers a pixel: {np.median(seconds):.2f} s, {found.max()} objects")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=448)
    parser.add_argument("--angular", action="store_true")
    arguments = parser.parse_args()
    print("processor seconds; set OMP_NUM_THREADS=1")
    measure_angular()
    if arguments.angular:
        return
    size = arguments.size
    rows = compare(f"{size} x {size}", make_objects((1, size, size), 32, seed=0), min_size=200)
    if size == 448:
        rows += compare("40 x 64 x 64", make_objects((40, 64, 64), 32, seed=0), min_size=550)
        with TABLE.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    main()
