"""The entry point: finds the command, and turns what goes wrong into one line and an exit status.

Exit status 0: done. 1: the work failed. 2: the request was wrong. 130 and 143: stopped by Ctrl-C or by SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from plantseg_app import __version__
from plantseg_app.cli.parser import Parser
from plantseg_app.cli.terminal import PROGRAM, Terminal
from plantseg_app.errors import Cancelled, PlantSegError, RequestError, did_you_mean

COMMANDS = {
    "segment": "segment",
    "predict": "predict",
    "run": "run",
    "evaluate": "evaluate",
    "measure": "measure",
    "proofread": "proofread",
    "train": "train",
    "self-train": "self_train",
    "propose": "propose",
    "simulate": "simulate",
    "models": "models",
    "steps": "steps",
    "step": "step",
    "convert": "convert",
}
"""Commands in the order of the help, and the module that holds each."""

_DESCRIPTION = """From a microscopy stack to segmented cells.

Without a command the window opens, with the files that are named:
  plantseg-app [FILE...]"""


class _Terminated(BaseException):
    """SIGTERM arrived."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    argv
        The arguments without the program's name; those of the process by default.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    # Threads of torch that wait for each other spin by default, which makes networks ten times slower and more as soon
    # as anything else runs on the machine; read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in words
    if argv is None:
        _prepare_process(debug)
    try:
        with _termination_as_exception():
            return _run(words)
    except SystemExit as request:  # argparse, after --help and --version
        return request.code if isinstance(request.code, int) else 0
    except (KeyboardInterrupt, Cancelled):
        print(f"{PROGRAM}: stopped.", file=sys.stderr)
        return 130
    except _Terminated:
        print(f"{PROGRAM}: stopped: asked to terminate.", file=sys.stderr)
        return 143
    except BrokenPipeError:
        # Whoever read our output is gone; Python must not complain about it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the last line of defence turns any defect into a readable line
        return _report(error, debug)


def build_parser() -> Parser:
    """Return the parser with all commands; cheap, since commands import what they need when they run."""
    parser = Parser(
        prog=PROGRAM, description=_DESCRIPTION, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for module in COMMANDS.values():
        importlib.import_module(f"plantseg_app.cli.{module}").add_to(commands)
    return parser


def _prepare_process(debug: bool) -> None:
    """Settle what concerns the whole process, when it is ours alone."""
    if not debug and not sys.warnoptions:
        # Warnings of libraries are for developers; people get notes.
        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file name that the terminal cannot show must not end the program.
            stream.reconfigure(errors="backslashreplace")


def _run(words: list[str]) -> int:
    first = next((word for word in words if not word.startswith("-")), None)
    if first is None and not {"-h", "--help", "--version"} & set(words):
        _check_only_debug(words)
        return _open_window([])
    if first is not None and first not in COMMANDS:
        return _open_window([_window_file(word) for word in words if not word.startswith("-")])
    if first is not None and words[0] == "--debug":
        words = [*words[1:], "--debug"]
    arguments = build_parser().parse_args(words)
    status: int = arguments.run(arguments)
    return status


def _check_only_debug(words: list[str]) -> None:
    for word in words:
        if word != "--debug":
            raise RequestError(f'There is no option "{word}"; see {PROGRAM} --help.')


def _window_file(word: str) -> Path:
    path = Path(word)
    if path.exists():
        return path
    if path.suffix or len(path.parts) > 1:
        raise RequestError(f"There is no file {path}.")
    raise RequestError(f'There is no command "{word}". {did_you_mean(word, COMMANDS)}')


def _open_window(files: list[Path]) -> int:
    try:
        app = importlib.import_module("plantseg_app.gui.app")
    except ImportError as error:
        raise PlantSegError(
            f"The window cannot be opened: {error}. Install PlantSeg App again, or use the command line."
        ) from error
    status: int = app.launch(files)
    return status


def _report(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    terminal = Terminal()
    if isinstance(error, PlantSegError):
        terminal.error(str(error))
        return 2 if isinstance(error, RequestError) else 1
    if isinstance(error, OSError):
        terminal.error(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
        return 1
    notes = " ".join(getattr(error, "__notes__", ()))
    more = "" if debug else " Run the same command with --debug to see where."
    terminal.error(f"unexpected {type(error).__name__}: {error} {notes} This is a defect of the program.{more}")
    return 1


@contextlib.contextmanager
def _termination_as_exception() -> Iterator[None]:
    """Let SIGTERM unwind the program like Ctrl-C does, so that temporary files are removed."""

    def raise_terminated(_number: int, _frame: FrameType | None) -> None:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, raise_terminated)
    except ValueError:  # not in the main thread: whoever started us handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
