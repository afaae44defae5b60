"""What a person has chosen once for all: look, device, folders, recent files, answers about files.

Kept as one JSON file in the program's own folder. Knows no Qt. A file that is damaged, or that another version of the
program wrote, never keeps the program from starting: what is not understood is dropped, and the log says so.

>>> Preferences().appearance.font_size_pt
10
>>> Preferences().with_recent("/data/a.tif").with_recent("/data/b.tif").recent_files
('/data/b.tif', '/data/a.tif')
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from psygnal import Signal
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from plantseg_app.core.fields import Micrometre
from plantseg_app.core.step import readable_errors
from plantseg_app.errors import RequestError
from plantseg_app.gui.palette import LABEL_PALETTES
from plantseg_app.io.atomic import replacing
from plantseg_app.paths import preferences_file

_LOG = logging.getLogger(__name__)
_MOST_RECENT = 12
_MOST_KINDS = 200
_MOST_REPAIRS = 1000


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _known_palette(name: str) -> str:
    if name not in LABEL_PALETTES:
        raise ValueError(f"there is no palette {name}; choose one of {', '.join(LABEL_PALETTES)}")
    return name


def _whole_path(text: str) -> str:
    if text and not Path(text).expanduser().is_absolute():
        raise ValueError(f"a folder is written with its whole path; {text!r} was given")
    return text


Folder = Annotated[str, AfterValidator(_whole_path)]
"""A folder with its whole path, or "" for the usual one."""


class Appearance(_Part):
    """How the window looks."""

    theme: Literal["system", "dark", "light"] = Field(
        "system", description="Dark or light; system follows the desktop, and is dark where that does not say."
    )
    font_size_pt: int = Field(10, ge=8, le=20, description="Size of all text.", json_schema_extra={"unit": "pt"})
    label_palette: Annotated[str, AfterValidator(_known_palette)] = Field(
        "okabe-ito",
        description="In which colours cells are painted.",
        json_schema_extra={"choices": "label.palettes", "free": False},
    )


class Computing(_Part):
    """What the program may use of the machine."""

    device: str = Field(
        "auto",
        description="What networks run on: auto takes a graphics card if there is one, else the processor.",
        json_schema_extra={"choices": "devices"},
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="How many threads computing may take; fewer leave room for other programs.",
        json_schema_extra={"empty": "all"},
    )


class Folders(_Part):
    """Where things are kept."""

    models: Folder = Field(
        "",
        description="Where own and added models lie; empty for the program's own folder. Models are not moved.",
        json_schema_extra={"folder": True, "empty": "the program's own folder"},
    )
    sessions: Folder = Field(
        "",
        description="Where open images and edits are kept safe from a crash; a fast disk with much room. Empty for the "
        "program's own folder. From the next start on.",
        json_schema_extra={"folder": True, "empty": "the program's own folder"},
    )
    output: Folder = Field(
        "",
        description="Where results are saved unless said otherwise; empty for the folder of the image.",
        json_schema_extra={"folder": True, "empty": "the folder of the image"},
    )


class ReadingAnswer(_Part):
    """What a person said about a kind of file that does not say it itself; see `plantseg_app.run.reading.Reading`.

    Attributes
    ----------
    parts
        The channels to open (number, "gray" or None for the only one), each with the role of its image.
    dataset, axes, time
        The image in the file, what its axes are, such as ``ZYX``, and the time point.
    voxel_size_um
        Edge lengths of a voxel Z, Y, X.
    """

    parts: tuple[tuple[int | str | None, str], ...] = ()
    dataset: str | None = None
    axes: str | None = None
    time: int | None = None
    voxel_size_um: tuple[Micrometre, Micrometre, Micrometre] | None = None


class Preferences(_Part):
    """All of it; frozen, so that a change is a new object that has been checked."""

    VERSION: ClassVar[int] = 1

    version: int = VERSION
    appearance: Appearance = Appearance()
    computing: Computing = Computing()
    folders: Folders = Folders()
    tour_seen: bool = False
    shortcuts: dict[str, str] = {}
    recent_files: tuple[str, ...] = ()
    reading: dict[str, ReadingAnswer] = {}

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some entries changed, checked again.

        Raises
        ------
        RequestError
            If an entry is unknown or out of range.
        """
        try:
            return type(self)(**{**self.model_dump(), **changes})
        except ValidationError as error:
            raise RequestError(readable_errors(error, "The preferences", list(type(self).model_fields))) from error

    def with_recent(self, path: str | Path) -> Self:
        """Return a copy in which `path` is the file that was opened last."""
        whole = str(Path(path).expanduser().absolute())
        others = [file for file in self.recent_files if file != whole]
        return self.replace(recent_files=(whole, *others)[:_MOST_RECENT])

    def existing_recent(self) -> list[Path]:
        """Return the recent files that are still there, the last one first."""
        return [Path(file) for file in self.recent_files if os.path.exists(file)]

    def with_reading(self, kind: str, answer: ReadingAnswer) -> Self:
        """Return a copy that remembers `answer` for files of `kind`; the oldest of very many is forgotten."""
        others = {name: known for name, known in self.reading.items() if name != kind}
        return self.replace(reading=dict([*others.items(), (kind, answer)][-_MOST_KINDS:]))

    def without_reading(self, kind: str) -> Self:
        """Return a copy that asks again about files of `kind`."""
        return self.replace(reading={name: known for name, known in self.reading.items() if name != kind})

    def without_memory(self) -> Self:
        """Return a copy that has forgotten files and answers; what was chosen stays."""
        return self.replace(recent_files=(), reading={})


def read_preferences(path: Path | None = None) -> Preferences:
    """Read the preferences; what is missing or not understood is as in a new installation."""
    file = path or preferences_file()
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Preferences()
    except (OSError, ValueError, RecursionError) as error:
        _LOG.warning("The preferences in %s cannot be read, so the usual ones are taken: %s", file, error)
        return Preferences()
    if not isinstance(plain, dict):
        _LOG.warning("The preferences in %s are none, so the usual ones are taken.", file)
        return Preferences()
    plain.pop("version", None)
    for _ in range(_MOST_REPAIRS):
        try:
            return Preferences(**plain)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            _LOG.warning("Dropped from the preferences: %s: %s", ".".join(map(str, problem["loc"])), problem["msg"])
            _drop(plain, problem["loc"])
    return Preferences()


def _drop(plain: Any, place: tuple[int | str, ...]) -> None:
    """Remove the entry at `place`, or the innermost one around it that there is."""
    inner = plain
    for key in place[:-1]:
        if isinstance(inner[key], (dict, list)):
            inner = inner[key]
        else:
            # Here stands something else than the parts that were expected.
            del inner[key]
            return
    del inner[place[-1]]


def write_preferences(preferences: Preferences, path: Path | None = None) -> None:
    """Write them, whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with replacing(path or preferences_file()) as partial:
        partial.write_text(preferences.model_dump_json(indent=2), encoding="utf-8")


class PreferenceStore:
    """The preferences of the running program: change them here, and everybody hears of it.

    Signals
    -------
    changed
        The preferences after a change, and those before.
    """

    changed = Signal(Preferences, Preferences)

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.value = read_preferences(path)

    def change(self, **changes: Any) -> None:
        """Change some entries, keep them for the next start, and tell.

        Raises
        ------
        RequestError
            If an entry is unknown or out of range.
        """
        self.set(self.value.replace(**changes))

    def set(self, preferences: Preferences) -> None:
        """Take `preferences` as they are, keep them for the next start, and tell."""
        if preferences == self.value:
            return
        before, self.value = self.value, preferences
        try:
            write_preferences(preferences, self._path)
        except OSError as error:
            _LOG.warning("The preferences hold for this run only, because they cannot be saved: %s", error)
        self.changed.emit(preferences, before)

    def opened(self, path: str | Path) -> None:
        """Note that a file was opened."""
        self.set(self.value.with_recent(path))

    def remember_reading(self, kind: str, answer: ReadingAnswer | Mapping[str, Any]) -> None:
        """Note what a person said about files of this kind.

        Raises
        ------
        RequestError
            If the answer is none.
        """
        try:
            checked = ReadingAnswer.model_validate(answer)
        except ValidationError as error:
            allowed = list(ReadingAnswer.model_fields)
            raise RequestError(readable_errors(error, "The answer about a file", allowed)) from error
        self.set(self.value.with_reading(kind, checked))
