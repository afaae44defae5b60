"""``plantseg-app convert IN OUT``: another file format, the numbers and the voxel size unchanged."""

from __future__ import annotations

import argparse
import dataclasses

from plantseg_app.cli.kinds import kind_of_file, parse_kind
from plantseg_app.cli.parser import (
    Parser,
    add_command,
    add_reading_options,
    add_talking_options,
    named_image,
    split_dataset,
)
from plantseg_app.cli.terminal import Terminal
from plantseg_app.errors import RequestError


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "convert", "convert an image to another file format", run)
    parser.add_argument("source", metavar="IN", help="the image; FILE.h5:NAME names a data set")
    parser.add_argument("target", metavar="OUT", help="the new file; FILE.h5:NAME adds a data set")
    parser.add_argument("--kind", metavar="KIND", help="what the image shows, such as raw, boundary or labels")
    add_reading_options(parser)
    add_talking_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Convert."""
    from plantseg_app.core.volume import Kind
    from plantseg_app.io import read_volume, read_workflow, write_volume

    terminal = Terminal.of(arguments)
    source, options = named_image(arguments.source, arguments)
    target, target_dataset = split_dataset(arguments.target)
    if target.exists() and target.samefile(source):
        raise RequestError(f"{target} is the input itself; give the result another name.")
    if arguments.kind is not None:
        kind = parse_kind(arguments.kind)
    else:
        # Raw first: reading as raw changes no number, whatever the image shows.
        kind = kind_of_file(source, options.dataset, [Kind.RAW, *(kind for kind in Kind if kind is not Kind.RAW)])
    if kind is Kind.RAW and options.channel is None:
        options = dataclasses.replace(options, channel="all")
    volume = read_volume(source, kind=kind, **options.given())
    write_volume(target, volume, workflow=read_workflow(source, options.dataset), dataset=target_dataset)
    terminal.say(f"{target}: {kind.value}, {volume.shape_vox} voxels (Z, Y, X)")
    size = list(volume.voxel_size_um) if volume.voxel_size_um else None
    terminal.print_json(
        {"output": str(target), "kind": kind.value, "shape": list(volume.data.shape), "voxel_size_um": size}
    )
    return 0
