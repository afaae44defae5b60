r"""Lengths as files write them, turned into micrometres.

Knows units and arithmetic, no file format: formats collect the numbers they store and ask here what they mean.

>>> micrometres("\\u00B5m"), micrometres("nm"), micrometres("pixel")
(1.0, 0.001, None)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from plantseg_app.core.volume import VoxelSize

_FACTORS = {
    "pm": 1e-6,
    "picometer": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "um": 1.0,
    "micron": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "m": 1e6,
    "meter": 1e6,
    "in": 25400.0,
    "inch": 25400.0,
    "inches": 25400.0,
    '"': 25400.0,
    "thou": 25.4,
    "mil": 25.4,
}

# Densities that programs write when they know nothing: dots per inch of screens and printers, never of microscopes.
_PRINT_DPI = (1.0, 72.0, 75.0, 90.0, 96.0, 100.0, 120.0, 144.0, 150.0, 200.0, 240.0, 254.0, 300.0, 350.0, 360.0, 400.0)
_PRINT_DPI_HIGH = (600.0, 720.0, 1200.0, 2400.0)


class Scale(NamedTuple):
    """A voxel size and where it comes from.

    Attributes
    ----------
    voxel_size_um
        (z, y, x) in micrometres, or None.
    source
        Where it was found, or why there is none, in words.
    """

    voxel_size_um: VoxelSize | None
    source: str


NO_SCALE = Scale(None, "not stored")


def clean_unit(unit: Any) -> str:
    """Return a unit in one spelling: lower case, singular, "um" for every kind of micrometre.

    >>> clean_unit("Microns"), clean_unit("μm"), clean_unit("µm"), clean_unit(b"Millimetre"), clean_unit(None)
    ('micron', 'um', 'um', 'millimeter', '')
    """
    if unit is None:
        return ""
    text = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)
    text = text.strip().strip("\x00").strip()
    if text == "M":
        return "m"
    text = text.lower().replace("\\u00b5", "u").replace("\\u03bc", "u")
    for micro in ("âµ", "â\xb5", "µ", "μ"):
        text = text.replace(micro, "u")
    text = text.replace("metre", "meter")
    return text[:-1] if len(text) > 3 and text.endswith("s") and text != "inches" else text


def micrometres(unit: Any) -> float | None:
    """Return how many micrometres one `unit` is, or None when it is not a unit of length.

    >>> micrometres("inch"), micrometres("cm"), micrometres("furlong"), micrometres("")
    (25400.0, 10000.0, None, None)
    """
    return _FACTORS.get(clean_unit(unit))


def scale_of(values: Iterable[Any], factor: float, source: str) -> Scale:
    """Return (z, y, x) lengths times `factor` as a scale, or a scale without a size when they make no sense.

    >>> scale_of([250, 125, 125], 0.001, "attribute").voxel_size_um
    VoxelSize(z=0.25, y=0.125, x=0.125)
    >>> scale_of([0, 1, 1], 1.0, "attribute").source
    'attribute holds 0.0 x 1.0 x 1.0, which is not a voxel size'
    """
    lengths = [number(value) for value in values]
    if len(lengths) != 3 or not all(math.isfinite(length) and length * factor > 0 for length in lengths):
        shown = " x ".join(str(length) for length in lengths) or "nothing"
        return Scale(None, f"{source} holds {shown}, which is not a voxel size")
    z, y, x = (length * factor for length in lengths)
    return Scale(VoxelSize(z, y, x), source)


def is_print_density(per_micrometre: float) -> bool:
    """Return whether a resolution is one that screens and printers have, so that it says nothing of the sample.

    >>> is_print_density(72 / 25400), is_print_density(1 / 0.15)
    (True, False)
    """
    dpi = per_micrometre * 25400.0
    return any(abs(dpi - known) <= 0.005 * known for known in (*_PRINT_DPI, *_PRINT_DPI_HIGH))


def number(value: Any) -> float:
    """Return a number that a file stores as a number, a text, or a fraction of two; NaN for anything else.

    >>> number((20, 3)), number("0.5"), number("x")
    (6.666666666666667, 0.5, nan)
    """
    try:
        if isinstance(value, tuple | list) and len(value) == 2:
            return float(value[0]) / float(value[1]) if float(value[1]) else math.nan
        return float(value)
    except (TypeError, ValueError):
        return math.nan
