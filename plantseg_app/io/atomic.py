"""Writes a file so that whatever happens, there is the old one or the new one, never half of it."""

from __future__ import annotations

import glob
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ENDING = ".partial"
_ABANDONED_S = 24 * 3600.0


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield the name of a new file beside `target`; when the block ends well it takes the place of `target`.

    The new file is on the disk before it is renamed. When the block fails it is removed. A process that is killed
    leaves it behind under a name that starts with a dot; it is cleared away a day later by the next write of `target`.

    Parameters
    ----------
    target
        The file to make or replace. A symbolic link is followed; permissions of an old file are kept.
    """
    final = target.resolve()
    final.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(final)
    partial = final.with_name(f".{final.name}.{os.getpid()}-{secrets.token_hex(4)}{_ENDING}")
    try:
        yield partial
        _flush(partial)
        if final.exists():
            shutil.copymode(final, partial)
        os.replace(partial, final)
        _flush_folder(final.parent)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def clear_after(process_id: int, target: Path) -> None:
    """Remove what a process of this machine that was killed while it wrote `target` left beside it.

    Parameters
    ----------
    process_id
        Of the process that was killed; it must be gone.
    target
        The file that it was to make or replace.
    """
    final = target.resolve()
    for left in final.parent.glob(f"{glob.escape(f'.{final.name}.{process_id}-')}*{_ENDING}"):
        with suppress(OSError):
            left.unlink()


def _flush(path: Path) -> None:
    # Windows flushes only files that are open for writing.
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems cannot flush a folder; the file itself is safe.
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def _clear_abandoned(final: Path) -> None:
    for left in final.parent.iterdir():
        if left.name.startswith(f".{final.name}.") and left.name.endswith(_ENDING):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _ABANDONED_S:
                    left.unlink()
