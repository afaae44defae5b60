"""What is drawn over the cells while they are corrected: the cell under the cursor, what is locked, what is drawn.

Each is a labels layer of few categories, as large as it must be, so that it is right on slices of every direction and
in 3D. Together with the viewer and `box_outline` what touches napari's layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.gui.geometry import Grid
from plantseg_app.proofread.tissue import Mark, Tissue

if TYPE_CHECKING:
    from napari.layers import Labels

    from plantseg_app.gui.viewer import Box, Viewer

POINTED, MARKED, DRAWN = "cell under the cursor", "correct and unsure", "drawn"
_POINTED_COLOURS = {1: "#ffffff", 2: "#ffb000"}
_MARK_COLOURS = {1: "#ffffff", 2: "#101010"}
STROKE_COLOURS = ("#ffb000", "#56b4e9", "#f0e442", "#cc79a7", "#009e73", "#d55e00", "#ffffff")
_HATCH_PERIOD, _HATCH_WIDTH = 8, 2
_MOST_OUTLINED_VOX = 2**24
_OUTLINE_PX = 2.0


class Overlay:
    """One layer of categories; not seen where it is 0.

    Parameters
    ----------
    viewer
        The canvas.
    name
        Of the layer.
    colours
        By category, ``#rrggbb``.
    grid
        Where the voxels of the labels lie.
    """

    def __init__(self, viewer: Viewer, name: str, colours: Mapping[int, str], grid: Grid) -> None:
        self._viewer = viewer
        self.name = name
        self._colours = colours
        self._grid = grid

    def put(self, data: NDArray[np.uint8], start: tuple[int, int, int] = (0, 0, 0)) -> Labels | None:
        """Show an array (Z, Y, X) whose first voxel is `start` of the labels."""
        places = zip(self._grid.translate, start, self._grid.scale, strict=True)
        z, y, x = (offset + place * edge for offset, place, edge in places)
        grid = Grid(self._grid.scale, (z, y, x), self._grid.in_um)
        self._viewer.show_categories(data, grid, self.name, self._colours)
        return self._viewer.labels_layer(self.name)

    def remove(self) -> None:
        """Take it off the canvas."""
        self._viewer.remove(self.name)


class CellOutline(Overlay):
    """The outline of one cell; in 3D the cell itself. Costs no more than the box of the cell."""

    def __init__(self, viewer: Viewer, grid: Grid) -> None:
        super().__init__(viewer, POINTED, _POINTED_COLOURS, grid)
        self._layer = self.put(np.zeros((1, 1, 1), np.uint8))
        if self._layer is not None:
            self._layer.editable = False

    def show(self, tissue: Tissue, cell: int, across: int | None, place: int, is_chosen: bool = False) -> None:
        """Outline a cell, in amber if it is chosen.

        Parameters
        ----------
        across, place
            The shown slice: its axis, None in 3D, and where it is.
        """
        if self._layer is None or cell not in tissue.index:
            self.hide()
            return
        box = list(tissue.index.box(cell))
        if across is not None:
            if not box[across].start <= place < box[across].stop:
                self.hide()
                return
            box[across] = slice(place, place + 1)
        elif np.prod([part.stop - part.start for part in box]) > _MOST_OUTLINED_VOX:
            self.hide()
            return
        mask = tissue.mask_of((cell,), (box[0], box[1], box[2]))
        pad = [(0, 0) if axis == across else (1, 1) for axis in range(3)]
        data = np.pad(mask.astype(np.uint8) * (2 if is_chosen else 1), pad)
        start = [part.start - before for part, (before, _) in zip(box, pad, strict=True)]
        places = zip(self._grid.translate, start, self._grid.scale, strict=True)
        self._layer.contour = 0 if across is None else self._width(across)
        self._layer.opacity = 0.6 if across is None else 1.0
        self._layer.data = data
        self._layer.translate = [offset + first * edge for offset, first, edge in places]
        self._layer.visible = True

    def hide(self) -> None:
        """Outline no cell."""
        if self._layer is not None and self._layer.visible:
            self._layer.visible = False

    def _width(self, across: int) -> int:
        """Return how many voxels the line is wide, so that it is seen at every zoom."""
        finest = min(edge for axis, edge in enumerate(self._grid.scale) if axis != across)
        return max(1, round(_OUTLINE_PX / (finest * self._viewer.model.scene.camera.zoom)))


class MarkHatch(Overlay):
    """White stripes over cells that are locked as correct, black ones the other way over those that are unsure."""

    def __init__(self, viewer: Viewer, grid: Grid, tissue: Tissue) -> None:
        super().__init__(viewer, MARKED, _MARK_COLOURS, grid)
        self._tissue = tissue
        # Memory that is never written to costs nothing.
        self._map = np.zeros(tissue.shape_vox, np.uint8)
        layer = self.put(self._map)
        if layer is not None:
            layer.editable = False
        self.refresh([tissue.index.box(cell) for cell in tissue.marks if cell in tissue.index])

    def refresh(self, boxes: Iterable[Box]) -> None:
        """Draw boxes anew in which cells or marks have changed."""
        for box in boxes:
            if self._tissue.marks or self._map[box].any():
                self._map[box] = self._hatched(box)
                self._viewer.refresh_box(self.name, box)

    def _hatched(self, box: Box) -> NDArray[np.uint8]:
        z, y, x = np.ogrid[box]
        drawn = np.zeros([part.stop - part.start for part in box], np.uint8)
        for category, mark, sums in ((1, Mark.CORRECT, z + y + x), (2, Mark.UNSURE, z + y - x)):
            stripes = sums % _HATCH_PERIOD < _HATCH_WIDTH
            cells = [cell for cell, said in self._tissue.marks.items() if said is mark]
            for plane in self._tissue.planes if cells else ():
                drawn[np.isin(plane[box], np.array(cells, plane.dtype)) & stripes] = category
        return drawn


class Sketch(Overlay):
    """What is drawn and not carried out yet: numbered strokes, each number in a colour of its own."""

    def __init__(self, viewer: Viewer, grid: Grid, shape_vox: tuple[int, int, int]) -> None:
        colours = {number + 1: STROKE_COLOURS[number % len(STROKE_COLOURS)] for number in range(255)}
        super().__init__(viewer, DRAWN, colours, grid)
        self._map = np.zeros(shape_vox, np.uint8)
        self._drawn: list[tuple[NDArray[np.int64], int]] = []
        layer = self.put(self._map)
        if layer is not None:
            layer.editable = False
            layer.opacity = 0.9

    def draw(self, voxels: NDArray[np.int64], number: int) -> None:
        """Draw voxels (N, 3) in the colour of a number from 1; those outside the image are left out."""
        voxels = voxels[((voxels >= 0) & (voxels < self._map.shape)).all(1)]
        if len(voxels):
            self._drawn.append((voxels, number))
            self._set(voxels, (number - 1) % 255 + 1)

    def clear(self) -> None:
        """Wipe everything."""
        drawn, self._drawn = self._drawn, []
        for voxels, _ in drawn:
            self._set(voxels, 0)

    def _set(self, voxels: NDArray[np.int64], value: int) -> None:
        self._map[tuple(voxels.T)] = value
        low, high = voxels.min(0), voxels.max(0) + 1
        z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        self._viewer.refresh_box(self.name, (z, y, x))


def part_of(edit: Any, tissue: Tissue) -> list[Box]:
    """Return the boxes in which something looks different after an `Edit`: where voxels or marks changed."""
    boxes = [] if edit.box is None else [edit.box]
    return boxes + [tissue.index.box(cell) for cell in edit.marks if cell in tissue.index]
