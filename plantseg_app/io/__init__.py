"""Files to volumes and back: TIFF, HDF5, PNG and JPEG. Knows no network, no step and no window.

>>> import tempfile, numpy as np
>>> from pathlib import Path
>>> from plantseg_app.core.volume import Kind, Volume
>>> cells = Volume(np.full((2, 3, 4), 70000, np.uint32), Kind.LABELS, voxel_size_um=(0.235, 0.15, 0.15))
>>> with tempfile.TemporaryDirectory() as folder:
...     file = write_volume(Path(folder) / "cells.tif", cells, workflow="nodes: []")
...     back = read_volume(file, kind=Kind.LABELS)
...     (int(back.data.max()), back.voxel_size_um.z, read_workflow(file))
(70000, 0.235, 'nodes: []')
"""

from __future__ import annotations

from plantseg_app.io.formats import FORMATS, is_image_name, readable_suffixes, writable_suffixes
from plantseg_app.io.reader import ImageInfo, inspect_image, read_volume, read_workflow
from plantseg_app.io.writer import write_volume

__all__ = [
    "FORMATS",
    "ImageInfo",
    "inspect_image",
    "is_image_name",
    "read_volume",
    "read_workflow",
    "readable_suffixes",
    "writable_suffixes",
    "write_volume",
]
