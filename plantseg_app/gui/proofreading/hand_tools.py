"""The tools as they lie in the hand, as one table: what one does with the mouse, and which correction comes of it.

Keys are those of `plantseg_app.gui.actions`; what a correction does and what can be set stands in
`plantseg_app.proofread.tools`.
"""

from __future__ import annotations

import dataclasses
import enum


class Gesture(enum.Enum):
    """What a person does with the mouse."""

    LOOK = enum.auto()
    """Nothing: the mouse moves the view."""
    CELL = enum.auto()
    """Click a cell."""
    MERGE = enum.auto()
    """Click cells one after the other, or draw a stroke over them."""
    SCRIBBLES = enum.auto()
    """Draw a scribble in each part, then apply."""
    SEEDS = enum.auto()
    """Click once in each part, then apply."""
    LINE = enum.auto()
    """Draw a line; with Shift several, then apply."""
    SHAPE = enum.auto()
    """Paint on some slices, then apply."""
    BRUSH = enum.auto()
    """Draw a stroke from within a cell."""
    SEED = enum.auto()
    """Click background."""


@dataclasses.dataclass(frozen=True)
class HandTool:
    """One tool.

    Attributes
    ----------
    key
        Of its action.
    makes
        The id of the correction; "" for none.
    gesture
        What one does with the mouse.
    hint
        How it is used, in a sentence or two.
    options
        Settings of the correction that a person may change.
    """

    key: str
    makes: str
    gesture: Gesture
    hint: str
    options: tuple[str, ...] = ()

    @property
    def has_brush(self) -> bool:
        """Whether the width of the brush matters."""
        return self.gesture in (Gesture.SHAPE, Gesture.BRUSH)

    @property
    def is_applied(self) -> bool:
        """Whether what is drawn waits until it is applied."""
        return self.gesture in (Gesture.SCRIBBLES, Gesture.SEEDS, Gesture.LINE, Gesture.SHAPE)


_ON_CELL = "Point at a cell and press the key, or click it."
HAND_TOOLS: dict[str, HandTool] = {
    tool.key: tool
    for tool in (
        HandTool("look", "", Gesture.LOOK, "Drag to move the view, turn the wheel to zoom, Ctrl+wheel for slices."),
        HandTool(
            "merge", "merge", Gesture.MERGE,
            "Draw a stroke over the cells, or click one after the other. The first keeps its number.",
        ),
        HandTool(
            "split", "split", Gesture.SCRIBBLES,
            "Draw a scribble in each part, also on other slices, then press Return. With Shift a scribble goes on.",
        ),
        HandTool(
            "cut", "cut", Gesture.LINE,
            "Draw a line across the cell: it cuts all its slices. With Shift draw lines on several slices, then press "
            "Return.",
        ),
        HandTool("seeds", "split", Gesture.SEEDS, "Click once in each part, then press Return."),
        HandTool("superpixels", "superpixels", Gesture.CELL, _ON_CELL),
        HandTool(
            "add_cell", "paint", Gesture.SHAPE,
            "Paint the cell on some of its slices, then press Return: the slices between are filled.", ("over_cells",),
        ),
        HandTool("grow", "grow", Gesture.SEED, "Click background inside the missing cell.", ("reach_vox",)),
        HandTool(
            "alike", "add-alike", Gesture.SEED,
            "Click an object to add it. What is like the pixel under the cursor lights up.", ("alike",),
        ),
        HandTool("paint", "paint", Gesture.BRUSH, "Begin the stroke in the cell that is too small.", ("over_cells",)),
        HandTool(
            "erase", "erase", Gesture.BRUSH,
            "Begin the stroke in the cell that is too large; from background, all cells are erased.",
        ),
        HandTool("delete_cell", "delete", Gesture.CELL, _ON_CELL),
        HandTool("fill_holes", "fill-holes", Gesture.CELL, _ON_CELL, ("max_size", "by_slice")),
        HandTool("smooth", "smooth", Gesture.CELL, _ON_CELL, ("sigma",)),
        HandTool("keep_largest", "keep-largest", Gesture.CELL, _ON_CELL, ("others",)),
        HandTool("lock", "lock", Gesture.CELL, f"{_ON_CELL} No tool changes correct cells; they are striped in white."),
        HandTool("unsure", "unsure", Gesture.CELL, f"{_ON_CELL} Unsure cells are striped in black."),
    )
}  # fmt: skip
"""All hand tools by key, in the order of their buttons."""
