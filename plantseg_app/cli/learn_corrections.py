"""What ``plantseg-app proofread`` makes of cells marked as correct: training data, and a model that learned."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plantseg_app.cli.parser import named_image, split_dataset
from plantseg_app.cli.terminal import Terminal

if TYPE_CHECKING:
    from plantseg_app.core.volume import Volume
    from plantseg_app.proofread.annotation import Annotation
    from plantseg_app.proofread.session import ProofreadSession


def learn(arguments: argparse.Namespace, session: ProofreadSession, terminal: Terminal) -> dict[str, Any]:
    """Write the training data, or train with it, and return what to say as JSON."""
    from plantseg_app.proofread.annotation import annotation_of

    image = _image(arguments)
    annotation = annotation_of(session.tissue)
    stem = split_dataset(arguments.labels)[0].stem
    told: dict[str, Any] = {}
    if arguments.export_corrections:
        files = _write(annotation, image, arguments.export_corrections, stem)
        told["training_data"] = files
        terminal.say(f"{len(annotation.cells)} cells marked as correct; name them in the settings of a training:")
        terminal.say(f"data: {{train: [{{path: {files['path']}, ignore: {files['ignore']}}}]}}")
    if arguments.fine_tune:
        with tempfile.TemporaryDirectory() as folder:
            told |= _fine_tune(arguments, annotation, image, Path(folder), terminal)
    return told


def _image(arguments: argparse.Namespace) -> Volume:
    from plantseg_app.io import read_volume

    path, options = named_image(arguments.image, arguments)
    return read_volume(path, **options.given())


def _write(annotation: Annotation, image: Volume, folder: Path, name: str) -> dict[str, str]:
    from plantseg_app.proofread.annotation import write_annotation

    files = write_annotation(annotation, image, folder, name)
    return {"path": str(files.path.resolve()), "ignore": str(files.ignore.resolve())}


def _fine_tune(
    arguments: argparse.Namespace, annotation: Annotation, image: Volume, folder: Path, terminal: Terminal
) -> dict[str, Any]:
    from plantseg_app.cli.train import segmenter, training
    from plantseg_app.proofread.annotation import hold_out
    from plantseg_app.train.fine_tune import fine_tune, fine_tune_settings
    from plantseg_app.train.settings import StackFiles
    from plantseg_app.zoo.catalogue import find_model

    learned, held_out = hold_out(annotation)
    files = [
        StackFiles(**_write(part, image, folder, name)) for part, name in ((learned, "learn"), (held_out, "judge"))
    ]
    family = find_model(arguments.fine_tune).card.network_family()
    settings = fine_tune_settings(arguments.fine_tune, str(arguments.model_output.resolve()), files[0], family)
    with training(arguments, terminal) as (context, events):
        tuned = fine_tune(settings, files[1], segmenter(arguments), context, events)
    terminal.say(tuned.words)
    terminal.say(f"the model is {tuned.model}")
    return {
        "model": str(tuned.model),
        "n_learned": tuned.n_learned,
        "n_held_out": tuned.n_held_out,
        "seg_before": round(tuned.before.seg, 4),
        "seg_after": round(tuned.after.seg, 4),
    }
