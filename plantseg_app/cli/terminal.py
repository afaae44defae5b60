"""What a command says: results on standard output, notes and progress on standard error."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

    from plantseg_app.run.events import NodeStarted, Progress, RunnerEvents

PROGRAM = "plantseg-app"


class DownloadNews:
    """Tells a person at a terminal how far a download is; Ctrl-C stops it without its help."""

    def __init__(self, terminal: Terminal, shows_progress: bool) -> None:
        self._terminal = terminal
        self._shows_progress = shows_progress

    def check(self) -> None:
        """Do nothing: Ctrl-C is an exception of its own."""

    def progress(self, label: str, done: int, total: int | None) -> None:
        """Show how much of a file is here."""
        if self._shows_progress:
            self._terminal.show_bytes(label, done, total)

    def message(self, text: str) -> None:
        """Show a note."""
        self._terminal.note(text)


class Terminal:
    """The two streams, and who listens to them.

    Parameters
    ----------
    json_only
        Print nothing but JSON on standard output.
    quiet
        No progress bar and no notes.

    Attributes
    ----------
    subject
        The file that is worked on, named in notes and progress; "" when there is but one.
    """

    def __init__(self, json_only: bool = False, quiet: bool = False) -> None:
        self.json_only = json_only
        self.quiet = quiet
        self.subject = ""
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Terminal:
        """Return the terminal that the common options ask for."""
        return cls(arguments.json, arguments.quiet)

    def say(self, text: str) -> None:
        """Print a line of the result, unless JSON was asked for."""
        if not self.json_only:
            print(text)

    def print_json(self, data: Any) -> None:
        """Print the result as JSON, if that was asked for."""
        if self.json_only:
            print(json.dumps(data, indent=2, allow_nan=False))

    def note(self, text: str) -> None:
        """Print something worth knowing that is no error."""
        if not self.quiet:
            subject = f"{self.subject}: " if self.subject else ""
            self._print_error_stream(f"{PROGRAM}: note: {subject}{' '.join(text.split())}")

    def error(self, text: str) -> None:
        """Print one line that says what went wrong."""
        self._print_error_stream(f"{PROGRAM}: error: {' '.join(text.split())}")

    @contextmanager
    def following(self, events: RunnerEvents) -> Iterator[None]:
        """Show the notes of a run, and its progress when standard error is a terminal."""
        events.message.connect(self.note)
        shows_progress = sys.stderr.isatty() and not self.quiet
        if shows_progress:
            events.node_started.connect(self._begin_node)
            events.progress.connect(self._advance)
            events.finished.connect(self._close_bar)
        try:
            yield
        finally:
            self._close_bar()
            events.message.disconnect(self.note)
            if shows_progress:
                events.node_started.disconnect(self._begin_node)
                events.progress.disconnect(self._advance)
                events.finished.disconnect(self._close_bar)

    @contextmanager
    def downloading(self) -> Iterator[DownloadNews]:
        """Yield who shows the notes of a download, and its progress when standard error is a terminal."""
        try:
            yield DownloadNews(self, sys.stderr.isatty() and not self.quiet)
        finally:
            self._close_bar()

    def show_bytes(self, label: str, done: int, total: int | None) -> None:
        """Show how much of a file is here."""
        from tqdm import tqdm

        if self._bar is None or label != self._stage or self._bar.total != total:
            self._close_bar()
            self._stage = label
            self._bar = tqdm(
                desc=label, total=total, unit="B", unit_scale=True, leave=False, file=sys.stderr, dynamic_ncols=True
            )
        self._bar.update(done - self._bar.n)

    def _begin_node(self, event: NodeStarted) -> None:
        self._open_bar(f"{event.index + 1}/{event.total} {event.title}", None)

    def _advance(self, event: Progress) -> None:
        stage = f"{event.node}: {event.label}"
        if self._bar is None or stage != self._stage or self._bar.total != event.total:
            self._open_bar(stage, event.total)
        if self._bar is not None:
            self._bar.update(event.done - self._bar.n)

    def _open_bar(self, stage: str, total: int | None) -> None:
        from tqdm import tqdm

        self._close_bar()
        self._stage = stage
        with_total = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"
        # A stage that tells no numbers would show a clock that stands still.
        layout = with_total if total else "{desc} ..."
        description = f"{self.subject} {stage}".strip()
        self._bar = tqdm(
            desc=description, total=total, leave=False, file=sys.stderr, dynamic_ncols=True, bar_format=layout
        )

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _print_error_stream(self, line: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        print(line, file=sys.stderr)
