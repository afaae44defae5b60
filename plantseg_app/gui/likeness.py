"""How like the pixel under the cursor all others are, shown live: the soft mask of the object that it lies in."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QObject, QTimer

from plantseg_app.gui.geometry import Grid

if TYPE_CHECKING:
    from plantseg_app.algorithms.picking import Embedded
    from plantseg_app.gui.viewer import Viewer

LIKENESS = "likeness"
_PAUSE_MS = 20
_MOST_SHOWN = 300_000
"""Pixels that are computed at most; of larger views every n-th one is, so that the picture follows the cursor."""


class Likeness(QObject):
    """Follows the cursor while it is started; on slices, for in depth a map hides what it lies on.

    Parameters
    ----------
    viewer
        The canvas.
    """

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._embedded: Embedded | None = None
        self._grid = Grid((1.0,) * 3, (0.0,) * 3, False)
        self._layer = ""
        self._position: tuple[float, ...] | None = None
        self.place: tuple[int, int, int] | None = None
        """Z, Y, X of the voxel to which all are compared; None while the cursor is nowhere."""
        self._unfollow: list[Callable[[], None]] = []
        self._rest = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._rest.timeout.connect(self._draw)

    @property
    def is_on(self) -> bool:
        """Whether it follows the cursor."""
        return self._embedded is not None

    def start(self, embedded: Embedded, grid: Grid, layer: str) -> None:
        """Follow the cursor over an embedding, within what is seen of a layer that has the same voxels."""
        self.stop()
        self._embedded, self._grid, self._layer = embedded, grid, layer
        model = self._viewer.model
        events = (model.dims.events.current_step, model.dims.events.ndisplay, model.scene.camera.events.zoom)
        model.mouse_move_callbacks.append(self._move)
        for event in events:
            event.connect(self._look_again)
        self._unfollow = [lambda: model.mouse_move_callbacks.remove(self._move)]
        self._unfollow += [functools.partial(event.disconnect, self._look_again) for event in events]

    def stop(self) -> None:
        """Follow the cursor no longer, and take the map away."""
        self._rest.stop()
        for unfollow in self._unfollow:
            unfollow()
        self._unfollow = []
        self._embedded = self._position = self.place = None
        self._viewer.remove(LIKENESS)

    def _move(self, _model: object, event: Any) -> None:
        self._position = tuple(event.position)[-3:]
        self._look_again()

    def _look_again(self, _event: object = None) -> None:
        if not self._rest.isActive():
            self._rest.start()

    def _draw(self) -> None:
        embedded, box = self._embedded, self._viewer.visible_box(self._layer)
        self.place = None if embedded is None else self._pointed(embedded)
        if embedded is None or self.place is None or box is None or self._viewer.is_3d:
            self._viewer.remove(LIKENESS)
            return
        n_seen = math.prod(part.stop - part.start for part in box)
        step = max(1, math.ceil(math.sqrt(n_seen / _MOST_SHOWN)))
        steps = [1 if part.stop - part.start == 1 else step for part in box]
        values = embedded.likeness_to(self.place, box, steps)
        edges = self._grid.scale
        scale = (edges[0] * steps[0], edges[1] * steps[1], edges[2] * steps[2])
        z, y, x = (t + part.start * e for t, e, part in zip(self._grid.translate, edges, box, strict=True))
        grid = Grid(scale, (z, y, x), self._grid.in_um)
        self._viewer.show_spotlight(values, grid, LIKENESS)

    def _pointed(self, embedded: Embedded) -> tuple[int, int, int] | None:
        """Return the voxel under the cursor on the slice that is shown now, None outside the image."""
        if self._position is None:
            return None
        dims = self._viewer.model.dims
        world = [dims.point[axis] if axis in dims.not_displayed else self._position[axis] for axis in range(3)]
        at = [(w - t) / s for w, t, s in zip(world, self._grid.translate, self._grid.scale, strict=True)]
        z, y, x = (int(np.floor(place + 0.5)) for place in at)
        inside = all(0 <= place < size for place, size in zip((z, y, x), embedded.shape_vox, strict=True))
        return (z, y, x) if inside else None
