"""Painting in labels: the tools of napari's labels layer, as the proofreading page offers them.

Beside the viewer the only module that knows a layer of napari. The array that is painted into is a copy, so that the
segmentation it began with stays as it was.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
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
    """Edits labels, or one plane after the other of objects that overlap.

    An object lies in one plane alone: choosing it changes to its plane, and in another plane another one is chosen.

    Signals
    -------
    edited
        Something was painted, filled, erased, undone or redone.
    selected
        Another label was chosen, here or by picking it on the canvas.
    turned
        Another plane is edited, counted from 0.

    Parameters
    ----------
    planes
        One layer for labels, or for each plane one; their arrays are replaced by copies.
    """

    edited = Signal()
    selected = Signal(int)
    turned = Signal(int)

    def __init__(self, planes: Sequence[Labels], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._planes = tuple(planes)
        self._layer = self._planes[0]
        for layer in self._planes:
            layer.data = np.array(layer.data)
            layer.n_edit_dimensions = layer.data.ndim
            layer.events.paint.connect(self._tell_edited)
            layer.events.selected_label.connect(self._tell_selected)

    def close(self) -> None:
        """Stop listening to the layers and put the tools down."""
        self._layer.mode = Tool.PAN.value
        for layer in self._planes:
            layer.events.paint.disconnect(self._tell_edited)
            layer.events.selected_label.disconnect(self._tell_selected)

    @property
    def labels(self) -> NDArray[Any]:
        """(Z, Y, X) of the plane that is edited, as it is now; not to be changed by others."""
        return np.asarray(self._layer.data)

    @property
    def layers(self) -> NDArray[Any]:
        """(L, Z, Y, X), all planes as they are now; a copy."""
        return np.stack([layer.data for layer in self._planes])

    @property
    def plane(self) -> int:
        """The plane that is edited, counted from 0."""
        return self._planes.index(self._layer)

    @property
    def plane_name(self) -> str:
        """The name of its layer on the canvas."""
        return str(self._layer.name)

    def turn_to(self, plane: int) -> None:
        """Edit another plane, with the same tool, and an object that may be painted there."""
        old, new = self._layer, self._planes[plane]
        if new is old:
            return
        self._layer = new
        new.brush_size, new.n_edit_dimensions, new.preserve_labels = (
            old.brush_size, old.n_edit_dimensions, old.preserve_labels,
        )  # fmt: skip
        new.mode, old.mode = old.mode, Tool.PAN.value
        new.selected_label = old.selected_label
        if self._home_of(self.selected_label) not in (None, plane):
            self.select_new()
        self.turned.emit(plane)

    def _home_of(self, label: int) -> int | None:
        """Return the plane in which an object lies; None for background and for a number that is free."""
        homes = (i for i, layer in enumerate(self._planes) if label and bool((layer.data == label).any()))
        return next(homes, None)

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
        """Choose the label that is painted, and its plane."""
        home = self._home_of(label) if len(self._planes) > 1 else None
        if home is not None and home != self.plane:
            self._layer.selected_label = 0
            self.turn_to(home)
        self._layer.selected_label = label

    def select_new(self) -> int:
        """Choose a label that no cell has, and return it."""
        label = max(int(np.max(layer.data, initial=0)) for layer in self._planes) + 1
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
        """Take the last change of this plane back."""
        self._layer.undo()
        self.edited.emit()

    def redo(self) -> None:
        """Make the change of this plane again that was taken back last."""
        self._layer.redo()
        self.edited.emit()

    def _tell_edited(self) -> None:
        self.edited.emit()

    def _tell_selected(self, event: Any = None) -> None:
        if event is not None and getattr(event, "source", self._layer) is not self._layer:
            return
        self.selected.emit(self.selected_label)
