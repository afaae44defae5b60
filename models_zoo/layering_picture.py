"""Draw what a layering network makes of a drawn image: the image, its layers, the objects found and the true ones.

python layering_picture.py worms-layering worms --picture worms-layering/picture.png
python layering_picture.py worms-layering worms --layers ../docs/methods/layering-worms.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from drawn import DRAWN
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import find_boundaries

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.evaluate import count_layer_contingency, score_layered_images
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflows import default_workflow, find_workflow, with_model

COLOURS = np.array(matplotlib.colormaps["tab10"].colors)


def outlined(grey: NDArray[np.floating], layers: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture (Y, X, 3) of objects with their outlines, those on top of others half transparent."""
    picture = np.repeat(grey[..., None], 3, -1)
    for layer in layers:
        for name in np.unique(layer[layer > 0]):
            inside, colour = layer == name, COLOURS[int(name) % len(COLOURS)]
            picture[inside] = 0.45 * picture[inside] + 0.55 * colour
            picture[find_boundaries(inside, mode="inner")] = colour
    return (255 * picture).astype(np.uint8)


def coloured(activity: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return all layers (N, Y, X) in one picture (Y, X, 3), a colour each."""
    return (255 * np.clip(np.einsum("nyx,nc->yxc", activity, COLOURS[: len(activity)]), 0, 1)).astype(np.uint8)


def one_by_one(grey: NDArray[np.floating], activity: NDArray[np.floating]) -> Image.Image:
    """Return the image and over it each layer (N, Y, X) that says yes anywhere, cut to where they do."""
    used = [n for n, layer in enumerate(activity) if layer.max() > 0.5]
    rows, columns = np.nonzero((activity > 0.5).any(0))
    box = tuple(slice(max(0, at.min() - 20), at.max() + 20) for at in (rows, columns))
    dim = 0.6 * np.repeat(grey[box][..., None], 3, -1)
    shown = [dim / 0.6]
    for n in used:
        strength = activity[n][box][..., None]
        shown.append(dim * (1 - strength) + COLOURS[n % len(COLOURS)] * strength)
    # White lines between the pictures, and white where the last row has none.
    framed = [np.pad(panel, ((2, 2), (2, 2), (0, 0)), constant_values=1.0) for panel in shown]
    framed += [np.ones_like(framed[0])] * (-len(framed) % 3)
    return tiled([(255 * np.clip(panel, 0, 1)).astype(np.uint8) for panel in framed], 3, 270)


def tiled(pictures: list[NDArray[np.uint8]], columns: int, width: int) -> Image.Image:
    """Return pictures of one size in rows, each `width` pixels wide."""
    rows = [np.hstack(pictures[start : start + columns]) for start in range(0, len(pictures), columns)]
    whole = Image.fromarray(np.vstack(rows))
    return whole.resize(
        (columns * width, round(columns * width * whole.height / whole.width)), Image.Resampling.LANCZOS
    )


def main() -> None:
    """Predict, decode, draw, and say how many objects were found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="its id, or its folder")
    parser.add_argument("image", choices=list(DRAWN))
    parser.add_argument("--picture", type=Path, help="a PNG of the image, its layers, found and true objects")
    parser.add_argument("--layers", type=Path, help="a PNG of each layer by itself")
    given = parser.parse_args()
    array, truth = DRAWN[given.image]()
    workflow = with_model(find_workflow(default_workflow(given.model)), given.model)
    workflow = workflow.model_copy(update={"outputs": ("layers", "foreground", "objects")})
    maps = Runner().run(workflow, {"image": Volume(array, Kind.RAW)})
    found = maps["objects"].data
    scores = score_layered_images([count_layer_contingency(found, truth)])
    print(f"{scores.n_segmented} objects, {scores.n_reference} true ones; AP at 0.5: {scores.ap[0].ap:.2f}")
    low, high = np.percentile(array[0], (0.5, 99.8))
    grey = np.clip((array[0] - low) / (high - low), 0, 1)
    raw = (255 * np.repeat(grey[..., None], 3, -1)).astype(np.uint8)
    activity = maps["layers"].data[:, 0] * maps["foreground"].data[0]
    if given.picture:
        panels = [raw, coloured(activity), outlined(grey, found[:, 0]), outlined(grey, truth[:, 0])]
        tiled(panels, 2, 270).save(given.picture, optimize=True)
    if given.layers:
        one_by_one(grey, activity).save(given.layers, optimize=True)


if __name__ == "__main__":
    main()
