"""Run lengths of masks as in COCO files: column by column, zeros first, as numbers or packed into text.

>>> mask = np.array([[0, 1, 1], [0, 1, 0]], bool)
>>> run_lengths(mask).tolist(), pack_runs(run_lengths(mask))
([2, 3, 1], '231')
>>> mask_of_runs(unpack_runs("231"), (2, 3)).astype(int).tolist()
[[0, 1, 1], [0, 1, 0]]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import InputError

# Five bits a character, from the lowest; the sixth says that more follow. Characters start at "0".
_BITS, _MORE, _SIGN, _FIRST = 5, 0x20, 0x10, 48
# From the fourth number on the difference to the last but one is stored.
_DIFFERENCES_FROM = 3


def run_lengths(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the lengths of the runs of 0, 1, 0, ... of a mask (Y, X), column by column; the first may be 0."""
    flat = np.asarray(mask, bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], changes, [flat.size]])
    runs = np.diff(starts)
    return np.concatenate([[0], runs]) if flat[0] else runs


def mask_of_runs(runs: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask (Y, X) of its run lengths.

    Raises
    ------
    InputError
        If they are negative or do not fill the shape.
    """
    runs = np.asarray(runs, np.int64)
    if (runs < 0).any() or int(runs.sum()) != shape[0] * shape[1]:
        raise InputError(
            f"The run lengths of a mask come to {int(runs.sum())} pixels and its size is {shape[0]} x {shape[1]}; the "
            "file is damaged or its sizes are wrong."
        )
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.asarray(flat.reshape(shape, order="F"))


def pack_runs(runs: NDArray[np.int64]) -> str:
    """Return run lengths as COCO's text."""
    text: list[int] = []
    values: list[int] = [int(run) for run in runs]
    for place, run in enumerate(values):
        left = run - values[place - 2] if place >= _DIFFERENCES_FROM else run
        while True:
            low = left & (_MORE - 1)
            left >>= _BITS
            more = left != (-1 if low & _SIGN else 0)
            text.append(_FIRST + low + (_MORE if more else 0))
            if not more:
                break
    return bytes(text).decode("ascii")


def unpack_runs(text: str) -> NDArray[np.int64]:
    """Return the run lengths in COCO's text.

    Raises
    ------
    InputError
        If the text ends within a number or holds other characters.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - _FIRST
        if not 0 <= code < 2 * _MORE:
            raise InputError(f"The mask holds the character {character!r}, which no packed run lengths have.")
        value |= (code & (_MORE - 1)) << shift
        shift += _BITS
        if code & _MORE:
            continue
        if code & _SIGN:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) >= _DIFFERENCES_FROM else value)
        value = shift = 0
    if shift:
        raise InputError("The packed run lengths of a mask end in the middle of a number.")
    return np.array(runs, np.int64)


def polygon_mask(polygons: list[Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (Y, X) whose middles lie in any of the polygons, each one a list x, y, x, y, ..."""
    from skimage.draw import polygon

    mask = np.zeros(shape, bool)
    for corners in polygons:
        points = np.asarray(corners, float).reshape(-1, 2)
        # Corners lie on the edges of pixels, whose middles have whole numbers here.
        mask[polygon(points[:, 1] - 0.5, points[:, 0] - 0.5, shape)] = True
    return mask
