"""The outline of a box on the canvas, which stays there and can be pulled at.

Together with `plantseg_app.gui.viewer` the only module that touches napari's layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.layers import Shapes

    from plantseg_app.gui.viewer import Box, Viewer

Span = tuple[float, float]
"""Start and stop along one axis, in voxels."""

# Amber is seen on grey images and on every map, by colour-blind eyes too; outside the box's slices it fades.
_INSIDE, _OUTSIDE = "#ffb000", "#ffb00055"
_NOTHING = "#00000000"
_SCREEN_WIDTH = 2.0


class BoxOutline:
    """Shows one box, as a rectangle on every slice and as edges in 3D.

    Parameters
    ----------
    viewer
        The canvas.
    name
        Of the layer.
    pulled
        Called with the new ranges along Y and X, in voxels, after a person has pulled at the rectangle.
    """

    def __init__(self, viewer: Viewer, name: str, pulled: Callable[[Span, Span], None]) -> None:
        self._viewer = viewer
        self._name = name
        self._pulled = pulled
        self._box: Box | None = None
        self._like = ""
        viewer.when_started(self._follow)

    def _follow(self) -> None:
        """Follow the slice that is shown."""
        events = self._viewer.model.dims.events
        events.current_step.connect(lambda _event: self._show_whether_inside())
        events.ndisplay.connect(lambda _event: self._redraw())

    @property
    def box(self) -> Box | None:
        """The box that is shown."""
        return self._box

    def show(self, box: Box, like: str) -> None:
        """Show `box`, in voxels of the layer `like`."""
        if (box, like) == (self._box, self._like) and self._layer() is not None:
            return
        self._box, self._like = box, like
        self._redraw()

    def remove(self) -> None:
        """Take the outline off the canvas."""
        self._box = None
        self._viewer.remove(self._name)

    def let_go(self) -> None:
        """Leave the outline where it is, but let the mouse move the view again."""
        shapes = self._layer()
        if shapes is not None:
            shapes.mode = "pan_zoom"
            shapes.selected_data = set()

    def _layer(self) -> Shapes | None:
        return next((layer for layer in self._viewer.model.layers if layer.name == self._name), None)

    def _redraw(self) -> None:
        like = next((layer for layer in self._viewer.model.layers if layer.name == self._like), None)
        if self._box is None or like is None:
            return
        chosen = self._viewer.model.layers.selection.active
        self._viewer.remove(self._name)
        flat = not self._viewer.is_3d
        from napari.layers import Shapes

        shapes = Shapes(
            [_rectangle(self._box)] if flat else _edges(self._box),
            shape_type="rectangle" if flat else "path",
            # A layer without Z lies on every slice.
            ndim=2 if flat else 3,
            name=self._name,
            scale=like.scale[-2:] if flat else like.scale[-3:],
            translate=like.translate[-2:] if flat else like.translate[-3:],
            units=like.units[-2:] if flat else like.units[-3:],
            edge_color=_INSIDE,
            face_color=_NOTHING,
            edge_width=self._line_width(like),
        )
        self._viewer.model.add_layer(shapes)
        if flat:
            shapes.mode = "select"
            shapes.selected_data = {0}
            shapes.events.data.connect(self._take)
            self._show_whether_inside()
        elif chosen is not None and chosen in self._viewer.model.layers:
            self._viewer.model.layers.selection.active = chosen

    def _line_width(self, like: Any) -> float:
        """Return the width of a line, in voxels, that is thin at any size of image."""
        return float(max(0.5, _SCREEN_WIDTH * max(like.data.shape[-2:]) / 500))

    def _take(self, event: Any) -> None:
        shapes = self._layer()
        if shapes is None or not str(getattr(event, "action", "")).lower().endswith("changed"):
            return
        corners: NDArray[np.float64] = np.asarray(shapes.data[0], dtype=np.float64)
        (y0, x0), (y1, x1) = corners.min(axis=0) + 0.5, corners.max(axis=0) + 0.5
        self._pulled((float(y0), float(y1)), (float(x0), float(x1)))

    def _show_whether_inside(self) -> None:
        shapes = self._layer()
        like = next((layer for layer in self._viewer.model.layers if layer.name == self._like), None)
        if shapes is None or like is None or self._box is None or self._viewer.is_3d:
            return
        at = float(like.world_to_data(self._viewer.model.dims.point)[-3])
        inside = self._box[0].start - 0.5 <= at < self._box[0].stop - 0.5
        shapes.edge_color = [_INSIDE if inside else _OUTSIDE] * len(shapes.data)


def _rectangle(box: Box) -> NDArray[np.float64]:
    (y0, y1), (x0, x1) = ((part.start - 0.5, part.stop - 0.5) for part in box[1:])
    return np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]])


def _edges(box: Box) -> list[NDArray[np.float64]]:
    """Return the bottom, the top and the four upright edges of a box."""
    flat = _rectangle(box)
    lid = [np.column_stack([np.full(5, z - 0.5), flat[[0, 1, 2, 3, 0]]]) for z in (box[0].start, box[0].stop)]
    return lid + [np.array([lid[0][corner], lid[1][corner]]) for corner in range(4)]
