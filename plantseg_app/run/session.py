"""What a person has open, in a folder that outlives a crash: images, results, the workflow, where they are.

::

    sessions/20260131-120000-1a2b3c4d/
      owner-1.json        the process that has it; owner-2.json the one that restored it, and so on
      session.json        the state, replaced as a whole at each save; session.previous.json the one before
      volumes/            see plantseg_app.run.store
      tmp/PID/            temporary files of the worker's child processes

A session that ended cleanly is gone. One whose process is gone and whose folder is not has crashed: `find_crashed`
tells, `restore` takes it over, `discard` removes it. Knows no window.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     session = Session.create(Path(folder))
...     session.save(page="segment")
...     session.state.page, find_crashed(Path(folder))   # this process is alive
...     session.close()
...     list(Path(folder).iterdir())
('segment', [])
[]
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pydantic
from pydantic import BaseModel, ConfigDict, JsonValue

from plantseg_app import __version__, paths
from plantseg_app.core.volume import Kind
from plantseg_app.errors import InputError, RequestError, ResourceError
from plantseg_app.run.desk import VOLUMES
from plantseg_app.run.jobs import ReadOptions
from plantseg_app.run.owner import claim, owner_of
from plantseg_app.run.store import VolumeRef, VolumeStore

VERSION = 1
_STATE, _PREVIOUS = "session.json", "session.previous.json"
_HALF_MADE_S = 24 * 3600.0
_FORGOTTEN_S = 60 * 24 * 3600.0


class OpenImage(BaseModel):
    """An image that is open: where it came from, how it was read, what it is to the workflow, where its numbers are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: str = ""
    read: ReadOptions = ReadOptions()
    role: str = ""
    ref: VolumeRef


class Result(BaseModel):
    """Something that was made: what, by which workflow (YAML), of which images in words, and where its numbers are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    ref: VolumeRef
    workflow: str = ""
    inputs: dict[str, str] = {}


class SessionState(BaseModel):
    """All that is restored after a crash.

    Attributes
    ----------
    version
        Of this form; a higher one belongs to a newer program.
    program
        The version of the program that saved it.
    saved_at
        Seconds since 1970.
    images, results
        What is open.
    superpixels
        Of which the newest cells were made, so that they can be taken apart again; None where there are none.
    workflow
        The one that is being edited, as YAML; "" when there is none.
    page
        The page of the wizard.
    view
        Settings of the window: plain data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION
    program: str = __version__
    saved_at: float = 0.0
    images: tuple[OpenImage, ...] = ()
    results: tuple[Result, ...] = ()
    superpixels: VolumeRef | None = None
    workflow: str = ""
    page: str = ""
    view: dict[str, JsonValue] = {}

    @property
    def refs(self) -> tuple[VolumeRef, ...]:
        """All volumes that it needs."""
        others = () if self.superpixels is None else (self.superpixels,)
        return (*(image.ref for image in self.images), *(result.ref for result in self.results), *others)


@dataclasses.dataclass(frozen=True)
class CrashedSession:
    """A session whose process is gone.

    Attributes
    ----------
    folder
        Of the session.
    state
        What can be restored; None when nothing can.
    problem
        Why nothing, or not the last state, can be restored, in a sentence; else "".
    """

    folder: Path
    state: SessionState | None
    problem: str = ""


class Session:
    """A folder that belongs to this process; made by `create` or `restore`.

    Attributes
    ----------
    folder
        For the worker.
    state
        As it was saved last.
    store
        The volumes.
    problems
        What could not be restored, a sentence each.
    """

    def __init__(self, folder: Path, state: SessionState, problems: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.state = state
        self.problems = problems
        self.store = VolumeStore(folder / VOLUMES)

    @classmethod
    def create(cls, parent: Path | None = None) -> Session:
        """Make the folder of a new session; `parent` is by default `plantseg_app.paths.sessions_dir`.

        Raises
        ------
        ResourceError
            If it cannot be made.
        """
        parent = paths.sessions_dir() if parent is None else parent
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
        folder = parent / name
        try:
            folder.mkdir(parents=True)
            claim(folder, 1)
        except OSError as error:
            raise ResourceError(
                f"The folder {folder} cannot be made: {error}. Set {paths.HOME_VARIABLE} to one that may be written to."
            ) from error
        return cls(folder, SessionState())

    @classmethod
    def restore(cls, folder: Path) -> Session:
        """Take over a session that crashed; volumes that are damaged are left out, and `problems` says so.

        Raises
        ------
        RequestError
            If another window has it.
        InputError
            If nothing of it can be read.
        """
        state, problem = _read_state(folder)
        if state is None:
            raise InputError(problem)
        generation, is_alive = owner_of(folder)
        try:
            if is_alive or generation is None:
                raise FileExistsError
            claim(folder, generation + 1)
        except OSError as error:
            raise RequestError(f"The session {folder.name} is open in another window, or gone.") from error
        session = cls(folder, state)
        session._clear_temporary()
        kept, problems = _without_damaged(state, session.store)
        session.problems = tuple(text for text in (problem, *problems) if text)
        session.save(**{name: getattr(kept, name) for name in ("images", "results", "superpixels")})
        return session

    def save(self, **changes: Any) -> None:
        """Change the state and write it; does nothing when nothing changed.

        Cheap enough to be called at each change of the window. The file is replaced as a whole, so a process that
        is killed leaves the state before or after. Volumes that are no longer needed may go.

        Parameters
        ----------
        changes
            Fields of `SessionState`.

        Raises
        ------
        ResourceError
            If the disk is full or may not be written to.
        """
        before = self.state
        values = {name: getattr(before, name) for name in SessionState.model_fields} | changes
        state = SessionState.model_validate(values | {"version": VERSION, "program": __version__, "saved_at": 0.0})
        has_file = (self.folder / _STATE).exists()
        if has_file and state == before.model_copy(update={"program": __version__, "saved_at": 0.0}):
            return
        state = state.model_copy(update={"saved_at": time.time()})
        needed = {ref.key for ref in state.refs}
        try:
            # Before the state that needs them is there, so that they are never missing.
            for key in needed:
                self.store.pin(key)
            _write_state(self.folder, state)
            self.store.pin_only(needed)
            # Results may be of use to a later run, images are read again if need be.
            self.store.forget({image.ref.key for image in before.images} - needed)
        except OSError as error:
            raise ResourceError(f"The session cannot be saved in {self.folder}: {error}.") from error
        self.state = state

    def close(self) -> None:
        """End cleanly: remove the folder. What Windows does not let go of yet goes at a later start."""
        _remove(self.folder)

    def _clear_temporary(self) -> None:
        """Remove what the processes of the crashed program left."""
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        for path in (self.folder / VOLUMES).glob("*.tmp"):
            path.unlink(missing_ok=True)


def find_crashed(parent: Path | None = None) -> list[CrashedSession]:
    """Return the sessions whose process is gone, the newest first; those of a newer program are left alone."""
    found = []
    for folder in _folders(parent):
        with contextlib.suppress(OSError):
            if not _has_crashed(folder):
                continue
            state, problem = _read_state(folder)
            if state is not None or not problem.startswith(_NEWER):
                found.append(CrashedSession(folder, state, problem))
    return sorted(found, key=lambda session: session.folder.name, reverse=True)


def discard(folder: Path) -> None:
    """Remove a session that crashed; one that another window has meanwhile restored stays."""
    with contextlib.suppress(OSError):
        _, is_alive = owner_of(folder)
        if not is_alive:
            _remove(folder)


def clean_up(parent: Path | None = None) -> None:
    """Remove what is of no use to anybody: sessions that ended without a saved state, and those two months old."""
    for folder in _folders(parent):
        with contextlib.suppress(OSError):
            generation, is_alive = owner_of(folder)
            age = time.time() - folder.stat().st_mtime
            if is_alive or (generation is None and age < _HALF_MADE_S):
                continue
            has_state = (folder / _STATE).exists() or (folder / _PREVIOUS).exists()
            if not has_state or (age > _FORGOTTEN_S and not _is_newer(folder)):
                _remove(folder)


def _has_crashed(folder: Path) -> bool:
    generation, is_alive = owner_of(folder)
    return generation is not None and not is_alive and ((folder / _STATE).exists() or (folder / _PREVIOUS).exists())


_NEWER = "It was saved by a newer version"


def _write_state(folder: Path, state: SessionState) -> None:
    temporary = folder / f"{_STATE}.tmp"
    temporary.write_text(state.model_dump_json(), encoding="utf-8")
    with contextlib.suppress(FileNotFoundError):
        os.replace(folder / _STATE, folder / _PREVIOUS)
    os.replace(temporary, folder / _STATE)


def _read_state(folder: Path) -> tuple[SessionState | None, str]:
    """Return the last state that can be read, and in a sentence why it is none or not the last."""
    problems = []
    for name in (_STATE, _PREVIOUS):
        path = folder / name
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(plain, dict) and isinstance(plain.get("version"), int) and plain["version"] > VERSION:
                return None, f"{_NEWER} of the program ({plain.get('program')}); start that one to restore it."
            state = SessionState.model_validate(plain)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, pydantic.ValidationError):
            problems.append(f"The session of {_when(path)} is damaged ({path.name})")
            continue
        if problems:
            return state, f"{problems[0]}; the state saved before it is restored."
        return state, ""
    return None, f"{problems[0]} and cannot be restored." if problems else "The session holds no saved state."


def _is_newer(folder: Path) -> bool:
    state, problem = _read_state(folder)
    return state is None and problem.startswith(_NEWER)


def _without_damaged(state: SessionState, store: VolumeStore) -> tuple[SessionState, list[str]]:
    """Return the state with only the volumes that can be opened, and a sentence for each other one."""
    problems: list[str] = []

    def usable(items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            try:
                store.open(item.ref)
            except InputError:
                problems.append(f'"{item.name}" was lost in the crash; read or compute it again.')
            else:
                yield item

    superpixels = state.superpixels
    if superpixels is not None:
        try:
            store.open(superpixels)
        except InputError:
            # Without them a cell can still be split by hand.
            superpixels = None
    changes = {"images": tuple(usable(state.images)), "results": tuple(usable(state.results))}
    return state.model_copy(update=changes | {"superpixels": superpixels}), problems


def _when(path: Path) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))


def _folders(parent: Path | None) -> list[Path]:
    parent = paths.sessions_dir() if parent is None else parent
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []


def _remove(folder: Path) -> None:
    # The state first: a session of which a part is gone is never offered.
    for name in (_PREVIOUS, _STATE):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
