"""What helps embeddings: tables of W-Net (Wu et al. 2020) and of SPOCO (Wolny 2023) again, at a small scale.

    python models_zoo/nuclei-2d/prepare.py DSB2018 prepared
    python benchmarks/embedding_experiments.py --nuclei prepared --vnc VNC --medulla training_sample2.h5 \
        --cornea prepared-cornea --output docs/methods/embedding

Every arm of an experiment trains the same small network for the same number of steps on patches of the same size, for
each seed anew (weights, patches, annotated objects), and is scored by the same clustering on images that no arm has
seen. Finished runs are kept in the work folder, so that what was stopped goes on. The state of the last step counts:
nothing is chosen by the images that are scored.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import time
from pathlib import Path

import h5py
import numpy as np

from plantseg_app.algorithms.affinity_clustering import ByAffinities, Partition
from plantseg_app.algorithms.angular_clustering import AngleRules, ByAngle
from plantseg_app.algorithms.instances import InstanceRules, find_instances
from plantseg_app.algorithms.labels import split_components
from plantseg_app.algorithms.resample import LINEAR, NEAREST, resample
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind
from plantseg_app.evaluate import (
    absolute_difference_in_count,
    average_precision,
    count_contingency,
    symmetric_best_dice,
)
from plantseg_app.io import read_volume
from plantseg_app.networks.predict import predict_tiled
from plantseg_app.train.annotated import keep_some_objects
from plantseg_app.train.data import Stack
from plantseg_app.train.loop import train
from plantseg_app.train.settings import TrainSettings
from plantseg_app.zoo.catalogue import find_model
from plantseg_app.zoo.load import load_network

PATCH = 128
MIN_SIZE = 20
CROWDED = 0.85
DENSE_OBJECTS = (20, 60)
SPOCO = {"kind": "spoco", "stride": 2, "feature_maps": [12, 24, 48], "reach_vox": 24, "loss_every_vox": 2}
WNET = {"kind": "wnet", "stride": 2, "feature_maps": [12, 24, 48]}
DISCRIMINATIVE = {**SPOCO, "object_weight": 0, "consistency_weight": 0}


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way of training: which images, which network, and from what it starts."""

    experiment: str
    name: str
    data: str
    family: dict
    share: float | None = None
    start: str = ""
    rate: float = 0.003


ARMS = [
    Arm("annotation budget", "dense: one image", "nuclei-dense", {**SPOCO, "consistency_weight": 0}),
    Arm("annotation budget", "sparse: many images", "nuclei-spread", SPOCO),
    Arm("supervision", "SPOCO@0.1", "nuclei", SPOCO, 0.1),
    Arm("supervision", "SPOCO@0.4", "nuclei", SPOCO, 0.4),
    Arm("supervision", "SPOCO@0.8", "nuclei", SPOCO, 0.8),
    Arm("supervision", "SPOCO", "nuclei", {**SPOCO, "consistency_weight": 0}),
    Arm("supervision", "discriminative loss", "nuclei", DISCRIMINATIVE),
    Arm("consistency at 0.1", "on", "nuclei", SPOCO, 0.1),
    Arm("consistency at 0.1", "off", "nuclei", {**SPOCO, "consistency_weight": 0}, 0.1),
    Arm("W-Net", "W-Net", "nuclei", WNET),
    Arm("W-Net", "U-Net, two heads", "nuclei", {**WNET, "passes_on": "nothing"}),
    Arm("transfer", "source alone", "vnc", SPOCO),
    Arm("transfer", "fine-tuned on 0.05", "medulla", SPOCO, 0.05, "source alone", 0.0003),
    Arm("transfer", "from scratch on 0.05", "medulla", SPOCO, 0.05),
    Arm("cornea", "traced cells and borders", "cornea", SPOCO),
    Arm("cornea", "traced cells alone", "cornea", SPOCO, 1.0),
    Arm("cornea", "a fifth of the traced cells", "cornea", SPOCO, 0.2),
]
PUBLISHED = {
    "dense: one image": "SBD 0.380", "sparse: many images": "SBD 0.691", "on": "SBD 0.788", "off": "SBD 0.720",
    "SPOCO@0.1": "SBD 0.788", "SPOCO@0.4": "SBD 0.824", "SPOCO@0.8": "SBD 0.828", "SPOCO": "SBD 0.886",
    "W-Net": "SBD 0.879", "U-Net, two heads": "SBD 0.794", "source alone": "AP50 0.234",
    "fine-tuned on 0.05": "AP50 0.398", "from scratch on 0.05": "AP50 0.403",
}  # fmt: skip


# ---------------------------------------------------------------------------------------------- images


def read_nuclei(folder):
    """Return crowded fluorescence images, cut to 256 x 256: three of four to train on, the others to score on.

    In most images of the set no two nuclei touch, and any mask of the foreground would do.
    """
    stacks = []
    for path in sorted(path for part in ("train", "validation") for path in (folder / part / "images").glob("*.tif")):
        image = read_volume(path, kind=Kind.RAW).data[:, :256, :256]
        labels = read_volume(path.parent.parent / "labels" / path.name, kind=Kind.LABELS).data[:, :256, :256]
        count = len(np.unique(labels)) - 1
        is_dark, is_large = np.median(image) < image.mean(), min(labels.shape[1:]) >= PATCH
        if (
            is_dark
            and is_large
            and count > 5
            and split_components((labels > 0).astype(np.uint32)).max() < CROWDED * count
        ):
            stacks.append(Stack.from_arrays(image, labels, name=path.stem))
    return [stack for i, stack in enumerate(stacks) if i % 4], stacks[::4]


def read_cornea(folder, part):
    stacks = []
    for path in sorted((folder / part / "images").glob("*.tif")):
        labels, ignored = (read_volume(folder / part / kind / path.name).data for kind in ("labels", "ignore"))
        stacks.append(Stack.from_arrays(read_volume(path).data, labels, ignored == 0, name=path.stem))
    return stacks


def slices_of(raw, labels, which):
    """Return slices as stacks; what is connected in a slice is an object."""
    made = []
    for z in which:
        pieces = split_components(labels[z : z + 1].astype(np.uint32))
        made.append(Stack.from_arrays(raw[z : z + 1], pieces, name=f"slice {z}"))
    return made


def read_vnc(folder):
    """Return sections at half their size, about the scale of the medulla."""
    raw = read_volume(folder / "raw.tif").data
    labels = read_volume(folder / "sections_2d_labels.tif", kind=Kind.LABELS).data
    shape = (len(raw), raw.shape[1] // 2, raw.shape[2] // 2)
    return slices_of(resample(raw, shape, LINEAR), resample(labels, shape, NEAREST), range(len(raw)))


def read_medulla(path):
    """Return slices to train and to score on, with forty between them."""
    with h5py.File(path) as file:
        raw, labels = file["raw"][:], file["label"][:]
    return slices_of(raw, labels, range(0, 120, 12)), slices_of(raw, labels, range(160, 250, 15))


class Images:
    """What arms train on and are scored on, read when first needed."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.kept = {}

    def has(self, data):
        return getattr(self.arguments, data.split("-")[0]) is not None

    def _read(self, name):
        if name not in self.kept:
            where = getattr(self.arguments, name)
            self.kept[name] = {
                "nuclei": lambda: read_nuclei(where),
                "cornea": lambda: (read_cornea(where, "train"), read_cornea(where, "test")),
                "vnc": lambda: (read_vnc(where), []),
                "medulla": lambda: read_medulla(where),
            }[name]()
        return self.kept[name]

    def train(self, arm, seed):
        stacks, rng = list(self._read(arm.data.split("-")[0])[0]), np.random.default_rng(seed)
        if arm.data in ("nuclei-dense", "nuclei-spread"):
            counts = np.array([len(np.unique(stack.labels)) - 1 for stack in stacks])
            fitting = np.flatnonzero((counts >= DENSE_OBJECTS[0]) & (counts <= DENSE_OBJECTS[1]))
            chosen = rng.choice(fitting)
            if arm.data == "nuclei-dense":
                return [stacks[chosen]]
            # As many objects, one an image.
            which = rng.permutation(len(stacks))[: counts[chosen]]
            return [keep_some_objects(stacks[i], 1 / counts[i], rng) for i in which]
        if arm.share is None:
            return stacks
        some = [keep_some_objects(stack, arm.share, rng) for stack in stacks]
        return [stack for stack in some if stack.is_labelled]

    def test(self, arm):
        # The network of the source is scored where it is to be used.
        return self._read("medulla" if arm.experiment == "transfer" else arm.data.split("-")[0])[1]


# ---------------------------------------------------------------------------------------------- one run


def settings_of(arm, folder, steps, seed, start):
    return TrainSettings.from_plain(
        {
            "output": str(folder), "family": arm.family, "seed": seed, "device": "cpu", "start_from": start,
            "patches": {"shape_vox": [1, PATCH, PATCH], "batch": 4, "min_labelled": 0.0},
            "augment": {
                "flip_z": False, "rotate": 0.0, "scale": 0.5, "scale_factor": 1.3, "elastic": 0.0, "gamma": 0.4,
                "contrast": 0.5, "blur": 0.3,
            },
            "optimiser": {"rate": arm.rate, "clip": 1.0, "average": 0.99},
            "schedule": {"name": "constant" if start else "cosine"},
            "stopping": {"steps": steps}, "validation": {"every": steps, "stacks": 1, "min_size": MIN_SIZE},
        }
    )  # fmt: skip


def objects_of(family, said):
    """Return the objects of what a network said, without any map of the foreground."""
    n_channels = family.embedding_channels
    embedding = said[:n_channels]
    if family.kind == "wnet":
        rules = AngleRules(seed_threshold=0.3, seed_sigma=1.5, seed_distance=6, smoothing=1.0, rim_distance=0.1)
        inside = np.ones(said.shape[1:], bool)
        return find_instances(embedding, inside, ByAngle(said[n_channels], rules), InstanceRules(MIN_SIZE), n_channels)
    clustering = ByAffinities(family.cluster_separation, partition=Partition.GASP)
    rules = InstanceRules(MIN_SIZE, background_distance=family.push_margin)
    return find_instances(embedding, None, clustering, rules, n_channels)


def objects_within(family, said, mask):
    """Return the objects within the true foreground, as in Table 3.6 of the thesis."""
    clustering = ByAffinities(family.cluster_separation, partition=Partition.GASP)
    return find_instances(
        said[: family.embedding_channels], mask, clustering, InstanceRules(MIN_SIZE, fills_foreground=True)
    )


def score(folder, stacks):
    model = find_model(str(folder))
    family, network, context = model.card.network_family(), load_network(model), QuietContext("cpu", 1)
    rows = []
    for stack in stacks:
        said = predict_tiled(network, family, stack.normalised(stack.image), context)
        found, within = objects_of(family, said), objects_within(family, said, stack.labels > 0)
        table = count_contingency(found, stack.labels, mask=stack.known)
        rows.append(
            {
                "sbd": symmetric_best_dice(table),
                "ap50": average_precision(table, 0.5),
                "dic": absolute_difference_in_count(table),
                "sbd_within": symmetric_best_dice(count_contingency(within, stack.labels, mask=stack.known)),
            }
        )
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def slug(*words):
    return "-".join("".join(c if c.isalnum() else "-" for c in str(word)) for word in words)


def run_arm(arm, images, arguments, seed):
    same = next(other for other in ARMS if dataclasses.replace(other, experiment="", name="") == dataclasses.replace(
        arm, experiment="", name=""))  # fmt: skip
    folder = arguments.work / slug(same.experiment, same.name, arguments.steps, seed)
    done = folder / "score.json"
    if not done.is_file():
        start = str(arguments.work / slug("transfer", arm.start, arguments.steps, seed)) if arm.start else ""
        begun = time.process_time()
        settings = settings_of(arm, folder, arguments.steps, seed, start)
        test = images.test(arm)
        train(settings, QuietContext("cpu", 1), resume=True, data=(images.train(arm, seed), test[:1]))
        row = {**score(folder, test), "processor_seconds": round(time.process_time() - begun)}
        done.write_text(json.dumps(row))
    return {"experiment": arm.experiment, "arm": arm.name, "seed": seed, **json.loads(done.read_text())}


# ---------------------------------------------------------------------------------------------- table and plot


def rows_of(arm, rows):
    return [row for row in rows if (row["experiment"], row["arm"]) == (arm.experiment, arm.name)]


def write(rows, output):
    with open(f"{output}-experiments.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(
        "\n| experiment | arm | SBD | AP50 | DiC | SBD in true foreground | published |\n|---|---|---|---|---|---|---|"
    )
    for arm in ARMS:
        mine = rows_of(arm, rows)
        if mine:
            cells = []
            for key in ("sbd", "ap50", "dic", "sbd_within"):
                values = [row[key] for row in mine]
                cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f}")
            print(f"| {arm.experiment} | {arm.name} | {' | '.join(cells)} | {PUBLISHED.get(arm.name, '')} |")


def draw(rows, output):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    arms = [arm for arm in ARMS if rows_of(arm, rows)]
    figure, axes = pyplot.subplots(figsize=(8, 0.36 * len(arms) + 0.8), layout="constrained")
    for place, arm in enumerate(arms):
        mine = rows_of(arm, rows)
        values, within = ([r[key] for r in mine] for key in ("sbd", "sbd_within"))
        is_odd = len({a.experiment for a in arms[: place + 1]}) % 2
        axes.barh(place, np.mean(values), color="#0072B2" if is_odd else "#E69F00", alpha=0.6)
        axes.plot(values, [place] * len(values), "k.", markersize=5)
        axes.plot(within, [place] * len(within), "D", color="#009E73", markersize=4, fillstyle="none")
    axes.set_yticks(range(len(arms)), [f"{arm.experiment}: {arm.name}" for arm in arms], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("symmetric best Dice (bar: mean, points: seeds; diamonds: in the true foreground)")
    figure.savefig(f"{output}-experiments.png", dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nuclei", type=Path, help="folder made by models_zoo/nuclei-2d/prepare.py")
    parser.add_argument("--vnc", type=Path, help="folder with raw.tif and sections_2d_labels.tif (Gerhard et al. 2013)")
    parser.add_argument("--medulla", type=Path, help="training_sample2.h5 with raw and label (Takemura et al. 2015)")
    parser.add_argument("--cornea", type=Path, help="folder made by models_zoo/endothelium-spoco/prepare.py")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--only", nargs="*", help="experiments")
    parser.add_argument("--work", type=Path, default=Path("embedding-work"))
    parser.add_argument("--output", type=Path, default=Path("embedding"))
    arguments = parser.parse_args()
    images, rows = Images(arguments), []
    for seed in arguments.seeds:
        for arm in ARMS:
            if images.has(arm.data) and (not arguments.only or arm.experiment in arguments.only):
                rows.append(run_arm(arm, images, arguments, seed))
                print(json.dumps(rows[-1]), flush=True)
    write(rows, arguments.output)
    draw(rows, arguments.output)


if __name__ == "__main__":
    main()
