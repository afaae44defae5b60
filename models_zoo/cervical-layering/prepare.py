"""Share cervical cells out: python prepare.py FOLDER prepared, where FOLDER holds images/ and cells/.

Every fifth image is kept for the test, every seventh of the others chooses the state of the network, the rest train.
Those two parts are made a quarter as large (`--whole`: they are not); images of the test stay as they are, because the
workflow makes them smaller itself.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import read_volume, write_volume

FACTOR = 4


def part_of(number: int) -> str:
    """Return the part that an image belongs to, by its place in the list of all."""
    if number % 5 == 4:
        return "test"
    return "validation" if number % 7 == 3 else "train"


def means(image: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the mean of every square of FACTOR x FACTOR pixels."""
    *more, height, width = image.shape
    squares = image.astype(np.float32).reshape(*more, height // FACTOR, FACTOR, width // FACTOR, FACTOR)
    return squares.mean((-3, -1))


def main() -> None:
    """Write every image into the folder of its part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--whole", action="store_true", help="leave all images as large as they are")
    given = parser.parse_args()
    for number, path in enumerate(sorted((given.folder / "cells").glob("*.tif"))):
        part = given.prepared / part_of(number)
        for kind in ("images", "cells"):
            (part / kind).mkdir(parents=True, exist_ok=True)
        image = read_volume(given.folder / "images" / path.name)
        cells = read_volume(path, kind=Kind.LAYERED_LABELS)
        if part.name != "test" and not given.whole:
            image = image.replace(data=means(image.data))
            # A pixel belongs to a cell where at least half of what it stands for does.
            inside = means((cells.data > 0).astype(np.uint8)) >= 0.5
            numbers = np.arange(1, len(inside) + 1, dtype=np.uint32).reshape(-1, 1, 1, 1)
            cells = Volume(inside * numbers, Kind.LAYERED_LABELS)
        write_volume(part / "images" / path.name, image, overwrite=True)
        write_volume(part / "cells" / path.name, cells, overwrite=True)


if __name__ == "__main__":
    main()
