"""What the program remembers about files: which were opened last, and how files of a sort are read.

A small JSON file of its own. What is damaged in it is forgotten; it is never worth a message.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plantseg_app.io.atomic import replacing
from plantseg_app.paths import home_dir

_LOG = logging.getLogger(__name__)
_MOST_RECENT = 12
_MOST_SORTS = 200


@dataclasses.dataclass(frozen=True)
class RecentFile:
    """A file that was opened, and when, in seconds since 1970."""

    path: Path
    opened_s: float


class KnownFiles:
    """Recent files and remembered answers, kept in a file.

    Parameters
    ----------
    file
        Where; by default in the folder of the program's own files.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or home_dir() / "known_files.json"
        self._recent: list[RecentFile] = []
        self._answers: dict[str, Mapping[str, Any]] = {}
        self._load()

    def recent(self) -> tuple[RecentFile, ...]:
        """Return the files that were opened last, the newest first."""
        return tuple(self._recent)

    def add_recent(self, path: Path) -> None:
        """Note that a file was opened now."""
        path = path.absolute()
        others = [known for known in self._recent if known.path != path]
        self._recent = [RecentFile(path, time.time()), *others][:_MOST_RECENT]
        self._save()

    def forget_recent(self) -> None:
        """Empty the list of recent files."""
        self._recent = []
        self._save()

    def answer(self, sort: str) -> Mapping[str, Any] | None:
        """Return how files of this sort are read, None when that was not settled."""
        return self._answers.get(sort)

    def remember(self, sort: str, answer: Mapping[str, Any]) -> None:
        """Settle how files of this sort are read."""
        self._answers.pop(sort, None)
        self._answers[sort] = dict(answer)
        self._answers = dict(list(self._answers.items())[-_MOST_SORTS:])
        self._save()

    def forget(self, sort: str) -> None:
        """Ask again for files of this sort."""
        if self._answers.pop(sort, None) is not None:
            self._save()

    def _load(self) -> None:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            self._recent = [RecentFile(Path(path), float(opened)) for path, opened in found["recent"]][:_MOST_RECENT]
            self._answers = {str(sort): dict(answer) for sort, answer in found["answers"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            _LOG.warning("What was known about files is forgotten: %s", error)

    def _save(self) -> None:
        plain = {"recent": [[str(known.path), known.opened_s] for known in self._recent], "answers": self._answers}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._file) as fresh:
                fresh.write_text(json.dumps(plain, indent=1, ensure_ascii=False), encoding="utf-8")
        except OSError as error:
            # A full disk must not keep anybody from looking at an image.
            _LOG.warning("Recent files could not be saved: %s", error)
