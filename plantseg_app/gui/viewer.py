"""The canvas: with `box_outline` the only module that touches napari's layers, to mend a change of napari in one place.

Uses napari's public pieces, a `ViewerModel` shown by a `QtViewer`, inside a window of our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes
from napari.qt import QtViewer, get_qapp, get_stylesheet
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.gui.canvas_names import name_controls
from plantseg_app.gui.geometry import Grid, grid_of

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

Box = tuple[slice, slice, slice]
"""A part of a volume along Z, Y, X."""

# Perceptually even and safe for colour-blind eyes.
COLORMAPS = {Kind.RAW: "gray", Kind.BOUNDARY: "magma", Kind.FOREGROUND: "viridis", Kind.NUCLEI: "cividis"}
_PREVIEW_OPACITY, _LABELS_OPACITY, _MAP_OPACITY = 0.6, 0.5, 0.7
_DRAWING = "drawing"


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
        self.palette: Sequence[str] = ()
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
        """The list of layers, to be put into the window."""
        widget: QWidget = self.widget.layers
        return widget

    @property
    def layer_controls(self) -> QWidget:
        """The controls of the chosen layer, to be put into the window."""
        widget: QWidget = self.widget.controls
        return widget

    # ------------------------------------------------------------------------------------------------ layers

    def show(self, volume: Volume, name: str, visible: bool = True) -> None:
        """Show `volume` as the layer `name`, in place of an older one of that name."""
        self._put(name, volume.data, volume.kind, grid_of(volume), visible)
        if volume.shape_vox[0] > 1 and len(self.model.layers) == 1:
            self.model.dims.set_current_step(0, volume.shape_vox[0] // 2)

    def show_array(self, data: NDArray[Any], kind: Kind, grid: Grid, name: str) -> None:
        """Show a plain array (Z, Y, X), such as a map that is still growing or a preview of a crop."""
        layer = self._find(name)
        same = layer is not None and layer.data.shape == data.shape and isinstance(layer, Labels) == kind.is_labels
        if layer is None or not same:
            self._put(name, data, kind, grid, True)
            return
        layer.scale, layer.translate = grid.scale, grid.translate
        layer.data = data
        layer.visible = True

    def show_categories(self, data: NDArray[Any], grid: Grid, name: str, colours: Mapping[int, str]) -> None:
        """Show whole numbers (Z, Y, X), each in its own colour ("#rrggbb"); those without one are not seen."""
        self.show_array(data, Kind.LABELS, grid, name)
        layer = self._find(name)
        if isinstance(layer, Labels):
            table: dict[int | None, str] = {None: "transparent"}
            table |= dict(colours.items())
            layer.colormap = DirectLabelColormap(color_dict=table)
            layer.opacity = _MAP_OPACITY

    def refresh(self, name: str) -> None:
        """Draw the layer `name` again, because its array was filled further."""
        layer = self._find(name)
        if layer is not None:
            layer.refresh()

    def remove(self, name: str) -> None:
        """Remove the layer `name`, if it is there."""
        layer = self._find(name)
        if layer is not None:
            self.model.layers.remove(layer)
        if not self.model.layers:
            self.model.canvas.overlays.scale_bar.visible = False

    def clear(self) -> None:
        """Remove all layers."""
        self.model.layers.clear()

    def rename(self, old: str, new: str) -> None:
        """Call the layer `old` by another name, in place of one that has it."""
        layer = self._find(old)
        if layer is not None and old != new:
            self.remove(new)
            layer.name = new

    def set_visible(self, name: str, visible: bool) -> None:
        """Show or hide the layer `name`."""
        layer = self._find(name)
        if layer is not None:
            layer.visible = visible

    def layer_names(self) -> list[str]:
        """Return the names of the layers, lowest first."""
        return [layer.name for layer in self.model.layers]

    def visible_names(self) -> list[str]:
        """Return the names of the layers that are shown, lowest first."""
        return [layer.name for layer in self.model.layers if layer.visible]

    def choose(self, name: str) -> None:
        """Make the layer `name` the one that controls and keys act on."""
        layer = self._find(name)
        if layer is not None:
            self.model.layers.selection.active = layer

    def put_on_top(self, name: str) -> None:
        """Draw the layer `name` above all others, if it is there."""
        layer = self._find(name)
        if layer is not None:
            self.model.layers.move(self.model.layers.index(layer), len(self.model.layers))

    def contrast(self, name: str) -> tuple[float, float] | None:
        """Return which values the layer `name` draws as black and white; None for labels and where there is none."""
        layer = self._find(name)
        return tuple(layer.contrast_limits) if isinstance(layer, Image) else None

    def set_contrast(self, name: str, low: float, high: float) -> None:
        """Draw `low` as black and `high` as white in the layer `name`."""
        layer = self._find(name)
        if isinstance(layer, Image) and high > low:
            layer.contrast_limits = (low, high)

    def array(self, name: str) -> NDArray[Any] | None:
        """Return the array of the layer `name` as it is now, with what was painted into it."""
        layer = self._find(name)
        return None if layer is None else np.asarray(layer.data)

    def labels_layer(self, name: str) -> Labels | None:
        """Return napari's own labels layer of this name, for the tools that edit it."""
        layer = self._find(name)
        return layer if isinstance(layer, Labels) else None

    def _find(self, name: str) -> Layer | None:
        return next((layer for layer in self.model.layers if layer.name == name), None)

    def _put(self, name: str, data: NDArray[Any], kind: Kind, grid: Grid, visible: bool) -> None:
        old = self._find(name)
        at = self.model.layers.index(old) if old is not None else len(self.model.layers)
        if old is not None:
            self.model.layers.remove(old)
        unit = "um" if grid.in_um else "pixel"
        common: dict[str, Any] = {
            "name": name,
            "scale": grid.scale,
            "translate": grid.translate,
            "units": (unit,) * 3,
            "visible": visible,
        }
        for layer in self._layers_for(data, kind, common):
            self.model.add_layer(layer)
            self.model.layers.move(len(self.model.layers) - 1, min(at, len(self.model.layers) - 1))
        self.model.canvas.overlays.scale_bar.visible = True
        self.model.dims.axis_labels = ("z", "y", "x")
        self._name_controls()

    def _layers_for(self, data: NDArray[Any], kind: Kind, common: dict[str, Any]) -> list[Layer]:
        if kind.is_labels:
            planes = data if data.ndim == 4 else data[None]
            names = [common["name"]] if data.ndim == 3 else [f"{common['name']} {i + 1}" for i in range(len(planes))]
            return [
                self._coloured(Labels(plane, opacity=_LABELS_OPACITY, **{**common, "name": name}))
                for plane, name in zip(planes, names, strict=True)
            ]
        if data.ndim == 4:
            return [
                Image(
                    channel, blending="additive", colormap=colormap, **{**common, "name": f"{common['name']} {i + 1}"}
                )
                for i, (channel, colormap) in enumerate(zip(data, _channel_colormaps(len(data)), strict=True))
            ]
        look: dict[str, Any] = {"colormap": COLORMAPS.get(kind, "gray")}
        if kind is not Kind.RAW:
            # Other programs write their maps in whole numbers.
            highest = 1.0 if data.dtype.kind == "f" else float(np.iinfo(data.dtype).max)
            look |= {"opacity": _MAP_OPACITY, "blending": "additive", "contrast_limits": (0.0, highest)}
        return [Image(data, **look, **common)]

    def _name_controls(self) -> None:
        """Give names to those controls that have none, for people who hear the window."""
        self.widget.layers.setAccessibleName("Layers")
        self.widget.layers.setToolTip("Images, maps and cells, the uppermost first; the eye shows or hides one.")
        for axis, slider in zip(self.model.dims.axis_labels, self.widget.dims.slider_widgets, strict=True):
            for part, what in (
                (slider.axis_label, "name of the axis"),
                (slider.curslice_label, "shown slice"),
                (slider.play_button, "play through the slices"),
                (slider.slider, "slice"),
            ):
                part.setAccessibleName(f"{axis.upper()}: {what}")
        name_controls(self.widget.controls)
        name_controls(self.widget.dims)

    # ------------------------------------------------------------------------------------------------ looks

    def set_theme(self, theme: str) -> None:
        """Use napari's ``"dark"`` or ``"light"`` colours on the canvas."""
        self.model.theme = theme

    def stylesheet(self) -> str:
        """Return napari's style sheet for the theme, so that the window around the canvas fits it."""
        return str(get_stylesheet(self.model.theme))

    def set_palette(self, colours: Sequence[str]) -> None:
        """Colour all labels from `colours` ("#rrggbb") in turn; an empty list means napari's own."""
        self.palette = tuple(colours)
        for layer in self.model.layers:
            if isinstance(layer, Labels):
                self._coloured(layer)

    def _coloured(self, layer: Labels) -> Labels:
        if self.palette:
            from napari.utils.colormaps import CyclicLabelColormap

            layer.colormap = CyclicLabelColormap(colors=[_rgba(colour) for colour in self.palette])
        elif isinstance(layer.colormap, DirectLabelColormap):
            layer.new_colormap()
        return layer

    def fit(self) -> None:
        """Bring everything into view."""
        self.model.fit_to_view()

    def toggle_3d(self) -> None:
        """Switch between a slice and the volume."""
        self.model.dims.ndisplay = 2 if self.model.dims.ndisplay == 3 else 3

    @property
    def is_3d(self) -> bool:
        """Whether the volume is shown rather than a slice."""
        return bool(self.model.dims.ndisplay == 3)

    def set_outlines(self, name: str, on: bool) -> None:
        """Draw the labels `name` as outlines, or filled."""
        layer = self._find(name)
        if isinstance(layer, Labels):
            layer.contour = 2 if on else 0
            layer.opacity = 1.0 if on else _LABELS_OPACITY

    def set_side_by_side(self, on: bool, names: Sequence[str] = ()) -> None:
        """Show the layers `names`, each in a tile of its own, or all layers on top of each other."""
        if on:
            for layer in self.model.layers:
                layer.visible = layer.name in names
        self.model.canvas.grid.enabled = on

    def picture(self) -> NDArray[np.uint8]:
        """Return what the canvas shows, (Y, X, 4) RGBA."""
        return np.asarray(self.widget.screenshot(flash=False))

    # ------------------------------------------------------------------------------------------------ places

    def visible_box(self, name: str) -> Box | None:
        """Return the part of the layer `name` that is on the screen: one slice in 2D, everything in 3D."""
        layer = self._find(name)
        if layer is None:
            return None
        shape = layer.data.shape[-3:]
        if self.is_3d:
            return tuple(slice(0, n) for n in shape)  # type: ignore[return-value]
        corners = layer.corner_pixels
        box = []
        for axis, n in enumerate(shape):
            first, last = int(corners[0][axis]), int(corners[1][axis])
            if axis in self.model.dims.not_displayed:
                point = layer.world_to_data(self.model.dims.point)[axis]
                first = last = int(np.clip(round(point), 0, n - 1))
            box.append(slice(max(0, first), min(n, last + 1)))
        return tuple(box) if all(part.stop > part.start for part in box) else None  # type: ignore[return-value]

    def on_view_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever another slice is shown or the view is moved or zoomed."""
        self.model.dims.events.current_step.connect(lambda _event: callback())
        self.model.scene.camera.events.center.connect(lambda _event: callback())
        self.model.scene.camera.events.zoom.connect(lambda _event: callback())

    def draw(self, sort: str, name: str, done: Callable[[NDArray[np.float64]], None]) -> None:
        """Let the person draw one rectangle or line over the layer `name`.

        Parameters
        ----------
        sort
            ``"rectangle"`` or ``"line"``.
        name
            The layer in whose voxels the answer is given.
        done
            Called with the corners, (N, 3) in voxels Z, Y, X, once something was drawn.
        """
        layer = self._find(name)
        if layer is None:
            return
        self.stop_drawing()
        shapes = Shapes(
            ndim=3,
            name=_DRAWING,
            scale=layer.scale,
            translate=layer.translate,
            edge_color="#ffb000",
            face_color="#ffb00033",
        )
        shapes.edge_width = 1.5
        self.model.add_layer(shapes)
        shapes.mode = f"add_{sort}"

        def take(event: Any) -> None:
            if str(getattr(event, "action", "")).lower().endswith("added") and len(shapes.data):
                corners = np.asarray(shapes.data[-1], dtype=np.float64)
                shapes.mode = "pan_zoom"
                done(corners)

        shapes.events.data.connect(take)

    def stop_drawing(self) -> None:
        """Take away what was drawn."""
        self.remove(_DRAWING)

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
        if self._widget is not None:
            self._widget.close()
            self._widget = None


def _channel_colormaps(count: int) -> list[str]:
    order = ("green", "magenta", "cyan", "yellow", "red", "blue")
    return ["gray"] if count == 1 else [order[i % len(order)] for i in range(count)]


def _rgba(colour: str) -> tuple[float, float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue, 1.0
