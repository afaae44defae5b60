"""From what was dropped to a list of files: folders are searched for images. Knows names, not contents; no window."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable
from pathlib import Path

from plantseg_app.io import is_image_name, readable_suffixes

MOST_UNASKED = 20
"""So many images of folders are opened without asking."""

_MOST_FILES = 10_000
_WORKFLOWS = (".yaml", ".yml")


@dataclasses.dataclass(frozen=True)
class FileList:
    """What there is to open.

    Attributes
    ----------
    images
        Files that were named, and images in folders, in order.
    workflows
        Workflow files that were named.
    n_in_folders
        How many of the images nobody named one by one.
    problems
        What cannot be opened, a sentence each.
    """

    images: tuple[Path, ...]
    workflows: tuple[Path, ...] = ()
    n_in_folders: int = 0
    problems: tuple[str, ...] = ()

    @property
    def n_named(self) -> int:
        """How many things were asked for."""
        return len(self.images) + len(self.workflows) + len(self.problems)


def expand(paths: Iterable[Path]) -> FileList:
    """Return the files to open for files and folders that were dropped; of a folder, all images in it and below it."""
    images: list[Path] = []
    workflows: list[Path] = []
    problems: list[str] = []
    n_in_folders = 0
    for path in paths:
        if path.is_dir():
            found = images_in(path)
            if not found:
                problems.append(f"The folder {path.name} holds no image that can be read ({readable_suffixes()}).")
            n_in_folders += len(found)
            images += found
        elif path.suffix.lower() in _WORKFLOWS:
            workflows.append(path)
        else:
            images.append(path)
    return FileList(tuple(dict.fromkeys(images)), tuple(workflows), n_in_folders, tuple(problems))


def images_in(folder: Path) -> list[Path]:
    """Return the images in a folder and below it as people sort them, without hidden ones; 10 000 at most."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=_as_people_sort)
        kept = (name for name in names if is_image_name(name) and not name.startswith("."))
        found += (Path(place, name) for name in sorted(kept, key=_as_people_sort))
        if len(found) >= _MOST_FILES:
            break
    return found[:_MOST_FILES]


def _as_people_sort(name: str) -> list[tuple[int, str]]:
    """Return a key that puts image2 before image10."""
    parts = re.split(r"(\d+)", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts if part]
