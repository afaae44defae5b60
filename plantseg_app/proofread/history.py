"""Which corrections are done and which were undone; what they changed lies in a log, the latest also in memory.

>>> history = History(Log.temporary())
>>> history.can_undo
False
"""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from plantseg_app.errors import InputError
from plantseg_app.proofread.delta import Delta
from plantseg_app.proofread.edit import Edit
from plantseg_app.proofread.log import Log, Place
from plantseg_app.proofread.refusal import Refused

MEMORY_BYTES = 256 * 2**20
"""What the changes of the last corrections may take in memory; older ones are read from the disk when undone."""


class History:
    """The corrections in their order, as many as the disk holds.

    Parameters
    ----------
    log
        Where they are written.
    memory_bytes
        What may be kept in memory as well.
    """

    def __init__(self, log: Log, memory_bytes: int = MEMORY_BYTES) -> None:
        self.log = log
        self.done: list[Edit] = []
        self.undone: list[Edit] = []
        self.n_edits = 0
        self._places: dict[int, Place] = {}
        self._kept: collections.OrderedDict[int, Sequence[Delta]] = collections.OrderedDict()
        self._kept_bytes = 0
        self._memory_bytes = memory_bytes

    @property
    def can_undo(self) -> bool:
        """Whether a correction is done."""
        return bool(self.done)

    @property
    def can_redo(self) -> bool:
        """Whether the last thing that happened was an undo."""
        return bool(self.undone)

    def add(self, edit: Edit, deltas: Sequence[Delta]) -> None:
        """Write a new correction; what was undone can no longer be redone.

        Raises
        ------
        RequestError, ResourceError
            If it cannot be written; it is not added then.
        """
        plain = {"record": "edit", **edit.to_plain(), "deltas": [delta.to_plain() for delta in deltas]}
        self._note_done(edit, self.log.append(plain))
        self._keep(edit.number, deltas)

    def next_undo(self) -> tuple[Edit, Sequence[Delta]]:
        """Return the last correction that is done; Refused when there is none."""
        if not self.done:
            raise Refused("There is nothing to undo.")
        return self.done[-1], self._deltas(self.done[-1].number)

    def next_redo(self) -> tuple[Edit, Sequence[Delta]]:
        """Return the correction that was undone last; Refused when there is none."""
        if not self.undone:
            raise Refused("There is nothing to redo.")
        return self.undone[-1], self._deltas(self.undone[-1].number)

    def note_undo(self, author: str, at: str) -> None:
        """Write that the last correction was undone."""
        self.log.append({"record": "undo", "number": self.done[-1].number, "author": author, "at": at})
        self.undone.append(self.done.pop())

    def note_redo(self, author: str, at: str) -> None:
        """Write that the last undone correction was done again."""
        self.log.append({"record": "redo", "number": self.undone[-1].number, "author": author, "at": at})
        self.done.append(self.undone.pop())

    def follow(self, place: Place, record: Mapping[str, Any]) -> tuple[Edit, Sequence[Delta], bool] | None:
        """Take over a record of the log; return which correction was done (True) or undone (False), None for others.

        Raises
        ------
        InputError
            If it does not follow from those before.
        """
        try:
            kind = record["record"]
            if kind == "edit":
                edit = Edit.from_plain(record)
                if edit.number != self.n_edits + 1:
                    raise ValueError("a number is missing")
                self._note_done(edit, place)
                return edit, _deltas_of(record), True
            if kind not in ("undo", "redo"):
                return None
            source, target = (self.done, self.undone) if kind == "undo" else (self.undone, self.done)
            if source[-1].number != record["number"]:
                raise ValueError("another correction is meant")
            edit = source.pop()
            target.append(edit)
            return edit, self._deltas(edit.number), kind == "redo"
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"The journal is damaged: its record at byte {place.offset} does not fit ({error})."
            ) from error

    def _note_done(self, edit: Edit, place: Place) -> None:
        self.done.append(edit)
        self.undone.clear()
        self.n_edits = edit.number
        self._places[edit.number] = place

    def _keep(self, number: int, deltas: Sequence[Delta]) -> None:
        self._kept[number] = deltas
        self._kept_bytes += sum(delta.n_bytes for delta in deltas)
        while self._kept_bytes > self._memory_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= sum(delta.n_bytes for delta in oldest)

    def _deltas(self, number: int) -> Sequence[Delta]:
        if number in self._kept:
            return self._kept[number]
        return _deltas_of(self.log.read(self._places[number]))


def _deltas_of(record: Mapping[str, Any]) -> Sequence[Delta]:
    return [Delta.from_plain(plain) for plain in record["deltas"]]
