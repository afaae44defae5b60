"""What all commands share: a parser whose mistakes are one readable line, and the common options.

>>> parser = Parser(prog="example")
>>> add_reading_options(parser)
>>> parser.parse_args(["--voxel-size", "0.3,0.1,0.1"]).voxel_size
(0.3, 0.1, 0.1)
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from plantseg_app.errors import RequestError

if TYPE_CHECKING:
    from plantseg_app.core.volume import Volume
    from plantseg_app.run.jobs import ReadOptions

AddCommand = Callable[["argparse._SubParsersAction[Parser]"], None]


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `RequestError` instead of ending the program.

    Attributes
    ----------
    fill
        Adds the options whose making would slow down every other command; called when this parser is used.
    """

    fill: Callable[[Parser], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, once the parser has all its options."""
        fill, self.fill = self.fill, None
        if fill is not None:
            fill(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the request and where help is."""
        raise RequestError(f"{message}; see {self.prog} --help.")


def add_command(
    commands: argparse._SubParsersAction[Parser], name: str, help_line: str, run: Callable[[argparse.Namespace], int]
) -> Parser:
    """Add the command `name`, which calls `run`; options are added to the parser that is returned."""
    parser = commands.add_parser(
        name,
        help=help_line,
        description=help_line,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to read an image where its file does not."""
    group = parser.add_argument_group("reading, where the file does not say or says it wrongly")
    group.add_argument("--dataset", metavar="NAME", help="data set inside an HDF5 file")
    group.add_argument("--axes", metavar="ZYX", help='meaning of the axes, letters of TCZYX; "-" before one flips it')
    group.add_argument("--channel", metavar="N", help='channel, a number from 0, its name, "gray" or "all"')
    group.add_argument("--time", metavar="N", type=whole_number, help="time point, from 0")
    group.add_argument("--voxel-size", metavar="Z,Y,X", type=voxel_size, help="voxel size in micrometres")
    group.add_argument(
        "--nan", choices=("refuse", "replace"), help="refuse NaN and infinite values, or replace them (refuse)"
    )


def add_running_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where networks run or learn, and on how many cores."""
    group = parser.add_argument_group("running")
    group.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0", help="where networks run (auto)")
    group.add_argument("--threads", metavar="N", type=positive_number, help="threads to use (all cores)")


def add_talking_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is printed."""
    group = parser.add_argument_group("output on the terminal")
    group.add_argument("--json", action="store_true", help="print JSON, and nothing else, on standard output")
    group.add_argument("--quiet", action="store_true", help="no progress bar and no notes")
    group.add_argument("--debug", action="store_true", help="show the whole traceback when something fails")


def read_options(arguments: argparse.Namespace) -> ReadOptions:
    """Return the reading options that were given."""
    from plantseg_app.run.jobs import ReadOptions

    return ReadOptions(
        dataset=arguments.dataset,
        axes=arguments.axes,
        channel=arguments.channel,
        time=arguments.time,
        voxel_size_um=arguments.voxel_size,
        nan=arguments.nan,
    )


def named_image(text: str, arguments: argparse.Namespace) -> tuple[Path, ReadOptions]:
    """Return the file that ``FILE`` or ``FILE.h5:DATASET`` names, and how to read it.

    A data set in the name counts more than ``--dataset``.

    Raises
    ------
    RequestError
        If there is no such file.
    """
    path, dataset = split_dataset(text)
    options = read_options(arguments)
    return existing_file(str(path)), options if dataset is None else dataclasses.replace(options, dataset=dataset)


def read_labels(text: str, arguments: argparse.Namespace) -> Volume:
    """Read the segmentation that ``FILE`` or ``FILE.h5:DATASET`` names; layered labels with ``--layered``."""
    from plantseg_app.core.volume import Kind
    from plantseg_app.io import read_volume

    path, options = named_image(text, arguments)
    return read_volume(path, kind=Kind.LAYERED_LABELS if arguments.layered else Kind.LABELS, **options.given())


def split_dataset(text: str) -> tuple[Path, str | None]:
    """Split ``FILE.h5:DATASET`` into the file and the data set; other names hold no data set.

    >>> split_dataset("a.h5:labels/cells")[1], split_dataset("a:b.tif")[1]
    ('labels/cells', None)
    """
    match = re.fullmatch(r"(.+\.(?:h5|hdf5|hdf|zarr)):(.+)", text, flags=re.IGNORECASE)
    if match is None or Path(text).exists():
        return Path(text), None
    return Path(match[1]), match[2]


def existing_file(text: str) -> Path:
    """Return the path of a file that is there.

    Raises
    ------
    RequestError
        If there is none.
    """
    path = Path(text)
    if not path.exists():
        raise RequestError(f"There is no file {path}.")
    return path


def whole_number(text: str) -> int:
    """Return a number from 0."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f'takes a whole number from 0; "{text}" was given')
    return number


def positive_number(text: str) -> int:
    """Return a number from 1."""
    number = whole_number(text)
    if number == 0:
        raise argparse.ArgumentTypeError('takes a whole number from 1; "0" was given')
    return number


def voxel_size(text: str) -> tuple[float, float, float]:
    """Return three lengths in micrometres; one stands for all three."""
    try:
        lengths = [float(part) for part in text.split(",")]
    except ValueError:
        lengths = []
    if len(lengths) == 1:
        lengths *= 3
    if len(lengths) != 3 or not all(0 < length < float("inf") for length in lengths):
        raise argparse.ArgumentTypeError(
            f'takes three positive lengths in micrometres, Z,Y,X, such as 0.3,0.1,0.1; "{text}" was given'
        )
    z, y, x = lengths
    return z, y, x
