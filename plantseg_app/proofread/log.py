"""An append-only file of records, one a line with its checksum: a killed process loses no line that was written.

A record is plain data. A last line that was cut short is dropped when the file is opened again; damage anywhere else is
noticed. One process at a time can have the file. Knows nothing of corrections.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     with Log.open(Path(folder) / "a.jsonl") as log:
...         place = log.append({"n": 1})
...         log.read(place)
...     with Log.open(Path(folder) / "a.jsonl") as log:
...         [record for _, record in log]
{'n': 1}
[{'n': 1}]
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import weakref
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from plantseg_app.errors import InputError, RequestError, ResourceError


class Place(NamedTuple):
    """Where a line begins and how long it is, bytes."""

    offset: int
    length: int


class Log:
    """An open file of records; made by `open` or `temporary`.

    Attributes
    ----------
    path
        None for a temporary one.
    """

    def __init__(self, stream: IO[bytes], path: Path | None, places: list[Place]) -> None:
        self.path = path
        self._stream = stream
        self._places = places
        # A session that is dropped lets its file go.
        self._closing = weakref.finalize(self, stream.close)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file, or make it.

        Raises
        ------
        RequestError
            If another process has it open.
        InputError
            If a line before the last good one is damaged.
        ResourceError
            If it cannot be read or written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            stream = os.fdopen(handle, "rb+", buffering=0)
        except OSError as error:
            raise ResourceError(f"{path} cannot be opened: {error}.") from error
        try:
            _claim(stream, path)
            places, end = _good_lines(stream, path)
            stream.truncate(end)
        except BaseException:
            stream.close()
            raise
        return cls(stream, path, places)

    @classmethod
    def temporary(cls) -> Self:
        """Return a log that is gone when it is closed or the process ends."""
        return cls(tempfile.TemporaryFile(buffering=0), None, [])

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[tuple[Place, dict[str, Any]]]:
        for place in list(self._places):
            yield place, self.read(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def end(self) -> int:
        """The length of the file in bytes, as this process knows it."""
        return self._places[-1].offset + self._places[-1].length if self._places else 0

    def append(self, record: Mapping[str, Any]) -> Place:
        """Write a record to the disk and return where it is; when this returns it survives whatever happens.

        Raises
        ------
        RequestError
            If something else has written to the file since.
        ResourceError
            If the disk is full or gone; nothing of the record stays then.
        """
        text = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        line = b"%08x %s\n" % (zlib.crc32(text), text)
        place = Place(self.end, len(line))
        try:
            if os.fstat(self._stream.fileno()).st_size != place.offset:
                raise RequestError(f"{self._name} was changed by another program while it was open; open it again.")
            self._write(line, place.offset)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._stream.truncate(place.offset)
            raise ResourceError(
                f"{self._name} cannot be written to: {error}. The last correction was not made."
            ) from error
        self._places.append(place)
        return place

    def _write(self, line: bytes, offset: int) -> None:
        self._stream.seek(offset)
        rest = memoryview(line)
        while rest:
            rest = rest[self._stream.write(rest) or 0 :]
        if self.path is not None:
            os.fsync(self._stream.fileno())

    def read(self, place: Place) -> dict[str, Any]:
        """Return a record.

        Raises
        ------
        InputError
            If it is damaged.
        """
        self._stream.seek(place.offset)
        return _parsed(self._read_all(place.length), self._name)

    def _read_all(self, length: int) -> bytes:
        parts = []
        while length > 0 and (part := self._stream.read(length)):
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Let the file go."""
        self._closing()

    @property
    def _name(self) -> str:
        return "The temporary file of corrections" if self.path is None else str(self.path)


def _parsed(line: bytes, name: str) -> dict[str, Any]:
    if not _is_good(line):
        raise InputError(f"{name} is damaged; a line does not match its checksum.")
    record = json.loads(line[9:])
    if not isinstance(record, dict):
        raise InputError(f"{name} holds something else than records.")
    return record


def _is_good(line: bytes) -> bool:
    return line[8:9] == b" " and line.endswith(b"\n") and line[:8] == b"%08x" % zlib.crc32(line[9:-1])


def _good_lines(stream: IO[bytes], path: Path) -> tuple[list[Place], int]:
    """Return where the good lines are, and where the file ends but for a line that was cut short."""
    places: list[Place] = []
    offset, bad = 0, None
    stream.seek(0)
    with os.fdopen(os.dup(stream.fileno()), "rb") as buffered:
        for number, line in enumerate(buffered, start=1):
            if _is_good(line):
                if bad is not None:
                    raise InputError(
                        f"{path} is damaged at line {bad}, and good lines follow; restore the file from a backup, or "
                        "move it away to begin anew."
                    )
                places.append(Place(offset, len(line)))
            else:
                bad = bad or number
            offset += len(line)
    if bad == 1:
        _refuse_foreign(stream, path)
    return places, places[-1].offset + places[-1].length if places else 0


def _refuse_foreign(stream: IO[bytes], path: Path) -> None:
    """Refuse to empty a file that is no log; a first line that was cut short may go."""
    stream.seek(0)
    head = stream.read(9)
    if len(head) == 9 and not (head[8:9] == b" " and all(byte in b"0123456789abcdef" for byte in head[:8])):
        raise InputError(f"{path} is no journal of corrections; choose another name.")


def _claim(stream: IO[bytes], path: Path) -> None:
    """Take the file for this process; the operating system lets it go when the process ends, however it ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            stream.seek(2**31 - 2)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise RequestError(f"{path.name} is open in another window; close it there first.") from error
    except OSError:
        # Some network file systems know no locks; what another process writes is noticed by the length of the file.
        return
