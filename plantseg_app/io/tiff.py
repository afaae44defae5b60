"""Reads TIFF: ImageJ, OME, BigTIFF, tifffile's own, plain, in every compression that imagecodecs decodes.

Knows nothing of kinds and choices. Writing is in `tiff_writer`, voxel sizes are in `tiff_scale`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import InputError
from plantseg_app.io.damage import Watch, check_complete, watching
from plantseg_app.io.format import KNOWN_AXES, Format, Index, Record, StoredImage, dtype_name
from plantseg_app.io.ome import OmeImage, read_ome
from plantseg_app.io.record import record_from_text
from plantseg_app.io.tiff_scale import scale_of_series
from plantseg_app.io.tiff_writer import OWN_KEY, write_tiff

_BATCH_BYTES = 16 * 2**20

_SAMPLE_NAMES = {2: ("gray", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}


class TiffSource:
    """An open TIFF file.

    Parameters
    ----------
    path
        The file.
    tif
        The `tifffile.TiffFile`.
    watch
        Hears what tifffile complains about.
    """

    def __init__(self, path: Path, tif: Any, watch: Watch) -> None:
        self._path = path
        self._tif = tif
        self._watch = watch
        self._ome: tuple[OmeImage, ...] = read_ome(tif.ome_metadata) if tif.is_ome else ()
        # The further series of an LSM file are thumbnails.
        self._series = list(tif.series)[:1] if tif.is_lsm else list(tif.series)
        watch.raise_if_any(path.name)
        if not self._series:
            raise InputError(f"The file {path.name} holds no image; export it again.")
        for series in self._series:
            check_complete(series, tif.imagej_metadata if series.kind == "imagej" else None, path.name)

    @property
    def images(self) -> tuple[StoredImage, ...]:
        """One image a series, named by its number."""
        return tuple(self._describe(position) for position in range(len(self._series)))

    def _describe(self, position: int) -> StoredImage:
        series = self._series[position]
        ome = self._ome[position] if len(self._ome) == len(self._series) else None
        axes = "".join(letter if letter in KNOWN_AXES else "?" for letter in series.axes)
        shape = tuple(int(length) for length in series.shape)
        names = ome.channel_names if ome else ()
        if "S" in axes:
            names = _SAMPLE_NAMES.get(shape[axes.index("S")], ())
        depth = shape[axes.index("Z")] if "Z" in axes else shape[0] if axes.startswith("?") else 1
        scale = scale_of_series(self._tif, series, ome, depth)
        record = self._record(position)
        title = (ome.name if ome else "") or (series.name if len(self._series) > 1 else "")
        return StoredImage(
            name=str(position),
            shape=shape,
            dtype=dtype_name(np.dtype(series.dtype)),
            axes=None if set(axes) == {"?"} else axes,
            channel_names=names,
            voxel_size_um=scale.voxel_size_um,
            voxel_size_source=scale.source,
            title=title,
            kind=record.kind,
            place=record.place,
        )

    def fill(self, image: StoredImage, index: Index, out: NDArray[Any]) -> None:
        """Copy ``image[index]`` into `out`, page by page; only pages that are needed are decoded.

        Raises
        ------
        InputError
            If tifffile complains while decoding.
        """
        position = int(image.name)
        series = self._series[position]
        own = all(page.parent is self._tif for page in series.pages[:1])
        if own and series.dataoffset is not None and series.keyframe.is_memmappable:
            _fill_from_planes(self._path, series, self._tif.byteorder, index, out)
        else:
            self._fill_from_pages(position, index, out)
        self._watch.raise_if_any(self._path.name)

    def _fill_from_pages(self, position: int, index: Index, out: NDArray[Any]) -> None:
        series = self._series[position]
        page_shape = tuple(series.keyframe.shape)
        n_leading = len(series.shape) - len(page_shape)
        leading = tuple(series.shape[: max(n_leading, 0)])
        if series.shape[n_leading:] != page_shape or math.prod(leading) != len(series.pages):
            out[...] = self._tif.asarray(series=position).reshape(series.shape)[index]
            return
        numbers = np.arange(len(series.pages)).reshape(leading)[index[:n_leading]]
        places = list(np.ndindex(numbers.shape))
        page_bytes = math.prod(page_shape) * np.dtype(series.dtype).itemsize
        batch = max(1, _BATCH_BYTES // max(page_bytes, 1))
        for first in range(0, len(places), batch):
            here = places[first : first + batch]
            pages = [int(numbers[place]) for place in here]
            block = self._tif.asarray(key=pages, series=position).reshape(len(pages), *page_shape)
            for place, page in zip(here, block, strict=True):
                out[place] = page[index[n_leading:]]

    def record(self, image: StoredImage | None) -> Record:
        """Return what this program stored in the OME-XML, in ImageJ's Info or in the JSON description."""
        return self._record(int(image.name) if image else 0)

    def _record(self, position: int) -> Record:
        if len(self._ome) > position:
            kept = self._ome[position].own
            return Record(kept.get("kind", ""), kept.get("workflow"), kept.get("place", ""))
        if self._tif.imagej_metadata:
            return record_from_text(str(self._tif.imagej_metadata.get("Info", "")))
        own = own_json(self._tif)
        return Record(str(own.get("kind", "")), own.get("workflow"), str(own.get("place", "")))


def own_json(tif: Any) -> dict[str, Any]:
    """Return what this program wrote into the JSON description of a file that is neither OME nor ImageJ."""
    text = tif.pages.first.shaped_description
    if not text:
        return {}
    found = json.loads(text) if text.startswith("{") else {}
    own = found.get(OWN_KEY, {})
    return own if isinstance(own, dict) else {}


def _fill_from_planes(path: Path, series: Any, byteorder: str, index: Index, out: NDArray[Any]) -> None:
    # Plane by plane: a memory map of the whole would count as memory in use until it is released.
    dtype = np.dtype(series.dtype).newbyteorder(byteorder)
    plane_shape = series.shape[-2:]
    plane_size = math.prod(plane_shape)
    numbers = np.arange(math.prod(series.shape[:-2])).reshape(series.shape[:-2])[index[:-2]]
    with path.open("rb") as stream:
        for place in np.ndindex(numbers.shape):
            stream.seek(series.dataoffset + int(numbers[place]) * plane_size * dtype.itemsize)
            plane = np.fromfile(stream, dtype, plane_size).reshape(plane_shape)
            out[place] = plane[index[-2:]]


@contextmanager
def open_tiff(path: Path) -> Iterator[TiffSource]:
    """Open a TIFF file.

    Raises
    ------
    InputError
        If it is damaged or incomplete.
    """
    import tifffile

    with watching() as watch, tifffile.TiffFile(path) as tif:
        yield TiffSource(path, tif, watch)


TIFF = Format(
    name="TIFF",
    suffixes=(".tif", ".tiff", ".lsm"),
    write_suffixes=(".tif", ".tiff"),
    signatures=(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    open=open_tiff,
    write=write_tiff,
)
