"""Share the wells of BBBC010 out: python prepare.py FOLDER prepared, where FOLDER holds labels/ and foreground/.

Every fifth well is kept for the test, every twelfth of the others chooses the state of the network, the rest train.
"""

import shutil
import sys
from pathlib import Path


def part_of(number: int) -> str:
    """Return the part that a well belongs to, by its place in the list of all."""
    if number % 5 == 4:
        return "test"
    return "validation" if number % 12 == 7 else "train"


def main() -> None:
    """Copy every well into the folder of its part."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    for number, labels in enumerate(sorted((source / "labels").glob("*.tif"))):
        for kind in ("labels", "foreground", "brightfield", "worms"):
            image = source / kind / labels.name
            if image.is_file():
                folder = target / part_of(number) / kind
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(image, folder / labels.name)


if __name__ == "__main__":
    main()
