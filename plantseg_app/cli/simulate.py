"""``plantseg-app simulate``: microscope stacks of cells that are known, ready for ``plantseg-app train``.

>>> [path.as_posix() for path in output_files(Path("stacks"), 2)]
['stacks/simulated-0000.h5', 'stacks/simulated-0001.h5']
>>> [path.as_posix() for path in output_files(Path("one.h5"), 1)]
['one.h5']
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plantseg_app.cli.parser import (
    Parser,
    add_command,
    add_talking_options,
    existing_file,
    positive_number,
    split_dataset,
    voxel_size,
)
from plantseg_app.cli.step import add_field, given_settings
from plantseg_app.cli.terminal import Terminal
from plantseg_app.errors import RequestError

if TYPE_CHECKING:
    from plantseg_app.algorithms.simulate.tissue import TissueSettings
    from plantseg_app.core.step import Step
    from plantseg_app.core.volume import Volume

_STEP = "simulate-stack"
_SUFFIXES = (".h5", ".hdf5", ".hdf")
_LARGEST_SEED = 2**32

# Options of the tissue, and the settings they stand for.
_TISSUE = {
    "tissue": "kind",
    "shape": "shape_vox",
    "cell_diameter": "cell_diameter_um",
    "elongation": "elongation",
    "lobes": "lobes",
    "organ": "organ",
}


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command; its options are added when it is used."""
    parser = add_command(commands, "simulate", "make microscope stacks of cells that are known, to train and test", run)
    parser.fill = _add_options


def _add_options(parser: Parser) -> None:
    """Add the options: where to, which tissue, and the settings of the step."""
    import plantseg_app.steps  # noqa: F401 - importing fills the registry
    from plantseg_app.algorithms.simulate.tissue import ORGAN_KINDS, TISSUE_KINDS, TissueSettings
    from plantseg_app.core.describe import describe_step
    from plantseg_app.core.step import STEPS

    usual = TissueSettings()
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR|FILE.h5", help="HDF5 with the data sets raw and label"
    )
    parser.add_argument("--count", type=positive_number, default=1, metavar="N", help="how many stacks (1)")
    parser.add_argument("--labels", metavar="FILE", help="cells to show, instead of generated ones; FILE.h5:NAME")
    parser.add_argument(
        "--voxel-size",
        type=voxel_size,
        metavar="Z,Y,X",
        help=f"in micrometres (that of --labels, else {','.join(f'{size:g}' for size in usual.voxel_size_um)})",
    )
    group = parser.add_argument_group("generated tissue")
    group.add_argument("--tissue", choices=TISSUE_KINDS, help="shape of the cells (voronoi)")
    group.add_argument("--shape", type=_shape, metavar="Z,Y,X", help="voxels; 1,Y,X makes a slice (64,128,128)")
    group.add_argument("--cell-diameter", type=float, metavar="UM", help=f"micrometres ({usual.cell_diameter_um:g})")
    group.add_argument(
        "--elongation", type=float, metavar="NUMBER", help=f"length of elongated cells ({usual.elongation:g} widths)"
    )
    group.add_argument(
        "--lobes",
        type=float,
        metavar="NUMBER",
        help=f"depth of the lobes of pavement cells ({usual.lobes:g} diameters)",
    )
    group.add_argument("--organ", choices=ORGAN_KINDS, help="where the tissue is: everywhere, one side, a rounded body")
    settings = parser.add_argument_group("microscope")
    taken = set(parser._option_string_actions)
    for field in describe_step(STEPS.get(_STEP)).fields:
        add_field(settings, field, taken)
    add_talking_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make the stacks."""
    from plantseg_app.core.describe import describe_step
    from plantseg_app.core.step import STEPS

    terminal = Terminal.of(arguments)
    step_class = STEPS.get(_STEP)
    step = step_class.from_settings(given_settings(describe_step(step_class), arguments))
    files = output_files(arguments.output, arguments.count)
    given = _given_labels(arguments)
    # Checked before the first stack, so that a wrong wish leaves no file.
    tissue = _tissue_settings(arguments)
    first_seed = int(step.settings()["seed"])
    made = []
    for number, file in enumerate(files):
        seed = (first_seed + number) % _LARGEST_SEED
        labels = _generate(dataclasses.replace(tissue, seed=seed)) if given is None else given
        made.append(_make(file, labels, step.replace(seed=seed)))
        terminal.say(f"{file}: {made[-1]['n_cells']} cells, {tuple(made[-1]['shape'])} voxels (Z, Y, X), seed {seed}")
    terminal.print_json({"stacks": made})
    return 0


def output_files(output: Path, count: int) -> list[Path]:
    """Return the files to write: `output` itself, or numbered ones in the folder `output`.

    Raises
    ------
    RequestError
        If several stacks are to go into one file, or the file is no HDF5.
    """
    if output.suffix.lower() in _SUFFIXES and not output.is_dir():
        if count > 1:
            raise RequestError(f"{count} stacks need a folder; --output names the file {output}.")
        return [output]
    if output.suffix and not output.is_dir():
        raise RequestError(f"{output} is no HDF5 file; --output takes a name that ends in .h5, or a folder.")
    return [output / f"simulated-{number:04d}.h5" for number in range(count)]


def _shape(text: str) -> tuple[int, int, int]:
    """Return three counts of voxels; two are Y and X of a slice."""
    try:
        lengths = [int(part) for part in text.split(",")]
    except ValueError:
        lengths = []
    if len(lengths) == 2:
        lengths = [1, *lengths]
    if len(lengths) != 3 or min(lengths) < 1:
        raise argparse.ArgumentTypeError(
            f'takes three numbers of voxels, Z,Y,X, such as 64,128,128; "{text}" was given'
        )
    z, y, x = lengths
    return z, y, x


def _given_labels(arguments: argparse.Namespace) -> Volume | None:
    """Return the cells that were given in a file, or None."""
    from plantseg_app.core.volume import Kind
    from plantseg_app.io import read_volume

    if arguments.labels is None:
        return None
    refused = [f"--{name.replace('_', '-')}" for name in _TISSUE if getattr(arguments, name) is not None]
    if refused:
        raise RequestError(f"{', '.join(refused)} is about generated tissue; --labels gives the cells. Leave one out.")
    path, dataset = split_dataset(arguments.labels)
    existing_file(str(path))
    return read_volume(path, kind=Kind.LABELS, dataset=dataset, voxel_size_um=arguments.voxel_size)


def _tissue_settings(arguments: argparse.Namespace) -> TissueSettings:
    from plantseg_app.algorithms.simulate.tissue import TissueSettings

    wishes: dict[str, Any] = {_TISSUE[name]: getattr(arguments, name) for name in _TISSUE}
    if arguments.labels is None:
        wishes["voxel_size_um"] = arguments.voxel_size
    return TissueSettings(**{name: value for name, value in wishes.items() if value is not None})


def _generate(settings: TissueSettings) -> Volume:
    from plantseg_app.algorithms.simulate.tissue import generate_tissue
    from plantseg_app.core.volume import Kind, Volume, VoxelSize

    return Volume(generate_tissue(settings), Kind.LABELS, VoxelSize(*settings.voxel_size_um), name="simulated")


def _make(file: Path, labels: Volume, step: Step) -> dict[str, Any]:
    """Draw the image of the cells, write both, and return what was made."""
    import numpy as np

    from plantseg_app.core.context import QuietContext
    from plantseg_app.io import write_volume
    from plantseg_app.run.workflows import step_workflow

    raw = step.execute({"labels": labels}, QuietContext())
    file.parent.mkdir(parents=True, exist_ok=True)
    # The image comes last: a file with an image is complete.
    write_volume(file, labels, dataset="label")
    write_volume(file, raw, dataset="raw", workflow=step_workflow(step, {"labels": labels.kind}).to_yaml())
    ids = np.unique(labels.data)
    return {
        "output": str(file),
        "shape": list(raw.shape_vox),
        "n_cells": int((ids > 0).sum()),
        "seed": step.settings()["seed"],
    }
