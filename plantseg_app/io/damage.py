"""Notices truncated TIFF files, of which tifffile returns a part without raising anything.

tifffile reports what it stumbles over on its logger only: `Watch` listens while a file is open. What it does not
report, a page whose pixels lie beyond the end of the file, is checked by `check_complete`.
"""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from plantseg_app.errors import InputError

# Tags that vendors invent start here; a broken one does not harm the image. The two of ImageJ do.
_FIRST_PRIVATE_TAG = 32768
_IMAGEJ_TAGS = (50838, 50839)


class Watch(logging.Handler):
    """Collects the errors that tifffile logs in this thread."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._thread = threading.get_ident()
        self.problems: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message of a record that matters."""
        message = record.getMessage()
        if record.thread == self._thread and not _is_harmless(message):
            self.problems.append(message)

    def raise_if_any(self, name: str) -> None:
        """Raise InputError if anything was logged.

        Raises
        ------
        InputError
            With the first problem.
        """
        if self.problems:
            raise InputError(
                f"The file {name} is damaged or incomplete ({_short(self.problems[0])}); copy or export it again."
            )


@contextmanager
def watching() -> Iterator[Watch]:
    """Listen to tifffile's logger."""
    logger = logging.getLogger("tifffile")
    watch = Watch()
    logger.addHandler(watch)
    try:
        yield watch
    finally:
        logger.removeHandler(watch)


def check_complete(series: Any, imagej: dict[str, Any] | None, name: str) -> None:
    """Check that all pages of a tifffile series are there, with all their pixels.

    Raises
    ------
    InputError
        If some are missing.
    """
    missing = sum(page is None for page in series.pages)
    if missing or series.size == 0 or series.dtype is None:
        raise InputError(
            f"The file {name} is incomplete: {missing or 'all'} of {len(series.pages)} planes are missing. Copy or "
            "export it again; an OME-TIFF of several files needs all of them in one folder."
        )
    n_planes = math.prod(
        length for letter, length in zip(series.axes, series.shape, strict=True) if letter not in "YXS"
    )
    promised = int((imagej or {}).get("images", 0))
    if promised > n_planes:
        raise InputError(
            f"The file {name} is incomplete: it should hold {promised} planes, but {n_planes} are there. "
            "Copy or export it again."
        )
    for page in series.pages:
        segments = zip(page.dataoffsets, page.databytecounts, strict=True)
        end = max((offset + count for offset, count in segments), default=0)
        size = page.parent.filehandle.size
        if end > size:
            raise InputError(
                f"The file {name} is incomplete: it ends after {size} bytes, but its pixels reach to byte {end}. "
                "Copy or export it again."
            )


def _is_harmless(message: str) -> bool:
    found = re.search(r"TiffTag (\d+)", message)
    if found is None:
        return False
    code = int(found.group(1))
    return code >= _FIRST_PRIVATE_TAG and code not in _IMAGEJ_TAGS


def _short(message: str) -> str:
    text = re.sub(r"<tifffile\.\w+ [^>]*>|'[^']*'>", "", message)
    return " ".join(text.split())[:160].strip(" :")
