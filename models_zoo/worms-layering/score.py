"""Score a layering network as the publication does: python score.py MODEL FOLDER, where FOLDER holds images and masks.

Matches of all images are counted together: each true object takes the found one of greatest intersection, and is right
if their intersection over union reaches the threshold. AJI uses the same matches.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import find_boundaries

import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.core.context import QuietContext
from plantseg_app.core.step import make_step
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.evaluate import Contingency, aggregated_jaccard, count_layer_contingency, count_matches
from plantseg_app.io import read_volume

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
COLOURS = np.array(matplotlib.colormaps["tab10"].colors)


def predicted(model: str, image: Volume, context: QuietContext) -> dict[str, Volume]:
    """Return the layers and the foreground of an image."""
    return {
        name: make_step("predict", {"model": model, "output": name}).execute({"image": image}, context)
        for name in ("layers", "foreground")
    }


def score_line(tables: list[Contingency]) -> str:
    """Return the scores of all images together."""
    scores = []
    for threshold in THRESHOLDS:
        total = count_matches(tables[0], threshold, matching="overlap")
        for table in tables[1:]:
            total = total + count_matches(table, threshold, matching="overlap")
        scores.append(total.average_precision)
    jaccard = aggregated_jaccard(tables[0], choose_by="overlap")
    for table in tables[1:]:
        jaccard = jaccard + aggregated_jaccard(table, choose_by="overlap")
    text = " ".join(f"AP{100 * t:.0f} {s:.3f}" for t, s in zip(THRESHOLDS, scores, strict=True))
    return f"{text} | mean AP {np.mean(scores):.3f} | AJI {jaccard.index:.3f}"


def drawn(grey: NDArray[np.floating], layers: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture (Y, X, 3) of objects with their outlines, those on top of others half transparent."""
    picture = np.repeat(grey[..., None], 3, -1)
    for layer in layers:
        for name in np.unique(layer[layer > 0]):
            inside, colour = layer == name, COLOURS[int(name) % len(COLOURS)]
            picture[inside] = 0.45 * picture[inside] + 0.55 * colour
            picture[find_boundaries(inside, mode="inner")] = colour
    return (255 * picture).astype(np.uint8)


def panels(image: Volume, maps: dict[str, Volume], found: NDArray[Any], truth: NDArray[Any], side: int) -> Image.Image:
    """Return image, activity of the layers (a colour each), found and true objects, two by two."""
    low, high = np.percentile(image.data[0], (0.5, 99.8))
    grey = np.clip((image.data[0] - low) / (high - low), 0, 1)
    layers = maps["layers"].data[:, 0] * maps["foreground"].data[0]
    activity = np.clip(np.einsum("nyx,nc->yxc", layers, COLOURS[: len(layers)]), 0, 1)
    raw = (255 * np.repeat(grey[..., None], 3, -1)).astype(np.uint8)
    upper = np.hstack([raw, (255 * activity).astype(np.uint8)])
    lower = np.hstack([drawn(grey, found[:, 0]), drawn(grey, truth[:, 0])])
    whole = Image.fromarray(np.vstack([upper, lower]))
    return whole.resize((2 * side, round(2 * side * grey.shape[0] / grey.shape[1])), Image.Resampling.LANCZOS)


def main() -> None:
    """Predict each image once, decode with and without overlaps, and print a line of scores for either."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model", help="its id, or its folder")
    parser.add_argument("folder", type=Path, help="test images")
    parser.add_argument("--images", default="brightfield", help="sub-folder of the images")
    parser.add_argument("--masks", default="worms", help="sub-folder of the mask stacks")
    parser.add_argument("--min-size", type=int, default=250, help="smallest object in pixels")
    parser.add_argument("--picture", type=Path, help="a PNG of one image: itself, its layers, found and true objects")
    parser.add_argument("--show", default="", help="the image of the picture, by its name; the first one")
    given = parser.parse_args()
    context = QuietContext("cpu", 1)
    tables: dict[bool, list[Contingency]] = {True: [], False: []}
    paths = sorted((given.folder / given.images).glob("*.tif"))
    for path in paths:
        image = read_volume(path)
        truth = read_volume(given.folder / given.masks / path.name, kind=Kind.LAYERED_LABELS).data
        maps = predicted(given.model, image, context)
        for overlap, found in tables.items():
            step = make_step("objects-from-layers", {"overlap": overlap, "min_size": given.min_size})
            objects = step.execute(maps, context).data
            found.append(count_layer_contingency(objects, truth))
            if given.picture and overlap and path.name == (given.show or paths[0].name):
                panels(image, maps, objects, truth, 300).save(given.picture, optimize=True)
    for overlap, found in tables.items():
        print(f"{'with' if overlap else 'without':>7} overlaps: {score_line(found)}")


if __name__ == "__main__":
    main()
