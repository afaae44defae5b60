"""Files that belong together by their names, from folders or patterns: segmentations and the truth of each.

>>> match_files("found.tif", "truth.h5:cells")
[('found.tif', 'truth.h5:cells')]
"""

from __future__ import annotations

from pathlib import Path

from plantseg_app.errors import RequestError
from plantseg_app.io import is_image_name
from plantseg_app.io.patterns import match_pattern
from plantseg_app.run.batch import images_in


def match_files(*places: str) -> list[tuple[str, ...]]:
    """Return the files of several places, those that are named alike together.

    Parameters
    ----------
    places
        One file each, or each a folder or a pattern with ``*``. Files of folders are named alike when their names
        without the ending are the same, those of patterns when the ``*`` stand for the same text.

    Raises
    ------
    RequestError
        If a folder or pattern holds no image, only some places are single files, or a file has no counterpart.
    """
    are_many = [_is_many(place) for place in places]
    if not any(are_many):
        return [places]
    if not all(are_many):
        single, many = places[are_many.index(False)], places[are_many.index(True)]
        raise RequestError(f"{many} stands for several files and {single} for one; give folders or patterns for all.")
    found = [_by_name(place) for place in places]
    for name in sorted({name for files in found for name in files}):
        for place, files in zip(places, found, strict=True):
            if name not in files:
                other = next(have[name] for have in found if name in have)
                raise RequestError(f"{other} has no counterpart of that name in {place}; add it, or take {other} away.")
    return [tuple(files[name] for files in found) for name in sorted(found[0])]


def _is_many(place: str) -> bool:
    path = Path(place)
    return ("*" in place and not path.exists()) or (path.is_dir() and not is_image_name(path))


def _by_name(place: str) -> dict[str, str]:
    """Return the files of a folder or pattern by what tells them apart."""
    if Path(place).is_dir():
        named = [(path.stem, str(path)) for path in images_in(Path(place))]
    else:
        named = [("*".join(stars), match) for match, stars in match_pattern(place)]
    files = dict(named)
    if len(files) < len(named):
        twice = next(path for name, path in named if files[name] != path)
        raise RequestError(
            f"{place} holds several files named like {Path(twice).stem}; which one is meant is not clear."
        )
    return files
