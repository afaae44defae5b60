"""Writes TIFF: ImageJ's hyperstack for images, OME-TIFF for what ImageJ's format cannot hold.

ImageJ's own flavour knows uint8, uint16 and float32 below 4 GiB. Labels are uint32, so they become OME-TIFF: strips,
zlib without predictor and a page a slice, which Bio-Formats, napari and plain ImageJ (as 32-bit) all open.
OME-XML has no 64-bit integers; those become plain TIFF with a JSON description.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Volume, VoxelSize
from plantseg_app.io.format import Job, Record
from plantseg_app.io.ome import NAMESPACE
from plantseg_app.io.record import record_to_text

OWN_KEY = "plantseg_app"

# Offsets of a classic TIFF have 32 bits; what is not pixels needs some room too.
_CLASSIC_BYTES = 2**32 - 2**26
_LABEL_LEVEL = 6
_IMAGE_LEVEL = 1


def write_tiff(path: Path, job: Job) -> None:
    """Write a volume as the only image of a new TIFF file, losslessly compressed.

    Parameters
    ----------
    path
        A file that does not exist yet.
    job
        What to write.
    """
    import tifffile

    volume = job.volume
    dtype = stored_dtype(volume)
    n_bytes = volume.data.size * dtype.itemsize
    options = _options(volume, dtype, job.record, n_bytes)
    level = _LABEL_LEVEL if volume.kind.is_labels else _IMAGE_LEVEL
    pages: Any = _pages(volume.data, dtype, channels_last="imagej" in options)
    if volume.data.shape[-1] == 1 and not {"imagej", "ome"} & set(options):
        # tifffile lays out a volume one voxel wide in its own way, which pages do not fit.
        pages = np.ascontiguousarray(volume.data, dtype)
    tifffile.imwrite(
        path,
        pages,
        dtype=dtype,
        bigtiff=n_bytes > _CLASSIC_BYTES,
        photometric="minisblack",
        compression="zlib",
        compressionargs={"level": level},
        software="PlantSeg App",
        **options,
    )


def stored_dtype(volume: Volume) -> np.dtype[Any]:
    """Return the type in which a volume is stored: its own, labels as uint32 unless one needs 64 bits.

    Booleans become uint8 and float16 float32, which every program reads.
    """
    dtype = volume.data.dtype.newbyteorder("=")
    if volume.kind.is_labels:
        wide = dtype.itemsize == 8 and int(volume.data.max()) > np.iinfo(np.uint32).max
        return np.dtype(np.uint64 if wide else np.uint32)
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def _options(volume: Volume, dtype: np.dtype[Any], record: Record, n_bytes: int) -> dict[str, Any]:
    if dtype.kind in "iu" and dtype.itemsize == 8:
        return _json_options(volume, record)
    if dtype in (np.uint8, np.uint16, np.float32) and not volume.kind.is_labels and n_bytes <= _CLASSIC_BYTES:
        return _imagej_options(volume, record)
    return _ome_options(volume, record)


def _imagej_options(volume: Volume, record: Record) -> dict[str, Any]:
    size = volume.voxel_size_um
    # All six axes are named: tifffile takes a volume one voxel wide for colours otherwise.
    z, y, x = volume.shape_vox
    channels = volume.data.shape[0] if volume.data.ndim == 4 else 1
    metadata: dict[str, Any] = {
        "axes": "TZCYXS",
        "Info": record_to_text(record, size),
        # tifffile would write a mode that colours the channels of a stack.
        "mode": "grayscale",
    }
    options: dict[str, Any] = {"imagej": True, "shape": (1, z, channels, y, x, 1), "metadata": metadata}
    if size is not None:
        metadata |= {"spacing": size.z, "unit": "micron"}
        options["resolution"] = (1.0 / size.x, 1.0 / size.y)
    return options


def _ome_options(volume: Volume, record: Record) -> dict[str, Any]:
    size = volume.voxel_size_um
    metadata: dict[str, Any] = {
        "axes": "ZYX" if volume.data.ndim == 3 else "CZYX",
        "Name": volume.name or volume.kind.value,
        "MapAnnotation": {"Namespace": NAMESPACE, **_own_values(record)},
    }
    options: dict[str, Any] = {"ome": True, "shape": volume.data.shape, "metadata": metadata}
    if size is not None:
        for letter, length in zip("ZYX", size, strict=True):
            metadata |= {f"PhysicalSize{letter}": float(length), f"PhysicalSize{letter}Unit": "µm"}
        options |= _centimetres(size)
    return options


def _json_options(volume: Volume, record: Record) -> dict[str, Any]:
    size = volume.voxel_size_um
    own: dict[str, Any] = dict(_own_values(record))
    options: dict[str, Any] = {"shape": volume.data.shape}
    if size is not None:
        own["voxel_size_um"] = [float(length) for length in size]
        options |= _centimetres(size)
    options["metadata"] = {"axes": "ZYX" if volume.data.ndim == 3 else "CZYX", OWN_KEY: own}
    return options


def _centimetres(size: VoxelSize) -> dict[str, Any]:
    return {"resolution": (1e4 / size.x, 1e4 / size.y), "resolutionunit": "CENTIMETER"}


def _own_values(record: Record) -> dict[str, str]:
    values = {"kind": record.kind} | ({"place": record.place} if record.place else {})
    return values if record.workflow is None else values | {"workflow": record.workflow}


def _pages(data: NDArray[Any], dtype: np.dtype[Any], *, channels_last: bool) -> Iterator[NDArray[Any]]:
    # One slice at a time, so that a change of type or of axes copies a slice and not the volume.
    ordered = data.swapaxes(0, 1) if channels_last and data.ndim == 4 else data
    for index in np.ndindex(ordered.shape[:-2]):
        yield np.ascontiguousarray(ordered[index], dtype)
