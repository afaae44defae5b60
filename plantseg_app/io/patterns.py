"""Names with a ``*``: the files they stand for, and which text each ``*`` stands for in them.

>>> import tempfile
>>> from pathlib import Path
>>> with tempfile.TemporaryDirectory() as folder:
...     for name in ("a_raw.tif", "b_raw.tif", "b_cells.tif"):
...         Path(folder, name).touch()
...     [(Path(match).name, stars) for match, stars in match_pattern(f"{folder}/*_raw.tif")]
[('a_raw.tif', ('a',)), ('b_raw.tif', ('b',))]
"""

from __future__ import annotations

import glob
import re

from plantseg_app.errors import RequestError


def match_pattern(pattern: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the files that a pattern stands for, by name, each with the texts that its ``*`` stand for.

    Raises
    ------
    RequestError
        If there is none.
    """
    matches = sorted(glob.glob(pattern))
    if not matches:
        raise RequestError(f"No file matches {pattern}.")
    expression = re.escape(pattern).replace(r"\*", "(.*)")
    found = ((match, re.fullmatch(expression, match)) for match in matches)
    return [(match, () if fits is None else fits.groups()) for match, fits in found]
