"""The difference between two states of a box of labels: small, compressed, and its own inverse.

The labels before and after are combined by exclusive or, so that applying a delta twice changes nothing. Checksums of
both states tell whether it fits what it is applied to. Knows neither cells nor files.

>>> labels = np.array([[[[3, 3, 8, 8]]]], np.uint32)
>>> delta = Delta.of((0, 0, 0, 2), labels[..., 2:], np.array([[[[8 ^ 5, 0]]]], np.uint32))
>>> delta.apply(labels, forward=True); labels.tolist()
[[[[3, 3, 5, 8]]]]
>>> delta.apply(labels, forward=False); labels.tolist()
[[[[3, 3, 8, 8]]]]
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import InputError

Place4 = tuple[int, int, int, int]
"""Layer, Z, Y, X."""


@dataclasses.dataclass(frozen=True, eq=False)
class Delta:
    """What one edit changed in one box of one layer.

    Attributes
    ----------
    start
        Corner of the box (L, Z, Y, X).
    shape
        Of the box, voxels; the first number is 1.
    dtype
        Of the labels, as numpy spells it with its byte order, such as "<u4".
    crc_before, crc_after
        CRC-32 of the box before and after.
    content
        The exclusive or of both, compressed with zstd.
    """

    start: Place4
    shape: Place4
    dtype: str
    crc_before: int
    crc_after: int
    content: bytes

    @classmethod
    def of(cls, start: Place4, before: NDArray[Any], difference: NDArray[Any]) -> Self:
        """Return what changes `before`, the box (1, Z, Y, X) of labels at `start`, by exclusive or with `difference`.

        The labels stay as they are.
        """
        from imagecodecs import zstd_encode

        plain: Any = np.ascontiguousarray(difference)
        layer, z, y, x = before.shape
        content = bytes(zstd_encode(plain, level=1))
        return cls(start, (layer, z, y, x), before.dtype.str, _crc(before), _crc(before ^ difference), content)

    @property
    def box(self) -> tuple[slice, ...]:
        """The box as an index into (L, Z, Y, X)."""
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.shape, strict=True))

    @property
    def n_bytes(self) -> int:
        """Memory that it takes, about."""
        return len(self.content) + 300

    def difference(self) -> NDArray[Any]:
        """Return the exclusive or, 0 where nothing changes.

        Raises
        ------
        InputError
            If the content is damaged.
        """
        from imagecodecs import ZstdError, zstd_decode

        n_bytes = math.prod(self.shape) * np.dtype(self.dtype).itemsize
        try:
            plain = zstd_decode(self.content, out=n_bytes)
        except (ZstdError, ValueError) as error:
            raise InputError("A correction in the journal is damaged and cannot be applied.") from error
        if len(plain) != n_bytes:
            raise InputError("A correction in the journal is damaged and cannot be applied.")
        return np.frombuffer(plain, self.dtype).reshape(self.shape)

    def check(self, before: NDArray[Any], forward: bool) -> None:
        """Check that the box is as it was when this was made.

        Raises
        ------
        InputError
            If it holds other labels.
        """
        if _crc(before) != (self.crc_before if forward else self.crc_after):
            z, y, x = self.start[1:]
            raise InputError(
                f"The labels at Z,Y,X = {z},{y},{x} are not those that this correction was made on: "
                "something else has changed them. Open the labels that belong to the journal."
            )

    def apply(self, planes: NDArray[Any], forward: bool) -> None:
        """Change `planes` (L, Z, Y, X) in place, to the state after, or back to the one before.

        Raises
        ------
        InputError
            If they hold other labels than expected; they are not changed then.
        """
        self.check(planes[self.box], forward)
        planes[self.box] ^= self.difference()

    def to_plain(self) -> dict[str, Any]:
        """Return it as data that JSON can hold."""
        plain = dataclasses.asdict(self)
        return plain | {"content": base64.b64encode(self.content).decode("ascii")}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return what `to_plain` was given.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is something else.
        """
        start, shape = (tuple(int(n) for n in plain[name]) for name in ("start", "shape"))
        if len(start) != 4 or len(shape) != 4 or min(start) < 0 or min(shape) < 1:
            raise ValueError("no box")
        if plain["dtype"] not in ("<u4", "<u8", ">u4", ">u8"):
            raise ValueError("no labels")
        content = base64.b64decode(plain["content"], validate=True)
        return cls(start, shape, plain["dtype"], int(plain["crc_before"]), int(plain["crc_after"]), content)


def _crc(labels: NDArray[Any]) -> int:
    from imagecodecs import deflate_crc32

    plain: Any = np.ascontiguousarray(labels)
    return int(deflate_crc32(plain))
