"""Arrange the images of the Data Science Bowl 2018 for the training of `nuclei-2d`.

    python prepare.py FOLDER prepared
    plantseg-app train train.yaml

FOLDER holds `images/NAME.png` and `labels/NAME.tif` (one number a nucleus). The name of an image decides what it is
for: of ten, one is kept for the final test, one validates, eight train. Colour becomes luminance; nothing is inverted,
the network learns dark nuclei on a bright ground as they are. Bright images are few and go to a folder of their own,
so that the training can show them more often.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path

from plantseg_app.core.volume import Kind
from plantseg_app.io import read_volume, write_volume

BRIGHT_GROUND = 128


def part_of(name: str) -> str:
    """Return "test", "validation" or "train" for the name of an image without its ending.

    >>> [part_of(name) for name in ("00071198d059", "0bf33d3db428")]
    ['train', 'train']
    """
    number = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 10
    return {0: "test", 1: "validation"}.get(number, "train")


def main() -> None:
    """Fill the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with images/*.png and labels/*.tif")
    parser.add_argument("output", type=Path, help="folder to fill")
    arguments = parser.parse_args()
    counts: dict[str, int] = {}
    for path in sorted((arguments.data / "images").glob("*.png")):
        part = part_of(path.stem)
        image = read_volume(path, channel="gray", kind=Kind.RAW)
        if part == "train" and image.data.mean() > BRIGHT_GROUND:
            part = "train-bright"
        for kind in ("images", "labels"):
            (arguments.output / part / kind).mkdir(parents=True, exist_ok=True)
        write_volume(arguments.output / part / "images" / f"{path.stem}.tif", image, overwrite=True)
        shutil.copyfile(
            arguments.data / "labels" / f"{path.stem}.tif", arguments.output / part / "labels" / f"{path.stem}.tif"
        )
        counts[part] = counts.get(part, 0) + 1
    print(counts)


if __name__ == "__main__":
    main()
