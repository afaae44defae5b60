"""What is remembered about files: which were opened last, and how files of a sort are read. Kept in the preferences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plantseg_app.gui.preferences import PreferenceStore


class KnownFiles:
    """Recent files and remembered answers, as the opening of files needs them.

    Parameters
    ----------
    preferences
        Where they are kept.
    """

    def __init__(self, preferences: PreferenceStore) -> None:
        self._preferences = preferences

    def recent(self) -> tuple[Path, ...]:
        """Return the files that were opened last, the newest first."""
        return tuple(Path(file) for file in self._preferences.value.recent_files)

    def add_recent(self, path: Path) -> None:
        """Note that a file was opened now."""
        self._preferences.opened(path)

    def answer(self, sort: str) -> Mapping[str, Any] | None:
        """Return how files of this sort are read, None when that was not settled."""
        known = self._preferences.value.reading.get(sort)
        return None if known is None else known.model_dump(exclude_none=True)

    def remember(self, sort: str, answer: Mapping[str, Any]) -> None:
        """Settle how files of this sort are read.

        Raises
        ------
        RequestError
            If the answer is none.
        """
        self._preferences.remember_reading(sort, answer)

    def forget(self, sort: str) -> None:
        """Ask again for files of this sort."""
        if sort in self._preferences.value.reading:
            self._preferences.set(self._preferences.value.without_reading(sort))
