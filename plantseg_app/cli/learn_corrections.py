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
    from plantseg_app.proofread.session import ProofreadSession


def learn(arguments: argparse.Namespace, session: ProofreadSession, terminal: Terminal) -> dict[str, Any]:
    """Write the training data, or train with it, and return what to say as JSON."""
    from plantseg_app.proofread.annotation import annotation_of
    from plantseg_app.train.pairs import write_annotated

    image = _image(arguments)
    stem = split_dataset(arguments.labels)[0].stem
    told: dict[str, Any] = {}
    if arguments.export_corrections:
        annotation = annotation_of(session.tissue)
        written = write_annotated(annotation, image, arguments.export_corrections, stem)
        files = written.model_dump(exclude_defaults=True)
        told["training_data"] = files
        terminal.say(f"{len(annotation.cells)} cells marked as correct; name them in the settings of a training:")
        terminal.say(f"data: {{train: [{{{', '.join(f'{name}: {value}' for name, value in files.items())}}}]}}")
    if arguments.fine_tune:
        with tempfile.TemporaryDirectory() as folder:
            told |= _fine_tune(arguments, session, image, Path(folder), terminal)
    return told


def _image(arguments: argparse.Namespace) -> Volume:
    from plantseg_app.io import read_volume

    path, options = named_image(arguments.image, arguments)
    return read_volume(path, **options.given())


def _fine_tune(
    arguments: argparse.Namespace, session: ProofreadSession, image: Volume, folder: Path, terminal: Terminal
) -> dict[str, Any]:
    from plantseg_app.cli.train import segmenter, training
    from plantseg_app.train.fine_tune import fine_tune, fine_tune_settings, write_parts
    from plantseg_app.zoo.catalogue import find_model

    card = find_model(arguments.fine_tune).card
    learn, held_out = write_parts(session.tissue, image, folder, card)
    settings = fine_tune_settings(arguments.fine_tune, str(arguments.model_output.resolve()), learn, card)
    with training(arguments, terminal) as (context, events):
        tuned = fine_tune(settings, held_out, segmenter(arguments), context, events)
    terminal.say(tuned.words)
    terminal.say(f"the model is {tuned.model}")
    return {
        "model": str(tuned.model),
        "n_learned": tuned.n_learned,
        "n_held_out": tuned.n_held_out,
        "seg_before": round(tuned.before.seg, 4),
        "seg_after": round(tuned.after.seg, 4),
    }
