"""Arrange the partly traced images of the corneal endothelium for the training of `endothelium-spoco`.

    python prepare.py FOLDER prepared
    plantseg-app train train.yaml

FOLDER holds `images/NN.png`, `labels/NN.tif` (one number a cell, 0 between cells) and `labels/NN_ignore.tif` (not 0
where nobody traced). Of every five images, in the order of their names, one is kept for the final test; of the others
every tenth validates.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from plantseg_app.core.volume import Kind
from plantseg_app.io import read_volume, write_volume


def part_of(number: int) -> str:
    """Return "test", "validation" or "train" for the place of an image in the list.

    >>> [part_of(number) for number in range(6)]
    ['train', 'train', 'test', 'train', 'validation', 'train']
    """
    return {2: "test", 7: "test", 4: "validation"}.get(number % 10, "train")


def main() -> None:
    """Fill the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with images/ and labels/")
    parser.add_argument("output", type=Path, help="folder to fill")
    arguments = parser.parse_args()
    counts: dict[str, int] = {}
    for number, path in enumerate(sorted((arguments.data / "images").glob("*.png"))):
        part = part_of(number)
        for kind in ("images", "labels", "ignore"):
            (arguments.output / part / kind).mkdir(parents=True, exist_ok=True)
        image = read_volume(path, channel="gray", kind=Kind.RAW)
        write_volume(arguments.output / part / "images" / f"{path.stem}.tif", image, overwrite=True)
        for kind, ending in (("labels", ""), ("ignore", "_ignore")):
            source = arguments.data / "labels" / f"{path.stem}{ending}.tif"
            shutil.copyfile(source, arguments.output / part / kind / f"{path.stem}.tif")
        counts[part] = counts.get(part, 0) + 1
    print(counts)


if __name__ == "__main__":
    main()
