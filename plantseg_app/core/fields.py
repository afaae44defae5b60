"""Annotated types that steps share, so that a range, a unit and a word are written once.

A step's field is one of these plus its default and its help text:

>>> from pydantic import BaseModel
>>> class Settings(BaseModel):
...     beta: Fraction = 0.6
...     sigma_um: PerAxis[float] = (0.0, 0.0, 0.0)
>>> Settings(beta="0.5", sigma_um="0.2,0.1,0.1")
Settings(beta=0.5, sigma_um=(0.2, 0.1, 0.1))
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field

T = TypeVar("T")


def _split_text(value: object) -> object:
    """Let a command line write ``0.2,0.1,0.1`` for three numbers."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return value


def _repeat_single(value: object) -> object:
    """Let a person write one number where all three axes share it."""
    parts = _split_text(value)
    if isinstance(parts, (int, float)) and not isinstance(parts, bool):
        return (parts, parts, parts)
    if isinstance(parts, (tuple, list)) and len(parts) == 1:
        return (parts[0],) * 3
    return parts


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
"""A share between 0 and 1."""

Beta = Annotated[float, Field(ge=0.0, le=1.0, title="More, smaller cells (beta)", json_schema_extra={"main": True})]
"""Over- against under-segmentation of a graph partition; `DEFAULT_BETA` everywhere. The one setting to play with."""

DEFAULT_BETA = 0.6
"""Boundaries with a mean evidence above 1 - 0.6 speak for a cut."""

DEFAULT_MIN_SIZE = 100
"""Voxels below which a segment is no cell, wherever a step asks."""

SCALE_LIMITS = (0.05, 20.0)
"""The least and the most by which an image is enlarged for a network."""

Percentile = Annotated[float, Field(ge=0.0, le=100.0, json_schema_extra={"unit": "%"})]
"""A percentile of the image's values."""

SigmaVox = Annotated[float, Field(ge=0.0, le=100.0, json_schema_extra={"unit": "voxel"})]
"""Width of a Gaussian, in voxels of the finest axis; 0 means no smoothing."""

Micrometre = Annotated[float, Field(gt=0.0, le=1e6, json_schema_extra={"unit": "um"})]
"""A length in micrometres."""

VoxelCount = Annotated[int, Field(ge=0, le=2**53, json_schema_extra={"unit": "voxel"})]
"""A number of voxels."""

Seconds = Annotated[float, Field(gt=0.0, le=1e6, json_schema_extra={"unit": "s"})]
"""A time limit."""

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""The seed of a random generator."""

PerAxis = Annotated[tuple[T, T, T], BeforeValidator(_repeat_single)]
"""Three values, Z, Y, X; one value stands for all three, and text may separate them by commas."""

TextList = Annotated[tuple[T, ...], BeforeValidator(_split_text)]
"""Several values; text may separate them by commas."""
