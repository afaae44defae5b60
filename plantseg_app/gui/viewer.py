"""Layers on the canvas: with `box_outline` and `proofreading` the only module that touches napari's layers.

A change of napari is mended here and in `canvas`. napari is imported when it is needed, never with this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.gui.canvas import Canvas
from plantseg_app.gui.geometry import Grid, grid_of
from plantseg_app.gui.qt_runner import Beside

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

Box = tuple[slice, slice, slice]
"""A part of a volume along Z, Y, X."""

# Perceptually even and safe for colour-blind eyes.
COLORMAPS = {Kind.RAW: "gray", Kind.BOUNDARY: "magma", Kind.FOREGROUND: "viridis", Kind.NUCLEI: "cividis"}
_LABELS_OPACITY, _MAP_OPACITY = 0.5, 0.7
_SPOTLIGHT = ((0.0, 0.0, 0.0, 0.6), (1.0, 0.69, 0.0, 0.45))
"""Red, green, blue and opacity where a spotlight does not fall and where it does."""
_SHARE_OF_CANVAS = (0.15, 0.8)
_DRAWING = "drawing"
# Under this key a plane or channel says whose it is.
_PART_OF = "plantseg-app part of"


class Viewer(Canvas):
    """Images and labels in layers, one for each volume shown.

    Parameters
    ----------
    theme
        ``"dark"`` or ``"light"``.
    beside
        A thread of its own, in which half of napari is imported while the window can be used; without one napari is
        imported when it is needed.
    """

    def __init__(self, theme: str = "dark", beside: Beside | None = None) -> None:
        super().__init__(theme, beside)
        self.palette: Sequence[str] = ()
        self._shown_before: list[str] = []

    # ------------------------------------------------------------------------------------------------ layers

    def show(self, volume: Volume, name: str, visible: bool = True) -> None:
        """Show `volume` as the layer `name`, in place of an older one of that name."""
        self._put(name, volume.data, volume.kind, grid_of(volume), visible)
        if volume.shape_vox[0] > 1 and len(self.model.layers) == 1:
            self.model.dims.set_current_step(0, volume.shape_vox[0] // 2)

    def show_array(self, data: NDArray[Any], kind: Kind, grid: Grid, name: str) -> None:
        """Show a plain array (Z, Y, X), such as a map that is still growing or a preview of a crop."""
        self._put(name, data, kind, grid, True)

    def show_spotlight(self, data: NDArray[Any], grid: Grid, name: str) -> None:
        """Darken what lies below where `data` (Z, Y, X) is 0 and tint it where it is 1; controls and keys stay."""
        chosen = self.model.layers.selection.active
        self._put(name, data, Kind.FOREGROUND, grid, True)
        layer = self._find(name)
        if _is_image(layer) and layer.colormap.name != "spotlight":
            from napari.utils.colormaps import Colormap

            layer.colormap = Colormap(_SPOTLIGHT, name="spotlight")
            layer.opacity = 1.0
        if chosen is not None and chosen in self.model.layers and self.model.layers.selection.active is not chosen:
            self.model.layers.selection.active = chosen

    def show_categories(self, data: NDArray[Any], grid: Grid, name: str, colours: Mapping[int, str]) -> None:
        """Show whole numbers (Z, Y, X), each in its own colour ("#rrggbb"); those without one are not seen."""
        self.show_array(data, Kind.LABELS, grid, name)
        layer = self._find(name)
        if _is_labels(layer):
            from napari.utils.colormaps import DirectLabelColormap

            table: dict[int | None, str] = {None: "transparent"}
            table |= dict(colours.items())
            layer.colormap = DirectLabelColormap(color_dict=table)
            layer.opacity = _MAP_OPACITY

    def show_colours(self, data: Any, grid: Grid, name: str) -> None:
        """Show colours (Z, Y, X, 3) uint8, or what computes them where it is indexed, in place of the layer `name`."""
        from napari.layers import Image

        self._put_layers(name, grid, True, lambda common: [Image(data, rgb=True, **common)])

    def refresh(self, name: str) -> None:
        """Draw the layer `name` again, because its array was filled further."""
        layer = self._find(name)
        if layer is not None:
            layer.refresh()

    def remove(self, name: str) -> None:
        """Remove the layer `name`, if it is there."""
        planes = self._planes(name)
        for layer in planes:
            self.model.layers.remove(layer)
        if planes and not self.model.layers:
            self.model.canvas.overlays.scale_bar.visible = False

    def clear(self) -> None:
        """Remove all layers."""
        for name in self.layer_names():
            self.remove(name)

    def rename(self, old: str, new: str) -> None:
        """Call the layer `old` by another name, in place of one that has it."""
        planes = self._planes(old)
        if planes and old != new:
            self.remove(new)
        for layer in planes:
            layer.name = new + layer.name.removeprefix(old)
            if _PART_OF in layer.metadata:
                layer.metadata[_PART_OF] = new

    def set_visible(self, name: str, visible: bool) -> None:
        """Show or hide the layer `name`."""
        for layer in self._planes(name):
            layer.visible = visible

    def layer_names(self) -> list[str]:
        """Return the names of the layers, lowest first."""
        return [layer.name for layer in self._layers()]

    def visible_names(self) -> list[str]:
        """Return the names of the layers that are shown, lowest first."""
        return [layer.name for layer in self._layers() if layer.visible]

    def choose(self, name: str) -> None:
        """Make the layer `name` the one that controls and keys act on."""
        layer = self._find(name)
        if layer is not None:
            self.model.layers.selection.active = layer

    def put_on_top(self, name: str) -> None:
        """Draw the layer `name` above all others, if it is there."""
        for layer in self._planes(name):
            self.model.layers.move(self.model.layers.index(layer), len(self.model.layers))

    def contrast(self, name: str) -> tuple[float, float] | None:
        """Return which values the layer `name` draws as black and white; None for labels and where there is none."""
        layer = self._find(name)
        return tuple(layer.contrast_limits) if _is_image(layer) else None

    def set_contrast(self, name: str, low: float, high: float) -> None:
        """Draw `low` as black and `high` as white in the layer `name`."""
        layer = self._find(name)
        if _is_image(layer) and high > low:
            layer.contrast_limits = (low, high)

    def array(self, name: str) -> NDArray[Any] | None:
        """Return the array of the layer `name` as it is now, with what was painted into it."""
        layer = self._find(name)
        return None if layer is None else np.asarray(layer.data)

    def labels_layer(self, name: str) -> Labels | None:
        """Return napari's own labels layer of this name, for the tools that edit it."""
        layer = self._find(name)
        return layer if _is_labels(layer) else None

    def labels_planes(self, name: str) -> list[Labels]:
        """Return napari's own labels layers that show `name`, a plane each; a single one for plain labels."""
        return [layer for layer in self._planes(name) if _is_labels(layer)]

    def refresh_box(self, name: str, box: Box, layers: slice = slice(None)) -> None:
        """Draw the labels `name` again where they were changed in place; costs no more than the box that is in sight.

        Parameters
        ----------
        box
            (Z, Y, X) of what changed.
        layers
            Which of overlapping layers.
        """
        for layer in self.labels_planes(name)[layers]:
            if layer.visible and self._is_in_sight(layer, box):
                _redraw_part(layer, box)

    def _is_in_sight(self, layer: Labels, box: Box) -> bool:
        places = layer.world_to_data(self.model.dims.point)
        return all(
            box[axis].start <= np.floor(places[axis] + 0.5) < box[axis].stop for axis in self.model.dims.not_displayed
        )

    def set_cursor(self, style: str, size: float = 1.0) -> None:
        """Show the cursor over the canvas in one of napari's styles; `size` is the width of a circle in the world."""
        if self._model is not None:
            self._model.cursor.size = size
            self._model.cursor.scaled = True
            self._model.cursor.style = style

    @property
    def zoom(self) -> float:
        """How many pixels of the screen a unit of the world has."""
        return float(self.model.scene.camera.zoom)

    def _find(self, name: str) -> Layer | None:
        return next((layer for layer in self._layers() if layer.name == name), None)

    def _planes(self, name: str) -> list[Layer]:
        """Return what `name` is shown by, lowest first: one layer, or one for each channel or plane."""
        return [layer for layer in self._layers() if name in (layer.name, layer.metadata.get(_PART_OF))]

    def _layers(self) -> Sequence[Layer]:
        """Return the layers; none while there is no canvas."""
        return [] if self._model is None else list(self._model.layers)

    def _put(self, name: str, data: NDArray[Any], kind: Kind, grid: Grid, visible: bool) -> None:
        old = self._find(name)
        if old is not None and old.data.shape == data.shape and _is_labels(old) == kind.is_labels:
            # New numbers in the same layer are quicker than a new layer, and keep how the person has set it.
            old.scale, old.translate, old.visible = grid.scale, grid.translate, visible
            old.data = data
            return
        self._put_layers(name, grid, visible, lambda common: self._layers_for(data, kind, common))

    def _put_layers(self, name: str, grid: Grid, visible: bool, make: Callable[[dict[str, Any]], list[Layer]]) -> None:
        """Put layers in the place of those of this name, or on top."""
        planes = self._planes(name)
        at = self.model.layers.index(planes[0]) if planes else len(self.model.layers)
        for plane in planes:
            self.model.layers.remove(plane)
        unit = "um" if grid.in_um else "pixel"
        common: dict[str, Any] = {
            "name": name,
            "scale": grid.scale,
            "translate": grid.translate,
            "units": (unit,) * 3,
            "visible": visible,
        }
        made = make(common)
        for number, layer in enumerate(made):
            if layer.name != name:
                layer.metadata[_PART_OF] = name
            self.model.add_layer(layer)
            self.model.layers.move(len(self.model.layers) - 1, min(at + number, len(self.model.layers) - 1))
        self.model.canvas.overlays.scale_bar.visible = True
        self.model.dims.axis_labels = ("z", "y", "x")
        self.name_controls()

    def _layers_for(self, data: NDArray[Any], kind: Kind, common: dict[str, Any]) -> list[Layer]:
        from napari.layers import Image, Labels

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
            look |= {"opacity": _MAP_OPACITY, "contrast_limits": (0.0, highest)}
        return [Image(data, **look, **common)]

    # ------------------------------------------------------------------------------------------------ looks

    def set_palette(self, colours: Sequence[str]) -> None:
        """Colour all labels from `colours` ("#rrggbb") in turn; an empty list means napari's own."""
        self.palette = tuple(colours)
        for layer in self._layers():
            if _is_labels(layer):
                self._coloured(layer)

    def _coloured(self, layer: Labels) -> Labels:
        if self.palette:
            from napari.utils.colormaps import CyclicLabelColormap

            layer.colormap = CyclicLabelColormap(colors=[_rgba(colour) for colour in self.palette])
            return layer
        from napari.utils.colormaps import DirectLabelColormap

        if isinstance(layer.colormap, DirectLabelColormap):
            layer.new_colormap()
        return layer

    def set_outlines(self, name: str, on: bool) -> None:
        """Draw the labels `name` as outlines, or filled."""
        layer = self._find(name)
        if _is_labels(layer):
            layer.contour = 2 if on else 0
            layer.opacity = 1.0 if on else _LABELS_OPACITY

    def set_side_by_side(self, on: bool, names: Sequence[str] = ()) -> None:
        """Show the layers `names`, each in a tile of its own, or on top of each other what was shown before."""
        if on:
            self._shown_before = self._shown_before or self.visible_names()
            for layer in self._layers():
                layer.visible = layer.name in names
        elif self._shown_before:
            for name in self._shown_before:
                self.set_visible(name, True)
            self._shown_before = []
        if self._model is not None and self._model.canvas.grid.enabled != on:
            self._model.canvas.grid.enabled = on
            self.fit()

    # ------------------------------------------------------------------------------------------------ places

    def centre_on(self, name: str, voxel: Sequence[float], extent_vox: Sequence[int]) -> None:
        """Show a place of the labels `name` in the middle of the canvas, on its slice; in 3D turn around it.

        The zoom stays as it is, unless what is there would be tiny or larger than the canvas.

        Parameters
        ----------
        voxel
            Z, Y, X.
        extent_vox
            How large the thing at this place is along Z, Y, X.
        """
        planes = self.labels_planes(name)
        if not planes:
            return
        dims, camera = self.model.dims, self.model.scene.camera
        world = planes[0].data_to_world(voxel)
        for axis in dims.not_displayed:
            dims.set_point(axis, world[axis])
        centre = [float(world[axis]) for axis in dims.displayed]
        camera.center = (0.0, *centre) if len(centre) == 2 else tuple(centre)
        width = max(float(extent_vox[axis] * planes[0].scale[axis]) for axis in dims.displayed)
        share = width * self.zoom / min(self.widget.width(), self.widget.height())
        least, most = _SHARE_OF_CANVAS
        if not least <= share <= most:
            camera.zoom = self.zoom * min(max(share, least), most) / share

    def visible_box(self, name: str) -> Box | None:
        """Return the part of the layer `name` that is on the screen: one slice in 2D, everything in 3D."""
        layer = self._find(name)
        if layer is None:
            return None
        # Colours have their channels last.
        shape = layer.data.shape[: layer.ndim]
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
        if self.is_3d:
            # One draws on a slice.
            self.toggle_3d()
        self.stop_drawing()
        from napari.layers import Shapes

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


def _is_image(layer: Layer | None) -> TypeGuard[Image]:
    if layer is None:
        return False
    from napari.layers import Image

    return isinstance(layer, Image)


def _is_labels(layer: Layer | None) -> TypeGuard[Labels]:
    if layer is None:
        return False
    from napari.layers import Labels

    return isinstance(layer, Labels)


def _redraw_part(layer: Labels, box: Box) -> None:
    """Colour and draw anew what lies in a box of a layer that shows it.

    napari does the same after a stroke of its own brush, but offers it for nothing else.
    """
    image, displayed = layer._slice.image, layer._slice_input.displayed
    margin = int(layer.contour)
    part = tuple(
        slice(max(box[axis].start - margin, 0), min(box[axis].stop + margin, layer.data.shape[axis]))
        for axis in displayed
    )
    colours = layer._raw_to_displayed(image.raw, data_slice=part)
    image.view[part] = colours
    layer.events.labels_update(data=colours, offset=[place.start for place in part])


def _channel_colormaps(count: int) -> list[str]:
    order = ("green", "magenta", "cyan", "yellow", "red", "blue")
    return ["gray"] if count == 1 else [order[i % len(order)] for i in range(count)]


def _rgba(colour: str) -> tuple[float, float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue, 1.0
