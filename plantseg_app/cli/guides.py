"""``plantseg-app models guides``: pictures of the guides of a harmonic model, and of what labels become under them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from plantseg_app.cli.parser import Parser, add_command, existing_file
from plantseg_app.cli.terminal import Terminal

if TYPE_CHECKING:
    from PIL import Image

    from plantseg_app.networks.harmonic.family import HarmonicFamily

_LONGEST_SIDE = 256


def add_guides(actions: argparse._SubParsersAction[Parser]) -> Parser:
    """Add the command and return its parser."""
    drawing = add_command(actions, "guides", "draw the guides of a harmonic model, and test them on labels", run_guides)
    drawing.add_argument("id", metavar="ID", help="the model, or the folder that a training left")
    drawing.add_argument(
        "--labels", metavar="FILE", help="labelled objects; draws their embeddings and says how many are too close"
    )
    drawing.add_argument(
        "--output", metavar="FOLDER", type=Path, required=True, help="gets guides.png and, with labels, targets.png"
    )
    return drawing


def run_guides(arguments: argparse.Namespace) -> int:
    """Draw the guides of a model."""
    from plantseg_app.networks.harmonic.picture import guide_sheet

    terminal = Terminal.of(arguments)
    family = _harmonic_family(arguments.id)
    height, width = family.frame_size_vox[1:]
    coarser = -(-max(height, width) // _LONGEST_SIDE)
    # Guides run from end to end of any grid, so a coarse one shows the same waves.
    pictures = {"guides.png": guide_sheet(family.guide_table, (height // coarser, width // coarser))}
    share = None
    if arguments.labels:
        pictures["targets.png"], share = _look_at_labels(family, existing_file(arguments.labels))
    for name, picture in pictures.items():
        _save(picture, arguments.output / name)
    files = [str(arguments.output / name) for name in pictures]
    terminal.print_json({"id": arguments.id, "files": files, "close_pairs": share})
    for name in files:
        terminal.say(name)
    if share is not None:
        terminal.say(f"{100 * share:.3g} % of the pairs of objects of a frame are closer than {family.margin:g}.")
    return 0


def _harmonic_family(name: str) -> HarmonicFamily:
    from plantseg_app.errors import RequestError
    from plantseg_app.networks.harmonic.family import HarmonicFamily
    from plantseg_app.zoo.catalogue import find_model

    family = find_model(name).card.network_family()
    if not isinstance(family, HarmonicFamily):
        raise RequestError(f"{name} is a model of kind {family.kind} and has no guides; name one of kind harmonic.")
    return family


def _look_at_labels(family: HarmonicFamily, file: Path) -> tuple[Image.Image, float]:
    """Return the embeddings of the middle frame's objects as colours, and the share of pairs that are too close."""
    import numpy as np

    from plantseg_app.core.volume import Kind
    from plantseg_app.io import read_volume
    from plantseg_app.networks.harmonic.fit import FitRules, sample_objects, share_of_close_pairs
    from plantseg_app.networks.harmonic.picture import embedding_picture

    labels = read_volume(file, kind=Kind.LABELS).data
    frames = []
    for frame in family.frame_grid((labels.shape[0], labels.shape[1], labels.shape[2])):
        part = frame.inside((labels.shape[0], labels.shape[1], labels.shape[2]))
        frames.append(np.zeros(family.frame_size_vox, labels.dtype))
        frames[-1][frame.within(part)] = labels[part]
    rules = FitRules(margin=family.margin, distance=family.guide_distance)
    rng = np.random.default_rng(family.guide_seed)
    share = share_of_close_pairs(family.guide_table, [sample_objects(frame, rules, rng) for frame in frames], rules)
    shown = frames[len(frames) // 2]
    middle = len(shown) // 2
    target = family.targets(shown, None)[: family.n_guides, middle]
    return embedding_picture(target, shown[middle] > 0), share


def _save(picture: Image.Image, path: Path) -> None:
    from plantseg_app.io.atomic import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        picture.save(partial, "PNG", optimize=True)
