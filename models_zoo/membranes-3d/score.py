"""Measure `membranes-3d` on a real stack with a reference, and draw what it sees.

    python score.py --weights weights.safetensors --sample sample_ovule.h5 --picture picture.png

The HDF5 file holds `raw` and `label` (Z, Y, X). Nothing here was used to choose or train the network. Needs
`pip install plantseg-app[dev]`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from train import ARCHITECTURE, adapted_rand_error, predict, segment

from plantseg_app.networks.unet import UNet3D
from plantseg_app.networks.weights import load_weights


def variation_of_information(segmentation: NDArray[Any], reference: NDArray[Any]) -> tuple[float, float]:
    """Return (split, merge) in bits over the voxels whose reference is not 0."""
    inside = reference > 0
    _, a = np.unique(segmentation[inside], return_inverse=True)
    _, b = np.unique(reference[inside], return_inverse=True)
    joint = np.unique(a.astype(np.int64) * (int(b.max()) + 1) + b, return_counts=True)[1] / a.size

    def entropy(p: NDArray[np.float64]) -> float:
        return float(-(p * np.log2(p)).sum())

    both = entropy(joint)
    return both - entropy(np.bincount(b) / b.size), both - entropy(np.bincount(a) / a.size)


def colours(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an RGB picture of labels, label 0 black, each other one its own colour."""
    table = np.random.default_rng(4).integers(60, 255, (int(labels.max()) + 1, 3)).astype(np.uint8)
    table[0] = 0
    return table[labels]


def picture(raw: NDArray[Any], boundary: NDArray[Any], cells: NDArray[Any], truth: NDArray[Any]) -> Image.Image:
    """Return image, boundary map, cells and reference of the middle slice, side by side, with a section below."""

    def row(cut: tuple[Any, ...]) -> NDArray[np.uint8]:
        grey = [np.repeat(np.uint8(np.clip(p, 0, 255))[..., None], 3, -1) for p in (raw[cut], 255 * boundary[cut])]
        return np.hstack([*grey, colours(cells[cut]), colours(truth[cut])])

    rows = np.vstack([row((raw.shape[0] // 2,)), row((slice(None), raw.shape[1] // 2))])
    return Image.fromarray(rows).resize((2 * rows.shape[1], 2 * rows.shape[0]), Image.Resampling.NEAREST)


def main() -> None:
    """Print the scores, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--sample", type=Path, required=True)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    network = UNet3D(**ARCHITECTURE)
    load_weights(network, arguments.weights)
    with h5py.File(arguments.sample) as file:
        raw, truth = file["raw"][:], file["label"][:]
    boundary = predict(network, raw)
    cells = segment(boundary)
    split, merge = variation_of_information(cells, truth)
    print(f"adapted Rand error {adapted_rand_error(cells, truth):.4f} (reference 0 ignored)")
    print(
        f"VOI split {split:.3f} merge {merge:.3f} bits; {len(np.unique(cells))} cells, {len(np.unique(truth))} labels"
    )
    if arguments.picture:
        picture(raw, boundary, cells, truth).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
