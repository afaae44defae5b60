"""The example of the last validation: image, what the network says, the cells made of it, and the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QSizePolicy, QWidget

from plantseg_app.run.picture import PALETTE, grey_levels
from plantseg_app.train.events import Example

_GAP = 8.0


class ExampleView(QWidget):
    """Four pictures beside each other, or two by two where the widget is narrow."""

    CAPTIONS = ("image", "prediction", "cells made of it", "truth")

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Example")
        self.setToolTip(
            "The middle slice of the first stack that judges: the image, what the network says, the cells that follow "
            "from it, and the cells as they should be."
        )
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.images: tuple[QImage, ...] = ()

    def show_example(self, example: Example | None) -> None:
        """Show an example, or nothing."""
        if example is None:
            self.images = ()
        else:
            self.images = (
                picture_of(grey_levels(example.image)),
                picture_of(grey_levels(example.prediction)),
                picture_of(coloured(example.segmentation)),
                picture_of(coloured(example.reference)),
            )
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size it would like."""
        return QSize(560, 180)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size below which nothing could be seen."""
        return QSize(260, 110)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the pictures with their captions."""
        del event
        painter = QPainter(self)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        if not self.images:
            text = "An example appears after the first validation."
            painter.drawText(QRectF(self.rect()), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, text)
            return
        line = float(self.fontMetrics().height())
        n_columns = max((4, 2), key=lambda n: self._side(n, line))
        n_rows = len(self.images) // n_columns
        width = (self.width() - _GAP * (n_columns - 1)) / n_columns
        height = self.height() / n_rows
        for number, (image, caption) in enumerate(zip(self.images, self.CAPTIONS, strict=True)):
            left, top = (number % n_columns) * (width + _GAP), (number // n_columns) * height
            painter.drawText(QRectF(left, top, width, line), Qt.AlignmentFlag.AlignLeft, caption)
            room = QSize(int(width), max(1, int(height - line - 4)))
            size = image.size().scaled(room, Qt.AspectRatioMode.KeepAspectRatio)
            painter.drawImage(QRectF(left, top + line + 2, size.width(), size.height()), image)

    def _side(self, n_columns: int, line: float) -> float:
        """Return how high a picture gets with so many columns."""
        shape = self.images[0].size()
        width = (self.width() - _GAP * (n_columns - 1)) / n_columns
        height = self.height() / (len(self.images) // n_columns) - line - 4
        return min(width * shape.height() / shape.width(), height)


def coloured(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return labels (Y, X) as colours (Y, X, 3) that differ for most neighbours; 0 is black."""
    colours = np.concatenate([np.zeros((1, 3), np.uint8), PALETTE])
    return colours[np.where(labels == 0, 0, 1 + labels % len(PALETTE)).astype(np.intp)]


def picture_of(pixels: NDArray[np.uint8]) -> QImage:
    """Return grey levels (Y, X) or colours (Y, X, 3) as a picture of Qt's that owns its pixels."""
    pixels = np.ascontiguousarray(pixels)
    sort = QImage.Format.Format_Grayscale8 if pixels.ndim == 2 else QImage.Format.Format_RGB888
    height, width = pixels.shape[:2]
    return QImage(pixels.data, width, height, pixels.strides[0], sort).copy()
