"""Results kept so that an unchanged node is not run twice: in memory while the program runs, on disk across runs.

A key names a result by what made it: the step, its version and settings, and the keys of its inputs; the key of
an image is a hash of its numbers. Knows nothing of what a step does. Loading never runs code from a file.

>>> import numpy as np
>>> from plantseg_app.core.volume import Kind
>>> cache = MemoryCache(limit_bytes=1000)
>>> small = Volume(np.zeros((1, 2, 2), np.uint8), Kind.RAW)
>>> cache.put("a", small)
>>> cache.get("a") is small, cache.get("b")
(True, None)
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.step import Step
from plantseg_app.core.volume import Kind, Origin, Place, Volume, VoxelSize
from plantseg_app.errors import InputError

_ORPHAN_AGE_S = 24 * 3600.0


class Cache(Protocol):
    """Where finished results are kept; the oldest ones go when room is short."""

    def get(self, key: str) -> Volume | None:
        """Return the result kept under `key`, or None."""

    def put(self, key: str, volume: Volume) -> None:
        """Keep `volume` under `key`, if there is room for it at all."""

    def forget(self, keys: Iterable[str]) -> None:
        """Drop what is kept under `keys`."""


def volume_key(volume: Volume) -> str:
    """Return a key of the content and meaning of `volume`; equal content gives an equal key, in any process."""
    digest = hashlib.blake2b(digest_size=20)
    digest.update(json.dumps(_meta_of(volume), sort_keys=True).encode())
    for block in volume.data:
        # Blocks bound the copy that a view with gaps, or a file mapped into memory, needs.
        digest.update(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def node_key(step: Step, input_keys: Mapping[str, str]) -> str:
    """Return the key of what `step` makes of inputs with these keys, by port."""
    plain = [step.id, step.version, step.settings(), step.depends_on(), dict(input_keys)]
    return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=20).hexdigest()


class MemoryCache:
    """Keeps results in memory, dropping the least recently used; safe to use from several threads.

    The kept volumes are handed out as they are: copy before changing their numbers.

    Parameters
    ----------
    limit_bytes
        The most that all kept arrays may hold together; a larger single result is not kept.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._kept: OrderedDict[str, Volume] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """What the kept arrays hold together."""
        with self._lock:
            return self._size()

    def get(self, key: str) -> Volume | None:
        """Return the result kept under `key`, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: str, volume: Volume) -> None:
        """Keep `volume`, dropping the least recently used results until all fit."""
        if volume.data.nbytes > self.limit_bytes:
            return
        with self._lock:
            self._kept[key] = volume
            self._kept.move_to_end(key)
            while self._size() > self.limit_bytes:
                self._kept.popitem(last=False)

    def forget(self, keys: Iterable[str]) -> None:
        """Drop what is kept under `keys`."""
        with self._lock:
            for key in keys:
                self._kept.pop(key, None)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._kept.clear()

    def _size(self) -> int:
        return sum(volume.data.nbytes for volume in self._kept.values())


class DiskCache:
    """Keeps results as files, so that a run that was killed goes on from its last finished node.

    A result is two files, ``KEY.npy`` and ``KEY.json``. Each is written under another name and then renamed, the
    JSON last, so a result is there as a whole or not at all, whenever the program is killed.

    Parameters
    ----------
    folder
        Made when first written to.
    limit_bytes
        The most that the files may hold together; the least recently used go first.
    mapped
        Hand results out as read-only views of their files, which costs neither time nor memory, instead of reading
        them.
    """

    def __init__(self, folder: Path, limit_bytes: int, mapped: bool = False) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.mapped = mapped

    def get(self, key: str) -> Volume | None:
        """Return the result kept under `key`, or None; a damaged one is removed and counts as absent."""
        try:
            meta = json.loads(self._meta_path(key).read_text(encoding="utf-8"))
            if self._data_path(key).stat().st_size != meta["file_bytes"]:
                raise ValueError("the array is cut short")
            # asarray takes off the special behaviour of memory maps.
            data = np.asarray(np.load(self._data_path(key), "r" if self.mapped else None, allow_pickle=False))
            volume = _volume_from(meta, data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, InputError):
            self.forget([key])
            return None
        for path in (self._data_path(key), self._meta_path(key)):
            path.touch(exist_ok=True)
        return volume

    def put(self, key: str, volume: Volume) -> None:
        """Keep `volume` as files, dropping the least recently used results until all fit.

        Raises
        ------
        OSError
            If the disk is full or may not be written to.
        """
        if volume.data.nbytes > self.limit_bytes:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_room(volume.data.nbytes)
        # The old JSON must not vouch for the new array.
        self._meta_path(key).unlink(missing_ok=True)
        self._write_array(self._data_path(key), volume.data)
        self._write_meta(key, volume)

    def forget(self, keys: Iterable[str]) -> None:
        """Remove what is kept under `keys`."""
        for key in keys:
            self._meta_path(key).unlink(missing_ok=True)
            # Windows keeps a file that somebody has mapped; without its JSON it counts as absent all the same.
            with contextlib.suppress(PermissionError):
                self._data_path(key).unlink(missing_ok=True)

    def clear_after(self, process_id: int) -> None:
        """Remove the half-written files of a process of this machine that was killed."""
        for path in self.folder.glob(f"*.{process_id}-*.tmp"):
            path.unlink(missing_ok=True)

    def _write_meta(self, key: str, volume: Volume) -> None:
        """Say what the array under `key` is; from then on it is there."""
        meta = _meta_of(volume) | {"file_bytes": self._data_path(key).stat().st_size}
        temporary = self._temporary(self._meta_path(key))
        temporary.write_text(json.dumps(meta), encoding="utf-8")
        os.replace(temporary, self._meta_path(key))

    def _write_array(self, path: Path, data: NDArray[Any]) -> None:
        temporary = self._temporary(path)
        try:
            with temporary.open("wb") as file:
                np.save(file, data, allow_pickle=False)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def _make_room(self, needed_bytes: int) -> None:
        """Remove the least recently used results, and what killed programs left behind."""
        now = time.time()
        kept: list[tuple[float, int, Path]] = []
        for path in self.folder.iterdir():
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue
            if path.suffix == ".npy" and not self._is_needed(path.stem):
                kept.append((facts.st_mtime, facts.st_size, path))
            elif path.suffix == ".npy":
                needed_bytes += facts.st_size
            elif path.suffix == ".tmp" and now - facts.st_mtime > _ORPHAN_AGE_S:
                path.unlink(missing_ok=True)
        total = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total + needed_bytes <= self.limit_bytes:
                break
            self.forget([path.stem])
            total -= size

    def _is_needed(self, key: str) -> bool:
        """Whether what is kept under `key` must not go to make room."""
        del key
        return False

    def _data_path(self, key: str) -> Path:
        return self.folder / f"{key}.npy"

    def _meta_path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _temporary(self, path: Path) -> Path:
        return path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex}.tmp")


def _meta_of(volume: Volume) -> dict[str, Any]:
    return {
        "kind": volume.kind.value,
        "dtype": volume.data.dtype.str,
        "shape": list(volume.data.shape),
        "voxel_size_um": list(volume.voxel_size_um) if volume.voxel_size_um else None,
        "name": volume.name,
        "origin": dataclasses.asdict(volume.origin),
        "place": dataclasses.asdict(volume.place) if volume.place else None,
    }


def _volume_from(meta: Mapping[str, Any], data: NDArray[Any]) -> Volume:
    if [data.dtype.str, list(data.shape)] != [meta["dtype"], meta["shape"]]:
        raise ValueError("the array is not the one that was written")
    place = meta["place"]
    return Volume(
        data=data,
        kind=Kind(meta["kind"]),
        voxel_size_um=meta["voxel_size_um"],
        name=meta["name"],
        origin=Origin(**_as_tuples(meta["origin"])),
        place=Place(**_as_tuples(place)) if place else None,
    )


def _as_tuples(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: VoxelSize(*value)
        if value and key.endswith("voxel_size_um")
        else tuple(value)
        if isinstance(value, list)
        else value
        for key, value in plain.items()
    }
