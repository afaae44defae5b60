"""Arrange the partly traced images of the corneal endothelium for the training of `endothelium-spoco`.

    python prepare.py FOLDER prepared
    plantseg-app train train.yaml

Contrast is evened out region by region, as the workflow of the model does (`spoco-uneven-light`). FOLDER holds
`images/NN.png`, `labels/NN.tif` (one number a cell, 0 between cells) and `labels/NN_ignore.tif` (not 0 where nobody
traced). Of every five images, in the order of their names, one is kept for the final test; of the others every tenth
validates.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind
from plantseg_app.io import read_volume, write_volume
from plantseg_app.run.workflows import find_workflow


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
    even_out = find_workflow("spoco-uneven-light").nodes["evened"].step
    counts: dict[str, int] = {}
    for number, path in enumerate(sorted((arguments.data / "images").glob("*.png"))):
        part = part_of(number)
        for kind in ("images", "labels", "ignore"):
            (arguments.output / part / kind).mkdir(parents=True, exist_ok=True)
        image = read_volume(path, channel="gray", kind=Kind.RAW)
        evened = even_out.run({"image": image}, QuietContext("cpu", 1))
        write_volume(arguments.output / part / "images" / f"{path.stem}.tif", evened, overwrite=True)
        for kind, ending in (("labels", ""), ("ignore", "_ignore")):
            source = arguments.data / "labels" / f"{path.stem}{ending}.tif"
            shutil.copyfile(source, arguments.output / part / kind / f"{path.stem}.tif")
        counts[part] = counts.get(part, 0) + 1
    print(counts)


if __name__ == "__main__":
    main()
