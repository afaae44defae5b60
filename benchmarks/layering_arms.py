"""The layering method beside plain U-Nets, three sizes of it, and what completing overlaps is worth, at a small scale.

After Tables 1 and 2 of the publication (Chen, Wu and Merhof, BMVC 2022). Every arm of a data set learns from the same
patches for the same number of steps, and is scored on the same images that none has seen. Images are made smaller, and
the networks with them, so that all arms together take about half an hour of one core.

    python models_zoo/worms-layering/prepare.py BBBC010 prepared-worms
    python models_zoo/cervical-layering/prepare.py OCC2014 prepared-cells --whole
    python benchmarks/layering_arms.py --worms prepared-worms --cells prepared-cells --page docs/methods/layering.md

Finished arms are kept in the work folder and a stopped one goes on. The page gets the tables between its markers, and a
table and a plot beside it.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from plantseg_app.algorithms.layering import LayerRules, decode_layers
from plantseg_app.algorithms.layers import flatten_by_rule, number_masks, pack_layers
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind
from plantseg_app.evaluate import LAYERED_IOU_THRESHOLDS, count_layer_contingency, score_layered_images
from plantseg_app.io import read_volume
from plantseg_app.networks.plan import PredictOptions
from plantseg_app.networks.predict import predict_tiled
from plantseg_app.train.data import Stack
from plantseg_app.train.loop import train
from plantseg_app.train.settings import TrainSettings
from plantseg_app.zoo.card import ModelCard, Normalisation
from plantseg_app.zoo.catalogue import InstalledModel
from plantseg_app.zoo.load import load_network


class DataSet(NamedTuple):
    """Where the images of a data set lie, and how small they are made."""

    title: str
    images: str
    masks: str
    shrink: int
    patch: int
    batch: int
    steps: int
    rate: float
    min_size: int
    neighbour_distance: float
    normalisation: Normalisation
    scale: dict[str, float]


DATA = {
    "worms": DataSet(
        "worms (BBBC010, half size)", "brightfield", "worms", 2, 224, 2, 1000, 0.002, 63, 7.5,
        Normalisation(method="zscore"), {"scale_factor": 1.15, "elastic_amplitude_vox": 2, "elastic_spacing_vox": 32},
    ),
    "cells": DataSet(
        "cervical cells (OCC2014, quarter size)", "images", "cells", 4, 128, 4, 900, 0.0015, 40, 6.0,
        Normalisation(method="percentile", low=1.0, high=99.8),
        {"scale_factor": 1.2, "elastic_amplitude_vox": 1.5, "elastic_spacing_vox": 24},
    ),
}  # fmt: skip
SIZES = {"S": (16, 32, 64), "M": (16, 32, 64, 128), "L": (16, 32, 64, 128, 256)}
PUBLISHED = {
    ("worms", "2-label"): 0.423, ("worms", "3-label"): 0.660, ("worms", "layering M"): 0.716,
    ("cells", "2-label"): 0.122, ("cells", "3-label"): 0.478,
    ("cells", "layering S"): 0.482, ("cells", "layering M"): 0.684, ("cells", "layering L"): 0.743,
    ("cells", "layering S, sorting alone"): 0.436, ("cells", "layering M, sorting alone"): 0.527,
    ("cells", "layering L, sorting alone"): 0.544,
}  # fmt: skip
ARMS = tuple(PUBLISHED)
AUGMENT = {
    "rotate": 0.5, "scale": 0.3, "stretch_factor": 1.05, "elastic": 0.2, "gamma": 0, "contrast": 0.5, "blur": 0,
    "gaussian_noise": 0, "poisson_noise": 0, "slice_jitter": 0,
}  # fmt: skip


def shrink_image(image, factor):
    """Return the mean of every square of pixels."""
    depth, height, width = image.shape[0], image.shape[1] // factor, image.shape[2] // factor
    cut = image[:, : height * factor, : width * factor].astype(np.float32)
    return cut.reshape(depth, height, factor, width, factor).mean((2, 4))


def read_part(folder, data):
    """Return name, image (Z, Y, X) and layers (L, Z, Y, X) of every image of a part, made smaller."""
    found = []
    for path in sorted((folder / data.masks).glob("*.tif")):
        image = read_volume(folder / data.images / path.name).data
        masks = number_masks(read_volume(path, kind=Kind.LAYERED_LABELS).data)
        # A pixel belongs to an object where at least half of what it stands for does.
        inside = np.stack([shrink_image(mask > 0, data.shrink) >= 0.5 for mask in masks])
        numbers = np.array([mask.max() for mask in masks], np.uint32)
        found.append((path.stem, shrink_image(image, data.shrink), pack_layers(inside * numbers[:, None, None, None])))
    return found


def stacks_of(part, arm, data):
    """Return what an arm learns from: layers, or plain labels, in which each overlap is divided."""
    if arm.startswith("layering"):
        return [Stack.from_layers(image, layers, normalisation=data.normalisation, name=n) for n, image, layers in part]
    return [
        Stack.from_arrays(image, flatten_by_rule(layers, "nearest"), normalisation=data.normalisation, name=name)
        for name, image, layers in part
    ]


def family_of(arm, data):
    if arm.startswith("layering"):
        return {
            "kind": "layering", "feature_maps": SIZES[arm.split(",")[0][-1]], "norm_momentum": 0.05,
            "neighbour_distance_vox": data.neighbour_distance,
        }  # fmt: skip
    predicts = ["foreground"] if arm == "2-label" else ["foreground", "boundary"]
    return {
        "kind": "boundary", "dimensions": "2D", "feature_maps": SIZES["M"], "predicts": predicts,
        "layer_order": "crb", "upsampling": "bilinear",
    }  # fmt: skip


def settings_of(arm, data, folder, seed):
    plain = {
        "output": str(folder), "family": family_of(arm, data), "seed": seed, "device": "cpu",
        "data": {"normalisation": data.normalisation.model_dump()},
        "patches": {"shape_vox": (1, data.patch, data.patch), "batch": data.batch, "workers": 1},
        "augment": AUGMENT | data.scale,
        "optimiser": {"rate": data.rate, "clip": 1.0, "average": 0.99},
        "schedule": {"warmup_steps": 50, "final_fraction": 0.02},
        "stopping": {"steps": data.steps},
        "validation": {"every": 100, "crop_vox": (1, data.patch, data.patch), "min_size": data.min_size},
    }  # fmt: skip
    if arm.startswith("layering"):
        plain["stopping"]["second_phase_at"] = 1.0 if arm.endswith("sorting alone") else 0.6
    else:
        plain["validation"]["metric"] = "loss"
    return TrainSettings.from_plain(plain)


def pieces_of(mask, min_size):
    """Return the connected pieces of a mask, those that touch by an edge, as labels."""
    pieces, n_pieces = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel(), minlength=n_pieces + 1)
    sizes[0] = 0
    return np.where(sizes >= min_size, np.arange(len(sizes)), 0)[pieces]


def plain_objects(maps, data):
    """Return labels (1, Y, X): pieces of the foreground, or pieces of the insides grown back to the contours."""
    foreground = maps[0, 0] > 0.5
    if len(maps) == 1:
        return pieces_of(foreground, data.min_size)[None]
    # Insides are thinner than objects, so that a smaller part of the least size is asked of them.
    insides = pieces_of(foreground & (maps[1, 0] <= 0.5), data.min_size // 4)
    nearest = ndimage.distance_transform_edt(insides == 0, return_distances=False, return_indices=True)
    grown = np.where(foreground, insides[tuple(nearest)], 0) if insides.any() else insides
    sizes = np.bincount(grown.ravel())
    return np.where(sizes[grown] >= data.min_size, grown, 0)[None]


def score(arm, folder, part, data):
    """Return the scores of an arm over the test images, objects of all of them counted together."""
    card = ModelCard.read(folder)
    family, network = card.network_family(), load_network(InstalledModel(card, folder))
    tables = {}
    for stack, (_, _, truth) in zip(stacks_of(part, arm, data), part, strict=True):
        options = PredictOptions(channels=tuple(c for output in family.outputs for c in output.channels))
        maps = predict_tiled(network, family, stack.normalised(stack.image), QuietContext("cpu", 1), options)
        if arm.startswith("layering"):
            for overlap in (True, False):
                objects = decode_layers(maps[:-1], maps[-1], LayerRules(min_size=data.min_size, overlap=overlap))
                name = "" if overlap else "one_layer_"
                tables.setdefault(name, []).append(count_layer_contingency(objects, truth))
        else:
            tables.setdefault("", []).append(count_layer_contingency(plain_objects(maps, data)[None], truth))
    row = {}
    for name, found in tables.items():
        scores = score_layered_images(found)
        row |= {f"{name}ap{round(100 * entry.iou)}": entry.ap for entry in scores.ap}
        row |= {f"{name}mean_ap": scores.mean_ap, f"{name}aji": scores.aji}
    return row


def run_arm(dataset, arm, parts, work, seed):
    data, folder = DATA[dataset], work / f"{dataset}-{''.join(c for c in arm if c.isalnum())}-{seed}"
    done = folder / "score.json"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        begun = time.process_time()
        stacks = [stacks_of(part, arm, data) for part in parts[:2]]
        train(settings_of(arm, data, folder, seed), QuietContext("cpu", 1), resume=True, data=tuple(stacks))
        seconds = round(time.process_time() - begun)
        row = {"data": dataset, "arm": arm, "steps": data.steps, "processor_seconds": seconds}
        done.write_text(json.dumps(row | score(arm, folder, parts[2], data)))
    return json.loads(done.read_text())


def table_lines(rows):
    """Return the rows of each data set as a Markdown table; published numbers are of other networks and more data."""
    lines = []
    for dataset, data in DATA.items():
        mine = [row for row in rows if row["data"] == dataset]
        heads = [f"AP {iou}" for iou in LAYERED_IOU_THRESHOLDS]
        lines += ["", f"| {data.title}, {data.steps} steps | {' | '.join(heads)} | mean AP | AJI | published mean AP |"]
        lines += ["|---" * (len(heads) + 4) + "|"]
        for row in mine:
            keys = [*(f"ap{round(100 * iou)}" for iou in LAYERED_IOU_THRESHOLDS), "mean_ap", "aji"]
            for name in [""] + (["one_layer_"] if "one_layer_mean_ap" in row else []):
                title = row["arm"] + (", each pixel in one layer" if name else "")
                numbers = " | ".join(f"{row[name + key]:.3f}" for key in keys)
                published = "" if name else f"{PUBLISHED[dataset, row['arm']]:.3f}"
                lines.append(f"| {title} | {numbers} | {published} |")
    return lines


def write_page(rows, page):
    """Put the tables between the markers of the page."""
    before, rest = page.read_text(encoding="utf-8").split("<!-- arms -->\n")
    after = rest.split("<!-- end of arms -->\n")[1]
    middle = "\n".join(table_lines(rows)).strip()
    text = f"{before}<!-- arms -->\n{middle}\n<!-- end of arms -->\n{after}"
    page.write_text(text, encoding="utf-8")


def write_files(rows, stem):
    """Write all numbers as a table, and the mean AP as a plot."""
    with open(f"{stem}.csv", "w", newline="", encoding="utf-8") as file:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, both = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained", width_ratios=(3, 8))
    for axes, (dataset, data) in zip(both, DATA.items(), strict=True):
        mine = [row for row in rows if row["data"] == dataset]
        at = np.arange(len(mine))
        axes.bar(at - 0.2, [row["mean_ap"] for row in mine], 0.4, label="here", color="#0072B2")
        published = [PUBLISHED[dataset, row["arm"]] for row in mine]
        axes.bar(at + 0.2, published, 0.4, label="published", color="#E69F00")
        titles = [row["arm"].replace("layering ", "").replace(", sorting ", ",\nsorting\n") for row in mine]
        axes.set_xticks(at, titles, fontsize=8)
        axes.set(title=data.title, ylim=(0, 1))
        axes.title.set_size(9)
    both[0].set_ylabel("mean AP")
    both[1].legend(fontsize=8)
    figure.savefig(f"{stem}.png", dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worms", type=Path, required=True, help="what prepare.py of worms-layering made")
    parser.add_argument("--cells", type=Path, required=True, help="what prepare.py of cervical-layering made")
    parser.add_argument("--work", type=Path, default=Path("arms-work"))
    parser.add_argument("--page", type=Path, help="the page whose tables are replaced")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = []
    for dataset, folder in (("worms", given.worms), ("cells", given.cells)):
        parts = [read_part(folder / part, DATA[dataset]) for part in ("train", "validation", "test")]
        for arm in (arm for of, arm in ARMS if of == dataset):
            rows.append(run_arm(dataset, arm, parts, given.work, given.seed))
            print(json.dumps(rows[-1]), flush=True)
    print("\n".join(table_lines(rows)))
    if given.page:
        write_page(rows, given.page)
        write_files(rows, given.page.with_name(f"{given.page.stem}-arms"))


if __name__ == "__main__":
    main()
