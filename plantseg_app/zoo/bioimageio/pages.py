"""What people read and see of a package: a page made of the card, and a picture of the test image and its maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plantseg_app.algorithms.normalise import percentile_normalise, unit_range
from plantseg_app.zoo.card import ModelCard

_COVER_PX = 256
_CONTRAST = 0.5, 99.5


def write_page(card: ModelCard, path: Path) -> None:
    """Write a page in Markdown: what the model does, how its images are prepared, data, validation, origin."""
    inputs = [f"- {channel.name}. {channel.description}".rstrip(". ") for channel in card.inputs]
    outputs = [f"- {output.name} ({output.kind.value}). {output.description}".rstrip(". ") for output in card.outputs]
    parts = [
        f"# {card.title}",
        card.description,
        "## What it reads and returns",
        "\n".join(["Reads:", *inputs, "", "Returns:", *outputs]),
        _scale(card),
        "## Training data",
        "\n".join(_data(card)) or "Not stated.",
        "## Validation",
        "\n".join(_scores(card)) or "Nobody has measured how good it is. Compare its maps with cells drawn by hand.",
        "## Origin",
        "\n".join(
            f"- {name}: {text}"
            for name, text in (
                ("Authors", ", ".join(card.authors)),
                ("Licence", card.licence),
                ("Cite", card.citation),
                ("Training", card.training),
            )
            if text
        ),
    ]
    path.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _scale(card: ModelCard) -> str:
    if card.voxel_size_um is None:
        return ""
    size = " x ".join(f"{length:g}" for length in card.voxel_size_um)
    return f"Bring images to voxels of {size} micrometres (Z, Y, X) first, the scale that it was trained at."


def _data(card: ModelCard) -> list[str]:
    return [
        f"- {source.name} ({source.seen_as}). {source.licence} {source.provenance}".rstrip() for source in card.data
    ]


def _scores(card: ModelCard) -> list[str]:
    return [f"- {score.metric} {score.value:g} on {score.data}. {score.remark}".rstrip() for score in card.scores]


def draw_cover(image: NDArray[Any], maps: NDArray[Any], path: Path) -> None:
    """Write a picture of the middle slices of the first channels, the image on the left and the map on the right.

    Parameters
    ----------
    image, maps
        (C, Z, Y, X).
    path
        A PNG file.
    """
    seen, made = (array[0, array.shape[1] // 2].astype(np.float32) for array in (image, maps))
    # A few very bright pixels must not leave the rest black.
    halves = [percentile_normalise(seen, *_CONTRAST).clip(0.0, 1.0), unit_range(made)]
    pictures = [Image.fromarray((255 * half).astype(np.uint8)).resize((_COVER_PX, _COVER_PX)) for half in halves]
    cover = Image.new("L", (2 * _COVER_PX, _COVER_PX))
    for number, picture in enumerate(pictures):
        cover.paste(picture, (number * _COVER_PX, 0))
    cover.save(path, "PNG")
