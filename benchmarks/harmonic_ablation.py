"""What the guides are good for: Table 5 of the publication (Kulikov and Lempitsky, CVPR 2020) at a small scale.

Six networks learn to tell worms apart from their mask, each for the same number of steps on the same patches: shown
the fitted guides (SinConv), nothing, or plain coordinates (CoordConv), with targets from the fitted guides; and shown
random guides of all, low or high frequencies, with targets from those. Then each is scored on wells that none has seen.

    python models_zoo/worms-harmonic/prepare.py BBBC010 prepared
    python benchmarks/harmonic_ablation.py prepared --steps 600 --output docs/methods/harmonic-ablation

Finished variants are kept in the work folder, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np

from plantseg_app.algorithms.instances import ByMeanShift, InstanceRules, find_instances, instance_confidence
from plantseg_app.algorithms.resample import NEAREST, resample
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind
from plantseg_app.evaluate import coco_average_precision, count_contingency
from plantseg_app.io import read_volume
from plantseg_app.networks.plan import PredictOptions
from plantseg_app.networks.predict import predict_tiled
from plantseg_app.train.data import Stack
from plantseg_app.train.loop import train
from plantseg_app.train.settings import TrainSettings
from plantseg_app.zoo.card import ModelCard, Normalisation
from plantseg_app.zoo.catalogue import InstalledModel
from plantseg_app.zoo.load import load_network

FRAME = (1, 288, 352)
FAMILY = {
    "kind": "harmonic", "foreground": "given", "frame_size_vox": FRAME, "stride": 4, "feature_maps": [16, 32, 64, 96],
    "guided_width_vox": 5, "n_guides": 12, "guide_initialisation": "general",
}  # fmt: skip
VARIANTS = {
    "SinConv": {},
    "CoordConv": {"conditioning": "coordinates"},
    "no guides": {"conditioning": "nothing"},
    "random, 0 to 50": {"guides": "random"},
    "low, 0 to 10": {"guides": "random", "guide_frequencies": [0, 10]},
    "high, 40 to 50": {"guides": "random", "guide_frequencies": [40, 50]},
}
PUBLISHED = {
    "SinConv": (0.724, 0.900), "CoordConv": (0.436, 0.631), "no guides": (0.028, 0.063),
    "random, 0 to 50": (0.078, 0.115), "low, 0 to 10": (0.273, 0.498), "high, 40 to 50": (0.001, 0.002),
}  # fmt: skip
CLUSTERING = ByMeanShift(0.5, min_seed_points=5)
RULES = InstanceRules(min_size=60, fills_foreground=True)


def read_part(folder):
    """Return the wells of a part at half the scale."""
    stacks = []
    for path in sorted((folder / "labels").glob("*.tif")):
        labels = read_volume(path, kind=Kind.LABELS).data
        half = resample(labels, (1, labels.shape[1] // 2, labels.shape[2] // 2), NEAREST)
        mask = (half > 0).astype(np.uint8)
        stacks.append(Stack.from_arrays(mask, half, normalisation=Normalisation(method="none"), name=path.stem))
    return stacks


def settings_of(variant, folder, steps, seed):
    return TrainSettings.from_plain(
        {
            "output": str(folder), "family": {**FAMILY, "guide_seed": seed, **VARIANTS[variant]}, "seed": seed,
            "data": {"normalisation": {"method": "none"}}, "device": "cpu",
            "patches": {"shape_vox": FRAME, "batch": 2},
            "augment": {
                "rot90": False, "rotate": 0.0, "scale": 0.3, "scale_factor": 1.2, "elastic": 0.0, "gamma": 0.0,
                "contrast": 0.0, "blur": 0.0, "gaussian_noise": 0.0, "poisson_noise": 0.0,
            },
            "optimiser": {"rate": 0.002, "clip": 1.0, "average": 0.99}, "stopping": {"steps": steps},
            "validation": {"every": steps, "min_size": 60, "metric": "loss"},
        }
    )  # fmt: skip


def score(folder, stacks):
    card = ModelCard.read(folder)
    family, network = card.network_family(), load_network(InstalledModel(card, folder))
    options, context = PredictOptions(channels=family.outputs[0].channels), QuietContext("cpu", 1)
    tables, ranks = [], []
    for stack in stacks:
        image = stack.image.astype(np.float32)
        embedding = predict_tiled(network, family, image, context, options)
        found = find_instances(embedding, image[0] > 0.5, CLUSTERING, RULES)
        confidence = instance_confidence(embedding, found, RULES.bandwidth)
        tables.append(count_contingency(found, stack.labels))
        ranks.append({name: float(confidence[name]) for name in range(1, len(confidence))})
    scores = coco_average_precision(tables, ranks)
    return {"ap": scores.ap, "ap50": scores.ap50, "ap75": scores.ap75}


def run_variant(variant, data, folder, steps, seed):
    done = folder / "score.json"
    if not done.is_file():
        begun = time.process_time()
        train(settings_of(variant, folder, steps, seed), QuietContext("cpu", 1), resume=True, data=data[:2])
        history = json.loads((folder / "history.json").read_text())["rows"][-1]
        row = {"variant": variant, "seed": seed, "steps": steps, "loss": history["loss"], **score(folder, data[2])}
        row["processor_seconds"] = round(time.process_time() - begun)
        done.write_text(json.dumps(row))
    return json.loads(done.read_text())


def write_table(rows, output):
    with open(f"{output}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print("\n| shown to the decoder | AP | AP50 | AP75 | published AP | published AP50 |\n|---|---|---|---|---|---|")
    for variant in VARIANTS:
        mine = [row for row in rows if row["variant"] == variant]
        if mine:
            means = [np.mean([row[key] for row in mine]) for key in ("ap", "ap50", "ap75")]
            numbers = " | ".join(f"{value:.3f}" for value in (*means, *PUBLISHED[variant]))
            print(f"| {variant} | {numbers} |")


def draw(rows, output):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [name for name in VARIANTS if any(row["variant"] == name for row in rows)]
    here = [np.mean([row["ap50"] for row in rows if row["variant"] == name]) for name in names]
    figure, axes = pyplot.subplots(figsize=(7, 3.2), layout="constrained")
    at = np.arange(len(names))
    axes.bar(at - 0.2, here, 0.4, label="here", color="#0072B2")
    axes.bar(at + 0.2, [PUBLISHED[name][1] for name in names], 0.4, label="published", color="#E69F00")
    axes.set_xticks(at, names, fontsize=8)
    axes.set_ylabel("COCO AP at IoU 0.5")
    axes.set_ylim(0, 1)
    axes.legend()
    figure.savefig(f"{output}.png", dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--work", type=Path, default=Path("ablation-work"))
    parser.add_argument("--output", type=Path, default=Path("ablation"))
    arguments = parser.parse_args()
    data = [read_part(arguments.prepared / part) for part in ("train", "validation", "test")]
    rows = []
    for seed in arguments.seeds:
        for variant in VARIANTS:
            name = "".join(c for c in variant if c.isalnum())
            folder = arguments.work / f"{name}-{seed}-{arguments.steps}"
            folder.mkdir(parents=True, exist_ok=True)
            rows.append(run_variant(variant, data, folder, arguments.steps, seed))
            print(json.dumps(rows[-1]), flush=True)
    write_table(rows, arguments.output)
    draw(rows, arguments.output)


if __name__ == "__main__":
    main()
