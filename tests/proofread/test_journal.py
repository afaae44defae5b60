"""The journal: nothing confirmed is lost, whenever it is killed; other labels, windows and damage are noticed."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from plantseg_app.errors import InputError, RequestError, ResourceError
from plantseg_app.proofread.journal import Conflict, journal_path
from plantseg_app.proofread.log import Log
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tools.delete import Delete
from plantseg_app.proofread.tools.marks import Lock
from plantseg_app.proofread.tools.merge import Merge
from plantseg_app.proofread.tools.paint import Paint

# What the n-th record of the journal is depends on nothing but n and the records before, here and in the child process.
EDITING = '''
import numpy as np
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tools.delete import Delete
from plantseg_app.proofread.tools.marks import Lock, Unmark
from plantseg_app.proofread.tools.merge import Merge
from plantseg_app.proofread.tools.paint import Paint

def new_session():
    labels = np.repeat(np.arange(1, 65, dtype=np.uint32).reshape(4, 4, 4), 6, axis=2)
    return ProofreadSession(labels, author="Ada", memory_bytes=0)

def step(session):
    """Do the next thing; each leaves one record."""
    n = len(session.history.log)
    rng = np.random.default_rng(n)
    ids = session.tissue.index.ids()
    free = [cell for cell in ids if cell not in session.marks]
    if n % 7 == 5:
        session.undo()
    elif n % 7 == 6:
        session.redo()
    elif n % 11 == 3:
        session.do(Unmark(cells=tuple(session.marks)) if session.marks else Lock(cells=(ids[0],)))
    elif n % 5 == 1 and len(free) > 2:
        session.do(Merge(cells=tuple(rng.choice(free, 2, replace=False).tolist())))
    elif n % 13 == 4 and free:
        session.do(Delete(cells=(free[-1],)))
    else:
        voxels = np.stack([rng.integers(0, size, 60) for size in session.labels.shape], 1)
        session.do(Paint(voxels=voxels, over_cells=True))
'''

WRITING = (
    EDITING
    + """
import os, struct, sys

# What is imported late is imported before the forks.
warm = new_session()
warm.history.log.append({})
while len(warm.history.log) < 20:
    step(warm)

def write_for_ever():
    confirmed = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    session = new_session()
    from pathlib import Path
    session.open_journal(Path(sys.argv[1]))
    while True:
        step(session)
        os.write(confirmed, struct.pack("<q", len(session.history.log)))
"""
)
FEW_KILLS = 20
here: dict[str, Callable[..., object]] = {}
exec(EDITING, here)  # noqa: S102 - the same few lines as in the child


@pytest.fixture
def n_kills(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--kills", FEW_KILLS))


def test_kills_at_random_moments_lose_nothing_that_was_confirmed(
    tmp_path: Path,
    n_kills: int,
    killed_while_writing: Callable[[str, Iterable[object], Iterable[float]], Iterator[None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After each kill the journal is opened, as the next start of the program does; ``--kills 100`` is the full one."""
    journal, confirmed = tmp_path / "leaf.corrections.jsonl", tmp_path / "confirmed"
    # From the first moments, in which the journal is read and mended, up to some dozens of corrections.
    pauses = np.random.default_rng(n_kills).uniform(0.0, 0.2, n_kills).tolist()
    reference = here["new_session"]()
    assert isinstance(reference, ProofreadSession)
    reference.history.log.append({"record": "labels"})
    n_confirmed = n_unconfirmed = n_cut = 0
    for _ in killed_while_writing(WRITING, [journal, confirmed], pauses):
        if not journal.exists():
            continue
        n_cut += not journal.read_bytes().endswith(b"\n")
        again = here["new_session"]()
        assert isinstance(again, ProofreadSession)
        again.open_journal(journal)
        n_records = len(again.history.log)
        told = confirmed.read_bytes() if confirmed.exists() else b""
        if len(told) >= 8:
            n_confirmed = struct.unpack("<q", told[len(told) // 8 * 8 - 8 : len(told) // 8 * 8])[0]
        assert n_records >= n_confirmed
        n_unconfirmed += n_records > n_confirmed
        while len(reference.history.log) < n_records:
            here["step"](reference)
        np.testing.assert_array_equal(again.labels, reference.labels)
        assert dict(again.marks) == dict(reference.marks)
        assert again.tissue.index.ids() == reference.tissue.index.ids()
        again.close()
    assert n_confirmed > n_kills / 4
    with capsys.disabled():
        if n_kills > FEW_KILLS:
            print(  # noqa: T201 - the outcome of a long test that somebody asked for
                f"\n{n_kills} kills: {n_confirmed} records confirmed, none lost; the last one was on the disk but not "
                f"yet confirmed {n_unconfirmed} times, and cut short {n_cut} times"
            )


def make_session(author: str = "Ada") -> ProofreadSession:
    labels = np.repeat(np.arange(1, 9, dtype=np.uint32), 5).reshape(1, 8, 5)
    return ProofreadSession(labels, author=author)


def test_a_journal_moves_with_its_labels_and_says_who_did_what_when(tmp_path: Path) -> None:
    here_folder, there = tmp_path / "a", tmp_path / "b"
    here_folder.mkdir()
    path = journal_path(here_folder / "leaf.tif")
    session = make_session()
    session.open_journal(path, "leaf.tif")
    session.do(Merge(cells=(1, 2)))
    session.do(Lock(cells=(1,)))
    session.close()
    assert str(tmp_path) not in path.read_text(encoding="utf-8")
    shutil.move(here_folder, there)

    again = make_session("Grace")
    assert again.open_journal(there / path.name, "leaf.tif") == 2
    again.do(Delete(cells=(5,)))
    told = [(edit.author, edit.words) for edit in again.edits]
    assert told == [("Ada", "Merged cells 1 and 2"), ("Ada", "Marked cell 1 as correct"), ("Grace", "Deleted cell 5")]
    times = [edit.at for edit in again.edits]
    assert times == sorted(times)
    assert all(at.endswith("+00:00") for at in times)
    again.close()


def test_it_fits_the_labels_before_and_after_they_were_saved(tmp_path: Path) -> None:
    path = tmp_path / "leaf.corrections.jsonl"
    session = make_session()
    original = session.labels.copy()
    session.open_journal(path)
    session.do(Merge(cells=(1, 2)))
    session.do(Lock(cells=(1,)))
    session.note_saved()
    saved = session.labels.copy()
    session.do(Delete(cells=(7,)))
    final = session.labels.copy()
    session.close()
    for start in (original, saved):
        again = ProofreadSession(start.copy())
        assert again.open_journal(path) == 3
        np.testing.assert_array_equal(again.labels, final)
        assert again.tissue.is_locked(1)
        for _ in range(3):
            again.undo()
        np.testing.assert_array_equal(again.labels, original)
        for _ in range(3):
            again.redo()
        again.close()


def test_labels_that_changed_under_it_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "leaf.corrections.jsonl"
    session = make_session()
    session.open_journal(path)
    session.do(Merge(cells=(1, 2)))
    session.close()
    other = make_session()
    other.labels[0, 0, 0] = 8
    with pytest.raises(Conflict, match="changed since"):
        ProofreadSession(other.labels).open_journal(path)
    with pytest.raises(Conflict, match="shape"):
        ProofreadSession(np.ones((1, 8, 6), np.uint32)).open_journal(path)

    # In the open session, too: an array that something else writes to.
    session = make_session()
    session.do(Merge(cells=(1, 2)))
    session.labels[0, 1, 1] = 77
    with pytest.raises(InputError, match="something else has changed them"):
        session.undo()


def test_two_windows_cannot_have_it_and_what_another_machine_writes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "leaf.corrections.jsonl"
    session = make_session()
    session.open_journal(path)
    with pytest.raises(RequestError, match="open in another window"):
        make_session().open_journal(path)
    with path.open("ab") as file:
        file.write(b"something")
    before = session.labels.copy()
    with pytest.raises(RequestError, match="changed by another program"):
        session.do(Merge(cells=(1, 2)))
    np.testing.assert_array_equal(session.labels, before)
    assert session.tissue.index.size(1) == session.tissue.index.size(2) == 5
    session.close()


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "leaf.corrections.jsonl"
    session = make_session()
    session.open_journal(path)
    session.do(Merge(cells=(1, 2)))
    size, before = path.stat().st_size, session.labels.copy()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ResourceError, match="No space left"):
            session.do(Delete(cells=(3,)))
        with pytest.raises(ResourceError, match="No space left"):
            session.undo()
    assert path.stat().st_size == size
    np.testing.assert_array_equal(session.labels, before)
    session.do(Delete(cells=(3,)))
    session.close()
    again = make_session()
    assert again.open_journal(path) == 2
    np.testing.assert_array_equal(again.labels, session.labels)
    again.close()


@pytest.mark.parametrize("cut", [1, 9, 40])
def test_a_line_cut_short_is_dropped_and_the_next_one_follows_on_the_last_good_one(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "leaf.corrections.jsonl"
    session = make_session()
    session.open_journal(path)
    session.do(Merge(cells=(1, 2)))
    session.do(Delete(cells=(3,)))
    session.close()
    path.write_bytes(path.read_bytes()[:-cut])
    again = make_session()
    assert again.open_journal(path) == 1
    again.do(Delete(cells=(4,)))
    again.close()
    assert make_session().open_journal(path) == 2


def test_damage_in_the_middle_and_foreign_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "leaf.corrections.jsonl"
    session = make_session()
    session.open_journal(path)
    for cell in (3, 4, 5):
        session.do(Delete(cells=(cell,)))
    session.close()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged at line"):
        make_session().open_journal(path)
    assert path.read_bytes() == content
    foreign = tmp_path / "notes.txt"
    foreign.write_text("Buy milk and a notebook.\n", encoding="utf-8")
    with pytest.raises(InputError, match="no journal"):
        make_session().open_journal(foreign)
    with Log.open(tmp_path / "other.jsonl") as log:
        log.append({"hello": "world"})
    with pytest.raises(InputError, match="no journal"):
        make_session().open_journal(tmp_path / "other.jsonl")
    newer = tmp_path / "newer.jsonl"
    with Log.open(newer) as log:
        log.append({"format": "plantseg-app corrections", "version": 99, "program": "9.0"})
    with pytest.raises(InputError, match=r"newer version of the program \(9.0\)"):
        make_session().open_journal(newer)
    assert foreign.read_text(encoding="utf-8").startswith("Buy milk")


def test_a_journal_begins_before_the_first_correction(tmp_path: Path) -> None:
    session = make_session()
    session.do(Delete(cells=(3,)))
    with pytest.raises(Refused):
        session.open_journal(tmp_path / "late.jsonl")


def test_its_lines_can_be_read_by_people_and_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "leaf.corrections.jsonl"
    session = make_session()
    session.open_journal(path, "leaf.tif")
    session.do(Paint(voxels=np.argwhere(session.labels == 3), cell=4, over_cells=True))
    session.undo()
    session.close()
    header, edit, undo = (json.loads(line[9:]) for line in path.read_text(encoding="utf-8").splitlines())
    assert (header["name"], header["shape"]) == ("leaf.tif", [1, 8, 5])
    assert (edit["tool"], edit["words"], edit["n_voxels"], edit["cells"]) == ("paint", "Painted cell 4", 5, [3, 4])
    assert (undo["record"], undo["number"], undo["author"]) == ("undo", 1, "Ada")
