"""Painting in labels: the tools of napari's labels layer, as the proofreading page offers them.

Beside the viewer the only module that knows a layer of napari. The array that is painted into is a copy, so that the
segmentation it began with stays as it was.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

if TYPE_CHECKING:
    # napari takes long to import, and the window appears before it.
    from napari.layers import Labels


class Tool(enum.StrEnum):
    """What the mouse does; the values are napari's names of the modes."""

    PAN = "pan_zoom"
    PICK = "pick"
    PAINT = "paint"
    FILL = "fill"
    ERASE = "erase"
    POLYGON = "polygon"


class LabelEditor(QObject):
    """Edits one labels layer.

    Signals
    -------
    edited
        Something was painted, filled, erased, undone or redone.
    selected
        Another label was chosen, here or by picking it on the canvas.

    Parameters
    ----------
    layer
        The layer; its array is replaced by a copy.
    """

    edited = Signal()
    selected = Signal(int)

    def __init__(self, layer: Labels, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layer = layer
        layer.data = np.array(layer.data)
        layer.n_edit_dimensions = layer.data.ndim
        layer.events.paint.connect(self._tell_edited)
        layer.events.selected_label.connect(self._tell_selected)

    def close(self) -> None:
        """Stop listening to the layer and put the tools down."""
        self._layer.mode = Tool.PAN.value
        self._layer.events.paint.disconnect(self._tell_edited)
        self._layer.events.selected_label.disconnect(self._tell_selected)

    @property
    def labels(self) -> NDArray[Any]:
        """(Z, Y, X), as it is now; not to be changed by others."""
        return np.asarray(self._layer.data)

    @property
    def tool(self) -> Tool:
        """What the mouse does."""
        mode = str(self._layer.mode)
        return Tool(mode) if mode in list(Tool) else Tool.PAN

    def use(self, tool: Tool) -> None:
        """Take a tool in hand."""
        self._layer.mode = tool.value

    @property
    def selected_label(self) -> int:
        """The label that is painted; 0 is background."""
        return int(self._layer.selected_label)

    def select(self, label: int) -> None:
        """Choose the label that is painted."""
        self._layer.selected_label = label

    def select_new(self) -> int:
        """Choose a label that no cell has, and return it."""
        label = int(self.labels.max(initial=0)) + 1
        self.select(label)
        return label

    def set_brush(self, diameter_vox: int, in_3d: bool) -> None:
        """Paint with a brush this wide, on the shown slice or as a ball through several."""
        self._layer.brush_size = diameter_vox
        self._layer.n_edit_dimensions = self._layer.data.ndim if in_3d else 2

    def protect_other_cells(self, on: bool) -> None:
        """Paint only on background and on the chosen cell, or over everything."""
        self._layer.preserve_labels = on

    def undo(self) -> None:
        """Take the last change back."""
        self._layer.undo()
        self.edited.emit()

    def redo(self) -> None:
        """Make the change again that was taken back last."""
        self._layer.redo()
        self.edited.emit()

    def _tell_edited(self) -> None:
        self.edited.emit()

    def _tell_selected(self) -> None:
        self.selected.emit(self.selected_label)
