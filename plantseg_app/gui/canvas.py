"""The canvas itself: made late, dressed in the theme, turned and zoomed; what is on it is the viewer's business.

Uses napari's public pieces, a `ViewerModel` shown by a `QtViewer`, inside a window of our own. napari takes seconds to
import, so it is imported after the window has been painted, or when something is to be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from plantseg_app.gui.canvas_names import name_controls
from plantseg_app.gui.qt_runner import Beside

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.qt import QtViewer

_NOTE_PX = 10


class _Place(QWidget):
    """An empty place in the window, until something is put there."""

    def __init__(self, on_first_paint: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._on_first_paint = on_first_paint
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)

    def put(self, widget: QWidget) -> None:
        """Fill the place with `widget`."""
        layout = self.layout()
        if layout is not None:
            layout.addWidget(widget)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Tell of the first paint, once it is over."""
        super().paintEvent(event)
        if self._on_first_paint is not None:
            QTimer.singleShot(0, self._on_first_paint)
            self._on_first_paint = None


class Canvas:
    """A view of slices or of a volume, with its list of layers and their controls.

    Parameters
    ----------
    theme
        ``"dark"`` or ``"light"``.
    beside
        A thread of its own, in which half of napari is imported while the window can be used; without one napari is
        imported when it is needed.
    """

    def __init__(self, theme: str = "dark", beside: Beside | None = None) -> None:
        self._theme = theme
        self._beside = beside
        self._model: ViewerModel | None = None
        self._qt_viewer: QtViewer | None = None
        self._is_closed = False
        self._note: QLabel | None = None
        self._followers: list[Callable[[], None]] = []
        self._when_started: list[Callable[[], None]] = []
        self._canvas_place = _Place(self._prepare if beside is not None else None)
        self._list_place, self._controls_place = _Place(), _Place()

    @property
    def widget(self) -> QWidget:
        """The canvas with its sliders, to be put into the window."""
        return self._canvas_place

    @property
    def layer_list(self) -> QWidget:
        """The list of layers, to be put into the window."""
        return self._list_place

    @property
    def layer_controls(self) -> QWidget:
        """The controls of the chosen layer, to be put into the window."""
        return self._controls_place

    @property
    def model(self) -> ViewerModel:
        """Napari's model of what is shown; makes the canvas if it is not there yet."""
        if self._model is None:
            self.start()
        if self._model is None:
            raise RuntimeError("The viewer has been closed.")
        return self._model

    def start(self) -> None:
        """Make the canvas, unless it is there."""
        if self._model is not None or self._is_closed:
            return
        from napari.components import ViewerModel
        from napari.qt import QtViewer, get_qapp

        get_qapp()  # registers napari's icons with the application that runs
        self._model = ViewerModel()
        self._model.theme = self._theme
        self._qt_viewer = QtViewer(self._model)
        # Files dropped on the canvas are the window's business, not napari's.
        self._qt_viewer.setAcceptDrops(False)
        self._canvas_place.put(self._qt_viewer)
        self._list_place.put(self._qt_viewer.layers)
        self._controls_place.put(self._qt_viewer.controls)
        for follower in self._followers:
            self._follow_view(follower)
        for started in self._when_started:
            started()

    def when_started(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the canvas is there; at once if it is."""
        if self._model is not None:
            callback()
        else:
            self._when_started.append(callback)

    def _prepare(self) -> None:
        """Import the half of napari that knows no Qt in a thread, then make the canvas."""
        if self._beside is not None:
            self._beside.ask(_import_napari, lambda _: self.start(), lambda _: self.start())

    def set_theme(self, theme: str) -> None:
        """Use napari's ``"dark"`` or ``"light"`` colours on the canvas."""
        self._theme = theme
        if self._model is not None:
            self._model.theme = theme

    def name_controls(self) -> None:
        """Give names to those controls that have none, for people who hear the window."""
        if self._qt_viewer is None:
            return
        self._qt_viewer.layers.setAccessibleName("Layers")
        self._qt_viewer.layers.setToolTip("Images, maps and cells, the uppermost first; the eye shows or hides one.")
        for axis, slider in zip(self.model.dims.axis_labels, self._qt_viewer.dims.slider_widgets, strict=True):
            for part, what in (
                (slider.axis_label, "name of the axis"),
                (slider.curslice_label, "shown slice"),
                (slider.play_button, "play through the slices"),
                (slider.slider, "slice"),
            ):
                part.setAccessibleName(f"{axis.upper()}: {what}")
        name_controls(self._qt_viewer.controls)
        name_controls(self._qt_viewer.dims)

    def fit(self) -> None:
        """Bring everything into view."""
        self.model.fit_to_view()

    def toggle_3d(self) -> None:
        """Switch between a slice and the volume."""
        self.model.dims.ndisplay = 2 if self.model.dims.ndisplay == 3 else 3

    @property
    def is_3d(self) -> bool:
        """Whether the volume is shown rather than a slice."""
        return self._model is not None and bool(self._model.dims.ndisplay == 3)

    def show_note(self, text: str) -> None:
        """Show a few words in the corner of the canvas, none if they are empty."""
        if self._note is None:
            self._note = QLabel(self._canvas_place)
            self._note.setProperty("role", "note")
            self._note.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            self._note.move(_NOTE_PX, _NOTE_PX)
        self._note.setText(text)
        self._note.adjustSize()
        self._note.setVisible(bool(text))
        self._note.raise_()

    def picture(self) -> NDArray[np.uint8]:
        """Return what the canvas shows, (Y, X, 4) RGBA."""
        self.start()
        if self._qt_viewer is None:
            raise RuntimeError("The viewer has been closed.")
        return np.asarray(self._qt_viewer.screenshot(flash=False))

    def on_view_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever another slice is shown or the view is turned, moved or zoomed."""
        self._followers.append(callback)
        if self._model is not None:
            self._follow_view(callback)

    def _follow_view(self, callback: Callable[[], None]) -> None:
        for changed in (self.model.dims.events.current_step, self.model.dims.events.order):
            changed.connect(lambda _event: callback())
        self.model.dims.events.ndisplay.connect(lambda _event: callback())
        self.model.scene.camera.events.center.connect(lambda _event: callback())
        self.model.scene.camera.events.zoom.connect(lambda _event: callback())

    def shortcuts(self) -> Mapping[str, str]:
        """Return the keys of the canvas that people use, and what they do."""
        return {
            "Mouse wheel": "Zoom",
            "Ctrl+Mouse wheel": "Next or previous slice",
            "Left, Right": "Previous or next slice",
            "Ctrl+Z, Ctrl+Shift+Z": "Undo or redo painting in the chosen labels layer",
            "1 to 7": "Tools of the chosen labels layer: erase, paint, polygon, fill, pick, pan, transform",
            "[, ]": "Smaller or larger brush",
        }

    def close(self) -> None:
        """Release the canvas; the viewer cannot be used afterwards."""
        self._is_closed = True
        if self._beside is not None:
            self._beside.stop()
        if self._qt_viewer is not None:
            self._qt_viewer.close()
            self._qt_viewer = None


def _import_napari() -> None:
    import napari.components
    import napari.layers  # noqa: F401
