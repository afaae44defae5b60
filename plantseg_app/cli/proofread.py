"""``plantseg-app proofread``: doubtful cells, the corrections of a journal, and what they teach, without a window."""

from __future__ import annotations

import argparse
import importlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plantseg_app.cli.parser import (
    Parser,
    add_command,
    add_reading_options,
    add_running_options,
    add_talking_options,
    existing_file,
    named_image,
    positive_number,
    read_labels,
    split_dataset,
)
from plantseg_app.cli.terminal import PROGRAM, Terminal
from plantseg_app.errors import RequestError

if TYPE_CHECKING:
    from plantseg_app.core.volume import Kind, Volume
    from plantseg_app.proofread.session import ProofreadSession
    from plantseg_app.run.context import RunContext

_SHOWN = 100


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command."""
    parser = add_command(commands, "proofread", "list doubtful cells, apply corrections, and learn from them", run)
    parser.epilog = _EPILOG
    parser.add_argument("labels", metavar="LABELS", help="the segmentation; FILE.h5:NAME names a data set")
    parser.add_argument("--layered", action="store_true", help="objects that may overlap, one or more planes a file")
    maps = parser.add_argument_group("maps that help")
    maps.add_argument("--boundary", metavar="FILE", help="boundary map, high between cells")
    maps.add_argument("--superpixels", metavar="FILE", help="what the cells were made of")
    maps.add_argument("--nuclei", metavar="FILE", help="nuclei, each with a label of its own")
    maps.add_argument("--image", metavar="FILE", help="the image, for what is learned from")
    _add_actions(parser)
    add_reading_options(parser)
    add_running_options(parser)
    add_talking_options(parser)


def _add_actions(parser: Parser) -> None:
    journal = parser.add_argument_group("corrections")
    journal.add_argument(
        "--apply",
        metavar="JOURNAL",
        type=Path,
        help="the journal; without it the one beside the labels, if it is there",
    )
    journal.add_argument(
        "--do",
        action="append",
        default=[],
        metavar='"TOOL FIELD=VALUE ..."',
        help="make a correction and note it in the journal; see below",
    )
    journal.add_argument("--author", metavar="NAME", help="who makes the corrections (the name of the account)")
    journal.add_argument("--history", action="store_true", help="print who did what when")
    journal.add_argument("--summary", action="store_true", help="print how far the work is, in sentences for a paper")
    journal.add_argument("--output", metavar="FILE", type=Path, help="write the corrected labels")
    help_ = parser.add_argument_group("what to look at")
    help_.add_argument(
        "--list-suspicious",
        nargs="?",
        const=_SHOWN,
        type=positive_number,
        metavar="N",
        help=f"print the N most doubtful cells and why ({_SHOWN})",
    )
    help_.add_argument(
        "--suggest-by-nuclei", action="store_true", help="print what nuclei say should be merged or split"
    )
    help_.add_argument("--correct-by-nuclei", action="store_true", help="make these corrections, and note them")
    learning = parser.add_argument_group("learning from corrections; needs --image")
    learning.add_argument(
        "--export-corrections", metavar="FOLDER", type=Path, help="write the cells marked as correct as training data"
    )
    learning.add_argument("--fine-tune", metavar="MODEL", help="train this model further on them, and compare")
    learning.add_argument("--model-output", metavar="FOLDER", type=Path, help="folder of the model that this makes")


_EPILOG = f"""a correction is a tool and its fields, values in YAML:
  {PROGRAM} proofread cells.tif --do "merge cells=[3, 8]" --do "lock cells=[3]" --output corrected.tif
  {PROGRAM} proofread cells.tif --do "split cells=[4] scribbles=[[[5,10,10]],[[5,30,12]]]"
plantseg_app/proofread/tools/ holds the tools; an unknown one is answered with their names."""


def run(arguments: argparse.Namespace) -> int:
    """Open the labels and their journal, and do what was asked for, in the order of the help."""
    terminal = Terminal.of(arguments)
    _check(arguments)
    labels = read_labels(arguments.labels, arguments)
    session = _open(arguments, labels, terminal)
    told: dict[str, Any] = {}
    try:
        for text in arguments.do:
            terminal.say(f"{session.do(_tool(text)).words}.")
        with _context(arguments, terminal) as context:
            told |= _by_nuclei(arguments, session, terminal, context)
            if arguments.list_suspicious:
                told["suspicious"] = _list(session, arguments.list_suspicious, terminal, context)
        told |= _tell_progress(arguments, session, terminal)
        if arguments.output is not None:
            told["output"] = str(_write(arguments.output, labels, session, terminal))
        if arguments.export_corrections or arguments.fine_tune:
            from plantseg_app.cli.learn_corrections import learn

            told |= learn(arguments, session, terminal)
    finally:
        session.close()
    terminal.print_json({"n_cells": len(session.tissue.index), "n_corrections": len(session.edits), **told})
    return 0


def _check(arguments: argparse.Namespace) -> None:
    learns = arguments.export_corrections or arguments.fine_tune
    asked = (
        arguments.do, arguments.history, arguments.summary, arguments.output, arguments.list_suspicious,
        arguments.suggest_by_nuclei, arguments.correct_by_nuclei, learns,
    )  # fmt: skip
    if not any(asked):
        raise RequestError(f"Say what to do, for example --list-suspicious; see {PROGRAM} proofread --help.")
    if learns and not arguments.image:
        raise RequestError("To learn from cells the image is needed as well; give --image FILE.")
    if arguments.fine_tune and not arguments.model_output:
        raise RequestError("Name the folder of the new model with --model-output FOLDER.")
    if (arguments.suggest_by_nuclei or arguments.correct_by_nuclei) and not arguments.nuclei:
        raise RequestError("Suggestions by nuclei need nuclei; give --nuclei FILE.")


def _open(arguments: argparse.Namespace, labels: Volume, terminal: Terminal) -> ProofreadSession:
    import numpy as np

    from plantseg_app.algorithms.layers import with_spare_plane
    from plantseg_app.core.volume import Kind
    from plantseg_app.proofread.journal import journal_path
    from plantseg_app.proofread.session import ProofreadSession

    path, _ = split_dataset(arguments.labels)
    journal = journal_path(path) if arguments.apply is None else existing_file(str(arguments.apply))
    session = ProofreadSession(
        np.array(with_spare_plane(labels.data) if labels.data.ndim == 4 else labels.data),
        boundary=_map(arguments.boundary, Kind.BOUNDARY, arguments),
        superpixels=_map(arguments.superpixels, Kind.LABELS, arguments),
        nuclei=_map(arguments.nuclei, Kind.LABELS, arguments),
        spacing=tuple(labels.spacing),
        author=arguments.author,
    )
    if journal.exists() or arguments.do or arguments.correct_by_nuclei:
        count = session.open_journal(journal, path.name)
        terminal.note(f"{journal}: {count} {'correction' if count == 1 else 'corrections'}")
    return session


def _map(name: str | None, kind: Kind, arguments: argparse.Namespace) -> Any:
    from plantseg_app.io import read_volume

    if name is None:
        return None
    path, options = named_image(name, arguments)
    return read_volume(path, kind=kind, **options.given()).data


@contextmanager
def _context(arguments: argparse.Namespace, terminal: Terminal) -> Iterator[RunContext]:
    from plantseg_app.run.context import RunContext
    from plantseg_app.run.events import RunnerEvents

    events = RunnerEvents()
    context = RunContext(events, threading.Event(), arguments.device, arguments.threads)
    try:
        with terminal.following(events):
            yield context
    finally:
        context.close()


def _tool(text: str) -> Any:
    """Return the tool that ``TOOL FIELD=VALUE ...`` names.

    >>> _tool("merge cells=[3, 8]")
    Merge(cells=(3, 8))
    """
    import yaml
    from pydantic import ValidationError

    from plantseg_app.core.step import readable_errors
    from plantseg_app.proofread.tool import TOOLS

    importlib.import_module("plantseg_app.proofread.tools")
    name, _, rest = text.strip().partition(" ")
    tool, values = TOOLS.get(name), {}
    # A value may hold blanks, as lists do; a field begins where a word is followed by "=".
    for field, value in re.findall(r"([\w-]+)=(.*?)(?=\s+[\w-]+=|$)", rest):
        try:
            values[field.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise RequestError(f'--do {name}: the value "{value}" of {field} is not readable.') from error
    if rest and not values:
        raise RequestError(f'--do takes TOOL FIELD=VALUE ..., for example "merge cells=[3, 8]"; "{text}" was given.')
    try:
        return tool(**values)
    except ValidationError as error:
        raise RequestError(readable_errors(error, name, list(tool.model_fields))) from error


def _by_nuclei(
    arguments: argparse.Namespace, session: ProofreadSession, terminal: Terminal, context: RunContext
) -> dict[str, Any]:
    from plantseg_app.proofread.nuclei_help import apply_all, suggest

    told: dict[str, Any] = {}
    if arguments.suggest_by_nuclei:
        suggestions = suggest(session.tissue, check=context.check)
        for suggestion in suggestions:
            terminal.say(f"{suggestion.words}.")
        told["suggestions"] = [
            {"problem": one.problem.value, "cells": list(one.cells), "words": one.words} for one in suggestions
        ]
    if arguments.correct_by_nuclei:
        applied = apply_all(session, check=context.check)
        for reason in applied.refused:
            terminal.note(reason)
        terminal.say(f"{applied.n_done} corrections by nuclei, {len(applied.refused)} refused")
        told["by_nuclei"] = {"n_done": applied.n_done, "refused": list(applied.refused)}
    return told


def _list(session: ProofreadSession, count: int, terminal: Terminal, context: RunContext) -> list[dict[str, Any]]:
    """Print the most doubtful cells of which nobody has said anything, and return them for JSON."""
    from plantseg_app.proofread.work_list import Examination, WorkList

    cells = session.tissue.index.ids()
    seen = Examination.of(session.tissue, context.track(cells, "Look at cells", len(cells)))
    work = WorkList(session, seen)
    rows = []
    for doubt in work.top(count):
        middle = [(part.start + part.stop) // 2 for part in session.tissue.index.box(doubt.cell)]
        reasons = [
            {"kind": reason.kind.value, "strength": round(reason.strength, 3), "words": reason.words}
            for reason in doubt.reasons
        ]
        rows.append({"cell": doubt.cell, "doubt": round(doubt.score, 3), "zyx": middle, "reasons": reasons})
        why = "; ".join(reason.words for reason in doubt.reasons) or "nothing unusual"
        terminal.say(f"{doubt.score:.2f}  cell {doubt.cell} at Z,Y,X {','.join(map(str, middle))}: {why}")
    work.close()
    return rows


def _tell_progress(arguments: argparse.Namespace, session: ProofreadSession, terminal: Terminal) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if arguments.history:
        for edit in session.edits:
            terminal.say(f"{edit.number}  {edit.at}  {edit.author}: {edit.words}")
        told["history"] = [
            {"number": edit.number, "at": edit.at, "author": edit.author, "tool": edit.tool, "words": edit.words}
            for edit in session.edits
        ]
    if arguments.summary:
        from plantseg_app.proofread.progress import progress_of

        told["summary"] = progress_of(session).summary
        terminal.say(told["summary"])
    return told


def _write(output: Path, labels: Volume, session: ProofreadSession, terminal: Terminal) -> Path:
    from plantseg_app.io import write_volume

    path = write_volume(output, labels.replace(data=session.labels))
    terminal.say(f"{path}: {len(session.tissue.index)} cells, {len(session.edits)} corrections")
    return path
