"""Pictures of guides and embeddings, to see at a glance whether objects will come apart. Knows arrays alone.

>>> labels = np.zeros((1, 32, 48), np.uint32)
>>> labels[0, 4:12, 4:12], labels[0, 20:30, 20:30] = 1, 2
>>> guide_sheet(preset("cvppp"), (32, 48), columns=4).size
(204, 104)
>>> embedding_picture(frame_target(labels, preset("cvppp"), TargetRules())[:12, 0], labels[0] > 0).size
(48, 32)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plantseg_app.networks.harmonic.guides import Guide, guide_maps, preset
from plantseg_app.networks.harmonic.targets import TargetRules, frame_target

__all__ = ["TargetRules", "embedding_picture", "frame_target", "guide_sheet", "preset"]

_GAP = 4
_COLOURS = 3


def guide_sheet(guides: Sequence[Guide], shape: tuple[int, int], columns: int = 6) -> Image.Image:
    """Return the guides over a frame (Y, X) side by side, -1 black and 1 white; of guides in space the first slice."""
    full = shape if len(guides[0]) == 3 else (1, *shape)
    maps = guide_maps(guides, full).reshape(len(guides), *shape)
    rows = -(-len(guides) // columns)
    size = (columns * shape[1] + (columns - 1) * _GAP, rows * shape[0] + (rows - 1) * _GAP)
    sheet = Image.new("L", size, 255)
    for number, values in enumerate(maps):
        row, column = divmod(number, columns)
        grey = Image.fromarray((127.5 * (values + 1)).astype(np.uint8))
        sheet.paste(grey, (column * (shape[1] + _GAP), row * (shape[0] + _GAP)))
    return sheet


def embedding_picture(embedding: NDArray[Any], inside: NDArray[np.bool_]) -> Image.Image:
    """Return an embedding (C, Y, X) as colours: its three main directions of change, black outside of `inside` (Y, X).

    Objects of like colour are not told apart well; equal shades within an object say that it is sure.
    """
    colours = np.zeros((*inside.shape, _COLOURS), np.uint8)
    points = embedding[:, inside].T.astype(np.float64)
    if len(points) > 1:
        points = points - points.mean(0)
        _, _, directions = np.linalg.svd(points[:: max(1, len(points) // 20_000)], full_matrices=False)
        along = points @ directions[:_COLOURS].T
        low, high = np.percentile(along, (1, 99), axis=0)
        scaled = np.clip((along - low) / np.maximum(high - low, 1e-9), 0, 1)
        colours[inside, : scaled.shape[1]] = (40 + 215 * scaled).astype(np.uint8)
    return Image.fromarray(colours)
