"""Reads and writes HDF5 as PlantSeg, PanSeg, pytorch-3dunet and ilastik do; one file holds any number of data sets."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Kind
from plantseg_app.errors import InputError, RequestError
from plantseg_app.io.format import KNOWN_AXES, Format, Index, Job, Record, StoredImage, dtype_name
from plantseg_app.io.tiff_writer import stored_dtype
from plantseg_app.io.voxelsize import NO_SCALE, Scale, micrometres, number, scale_of

SIZE_ATTRIBUTE = "element_size_um"
_BLOCK_BYTES = 16 * 2**20
_CHUNK = (16, 128, 128)
_LABEL_LEVEL = 4
_IMAGE_LEVEL = 1
_DEFAULT_NAMES = {Kind.BOUNDARY: "prediction", Kind.LABELS: "segmentation"}


class Hdf5Source:
    """An open HDF5 file.

    Parameters
    ----------
    path
        The file.
    file
        The `h5py.File`.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self._file = file
        self._images = tuple(_describe(dataset) for dataset in _datasets(file))
        if not self._images:
            raise InputError(f"The file {path.name} holds no image: no data set with two axes or more.")

    @property
    def images(self) -> tuple[StoredImage, ...]:
        """Every data set with two axes or more, by its path in the file."""
        return self._images

    def fill(self, image: StoredImage, index: Index, out: NDArray[Any]) -> None:
        """Copy ``image[index]`` into `out`, in blocks of whole chunks along the first axis that is kept."""
        dataset = self._file[image.name]
        if out.flags.c_contiguous and dataset.dtype.kind in "uif":
            # HDF5 converts the type itself, a little at a time.
            dataset.read_direct(out, index)
            return
        axis = next(number for number, part in enumerate(index) if isinstance(part, slice))
        chunk = dataset.chunks[axis] if dataset.chunks else 1
        slice_bytes = max(1, out.nbytes // max(1, out.shape[0]))
        step = max(1, _BLOCK_BYTES // (slice_bytes * chunk)) * chunk
        for first in range(0, out.shape[0], step):
            part = slice(first, min(first + step, out.shape[0]))
            out[part] = dataset[(*index[:axis], part, *index[axis + 1 :])]

    def record(self, image: StoredImage | None) -> Record:
        """Return the attributes this program wrote, of one data set or of the first that has them."""
        records = [
            Record(known.kind, _text(self._file[known.name].attrs.get("workflow")), known.place)
            for known in ((image,) if image else self._images)
        ]
        return next((found for found in records if found.workflow is not None), records[0])


def _datasets(group: Any) -> Iterator[Any]:
    import h5py

    # Soft and external links may point nowhere, or back up; only what really lies in the file is listed.
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            item = group[name]
            if isinstance(item, h5py.Dataset):
                if item.ndim >= 2:
                    yield item
            elif isinstance(item, h5py.Group):
                yield from _datasets(item)


def _describe(dataset: Any) -> StoredImage:
    tags = _axistags(dataset)
    axes = _axes(dataset, tags)
    depth = int(dataset.shape[axes.index("Z")]) if axes and "Z" in axes else 1 if dataset.ndim == 2 else 2
    scale = _scale(dataset, tags, depth)
    return StoredImage(
        name=dataset.name.strip("/"),
        shape=tuple(int(length) for length in dataset.shape),
        dtype=dtype_name(dataset.dtype),
        axes=axes,
        voxel_size_um=scale.voxel_size_um,
        voxel_size_source=scale.source,
        kind=_text(dataset.attrs.get("kind")) or "",
        place=_text(dataset.attrs.get("place")) or "",
    )


def _axistags(dataset: Any) -> list[dict[str, Any]]:
    # ilastik and vigra: JSON, {"axes": [{"key": "z", "resolution": 0.235, ...}, ...]}.
    text = _text(dataset.attrs.get("axistags"))
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return []
    axes = found.get("axes", []) if isinstance(found, dict) else []
    tags = [tag for tag in axes if isinstance(tag, dict)]
    return tags if len(tags) == dataset.ndim else []


def _axes(dataset: Any, tags: list[dict[str, Any]]) -> str | None:
    spelled = "".join(str(tag.get("key", "?"))[:1] for tag in tags)
    for name in ("axes", "axis_order"):
        spelled = spelled or (_text(dataset.attrs.get(name)) or "")
    labels = [str(dimension.label)[:1] or "?" for dimension in dataset.dims] if not spelled else []
    letters = (spelled or "".join(labels)).upper()
    if len(letters) != dataset.ndim:
        return None
    axes = "".join(letter if letter in KNOWN_AXES else "?" for letter in letters)
    unique = [letter for letter in axes if letter != "?"]
    return axes if len(set(unique)) == len(unique) and {"Y", "X"} <= set(unique) else None


def _scale(dataset: Any, tags: list[dict[str, Any]], depth: int) -> Scale:
    found = NO_SCALE
    for owner, where in ((dataset, ""), (dataset.parent, " of the group")):
        if SIZE_ATTRIBUTE in owner.attrs:
            found = _from_list(owner.attrs[SIZE_ATTRIBUTE], 1.0, f"attribute {SIZE_ATTRIBUTE}{where}", depth)
            if found.voxel_size_um is not None:
                return found
    if "resolution" in dataset.attrs:
        unit = next((dataset.attrs[name] for name in ("unit", "units") if name in dataset.attrs), None)
        return _from_resolution(dataset.attrs["resolution"], unit, depth)
    tagged = _from_tags(tags, _text(dataset.attrs.get("axis_units")), depth)
    return tagged if tagged.voxel_size_um is not None else found


def _from_resolution(values: Any, unit: Any, depth: int) -> Scale:
    if isinstance(unit, np.ndarray):
        unit = unit.flat[-1] if unit.size else None
    factor = micrometres(unit)
    if factor is None and unit is not None:
        return Scale(None, f'attribute resolution counts in "{_text(unit)}", which is not a unit of length')
    source = "attribute resolution" if factor is not None else "attribute resolution (no unit: micrometres assumed)"
    return _from_list(values, factor or 1.0, source, depth)


def _from_list(values: Any, factor: float, source: str, depth: int) -> Scale:
    lengths = [number(value) for value in np.ravel(np.asarray(values))]
    if len(lengths) == 2 and depth == 1:
        lengths = [lengths[0], *lengths]
    return scale_of(lengths, factor, source)


def _from_tags(tags: list[dict[str, Any]], units: str | None, depth: int) -> Scale:
    try:
        named = json.loads(units) if units else {}
    except ValueError:
        named = {}
    lengths: dict[str, float] = {}
    for tag in tags:
        key = str(tag.get("key", "")).lower()
        resolution = number(tag.get("resolution"))
        factor = micrometres(named.get(key) if isinstance(named, dict) else None)
        if key in "zyx" and resolution > 0:
            lengths[key] = resolution * (1.0 if factor is None else factor)
    if "y" in lengths and depth == 1:
        lengths.setdefault("z", lengths["y"])
    if set(lengths) != set("zyx"):
        return NO_SCALE
    source = "axistags" if units else "axistags (no unit: micrometres assumed)"
    return scale_of((lengths["z"], lengths["y"], lengths["x"]), 1.0, source)


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str | np.str_) else None


@contextmanager
def open_hdf5(path: Path) -> Iterator[Hdf5Source]:
    """Open an HDF5 file for reading.

    Raises
    ------
    InputError
        If it is damaged, in use by a program that writes to it, or holds no image.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except BlockingIOError as error:
        raise InputError(f"Another program is writing to {path.name}; close it there and try again.") from error
    with file:
        yield Hdf5Source(path, file)


def write_hdf5(path: Path, job: Job) -> None:
    """Write a volume as one data set of a new file, beside copies of the other data sets of the old one.

    Parameters
    ----------
    path
        A file that does not exist yet.
    job
        Without a data set's name the file holds this volume alone, under the usual name of its kind.
    """
    import h5py

    name = (job.dataset or default_dataset(job.volume.kind)).strip("/")
    with PatientFile(path, "w+b") as stream:
        try:
            # From 1.8 on an attribute, such as a long workflow, may be larger than 64 kB.
            with h5py.File(stream, "w", libver=("v108", "latest")) as file:
                if job.dataset is not None and job.target.exists():
                    with h5py.File(job.target, "r") as old:
                        _copy_others(old, file, name)
                _write_dataset(file, name, job)
        finally:
            if stream.error is not None:
                raise stream.error


class PatientFile(io.FileIO):
    """A file that goes on after an error of writing, and remembers it.

    HDF5 cannot close a file on a full disk: it keeps the descriptor and complains for as long as the process lives.
    """

    error: OSError | None = None

    def write(self, content: Any) -> int:
        """Write all of `content`, or what fits."""
        view = memoryview(content).cast("B")
        done = 0
        while done < len(view) and self.error is None:
            try:
                done += super().write(view[done:])
            except OSError as error:
                self.error = error
        return len(view)


def default_dataset(kind: Kind) -> str:
    """Return the name under which a kind is stored when none is given.

    >>> default_dataset(Kind.LABELS), default_dataset(Kind.RAW)
    ('segmentation', 'raw')
    """
    return _DEFAULT_NAMES.get(kind, kind.value)


def _copy_others(old: Any, new: Any, name: str) -> None:
    # Copying everything else, rather than deleting from a copy, leaves no hole behind.
    import h5py

    for key, value in old.attrs.items():
        new.attrs[key] = value
    head, _, rest = name.partition("/")
    for item in old:
        if item != head:
            old.copy(old[item], new, name=item, expand_soft=False)
        elif isinstance(old[item], h5py.Group):
            if not rest:
                raise RequestError(f'"{name}" is a group of several data sets; choose another name for the data set.')
            _copy_others(old[item], new.create_group(item), rest)
        elif rest:
            raise RequestError(f'"{head}" is a data set, so that "{name}" cannot lie in it; choose another name.')


def _write_dataset(file: Any, name: str, job: Job) -> None:
    volume = job.volume
    shape = volume.data.shape
    chunk = (*(1 for _ in shape[:-3]), *(min(size, limit) for size, limit in zip(shape[-3:], _CHUNK, strict=True)))
    level = _LABEL_LEVEL if volume.kind.is_labels else _IMAGE_LEVEL
    dataset = file.create_dataset(
        name, shape, stored_dtype(volume), chunks=chunk, compression="gzip", compression_opts=level
    )
    _write_chunks(dataset, volume.data, level)
    dataset.attrs.update(_attributes(job))


def _write_chunks(dataset: Any, data: NDArray[Any], level: int) -> None:
    # The same bytes as HDF5's own filter makes, at three times its speed and in threads.
    import imagecodecs

    chunk: tuple[int, ...] = dataset.chunks

    def encode(start: tuple[int, ...]) -> bytes:
        part = data[tuple(slice(first, first + length) for first, length in zip(start, chunk, strict=True))]
        whole = np.zeros(chunk, dataset.dtype)
        whole[tuple(slice(length) for length in part.shape)] = part
        return bytes(imagecodecs.deflate_encode(whole.tobytes(), level=level))

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for leading in itertools.product(*(range(0, n, c) for n, c in zip(data.shape[:-2], chunk[:-2], strict=True))):
            plane = itertools.product(*(range(0, n, c) for n, c in zip(data.shape[-2:], chunk[-2:], strict=True)))
            starts = [(*leading, *start) for start in plane]
            for start, encoded in zip(starts, pool.map(encode, starts), strict=True):
                dataset.id.write_direct_chunk(start, encoded)


def _attributes(job: Job) -> Mapping[str, Any]:
    volume = job.volume
    attributes: dict[str, Any] = {"axes": "ZYX" if volume.data.ndim == 3 else "CZYX", "kind": job.record.kind}
    if volume.voxel_size_um is not None:
        attributes[SIZE_ATTRIBUTE] = np.asarray(volume.voxel_size_um, np.float64)
    if job.record.place:
        attributes["place"] = job.record.place
    if job.record.workflow is not None:
        attributes["workflow"] = job.record.workflow
    return attributes


HDF5 = Format(
    name="HDF5",
    suffixes=(".h5", ".hdf5", ".hdf", ".hd5"),
    write_suffixes=(".h5", ".hdf5", ".hdf", ".hd5"),
    signatures=(b"\x89HDF\r\n\x1a\n",),
    open=open_hdf5,
    write=write_hdf5,
    several=True,
)
