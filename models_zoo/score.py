"""Measure a model with its own default workflow on labelled images, and draw what it finds.

    python score.py nuclei-2d --images "prepared/test/images/*.tif" --labels "prepared/test/labels/*.tif"
    python score.py nuclei-3d --images prepared/validation/real.h5 --labels prepared/validation/real.h5 --picture p.png

Images and labels are paired in the order of their names, and masks of where nothing is known (`--ignore`) likewise. An
object of which more than half lies where nothing is known is not asked about.
"""

from __future__ import annotations

import argparse
import glob
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plantseg_app.core.volume import Kind
from plantseg_app.evaluate import adapted_rand, average_precision, count_contingency, symmetric_best_dice
from plantseg_app.io import read_volume
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflows import default_workflow, find_workflow, with_model

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def colours(labels: NDArray[np.unsignedinteger]) -> NDArray[np.uint8]:
    """Return an RGB picture of labels (Y, X), label 0 black, each other one its own colour."""
    table = np.random.default_rng(4).integers(60, 255, (int(labels.max()) + 1, 3)).astype(np.uint8)
    table[0] = 0
    return table[labels]


def panels(raw: NDArray[np.generic], found: NDArray[np.uint32], truth: NDArray[np.unsignedinteger]) -> Image.Image:
    """Return image, result and reference of the middle slice side by side, each at most 256 pixels."""
    z = len(raw) // 2
    low, high = np.percentile(raw[z], (0.5, 99.7))
    grey = (255 * np.clip((raw[z] - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)
    whole = Image.fromarray(np.hstack([np.repeat(grey[..., None], 3, -1), colours(found[z]), colours(truth[z])]))
    scale = 256 / max(grey.shape)
    return whole.resize((round(whole.width * scale), round(whole.height * scale)), Image.Resampling.NEAREST)


def drop_unknown(found: NDArray[np.unsignedinteger], known: NDArray[np.bool_] | None) -> NDArray[np.unsignedinteger]:
    """Return the labels without the objects of which more than half lies where nothing is known."""
    if known is None:
        return found
    sizes = np.bincount(found.ravel())
    inside = np.bincount(found[known], minlength=len(sizes))
    return np.where((inside >= sizes / 2)[found], found, 0)


def main() -> None:
    """Print the scores of each image and their means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="its id, or its folder")
    parser.add_argument("--images", required=True, help="a file, or a pattern with *")
    parser.add_argument("--labels", required=True, help="a file, or a pattern with *")
    parser.add_argument("--ignore", help="a file, or a pattern with *: not 0 where the labels say nothing")
    parser.add_argument("--picture", type=Path, help="a PNG of the first image, its result and its labels")
    parser.add_argument("--show", type=int, nargs="*", default=[0], help="which images the picture shows")
    arguments = parser.parse_args()
    workflow = with_model(find_workflow(default_workflow(arguments.model)), arguments.model)
    source, output = next(iter(workflow.sources)), workflow.outputs[0]
    pairs = list(zip(sorted(glob.glob(arguments.images)), sorted(glob.glob(arguments.labels)), strict=True))
    ignored = sorted(glob.glob(arguments.ignore)) if arguments.ignore else [None] * len(pairs)
    rows, drawn = [], []
    for number, ((image, labels), ignore) in enumerate(zip(pairs, ignored, strict=True)):
        raw, truth = read_volume(image, channel="gray"), read_volume(labels, kind=Kind.LABELS).data
        found = Runner().run(workflow, {source: raw})[output].data
        known = None if ignore is None else read_volume(ignore).data == 0
        table = count_contingency(drop_unknown(found, known), truth, mask=known)
        whole = [adapted_rand(table).error, symmetric_best_dice(table)]
        rows.append([average_precision(table, at) for at in THRESHOLDS] + whole)
        print(Path(image).name, " ".join(f"{value:.3f}" for value in rows[-1]))
        if number in arguments.show:
            drawn.append(panels(raw.data, found, truth))
    mean = np.mean(rows, axis=0)
    print(f"{len(rows)} images: AP at 0.5 to 0.9:", " ".join(f"{value:.3f}" for value in mean[:-2]))
    print(f"mean AP {mean[:-2].mean():.3f}, adapted Rand error {mean[-2]:.3f}, SBD {mean[-1]:.3f}")
    if arguments.picture:
        sheet = Image.new("RGB", (max(p.width for p in drawn), sum(p.height + 4 for p in drawn) - 4), "white")
        top = 0
        for panel in drawn:
            sheet.paste(panel, (0, top))
            top += panel.height + 4
        sheet.save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
