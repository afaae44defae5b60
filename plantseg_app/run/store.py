"""Volumes that pass from one process to another through a folder: written once, then read without copying.

A `VolumeRef` is the small thing that is sent or kept in a session; the numbers stay in the file. The same files are the
cache of a `Runner`: what a node made is found again under its key. Knows neither processes nor windows.

>>> import tempfile
>>> import numpy as np
>>> with tempfile.TemporaryDirectory() as folder:
...     store = VolumeStore(Path(folder))
...     ref = store.add(Volume(np.full((2, 3, 4), 7, np.uint8), Kind.RAW, name="seven"))
...     back = store.open(VolumeRef.model_validate_json(ref.model_dump_json()))
...     back.name, int(back.data.max()), back.data.flags.writeable
('seven', 7, False)
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from plantseg_app.core.quantities import human_bytes
from plantseg_app.core.volume import Kind, Shape3, Volume, VoxelSize
from plantseg_app.errors import InputError, ResourceError
from plantseg_app.run.cache import DiskCache, volume_key

_RESERVE_BYTES = 200_000_000
_PIN = ".pin"


class VolumeRef(BaseModel):
    """Which volume of a store, and what can be said of it without opening the file.

    Attributes
    ----------
    key
        The name of its files in the store: a hash.
    kind, shape, dtype, voxel_size_um, name
        As in `Volume`; the shape is ([C,] Z, Y, X).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{16,128}$")]
    kind: Kind
    shape: tuple[int, ...]
    dtype: str
    voxel_size_um: VoxelSize | None = None
    name: str = ""

    @classmethod
    def of(cls, key: str, volume: Volume) -> VolumeRef:
        """Return the reference to `volume`, kept under `key`."""
        return cls(
            key=key,
            kind=volume.kind,
            shape=tuple(int(n) for n in volume.data.shape),
            dtype=volume.data.dtype.str,
            voxel_size_um=volume.voxel_size_um,
            name=volume.name,
        )

    def as_kind(self, kind: Kind) -> VolumeRef:
        """Return a reference to the same numbers taken as something else; `VolumeStore.open` gives that kind."""
        return self.model_copy(update={"kind": kind})

    @property
    def shape_vox(self) -> Shape3:
        """(Z, Y, X) without the leading axis."""
        z, y, x = self.shape[-3:]
        return z, y, x

    @property
    def size_bytes(self) -> int:
        """What the numbers take."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class VolumeStore(DiskCache):
    """A folder of volumes; several processes may use it at once.

    Volumes that are pinned stay; the others are a cache, in which the least recently used make room.

    Parameters
    ----------
    folder
        Made when first written to.
    limit_bytes
        The most that all volumes may take; by default half of what is free on the disk when the store is opened.
    """

    def __init__(self, folder: Path, limit_bytes: int | None = None) -> None:
        super().__init__(folder, _half_of_free(folder) if limit_bytes is None else limit_bytes, mapped=True)

    def add(self, volume: Volume, key: str | None = None) -> VolumeRef:
        """Write `volume`, under a key of its content unless one is given, and return the reference.

        Raises
        ------
        ResourceError
            If the disk has no room or may not be written to.
        """
        key = volume_key(volume) if key is None else key
        if not self.holds(key):
            try:
                self.put(key, volume)
            except OSError as error:
                raise ResourceError(f"{_what(volume)} cannot be kept in {self.folder}: {error}.") from error
            if not self.holds(key):
                raise ResourceError(self._no_room(volume))
        return VolumeRef.of(key, volume)

    def put(self, key: str, volume: Volume) -> None:
        """Keep `volume`, dropping unpinned volumes as needed.

        Raises
        ------
        ResourceError
            If the disk has no room.
        OSError
            If it may not be written to.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            if shutil.disk_usage(self.folder).free >= volume.data.nbytes + _RESERVE_BYTES:
                break
            self._make_room(self.limit_bytes)
        else:
            raise ResourceError(self._no_room(volume))
        super().put(key, volume)

    def with_voxel_size(self, ref: VolumeRef, size_um: VoxelSize | None) -> VolumeRef:
        """Keep the numbers of `ref` with another voxel size as well, and return the reference; they are not copied.

        Raises
        ------
        InputError
            If the volume is gone or damaged.
        ResourceError
            If the disk has no room or may not be written to.
        """
        volume = self.open(ref)
        place = volume.place
        if place is not None:
            # What was said about a crop holds for the full image too; its place says how large that is.
            place = dataclasses.replace(place, full_voxel_size_um=None)
        words = f"{ref.key} {ref.kind.value} {size_um}"
        key = hashlib.blake2b(words.encode(), digest_size=20).hexdigest()
        sized = volume.replace(voxel_size_um=size_um, place=place)
        try:
            # Files of a store are replaced, never written into, so that two names may share one.
            os.link(self._data_path(ref.key), self._data_path(key))
        except FileExistsError:
            pass
        except OSError:
            return self.add(sized, key)
        self._write_meta(key, sized)
        return VolumeRef.of(key, sized)

    def open(self, ref: VolumeRef) -> Volume:
        """Return the volume as a read-only view of its file, of the kind that the reference says.

        Raises
        ------
        InputError
            If it is not there any more, is damaged, or cannot be of that kind.
        """
        volume = self.get(ref.key)
        if volume is None:
            raise InputError(
                f'The volume "{ref.name or ref.kind.value}" is not in {self.folder} any more, or is damaged; '
                "read or compute it again."
            )
        return volume if volume.kind is ref.kind else volume.replace(kind=ref.kind)

    def holds(self, key: str) -> bool:
        """Whether there is a whole volume under `key`; the numbers are not looked at."""
        return self._meta_path(key).exists() and self._data_path(key).exists()

    def pin(self, key: str) -> None:
        """Keep the volume under `key` until `pin_only` leaves it out."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._pin_path(key).touch()

    def pin_only(self, keys: Iterable[str]) -> None:
        """Pin these volumes and no others."""
        wanted = set(keys)
        pinned = {path.stem for path in self.folder.glob(f"*{_PIN}")}
        for key in pinned - wanted:
            self._pin_path(key).unlink(missing_ok=True)
        for key in wanted - pinned:
            self.pin(key)

    def forget(self, keys: Iterable[str]) -> None:
        """Remove the volumes under `keys`, pinned or not."""
        keys = list(keys)
        super().forget(keys)
        for key in keys:
            self._pin_path(key).unlink(missing_ok=True)

    def _is_needed(self, key: str) -> bool:
        return self._pin_path(key).exists()

    def _pin_path(self, key: str) -> Path:
        return self.folder / f"{key}{_PIN}"

    def _no_room(self, volume: Volume) -> str:
        free = shutil.disk_usage(self.folder).free
        return (
            f"{_what(volume)} takes {human_bytes(volume.data.nbytes)} and the disk of {self.folder} has "
            f"{human_bytes(free)} free; make room there, or set PLANTSEG_APP_HOME to a folder on a larger disk."
        )


def _what(volume: Volume) -> str:
    return f'The volume "{volume.name}"' if volume.name else f"The {volume.kind.value} volume"


def _half_of_free(folder: Path) -> int:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free // 2
