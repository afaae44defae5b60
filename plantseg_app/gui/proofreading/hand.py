"""The tool in hand: follows the mouse over the cells, shows what is drawn, and asks for the correction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from plantseg_app.gui.proofreading.hand_tools import HAND_TOOLS, Gesture, HandTool
from plantseg_app.gui.proofreading.overlay import Overlay
from plantseg_app.gui.proofreading.picking import Spot, cells_along, line_of_voxels, stamped
from plantseg_app.gui.proofreading.pointer import Pointer
from plantseg_app.gui.viewer import Viewer
from plantseg_app.proofread.tissue import Mark, Tissue

Ask = Callable[[str, Mapping[str, Any]], bool]
_SHOWN_PX = 1.5
_SEED_PX = 4.0
_WIDEST_VOX = 200


@dataclasses.dataclass
class _Stroke:
    """What was drawn with the button down.

    Attributes
    ----------
    spots
        Where it went.
    way
        The voxels on it, in order.
    voxels
        Those that a brush covered.
    number
        Of the part that it stands for.
    across
        The axis across the slice on which it was drawn.
    """

    spots: list[Spot]
    way: NDArray[np.int64]
    voxels: NDArray[np.int64]
    number: int
    across: int | None


class Hand(QObject):
    """Holds one tool.

    Signals
    -------
    changed
        Another tool was taken, or something was drawn, applied or dropped.
    told
        What to do next, in a sentence.
    refused
        Why something cannot be done, in a sentence.

    Parameters
    ----------
    viewer
        The canvas.
    pointer, overlay
        The mouse over the cells, and what is drawn over them.
    tissue
        The cells.
    scale
        Edge lengths of a voxel, Z, Y, X.
    ask
        Makes a correction by the id of its tool and its fields; returns whether it was made.
    """

    changed = Signal()
    told = Signal(str)
    refused = Signal(str)

    def __init__(
        self,
        viewer: Viewer,
        pointer: Pointer,
        overlay: Overlay,
        tissue: Tissue,
        scale: tuple[float, float, float],
        ask: Ask,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._pointer, self._overlay, self._tissue = viewer, pointer, overlay, tissue
        self._scale = scale
        self._ask = ask
        self.tool: HandTool = HAND_TOOLS["look"]
        self.brush_vox = 8
        self.in_3d = False
        self.options: dict[str, Mapping[str, Any]] = {}
        self.chosen = 0
        """The cell to which the next one that is clicked is joined; 0 for none."""
        self._strokes: list[_Stroke] = []
        self._current: _Stroke | None = None
        self._finish: Mapping[Gesture, Callable[[_Stroke, bool], None]] = {
            Gesture.CELL: lambda stroke, _: self._act(stroke.spots[-1]),
            Gesture.MERGE: self._merge,
            Gesture.SCRIBBLES: self._collect,
            Gesture.SEEDS: self._collect,
            Gesture.LINE: self._cut,
            Gesture.SHAPE: self._collect,
            Gesture.BRUSH: self._brush,
            Gesture.SEED: self._grow,
        }
        pointer.pressed.connect(self._press)
        pointer.moved.connect(self._move)
        pointer.released.connect(self._release)
        pointer.hovered.connect(lambda _spot: self.show_cursor())

    # ------------------------------------------------------------------------------------------------ tools

    def use(self, key: str) -> None:
        """Take a tool; one that changes a single cell does so at once where the cursor points at a cell."""
        tool = HAND_TOOLS[key]
        spot = self._pointer.spot
        if tool.gesture is Gesture.CELL and spot is not None and spot.cell:
            self._act(spot, tool)
            self.changed.emit()
            return
        self.drop()
        self.tool = tool
        self._pointer.keeps_view = tool.gesture is not Gesture.LOOK
        self._pointer.hold_view()
        self.show_cursor()
        self.changed.emit()

    @property
    def can_apply(self) -> bool:
        """Whether something is drawn that waits."""
        return bool(self._strokes)

    @property
    def has_begun(self) -> bool:
        """Whether there is something to drop: drawn strokes or a chosen cell."""
        return bool(self._strokes or self.chosen)

    def apply(self) -> None:
        """Carry out what was drawn."""
        strokes, gesture = self._strokes, self.tool.gesture
        if not strokes:
            self.refused.emit("Nothing is drawn yet.")
            return
        if gesture in (Gesture.SCRIBBLES, Gesture.SEEDS):
            numbers = dict.fromkeys(stroke.number for stroke in strokes)
            parts = [[stroke.way for stroke in strokes if stroke.number == number] for number in numbers]
            made = self._ask(self.tool.makes, {"scribbles": tuple(np.concatenate(part) for part in parts)})
        elif gesture is Gesture.LINE:
            made = self._ask_cut(strokes)
        else:
            made = self._ask(self.tool.makes, self._shape_of(strokes))
        if made:
            self.drop()

    def drop(self) -> None:
        """Forget what was drawn and which cell was chosen."""
        self._strokes.clear()
        self._current = None
        self.chosen = 0
        self._overlay.clear()
        self.changed.emit()

    def take_back_stroke(self) -> bool:
        """Forget the stroke that was drawn last; False when there is none."""
        if not self._strokes:
            return False
        self._strokes.pop()
        self._overlay.clear()
        for stroke in self._strokes:
            self._show(stroke)
        self.changed.emit()
        return True

    def set_brush(self, diameter_vox: int) -> None:
        """Use a brush this wide, in voxels of the finest axis."""
        self.brush_vox = max(1, min(diameter_vox, _WIDEST_VOX))
        self.show_cursor()
        self.changed.emit()

    def close(self) -> None:
        """Put the tool down."""
        self.drop()
        self._viewer.set_cursor("standard")

    def show_cursor(self) -> None:
        """Show by the cursor what a click would do, or that it would be refused."""
        spot, gesture = self._pointer.spot, self.tool.gesture
        if gesture is Gesture.LOOK:
            self._viewer.set_cursor("standard")
        elif spot is not None and self.why_not(spot):
            self._viewer.set_cursor("forbidden")
        elif self.tool.has_brush and not self._viewer.is_3d:
            finest = min(edge for axis, edge in enumerate(self._scale) if axis != self._pointer.across)
            self._viewer.set_cursor("circle", self.brush_vox * finest)
        else:
            self._viewer.set_cursor("pointing" if gesture is Gesture.CELL else "cross")

    def why_not(self, spot: Spot) -> str:
        """Return why the tool in hand cannot be used on what is pointed at, "" when it can."""
        if self._current is not None or self.tool.key in ("look", "lock", "unsure", "add_cell"):
            return ""
        if self._tissue.is_locked(spot.cell):
            return f"Cell {spot.cell} is locked as correct; unlock it first."
        if self.tool.gesture is Gesture.CELL and not spot.cell:
            return "This is background; point at a cell."
        if self.tool.gesture is Gesture.SEED and spot.cell and not self._tissue.is_layered:
            return f"The seed lies in cell {spot.cell}; put it on background."
        if self._viewer.is_3d and self.tool.gesture in (Gesture.LINE, Gesture.SHAPE, Gesture.BRUSH):
            return "One draws on a slice; go back to 2D first."
        return ""

    # ------------------------------------------------------------------------------------------------ the mouse

    def _press(self, spot: Spot | None, shift: bool) -> None:
        if self.tool.gesture is Gesture.LOOK or spot is None:
            return
        reason = self.why_not(spot)
        if reason:
            self.refused.emit(reason)
            return
        way = np.array([spot.voxel], np.int64)
        self._current = _Stroke([spot], way, self._covered(way), self._number(shift), self._pointer.across)
        self._show(self._current)

    def _move(self, spot: Spot | None, _shift: bool) -> None:
        stroke = self._current
        if stroke is None or spot is None or self._viewer.is_3d or spot == stroke.spots[-1]:
            return
        way = line_of_voxels(np.array(stroke.spots[-1].voxel), np.array(spot.voxel))
        stroke.spots.append(spot)
        stroke.way = np.concatenate([stroke.way, way[1:]])
        if self.tool.has_brush:
            stroke.voxels = np.concatenate([stroke.voxels, self._covered(way)])
        self._show(dataclasses.replace(stroke, way=way, voxels=self._covered(way)))

    def _release(self, spot: Spot | None, shift: bool) -> None:
        stroke, self._current = self._current, None
        if stroke is None:
            return
        if spot is None and self._viewer.is_3d:
            self._redraw()
            return
        self._finish[self.tool.gesture](stroke, shift)
        self.show_cursor()
        self.changed.emit()

    def _number(self, shift: bool) -> int:
        """Return which part the next stroke stands for."""
        if self.tool.gesture not in (Gesture.SCRIBBLES, Gesture.SEEDS) or not self._strokes:
            return 1
        last = self._strokes[-1].number
        return last if shift else last + 1

    def _covered(self, way: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self.tool.has_brush:
            return way
        axes = [axis for axis in range(3) if self.in_3d or axis != self._pointer.across]
        return stamped(way, self.brush_vox / 2, self._scale, axes)

    # ------------------------------------------------------------------------------------------------ drawing

    def _show(self, stroke: _Stroke) -> None:
        if self.tool.gesture is Gesture.CELL:
            return
        voxels = stroke.voxels
        if not self.tool.has_brush:
            # A line of single voxels would not be seen where the view is zoomed out.
            axes = [axis for axis in range(3) if axis != stroke.across]
            width_px = _SEED_PX if self.tool.gesture in (Gesture.SEEDS, Gesture.SEED) else _SHOWN_PX
            finest = min(self._scale[axis] for axis in axes)
            voxels = stamped(stroke.way, width_px / (finest * self._viewer.zoom), self._scale, axes)
        self._overlay.draw(voxels, stroke.number)

    def _redraw(self) -> None:
        """Wipe what is not kept."""
        self._overlay.clear()
        for stroke in self._strokes:
            self._show(stroke)

    # ------------------------------------------------------------------------------------------------ gestures

    def _act(self, spot: Spot, tool: HandTool | None = None) -> None:
        tool, cell = tool or self.tool, spot.cell
        if not cell:
            self.refused.emit("This is background; point at a cell.")
            return
        makes = tool.makes
        marks = {"lock": Mark.CORRECT, "unsure": Mark.UNSURE}
        if tool.key in marks and self._tissue.marks.get(cell) is marks[tool.key]:
            makes = "unmark"
        one = {"cell": cell} if tool.key == "superpixels" else {"cells": (cell,)}
        self._ask(makes, {**one, **self.options.get(tool.key, {})})

    def _merge(self, stroke: _Stroke, _shift: bool) -> None:
        cells = cells_along(self._tissue.planes, stroke.way, self._pointer.shown_layers)
        self._redraw()
        if not cells:
            self.refused.emit("This is background; click on a cell.")
            return
        wanted = list(dict.fromkeys([self.chosen, *cells] if self.chosen else cells))
        if len(wanted) == 1:
            self.chosen = wanted[0]
            self.told.emit(f"Cell {self.chosen} is chosen; click the cell to join it with, or Esc.")
        elif self._ask("merge", {"cells": tuple(wanted)}):
            self.chosen = wanted[0]

    def _collect(self, stroke: _Stroke, _shift: bool) -> None:
        self._strokes.append(stroke)
        parts = len({stroke.number for stroke in self._strokes})
        if self.tool.gesture is Gesture.SHAPE:
            self.told.emit("Paint on further slices, or press Return.")
        elif parts == 1:
            self.told.emit("Now mark the other part.")
        else:
            self.told.emit(f"{parts} parts are marked; press Return to split.")

    def _cut(self, stroke: _Stroke, shift: bool) -> None:
        if self._strokes and self._strokes[0].across != stroke.across:
            self._strokes.clear()
        self._strokes.append(stroke)
        if shift:
            self._redraw()
            self.told.emit("Draw a line on another slice, or press Return.")
            return
        made = self._ask_cut(self._strokes)
        if made or len(self._strokes) == 1:
            self.drop()
        else:
            self.take_back_stroke()

    def _ask_cut(self, strokes: list[_Stroke]) -> bool:
        across = strokes[0].across
        return self._ask("cut", {"lines": tuple(stroke.way for stroke in strokes), "across": "zyx"[across or 0]})

    def _shape_of(self, strokes: list[_Stroke]) -> dict[str, Any]:
        """Return the fields that make a new cell of what was painted."""
        axes = {stroke.across for stroke in strokes}
        across = strokes[0].across
        voxels = np.unique(np.concatenate([stroke.voxels for stroke in strokes]), axis=0)
        between = len(axes) == 1 and across is not None and len(np.unique(voxels[:, across])) > 1
        options = self.options.get(self.tool.key, {})
        return {"voxels": voxels, "between": "zyx"[across or 0] if between else None, **options}

    def _brush(self, stroke: _Stroke, _shift: bool) -> None:
        cell = stroke.spots[0].cell or None
        voxels = np.unique(stroke.voxels, axis=0)
        self._redraw()
        if self.tool.key == "erase":
            self._ask("erase", {"voxels": voxels, "cell": cell})
        elif cell is None:
            self.refused.emit("Begin the stroke in the cell that is to grow; a new cell is made with Add a cell.")
        else:
            self._ask("paint", {"voxels": voxels, "cell": cell, **self.options.get(self.tool.key, {})})

    def _grow(self, stroke: _Stroke, _shift: bool) -> None:
        self._redraw()
        self._ask(self.tool.makes, {"seed": stroke.way[-1:], **self.options.get(self.tool.key, {})})
