"""What has arrived of a file, beside its target, with what the server said about it: enough to ask for the rest.

Bytes of two versions of a file must never be put together. So the first part is kept only as long as the server can be
asked whether the file is still the same (a strong ETag, or a date), or a checksum tells in the end.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from plantseg_app.errors import ResourceError
from plantseg_app.io.atomic import replacing

_ENDING, _STATE_ENDING = ".part", ".part.json"


class PartialFile:
    """The beginning of a file.

    Parameters
    ----------
    target
        The file that it becomes.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + _ENDING)
        self._state_path = target.with_name(target.name + _STATE_ENDING)
        self._state = self._read_state()

    @property
    def size(self) -> int:
        """How many bytes are here."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    @property
    def total(self) -> int | None:
        """How many bytes the whole file has, if the server said so."""
        total = self._state.get("total")
        return total if isinstance(total, int) else None

    def continues(self, url: str, has_checksum: bool) -> bool:
        """Return whether the rest may be asked for at `url`."""
        is_same = self._state.get("url") == url and bool(self._state.get("version"))
        return self.size > 0 and (is_same or (has_checksum and bool(self._state)))

    def request_headers(self, url: str) -> dict[str, str]:
        """Return what to ask for: the rest, if the file is still the same; everything, if nothing is here."""
        if not self.size:
            return {}
        headers = {"Range": f"bytes={self.size}-"}
        if self._state.get("url") == url and self._state.get("version"):
            headers["If-Range"] = self._state["version"]
        return headers

    def restart(self) -> None:
        """Throw away what is here."""
        self._state = {}
        self.path.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)

    def note(self, url: str, headers: Mapping[str, str], total: int | None) -> None:
        """Remember where the bytes come from that are about to be written."""
        etag = headers.get("ETag", "")
        # Weak tags stand for files that are much the same, which is not enough to put their bytes together.
        version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
        self._state = {"url": url, "version": version, "total": total}
        with replacing(self._state_path) as partial:
            partial.write_text(json.dumps(self._state), encoding="utf-8")

    @contextmanager
    def appending(self) -> Iterator[IO[bytes]]:
        """Yield the file, open for more; what is written is in the file at once, should the process be killed.

        Raises
        ------
        ResourceError
            If the disk is full; what is here is then thrown away to make room.
        """
        try:
            with self.path.open("ab", buffering=0) as stream:
                yield stream
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            self.restart()
            raise ResourceError(
                f"The disk of {self.path.parent} is full, so {self.target.name} could not be downloaded; make room."
            ) from error

    def sha256(self) -> str:
        """Return the checksum of what is here."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def finish(self) -> None:
        """Make it the target."""
        with self.path.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(self.path, self.target)
        self._state_path.unlink(missing_ok=True)

    def _read_state(self) -> dict[str, Any]:
        try:
            state = json.loads(self._state_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return state if isinstance(state, dict) else {}
