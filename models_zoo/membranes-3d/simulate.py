"""Fill a folder with random stacks to train on: the shapes of real cells and generated ones, as microscopes show them.

    python simulate.py --labels sample_cells.h5 --output renderings --count 400 --seed 1
    python simulate.py --labels sample_cells.h5 --output validation --count 16 --seed 2 --split validation

What is drawn, and how, is `plantseg_app.algorithms.simulate.recipe`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np

from plantseg_app.algorithms.simulate.recipe import random_stack
from plantseg_app.algorithms.simulate.tissue import Labels, smoothed_cells

# The part of the label volume (a fraction of its X axis) that training never sees.
VALIDATION_X = (0.75, 1.0)


def read_labels(path: Path, split: str) -> Labels:
    """Return the part of the label volume that belongs to the split ("training" or "validation")."""
    with h5py.File(path) as file:
        volume = file["label"][:].astype(np.int32)
    low, high = (round(f * volume.shape[2]) for f in VALIDATION_X)
    return smoothed_cells(volume[:, :, low:high] if split == "validation" else volume[:, :, :low])


def main() -> None:
    """Fill a folder with samples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="HDF5 file with a data set named label (Z, Y, X)")
    parser.add_argument("--output", type=Path, required=True, help="folder for the samples")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", choices=("training", "validation"), default="training")
    parser.add_argument("--dense-share", type=float, default=0.0, help="share of dense, over-exposed stacks")
    parser.add_argument("--shape", type=int, nargs=3, default=(40, 112, 112), metavar=("Z", "Y", "X"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    volume = read_labels(arguments.labels, arguments.split)
    for number in range(arguments.count):
        # A generator of its own for each sample: any of them can be made again alone.
        rng = np.random.default_rng([arguments.seed, number])
        path = arguments.output / f"{arguments.seed:03d}-{number:05d}.npz"
        if path.exists():
            continue
        sample = random_stack(rng, volume, tuple(arguments.shape), arguments.dense_share)
        temporary = path.with_suffix(".part.npz")
        np.savez_compressed(temporary, raw=sample.raw, labels=sample.labels.astype(np.uint16))
        temporary.rename(path)


if __name__ == "__main__":
    main()
