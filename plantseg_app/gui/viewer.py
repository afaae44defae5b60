"""The canvas: the only module that touches napari, so that a change of napari is mended in one place.

Uses napari's public pieces, a `ViewerModel` shown by a `QtViewer`, inside a window of our own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.qt import QtViewer, get_qapp, get_stylesheet

from plantseg_app.core.volume import Kind, Volume

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

# Perceptually even and safe for colour-blind eyes.
COLORMAPS = {Kind.RAW: "gray", Kind.BOUNDARY: "magma", Kind.FOREGROUND: "viridis", Kind.NUCLEI: "cividis"}


class Viewer:
    """Images and labels in layers, one for each volume shown.

    Parameters
    ----------
    theme
        ``"dark"`` or ``"light"``.
    """

    def __init__(self, theme: str = "dark") -> None:
        get_qapp()  # registers napari's icons with the application that runs
        self.model = ViewerModel()
        self.model.theme = theme
        self._widget: QtViewer | None = QtViewer(self.model)
        # Files dropped on the canvas are the window's business, not napari's.
        self._widget.setAcceptDrops(False)

    @property
    def widget(self) -> QtViewer:
        """The canvas with its sliders."""
        if self._widget is None:
            raise RuntimeError("The viewer has been closed.")
        return self._widget

    @property
    def layer_list(self) -> QWidget:
        """The list of layers, to be docked."""
        widget: QWidget = self.widget.layers
        return widget

    @property
    def layer_controls(self) -> QWidget:
        """The controls of the chosen layer, to be docked."""
        widget: QWidget = self.widget.controls
        return widget

    def show(self, volume: Volume, name: str) -> None:
        """Show `volume` as the layer `name`, in place of an older one of that name."""
        scale = tuple(volume.spacing)
        unit = "um" if volume.voxel_size_um else "pixel"
        if name in self.model.layers:
            self.model.layers.remove(name)
        common: dict[str, Any] = {"name": name, "scale": scale, "units": (unit,) * 3}
        if volume.kind is Kind.LABELS:
            self.model.add_labels(volume.data, opacity=0.5, **common)
        elif volume.data.ndim == 4:
            self.model.add_image(volume.data, channel_axis=0, **{**common, "name": None})
        else:
            self.model.add_image(volume.data, colormap=COLORMAPS.get(volume.kind, "gray"), **common)
        self.model.canvas.overlays.scale_bar.visible = True
        self.model.dims.axis_labels = ("z", "y", "x")
        if volume.shape_vox[0] > 1 and len(self.model.layers) == 1:
            self.model.dims.set_current_step(0, volume.shape_vox[0] // 2)

    def clear(self) -> None:
        """Remove all layers."""
        self.model.layers.clear()

    def layer_names(self) -> list[str]:
        """Return the names of the layers, lowest first."""
        return [layer.name for layer in self.model.layers]

    def stylesheet(self) -> str:
        """Return napari's style sheet for the theme, so that the window around the canvas fits it."""
        return str(get_stylesheet(self.model.theme))

    def close(self) -> None:
        """Release the canvas; the viewer cannot be used afterwards."""
        if self._widget is not None:
            self._widget.close()
            self._widget = None
