"""Share cervical cells out: python prepare.py FOLDER prepared, where FOLDER holds images/ and cells/.

Every fifth image is kept for the test, every seventh of the others chooses the state of the network, the rest train.
"""

import shutil
import sys
from pathlib import Path


def part_of(number: int) -> str:
    """Return the part that an image belongs to, by its place in the list of all."""
    if number % 5 == 4:
        return "test"
    return "validation" if number % 7 == 3 else "train"


def main() -> None:
    """Copy every image into the folder of its part."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    for number, masks in enumerate(sorted((source / "cells").glob("*.tif"))):
        for kind in ("images", "cells"):
            folder = target / part_of(number) / kind
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / kind / masks.name, folder / masks.name)


if __name__ == "__main__":
    main()
