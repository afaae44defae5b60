"""Maps on the canvas that fill tile by tile while a network works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer

from plantseg_app.core.volume import Shape3, Volume
from plantseg_app.gui.document import Result
from plantseg_app.gui.geometry import Grid, grid_of
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.events import Grew, Growing
from plantseg_app.run.prediction import grid_box

_PAUSE_MS = 250


class GrowingLayers(QObject):
    """Shows what grows as the layer of its node, and takes it away when nothing came of it.

    Parameters
    ----------
    bench
        The window's parts.
    """

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self._document = bench.document
        self._viewer = bench.viewer
        self._names: dict[Path, str] = {}
        self._before: dict[str, Result | None] = {}
        self._changed: set[str] = set()
        # Tiles of a small network come many times a second; drawing each would slow the network down.
        self._rest = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._rest.timeout.connect(self._draw)
        bench.runner.growing.connect(self._begin)
        bench.runner.grew.connect(self._go_on)
        bench.runner.stopped.connect(self._end)

    @property
    def names(self) -> list[str]:
        """The layers that are growing."""
        return list(self._names.values())

    def _begin(self, _token: int, growing: Growing) -> None:
        image = self._document.main_image
        if image is None or growing.node not in self._document.workflow.nodes:
            return
        try:
            data = growing.open()
        except FileNotFoundError:
            # A quick run may be over before its news arrive.
            return
        if data.ndim == 4 and len(data) > 1:
            return
        flat = data if data.ndim == 3 else data[0]
        start, stop = grid_box(self._document.workflow, growing.node, image.volume.shape_vox)
        self._viewer.show_array(flat, growing.kind, _grid(image.volume, start, stop, flat.shape), growing.node)
        self._names[growing.path] = growing.node
        self._before[growing.node] = self._document.results.get(growing.node)

    def _go_on(self, _token: int, grew: Grew) -> None:
        if grew.path in self._names:
            self._changed.add(self._names[grew.path])
            if not self._rest.isActive():
                self._rest.start()

    def _draw(self) -> None:
        for name in self._changed:
            self._viewer.refresh(name)
        self._changed.clear()

    def _end(self, _token: int) -> None:
        """Put the last finished result in the place of what did not become one."""
        self._rest.stop()
        self._changed.clear()
        self._names.clear()
        for name, before in self._before.items():
            if self._document.results.get(name) is not before:
                # It was finished, and is shown as a result already.
                continue
            if before is None:
                self._viewer.remove(name)
            else:
                self._viewer.show(before.volume, name)
        self._before.clear()


def _grid(image: Volume, start: Shape3, stop: Shape3, shape: tuple[int, ...]) -> Grid:
    """Return where an array lies that covers the box from `start` to `stop` of `image`."""
    whole = grid_of(image)
    scale: Any = [(b - a) * s / n for a, b, s, n in zip(start, stop, whole.scale, shape, strict=True)]
    translate: Any = [
        t + a * s + (new - s) / 2 for t, a, s, new in zip(whole.translate, start, whole.scale, scale, strict=True)
    ]
    return Grid(tuple(scale), tuple(translate), whole.in_um)
