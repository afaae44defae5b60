"""What is drawn over the cells while they are corrected: the cell under the cursor, what is marked, what is drawn.

One labels layer of few categories in the voxels of the cells, so that it is right on slices of every direction and in
3D, and costs no more than the boxes in which it changes. Together with the viewer and `box_outline` what touches
napari's layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plantseg_app.gui.geometry import Grid
from plantseg_app.proofread.edit import Edit
from plantseg_app.proofread.tissue import Mark, Tissue

if TYPE_CHECKING:
    from plantseg_app.gui.viewer import Box, Viewer

OVERLAY = "corrections"
CORRECT, UNSURE, POINTED, CHOSEN, LOOKED_AT, STROKES = 1, 2, 3, 4, 5, 6
"""The categories; strokes have the last one and those after it."""

_STROKE_COLOURS = ("#ffb000", "#56b4e9", "#f0e442", "#cc79a7", "#009e73", "#d55e00")
_COLOURS = {CORRECT: "#ffffff", UNSURE: "#101010", POINTED: "#ffffff", CHOSEN: "#ffb000", LOOKED_AT: "#00e5ff"}
_COLOURS |= {category: _STROKE_COLOURS[(category - STROKES) % len(_STROKE_COLOURS)] for category in range(STROKES, 256)}
_HATCH_PERIOD, _HATCH_WIDTH = 8, 2
_MOST_OUTLINED_VOX = 2**24
_OUTLINE_PX = 2.0


class _Outline(NamedTuple):
    """Where a line is drawn: a box, the voxels in it, and the category."""

    box: Box
    mask: NDArray[np.bool_]
    category: int


class Overlay:
    """The layer over the cells.

    Correct cells have white stripes, unsure ones black stripes the other way; the cell under the cursor and the one of
    the work list have outlines, and in 3D are filled.

    Parameters
    ----------
    viewer
        The canvas.
    grid
        Where the voxels of the labels lie.
    tissue
        The cells and what has been said of them.
    """

    def __init__(self, viewer: Viewer, grid: Grid, tissue: Tissue) -> None:
        self._viewer, self._grid, self._tissue = viewer, grid, tissue
        # Memory that is never written to costs nothing.
        self._map = np.zeros(tissue.shape_vox, np.uint8)
        self._strokes: list[tuple[NDArray[np.int64], int]] = []
        self._outlines: dict[int, _Outline] = {}
        viewer.show_categories(self._map, grid, OVERLAY, _COLOURS)
        layer = viewer.labels_layer(OVERLAY)
        if layer is not None:
            layer.editable = False
            layer.opacity = 0.9
        self.refresh([tissue.index.box(cell) for cell in tissue.marks if cell in tissue.index])

    def remove(self) -> None:
        """Take it off the canvas."""
        self._viewer.remove(OVERLAY)

    # ------------------------------------------------------------------------------------------------ outlines

    def outline(self, cell: int, across: int | None, place: int, is_chosen: bool = False) -> None:
        """Outline the cell under the cursor, none for 0; in amber if it is chosen.

        Parameters
        ----------
        across, place
            The shown slice: its axis, None in 3D, and where it is.
        """
        self._put_outline(POINTED, cell, across, place, CHOSEN if is_chosen else POINTED)

    def outline_looked_at(self, cell: int, across: int | None, place: int) -> None:
        """Outline the cell of the work list, none for 0."""
        self._put_outline(LOOKED_AT, cell, across, place, LOOKED_AT)

    def _put_outline(self, key: int, cell: int, across: int | None, place: int, category: int) -> None:
        before, after = self._outlines.pop(key, None), None
        if cell in self._tissue.index:
            after = self._outline_of(cell, across, place, category)
        if after is not None:
            self._outlines[key] = after
        # Asked for at each step of the mouse, and seldom another one.
        if not _is_same(before, after):
            self.refresh([outline[0] for outline in (before, after) if outline is not None])

    def _outline_of(self, cell: int, across: int | None, place: int, category: int) -> _Outline | None:
        z, y, x = self._tissue.index.box(cell)
        box = [z, y, x]
        if across is None:
            small = np.prod([part.stop - part.start for part in box]) <= _MOST_OUTLINED_VOX
            return _Outline((z, y, x), self._tissue.mask_of((cell,), (z, y, x)), category) if small else None
        if not box[across].start <= place < box[across].stop:
            return None
        box[across] = slice(place, place + 1)
        flat = (box[0], box[1], box[2])
        mask = self._tissue.mask_of((cell,), flat)
        return _Outline(flat, mask & ~_eroded(mask, across, self._width(across)), category)

    def _width(self, across: int) -> int:
        """Return how many voxels the line is wide, so that it is seen at every zoom."""
        finest = min(edge for axis, edge in enumerate(self._grid.scale) if axis != across)
        return max(1, round(_OUTLINE_PX / (finest * self._viewer.zoom)))

    # ------------------------------------------------------------------------------------------------ strokes

    def draw(self, voxels: NDArray[np.int64], number: int) -> None:
        """Draw voxels (N, 3) in the colour of a number from 1; those outside the image are left out."""
        voxels = voxels[((voxels >= 0) & (voxels < self._map.shape)).all(1)]
        if len(voxels):
            self._strokes.append((voxels, STROKES + (number - 1) % (256 - STROKES)))
            self.refresh([_box_of(voxels)])

    def clear(self) -> None:
        """Wipe all strokes."""
        strokes, self._strokes = self._strokes, []
        self.refresh([_box_of(voxels) for voxels, _ in strokes])

    # ------------------------------------------------------------------------------------------------ drawing

    def show_edit(self, edit: Edit) -> None:
        """Draw anew where voxels or marks have changed."""
        boxes = [] if edit.box is None else [edit.box]
        self.refresh([*boxes, *(self._tissue.index.box(cell) for cell in edit.marks if cell in self._tissue.index)])

    def refresh(self, boxes: Iterable[Box]) -> None:
        """Draw boxes anew."""
        for box in boxes:
            drawn = self._hatched(box)
            for voxels, category in self._strokes:
                _put(drawn, box, voxels, category)
            # The cell under the cursor above the one of the work list.
            for _, (place, mask, category) in sorted(self._outlines.items(), reverse=True):
                _put(drawn, box, np.argwhere(mask) + [part.start for part in place], category)
            if (self._map[box] != drawn).any():
                self._map[box] = drawn
                self._viewer.refresh_box(OVERLAY, box)

    def _hatched(self, box: Box) -> NDArray[np.uint8]:
        z, y, x = np.ogrid[box]
        drawn = np.zeros([part.stop - part.start for part in box], np.uint8)
        for category, mark, sums in ((CORRECT, Mark.CORRECT, z + y + x), (UNSURE, Mark.UNSURE, z + y - x)):
            cells = [cell for cell, said in self._tissue.marks.items() if said is mark]
            for plane in self._tissue.planes if cells else ():
                marked = np.isin(plane[box], np.array(cells, plane.dtype))
                drawn[marked & (sums % _HATCH_PERIOD < _HATCH_WIDTH)] = category
        return drawn


def _is_same(one: _Outline | None, other: _Outline | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.box == other.box and one.category == other.category and np.array_equal(one.mask, other.mask)


def _eroded(mask: NDArray[np.bool_], across: int, width: int) -> NDArray[np.bool_]:
    """Return what of a slice lies deeper than a width in voxels."""
    from scipy.ndimage import binary_erosion

    flat = mask.take(0, across)
    return np.expand_dims(binary_erosion(flat, iterations=width), across)


def _put(drawn: NDArray[np.uint8], box: Box, voxels: NDArray[np.int64], category: int) -> None:
    """Draw those of the voxels that lie in a box."""
    inside = voxels - [part.start for part in box]
    inside = inside[((inside >= 0) & (inside < drawn.shape)).all(1)]
    drawn[tuple(inside.T)] = category


def _box_of(voxels: NDArray[np.int64]) -> Box:
    low, high = voxels.min(0), voxels.max(0) + 1
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return z, y, x
