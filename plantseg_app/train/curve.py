"""The learning curve as a picture, drawn with pillow: losses above, score below, the best validation marked.

>>> draw_curve([{"step": 1, "train_loss": 1.0, "loss": 1.2, "score": 0.5}], "adapted-rand-error", 1).size
(900, 640)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Rows = Sequence[Mapping[str, float]]
Box = tuple[int, int, int, int]

_SIZE = (900, 640)
_INK, _GREY = (40, 40, 40), (205, 205, 205)
# Blue, orange and green that colour-blind people tell apart (Okabe and Ito).
_BLUE, _ORANGE, _GREEN = (0, 114, 178), (213, 94, 0), (0, 158, 115)


def draw_curve(history: Rows, score_name: str, best_step: int) -> Image:
    """Return the picture of a history with the keys step, train_loss, loss and score."""
    from PIL import Image as Images
    from PIL import ImageDraw as Draws

    picture = Images.new("RGB", _SIZE, "white")
    draw = Draws.Draw(picture)
    top, bottom = (80, 30, 870, 290), (80, 350, 870, 600)
    steps = [row["step"] for row in history]
    last = max(steps, default=1)
    _panel(draw, top, "loss", [("training", _ORANGE, "train_loss"), ("validation", _BLUE, "loss")], history)
    _panel(draw, bottom, score_name.replace("-", " "), [("validation", _GREEN, "score")], history)
    x = bottom[0] + (bottom[2] - bottom[0]) * best_step / last
    for box in (top, bottom):
        draw.line((x, box[1], x, box[3]), fill=_GREY)
    draw.text((bottom[0], bottom[3] + 8), "0", fill=_INK, anchor="ma")
    draw.text((bottom[2], bottom[3] + 8), f"{last:.0f} steps", fill=_INK, anchor="ra")
    draw.text((min(x, bottom[2] - 160), bottom[3] + 22), f"best: step {best_step}", fill=_INK, anchor="ma")
    return picture


def _panel(
    draw: ImageDraw, box: Box, title: str, lines: list[tuple[str, tuple[int, int, int], str]], rows: Rows
) -> None:
    left, upper, right, lower = box
    values = [row[key] for _, _, key in lines for row in rows if math.isfinite(row[key])]
    high = max([*values, 1e-9])
    low = min([*values, 0.0])
    last = max((row["step"] for row in rows), default=1)

    def point(row: Mapping[str, float], key: str) -> tuple[float, float]:
        x = left + (right - left) * row["step"] / last
        return x, lower - (lower - upper) * (row[key] - low) / (high - low)

    for i in range(5):
        y = lower - (lower - upper) * i / 4
        draw.line((left, y, right, y), fill=_GREY)
        draw.text((left - 6, y), f"{low + (high - low) * i / 4:.3g}", fill=_INK, anchor="rm")
    for name, colour, key in lines:
        points = [point(row, key) for row in rows if math.isfinite(row[key])]
        if len(points) > 1:
            draw.line(points, fill=colour, width=2)
        for x, y in points if len(points) < 40 else []:
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
        place = right - 90 * (len(lines) - [key for _, _, key in lines].index(key))
        draw.text((place, upper - 16), name, fill=colour)
    draw.text((left, upper - 16), title, fill=_INK)
