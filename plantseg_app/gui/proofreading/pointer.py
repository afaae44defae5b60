"""The mouse over the cells: where it points, on a slice of any direction or along the line of sight in 3D.

With `overlay` and the viewer this is what touches napari.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, Signal

from plantseg_app.gui.proofreading.picking import Spot, cell_at, first_on_line

if TYPE_CHECKING:
    from napari.layers import Labels

    from plantseg_app.gui.viewer import Viewer


@dataclasses.dataclass(frozen=True)
class _Ray:
    """Where a mouse event was: world position, line of sight (3D), displayed axes."""

    position: tuple[float, ...]
    direction: NDArray[np.float64] | None
    displayed: tuple[int, ...]


class Pointer(QObject):
    """Follows the mouse over one segmentation.

    Signals
    -------
    hovered
        Another `Spot`, or None where there is none.
    pressed, moved, released
        The left button, with the `Spot` (None in 3D where there is no cell), and whether Shift is held.

    Parameters
    ----------
    viewer
        The canvas.
    name
        Of the labels on it.
    planes
        (L, Z, Y, X), the labels themselves.
    """

    hovered = Signal(object)
    pressed = Signal(object, bool)
    moved = Signal(object, bool)
    released = Signal(object, bool)

    def __init__(self, viewer: Viewer, name: str, planes: NDArray[Any], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._name = name
        self._planes = planes
        self._ray: _Ray | None = None
        self.spot: Spot | None = None
        self.keeps_view = False
        """Whether dragging draws, and so must not move the view."""
        model = viewer.model
        model.mouse_move_callbacks.append(self._hover)
        model.mouse_drag_callbacks.append(self._drag)
        model.dims.events.current_step.connect(self.look_again)
        model.dims.events.ndisplay.connect(self.forget)
        model.layers.selection.events.active.connect(self.hold_view)
        viewer.widget.installEventFilter(self)

    def close(self) -> None:
        """Follow the mouse no longer."""
        model = self._viewer.model
        model.mouse_move_callbacks.remove(self._hover)
        model.mouse_drag_callbacks.remove(self._drag)
        model.dims.events.current_step.disconnect(self.look_again)
        model.dims.events.ndisplay.disconnect(self.forget)
        model.layers.selection.events.active.disconnect(self.hold_view)
        self._viewer.widget.removeEventFilter(self)
        model.scene.camera.mouse_pan = True

    @property
    def across(self) -> int | None:
        """The axis across the shown slices; None in 3D."""
        dims = self._viewer.model.dims
        return None if self._viewer.is_3d else int(dims.not_displayed[0])

    def hold_view(self, _event: object = None) -> None:
        """Let the mouse draw, or move the view; in 3D it always turns it."""
        self._viewer.model.scene.camera.mouse_pan = not self.keeps_view or self._viewer.is_3d

    def look_again(self, _event: object = None) -> None:
        """Find out anew what is under the cursor, because the labels or the slice changed."""
        if self._ray is not None:
            self._take(self._spot(self._with_slice(self._ray)))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Notice that the cursor leaves the canvas."""
        if event.type() == QEvent.Type.Leave:
            self.forget()
        return super().eventFilter(watched, event)

    def forget(self, _event: object = None) -> None:
        """Point at nothing until the mouse moves, because the view moved under the cursor."""
        self._ray = None
        self._take(None)
        self.hold_view()

    def _hover(self, _model: object, event: Any) -> None:
        self._ray = _ray_of(event)
        self._take(self._spot(self._ray))

    def _drag(self, _model: object, event: Any) -> Iterator[None]:
        if event.button != 1:
            return
        self._ray = _ray_of(event)
        last = self._spot(self._ray)
        self._take(last)
        self.pressed.emit(last, _has_shift(event))
        yield
        start, far = np.array(event.pos), False
        while event.type == "mouse_move":
            far = far or bool(np.abs(np.array(event.pos) - start).max() > 4)
            self._ray = _ray_of(event)
            last = self._spot(self._ray)
            self._take(last)
            self.moved.emit(last, _has_shift(event))
            yield
        # Turning the volume is no click.
        self.released.emit(None if far and self._viewer.is_3d else last, _has_shift(event))

    def _take(self, spot: Spot | None) -> None:
        if spot != self.spot:
            self.spot = spot
            self.hovered.emit(spot)

    # ------------------------------------------------------------------------------------------------ where

    @property
    def shown_layers(self) -> list[int]:
        """The layers of the labels that are visible, the lowest first."""
        return [number for number, layer in enumerate(self._layers()) if layer.visible]

    def _layers(self) -> Sequence[Labels]:
        return self._viewer.labels_planes(self._name)

    def _spot(self, ray: _Ray) -> Spot | None:
        layers = self._layers()
        shown = [number for number, layer in enumerate(layers) if layer.visible]
        if not layers:
            return None
        if ray.direction is not None and len(ray.displayed) == 3:
            start, stop = layers[0].get_ray_intersections(ray.position, ray.direction, list(ray.displayed), world=True)
            return None if start is None or stop is None else first_on_line(self._planes, start, stop, shown)
        z, y, x = (int(np.floor(place + 0.5)) for place in layers[0].world_to_data(ray.position)[-3:])
        return Spot((z, y, x), cell_at(self._planes, (z, y, x), shown))

    def _with_slice(self, ray: _Ray) -> _Ray:
        """Return the same place on the slice that is shown now."""
        dims = self._viewer.model.dims
        position = list(ray.position)
        for axis in dims.not_displayed:
            position[axis] = dims.point[axis]
        return dataclasses.replace(ray, position=tuple(position))


def _ray_of(event: Any) -> _Ray:
    direction = None if event.view_direction is None else np.asarray(event.view_direction, float)
    return _Ray(tuple(event.position), direction, tuple(event.dims_displayed))


def _has_shift(event: Any) -> bool:
    return any(str(getattr(key, "name", key)) == "Shift" for key in event.modifiers)
