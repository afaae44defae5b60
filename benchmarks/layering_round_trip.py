"""How many objects of a folder of mask stacks come back unchanged when painted into layers and decoded.

    python benchmarks/layering_round_trip.py FOLDER

FOLDER holds TIFF files with one mask a plane. Objects that do not come back are listed with their connected pieces.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

from plantseg_app.algorithms.layering import LayerRules, decode_layers
from plantseg_app.algorithms.layers import pack_layers
from plantseg_app.core.volume import Kind
from plantseg_app.io import read_volume
from plantseg_app.networks.layering.family import LayeringFamily


def main() -> None:
    """Count and print."""
    family, whole, total = LayeringFamily(), 0, 0
    for path in sorted(Path(sys.argv[1]).glob("*.tif")):
        masks = read_volume(path, kind=Kind.LAYERED_LABELS).data
        target = family.targets(pack_layers(masks), None)
        found = decode_layers(target[:-1], target[-1], LayerRules())
        shapes = {np.packbits(plane == name).tobytes() for plane in found for name in np.unique(plane[plane > 0])}
        for mask in masks > 0:
            total += 1
            if np.packbits(mask).tobytes() in shapes:
                whole += 1
            else:
                pieces = np.bincount(ndimage.label(mask[0], np.ones((3, 3)))[0].ravel())[1:]
                print(f"{path.name}: an object of {mask.sum()} pixels, in pieces of {pieces.tolist()}")
    print(f"{whole} of {total} objects come back unchanged ({100 * whole / total:.1f} %)")


if __name__ == "__main__":
    main()
