"""Tables of numbers as CSV files that R, pandas and spreadsheet programs read without a question.

>>> import tempfile, numpy as np
>>> with tempfile.TemporaryDirectory() as folder:
...     file = write_csv(Path(folder) / "a.csv", {"label": np.array([1, 2]), "volume_um3": np.array([0.5, 1 / 3])})
...     print(file.read_text(encoding="utf-8"))
label,volume_um3
1,0.5
2,0.33333333
<BLANKLINE>
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from plantseg_app.errors import RequestError
from plantseg_app.io.atomic import replacing
from plantseg_app.io.guard import writing

CSV_SUFFIX = ".csv"


def check_csv_name(path: str | Path) -> Path:
    """Return the path of a CSV file that may be written.

    Raises
    ------
    RequestError
        If the ending is another, or it is a folder.
    """
    file = Path(path)
    if file.suffix.lower() != CSV_SUFFIX:
        raise RequestError(f'A table is written as CSV: "{file.name}" must end in {CSV_SUFFIX}.')
    if file.is_dir():
        raise RequestError(f"{file} is a folder; give the name of a file.")
    return file


def write_csv(path: str | Path, columns: Mapping[str, NDArray[Any]]) -> Path:
    """Write columns of equal length, atomically: UTF-8, commas, a header line, a point in fractions.

    Parameters
    ----------
    path
        Ends in .csv; the folder is made if needed, an old file is replaced.
    columns
        (N,) by name. Fractions get eight digits, truth values are 1 and 0, what is not a number is left empty.

    Raises
    ------
    RequestError
        If the name is not usable.
    ResourceError
        If the disk is full or the folder may not be written to.
    """
    file = check_csv_name(path)
    texts = [_as_texts(values) for values in columns.values()]
    with writing(file), replacing(file) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*texts, strict=True))
    return file


def _as_texts(values: NDArray[Any]) -> list[str]:
    if values.dtype.kind == "b":
        return ["1" if value else "0" for value in values.tolist()]
    if values.dtype.kind == "f":
        return ["" if value != value else f"{value:.8g}" for value in values.tolist()]
    return [str(value) for value in values.tolist()]
