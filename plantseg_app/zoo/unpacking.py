"""Archives of others are unpacked as if they were out to do harm: nothing leaves the folder, nothing fills the disk.

>>> is_archive(Path("/nowhere/model.zip"))
False
"""

from __future__ import annotations

import errno
import shutil
import stat
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from plantseg_app.errors import InputError, ResourceError

MOST_FILES = 10_000
LARGEST_BYTES = 20 * 2**30
_LARGEST_GROWTH = 200
_SMALL_BYTES = 64 * 2**20
_CHUNK_BYTES = 2**20
_FORBIDDEN = set('<>:"|?*\\\0')
_RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{i}" for name in ("com", "lpt") for i in range(10))}


def is_archive(path: Path) -> bool:
    """Return whether a file begins as zip archives do."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def unpack(archive_path: Path, folder: Path) -> None:
    """Unpack a zip archive into the empty folder `folder`.

    Raises
    ------
    InputError
        If it is damaged, or an entry would leave the folder, is a link or a device, has the name of another one, or
        unpacks to far more than the archive is.
    ResourceError
        If the disk is too full.
    """
    try:
        with zipfile.ZipFile(archive_path) as archive:
            entries = archive.infolist()
            _check_size(archive_path, entries, folder)
            taken: set[str] = set()
            for entry in entries:
                target = folder / _safe_name(entry, archive_path, taken)
                if entry.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                _write(archive, entry, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InputError(f"The archive {archive_path} is damaged or of a kind that is not read: {error}") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ResourceError(f"The disk is full; {archive_path} could not be unpacked.") from error
        # A file and a folder of one name, or a name that is too long.
        raise InputError(f"The archive {archive_path} cannot be unpacked: {error}") from error


def _check_size(path: Path, entries: list[zipfile.ZipInfo], folder: Path) -> None:
    size, unpacked = path.stat().st_size, sum(entry.file_size for entry in entries)
    if len(entries) > MOST_FILES or unpacked > min(LARGEST_BYTES, _LARGEST_GROWTH * size + _SMALL_BYTES):
        raise InputError(
            f"The archive {path} of {size / 1e9:.3g} GB would unpack to {len(entries)} files, {unpacked / 1e9:.3g} GB; "
            "no model is like that, so it is not unpacked."
        )
    free = shutil.disk_usage(folder).free
    if unpacked > free:
        raise ResourceError(
            f"Unpacking {path} takes {unpacked / 1e9:.3g} GB and {free / 1e9:.3g} GB are free in {folder}."
        )


def _safe_name(entry: zipfile.ZipInfo, archive: Path, taken: set[str]) -> str:
    """Return the name of an entry if it can do no harm on any system."""
    # As it stands in the archive: zipfile cuts names at a zero and turns backslashes.
    name = entry.orig_filename
    parts = PurePosixPath(name).parts
    mode = entry.external_attr >> 16
    if name.startswith("/") or ".." in parts or _FORBIDDEN & set(name) or not parts:
        raise InputError(
            f'The archive {archive} holds "{name}", which would be written outside its folder; it is refused.'
        )
    if any(part.split(".")[0].lower() in _RESERVED or part != part.rstrip(". ") for part in parts):
        raise InputError(f'The archive {archive} holds "{name}", which some systems take for a device; it is refused.')
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
        raise InputError(f'The archive {archive} holds "{name}", which is a link or a device; it is refused.')
    key = unicodedata.normalize("NFC", "/".join(parts)).casefold()
    if key in taken:
        raise InputError(f'The archive {archive} holds "{name}" twice; it is refused.')
    taken.add(key)
    return "/".join(parts)


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    """Write one file, and no more of it than was announced."""
    left = entry.file_size
    with archive.open(entry) as source, target.open("xb") as stream:
        while chunk := source.read(_CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise InputError(f'"{entry.filename}" unpacks to more than the archive says; it is refused.')
            stream.write(chunk)
