"""Makes the numbers of an image fit their kind: types, NaN and infinity, labels. Works slice by slice, in place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Kind
from plantseg_app.errors import InputError
from plantseg_app.io.format import native

NanPolicy = Literal["refuse", "replace"]

NAN_ADVICE = 'Correct the image, or have them replaced with --nan replace (nan="replace")'
"""Stands in the message about NaN and infinite numbers, and in no other."""

# Above these a floating-point number no longer tells two neighbouring labels apart.
_EXACT = {2: 2**11, 4: 2**24, 8: 2**53}


def memory_dtype(stored: str, kind: Kind, title: str) -> np.dtype[Any]:
    """Return the type in which an image stored as `stored` is read.

    Booleans become uint8, float16 becomes float32, unsigned labels become uint32 (uint64 stays); all else is
    kept.

    Raises
    ------
    InputError
        If the numbers are not real.
    """
    dtype = native(stored)
    if dtype.kind not in "buif":
        raise InputError(
            f"{title} holds {_spelled(dtype)}; an image holds whole or real numbers. Choose another data set."
        )
    if dtype.kind == "f":
        return np.dtype(np.float32) if dtype.itemsize == 2 else np.dtype(np.float64) if dtype.itemsize > 8 else dtype
    if kind.is_labels and dtype.kind in "bu":
        return np.dtype(np.uint64) if dtype.itemsize == 8 else np.dtype(np.uint32)
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype


def _spelled(dtype: np.dtype[Any]) -> str:
    return {"c": "complex numbers", "O": "texts or objects", "S": "texts", "U": "texts", "V": "records"}.get(
        dtype.kind, str(dtype)
    )


def slices(data: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the (Y, X) slices of (Z, Y, X) or (C, Z, Y, X) data, as views."""
    for index in np.ndindex(data.shape[:-2]):
        yield data[index]


def checked_values(data: NDArray[Any], kind: Kind, nan: NanPolicy, title: str) -> NDArray[Any]:
    """Return `data` without NaN and infinity, and labels as unsigned whole numbers.

    Parameters
    ----------
    data
        (Z, Y, X) or (C, Z, Y, X), writable; changed in place where possible.
    kind
        What the numbers mean.
    nan
        "refuse", or "replace": NaN and -inf become the smallest finite number, inf the largest.
    title
        How to call the image in a message.

    Raises
    ------
    InputError
        If there are NaN or infinite numbers and `nan` is "refuse", or no others; if labels are negative or fractions.
    """
    if data.dtype.kind == "f":
        _settle_non_finite(data, nan, title)
        return _labels_from_reals(data, title) if kind.is_labels else data
    if kind.is_labels and data.dtype.kind == "i":
        smallest = min(int(part.min()) for part in slices(data))
        if smallest < 0:
            raise InputError(
                f"{title} holds negative numbers (down to {smallest}); labels are 0 (background) or greater. "
                "Set the negative ones to 0."
            )
        # Non-negative signed numbers have the bits of unsigned ones: int32 and int64 need no copy.
        if data.dtype.itemsize >= 4:
            return data.view(np.uint32 if data.dtype.itemsize == 4 else np.uint64)
        return data.astype(np.uint32)
    return data


def _settle_non_finite(data: NDArray[Any], nan: NanPolicy, title: str) -> None:
    n_nan = n_infinite = 0
    smallest, largest = np.inf, -np.inf
    for part in slices(data):
        finite = np.isfinite(part)
        if finite.all():
            smallest, largest = min(smallest, float(part.min())), max(largest, float(part.max()))
            continue
        part_nan = int(np.isnan(part).sum())
        n_nan += part_nan
        n_infinite += int(finite.size - np.count_nonzero(finite)) - part_nan
        if finite.any():
            smallest, largest = min(smallest, float(part[finite].min())), max(largest, float(part[finite].max()))
    if n_nan + n_infinite == 0:
        return
    if n_nan + n_infinite == data.size:
        raise InputError(f"{title} holds no finite number: all {data.size} voxels are NaN or infinite.")
    if nan == "refuse":
        raise InputError(
            f"{title} holds {n_nan} NaN and {n_infinite} infinite voxels of {data.size}. {NAN_ADVICE}: "
            f"NaN by the smallest number, {smallest:g}, infinity by the largest, {largest:g}."
        )
    for part in slices(data):
        np.nan_to_num(part, copy=False, nan=smallest, posinf=largest, neginf=smallest)


def _labels_from_reals(data: NDArray[Any], title: str) -> NDArray[Any]:
    limit = _EXACT[data.dtype.itemsize]
    largest = 0.0
    for part in slices(data):
        if not np.array_equal(part, np.floor(part)):
            raise InputError(
                f"{title} holds fractions such as {part[part != np.floor(part)].flat[0]:g}; labels are whole numbers. "
                "Is it a probability map? Choose the label image."
            )
        if float(part.min()) < 0:
            raise InputError(f"{title} holds negative numbers; labels are 0 (background) or greater.")
        largest = max(largest, float(part.max()))
    if largest > limit:
        raise InputError(
            f"{title} holds labels up to {largest:g} as {data.dtype}, which is exact only up to {limit}; "
            "save the labels as 32-bit whole numbers."
        )
    return data.astype(np.uint32 if largest <= np.iinfo(np.uint32).max else np.uint64)
