"""Small pictures of slices for lists and dialogs. Arrays in, pixmaps out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPixmap

from plantseg_app.core.volume import Volume
from plantseg_app.run.picture import PALETTE, Rgb, grey_levels

_LONGEST_PX = 512


def small_picture(plane: NDArray[Any], is_labels: bool) -> Rgb:
    """Return a slice (Y, X) as (height, width, 3), uint8, at most about 512 pixels long; labels in colours."""
    step = max(1, -(-max(plane.shape) // _LONGEST_PX))
    plane = plane[::step, ::step]
    if is_labels:
        colours: Rgb = PALETTE[(plane.astype(np.uint64) * np.uint64(2654435761) >> np.uint64(7)) % np.uint64(7)]
        return np.where(plane[..., None] > 0, colours, np.uint8(0))
    finite = np.nan_to_num(plane.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return np.repeat(grey_levels(finite)[..., None], 3, axis=2)


def middle_slice(volume: Volume) -> NDArray[Any]:
    """Return the middle slice (Y, X) of a volume: of the first channel, or of objects in all their layers."""
    planes: NDArray[Any] = volume.data[..., volume.shape_vox[0] // 2, :, :]
    if planes.ndim == 2:
        return planes
    return np.asarray(planes.max(axis=0) if volume.kind.is_labels else planes[0])


def pixmap(picture: Rgb, width: int, height: int) -> QPixmap:
    """Return the picture scaled to fit into (width, height), its proportions kept."""
    fresh = np.ascontiguousarray(picture)
    rows, columns = fresh.shape[:2]
    image = QImage(fresh.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888).copy()
    how = Qt.TransformationMode.SmoothTransformation
    return QPixmap.fromImage(image).scaled(width, height, Qt.AspectRatioMode.KeepAspectRatio, how)
