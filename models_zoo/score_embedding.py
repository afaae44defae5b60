"""Measure a model of embeddings with its default workflow: COCO average precision, ranked by confidence.

    python score_embedding.py MODEL --images "prepared/test/images/*.tif" --labels "prepared/test/labels/*.tif"

Images and labels are paired in the order of their names; labels may be stacks of overlapping instances (`--layered`).
"""

from __future__ import annotations

import argparse
import glob

import numpy as np

from plantseg_app.cli.assignments import parse_assignments
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind
from plantseg_app.evaluate import (
    average_precision,
    coco_average_precision,
    count_contingency,
    count_layer_contingency,
    symmetric_best_dice,
)
from plantseg_app.evaluate.layers import prepare_layers
from plantseg_app.io import read_volume
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflows import default_workflow, find_workflow, with_model, with_settings
from plantseg_app.steps.cluster.instance_confidence import InstanceConfidence


def main() -> None:
    """Print the scores of all images together."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="its id, or its folder")
    parser.add_argument("--images", required=True, help="a pattern with *")
    parser.add_argument("--labels", required=True, help="a pattern with *")
    parser.add_argument("--layered", action="store_true", help="the labels are layers of overlapping instances")
    parser.add_argument("--set", action="append", default=[], metavar="NODE.FIELD=VALUE")
    arguments = parser.parse_args()
    workflow = with_model(find_workflow(default_workflow(arguments.model)), arguments.model)
    workflow = with_settings(workflow, parse_assignments(arguments.set))
    objects = workflow.outputs[0]
    embedding = workflow.nodes[objects].inputs["embedding"]
    workflow = workflow.model_copy(update={"outputs": (objects, embedding)})
    (source, wanted), *_ = workflow.sources.items()
    tables, ranks, halves, dice = [], [], [], []
    for image, labels in zip(sorted(glob.glob(arguments.images)), sorted(glob.glob(arguments.labels)), strict=True):
        raw = read_volume(image, kind=wanted.kind, channel="gray" if wanted.kind is Kind.RAW else None)
        made = Runner().run(workflow, {source: raw})
        found = made[objects].data
        step = InstanceConfidence(model=arguments.model)
        sure = step.run({"embedding": made[embedding], "labels": made[objects]}, QuietContext("cpu")).data
        if arguments.layered:
            truth = read_volume(labels, kind=Kind.LAYERED_LABELS).data
            table = count_layer_contingency(found[None], prepare_layers(truth, "reference"))
        else:
            table = count_contingency(found, read_volume(labels, kind=Kind.LABELS).data)
        tables.append(table)
        numbers = np.unique(found)[1:]
        ranks.append({int(n): float(sure[found == n][0]) for n in numbers})
        halves.append(average_precision(table, 0.5))
        dice.append(symmetric_best_dice(table))
    for name, scores in (("ranked", coco_average_precision(tables, ranks)), ("equal", coco_average_precision(tables))):
        print(f"{name}: AP {scores.ap:.3f} AP50 {scores.ap50:.3f} AP75 {scores.ap75:.3f}", end="  ")
        print(f"small {scores.ap_small:.3f} medium {scores.ap_medium:.3f}")
    print(f"{len(tables)} images, TP/(TP+FP+FN) at 0.5: {np.mean(halves):.3f}, SBD {np.mean(dice):.3f}")


if __name__ == "__main__":
    main()
