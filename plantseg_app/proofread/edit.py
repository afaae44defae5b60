"""What is known of one correction, apart from the voxels that it changed."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Self

from plantseg_app.proofread.cell_index import Box, Entry
from plantseg_app.proofread.delta import Delta, Place4
from plantseg_app.proofread.tissue import Mark

Entries = Mapping[int, tuple[Entry | None, Entry | None]]
"""By cell: its place and size before and after; None when it was not there."""

Marks = Mapping[int, tuple[Mark | None, Mark | None]]
"""By cell: the mark before and after."""


@dataclasses.dataclass(frozen=True)
class Edit:
    """One correction: who did what, when and where.

    Attributes
    ----------
    number
        From 1, in the order in which corrections were made; one that was undone keeps its number.
    tool, settings
        The tool's id and its fields without points.
    words
        What was done, for people.
    author
        Who did it.
    at
        When, UTC, ISO 8601.
    cells
        Ids that won or lost voxels or got another mark.
    entries
        By id: what the index knew before and after of cells that won or lost voxels.
    start, stop
        Corners (L, Z, Y, X) of the box in which voxels changed; None when only marks did.
    n_voxels
        How many changed.
    n_kept
        How many the tool would have changed as well, were they not of locked cells.
    marks
        Marks before and after, of cells where they differ.
    next_id
        The smallest id that was still free afterwards.
    """

    number: int
    tool: str
    settings: Mapping[str, Any]
    words: str
    author: str
    at: str
    cells: tuple[int, ...]
    start: Place4 | None
    stop: Place4 | None
    n_voxels: int
    n_kept: int
    entries: Entries
    marks: Marks
    next_id: int

    @property
    def box(self) -> Box | None:
        """(Z, Y, X) of what changed in any layer, None when no voxel did."""
        if self.start is None or self.stop is None:
            return None
        z, y, x = (slice(a, b) for a, b in zip(self.start[1:], self.stop[1:], strict=True))
        return z, y, x

    @property
    def at_s(self) -> float:
        """When, in seconds since 1970."""
        return datetime.datetime.fromisoformat(self.at).timestamp()

    def to_plain(self) -> dict[str, Any]:
        """Return it as data that JSON can hold."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        pairs = {name: [[cell, *pair] for cell, pair in plain[name].items()] for name in ("entries", "marks")}
        return plain | pairs

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return what `to_plain` was given.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is something else.
        """
        values = {field.name: plain[field.name] for field in dataclasses.fields(cls)}
        start, stop = (None if values[name] is None else tuple(map(int, values[name])) for name in ("start", "stop"))
        marks = {int(cell): (_mark(before), _mark(after)) for cell, before, after in values["marks"]}
        entries = {int(cell): (_entry(before), _entry(after)) for cell, before, after in values["entries"]}
        cells = tuple(map(int, values["cells"]))
        return cls(**values | {"start": start, "stop": stop, "marks": marks, "entries": entries, "cells": cells})


def _mark(text: str | None) -> Mark | None:
    return None if text is None else Mark(text)


def _entry(plain: list[Any] | None) -> Entry | None:
    if plain is None:
        return None
    layer, size, low, high = plain
    return Entry(int(layer), int(size), tuple(map(int, low)), tuple(map(int, high)))


def now() -> str:
    """Return the time as `Edit.at` has it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def corners(deltas: Iterable[Delta]) -> tuple[Place4 | None, Place4 | None]:
    """Return the corners of the box around all deltas, None and None when there is none."""
    boxes = [delta.box for delta in deltas]
    if not boxes:
        return None, None
    start = [min(box[axis].start for box in boxes) for axis in range(4)]
    stop = [max(box[axis].stop for box in boxes) for axis in range(4)]
    return (start[0], start[1], start[2], start[3]), (stop[0], stop[1], stop[2], stop[3])
