"""Sessions: what was confirmed saved is there after a crash, and nobody takes what another window has."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError, RequestError, ResourceError
from plantseg_app.run import owner
from plantseg_app.run.jobs import ReadOptions
from plantseg_app.run.session import OpenImage, Result, Session, clean_up, discard, find_crashed

posix = pytest.mark.skipif(os.name == "nt", reason="the signal does not exist there")


def volume(value: int = 1, kind: Kind = Kind.RAW) -> Volume:
    return Volume(np.full((2, 3, 4), value, np.uint32 if kind.is_labels else np.uint8), kind, name="x")


def image(session: Session, value: int, **changes: Any) -> OpenImage:
    return OpenImage(name=f"image {value}", ref=session.store.add(volume(value)), **changes)


def result(session: Session, value: int) -> Result:
    ref = session.store.add(volume(value, Kind.LABELS))
    return Result(name="cells", kind=Kind.LABELS, ref=ref, workflow="name: x", inputs={"image": "a.tif"})


def crash(session: Session) -> Path:
    """Make it look as if the process of the session were gone."""
    path = max(session.folder.glob("owner-*.json"))
    plain = json.loads(path.read_text())
    path.write_text(json.dumps(plain | {"began": "another time"}))
    return session.folder


def test_everything_comes_back(tmp_path):
    session = Session.create(tmp_path)
    read = ReadOptions(dataset="raw", channel=1, voxel_size_um=(0.5, 0.2, 0.2))
    session.save(
        images=(image(session, 7, path="/data/a.tif", read=read, role="membrane"),),
        results=(result(session, 70000),),
        superpixels=session.store.add(volume(5, Kind.LABELS)),
        workflow="name: edited",
        page="segment",
        view={"theme": "dark", "zoom": 1.5, "layers": ["a", None]},
    )
    assert find_crashed(tmp_path) == []
    folder = crash(session)
    found = find_crashed(tmp_path)
    assert [(crashed.folder, crashed.problem) for crashed in found] == [(folder, "")]
    assert abs(found[0].state.saved_at - time.time()) < 60
    back = Session.restore(folder)
    assert back.problems == ()
    for field in ("images", "results", "superpixels", "workflow", "page", "view"):
        assert getattr(back.state, field) == getattr(session.state, field)
    assert back.state.images[0].read == read
    assert int(back.store.open(back.state.images[0].ref).data.max()) == 7
    assert int(back.store.open(back.state.results[0].ref).data.max()) == 70000
    assert find_crashed(tmp_path) == []
    back.close()
    assert list(tmp_path.iterdir()) == []


def test_a_clean_end_leaves_nothing(tmp_path):
    session = Session.create(tmp_path)
    session.save(images=(image(session, 1),), page="load")
    session.close()
    assert list(tmp_path.iterdir()) == []


def test_saving_is_cheap_and_does_nothing_when_nothing_changed(tmp_path):
    session = Session.create(tmp_path)
    images = tuple(image(session, value) for value in range(20))
    session.save(images=images, workflow="name: x\n" * 200)
    written = (session.folder / "session.json").stat().st_mtime_ns
    session.save(images=images)
    assert (session.folder / "session.json").stat().st_mtime_ns == written
    begun = time.perf_counter()
    for number in range(20):
        session.save(page=f"page {number}")
    assert (time.perf_counter() - begun) / 20 < 0.05
    assert (session.folder / "session.json").stat().st_mtime_ns > written


def test_images_that_are_closed_go_and_results_become_a_cache(tmp_path):
    session = Session.create(tmp_path)
    first, second, cells = image(session, 1), image(session, 2), result(session, 3)
    session.save(images=(first, second), results=(cells,))
    pins = {path.stem for path in session.store.folder.glob("*.pin")}
    assert pins == {first.ref.key, second.ref.key, cells.ref.key}
    session.save(images=(second,), results=())
    assert not session.store.holds(first.ref.key)
    assert session.store.holds(second.ref.key)
    assert session.store.holds(cells.ref.key)
    assert {path.stem for path in session.store.folder.glob("*.pin")} == {second.ref.key}


def test_two_windows_do_not_take_the_same_session(tmp_path):
    session = Session.create(tmp_path)
    session.save(page="load")
    with pytest.raises(RequestError, match="open in another window"):
        Session.restore(session.folder)
    discard(session.folder)
    assert session.folder.exists()
    folder = crash(session)
    found = find_crashed(tmp_path)
    Session.restore(folder)
    # The second window still has its list of before.
    with pytest.raises(RequestError, match="open in another window"):
        Session.restore(found[0].folder)
    discard(folder)
    assert folder.exists()


def test_a_claim_is_won_once(tmp_path):
    owner.claim(tmp_path, 1)
    with pytest.raises(FileExistsError):
        owner.claim(tmp_path, 1)
    owner.claim(tmp_path, 2)
    assert owner.owner_of(tmp_path) == (2, True)


def test_a_recycled_process_number_is_not_taken_for_the_owner(tmp_path):
    session = Session.create(tmp_path)
    session.save(page="load")
    # This very process is alive under the number, but began at another time.
    assert json.loads((session.folder / "owner-1.json").read_text())["pid"] == os.getpid()
    assert owner.owner_of(session.folder)[1]
    crash(session)
    assert not owner.owner_of(session.folder)[1]


def test_a_half_written_claim_counts_as_alive_for_a_minute(tmp_path):
    session = Session.create(tmp_path)
    session.save(page="load")
    path = session.folder / "owner-1.json"
    path.write_text('{"pid": 12')
    assert owner.owner_of(session.folder) == (1, True)
    os.utime(path, (1, 1))
    assert owner.owner_of(session.folder) == (1, False)


def test_another_machine_keeps_its_session_for_a_day(tmp_path):
    session = Session.create(tmp_path)
    session.save(page="load")
    path = session.folder / "owner-1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "elsewhere", "began": "once"}))
    assert find_crashed(tmp_path) == []
    os.utime(session.folder, (1, 1))
    assert len(find_crashed(tmp_path)) == 1


@pytest.mark.parametrize("harm", ["", "{", "[]", '{"version": "x"}', '{"version": 1, "surprise": 2}', "\0\xff"])
def test_a_damaged_state_is_said_and_the_one_before_is_restored(tmp_path, harm):
    session = Session.create(tmp_path)
    session.save(page="first")
    session.save(page="second")
    folder = crash(session)
    (folder / "session.json").write_bytes(harm.encode("latin-1"))
    found = find_crashed(tmp_path)[0]
    assert "is damaged" in found.problem
    assert "saved before it is restored" in found.problem
    back = Session.restore(folder)
    assert back.state.page == "first"
    assert back.problems == (found.problem,)


def test_a_session_that_is_damaged_beyond_repair_blocks_nothing(tmp_path):
    session = Session.create(tmp_path)
    session.save(page="first")
    folder = crash(session)
    (folder / "session.json").write_text("{")
    (tmp_path / "no session").mkdir()
    (tmp_path / "a file").touch()
    found = find_crashed(tmp_path)
    assert [(crashed.folder, crashed.state) for crashed in found] == [(folder, None)]
    assert found[0].problem.endswith("cannot be restored.")
    with pytest.raises(InputError, match=r"cannot be restored\.$"):
        Session.restore(folder)
    discard(folder)
    assert not folder.exists()


def test_lost_volumes_are_named_and_the_rest_comes_back(tmp_path):
    session = Session.create(tmp_path)
    lost, kept = image(session, 1), image(session, 2)
    session.save(images=(lost, kept), results=(result(session, 3),))
    folder = crash(session)
    data = folder / "volumes" / f"{lost.ref.key}.npy"
    data.write_bytes(data.read_bytes()[:-1])
    back = Session.restore(folder)
    assert back.problems == ('"image 1" was lost in the crash; read or compute it again.',)
    assert back.state.images == (kept,)
    assert len(back.state.results) == 1


def test_a_session_of_a_newer_program_is_left_alone(tmp_path):
    session = Session.create(tmp_path)
    session.save(page="load")
    folder = crash(session)
    path = folder / "session.json"
    text = json.dumps(json.loads(path.read_text()) | {"version": 2, "program": "9.0", "new": 1})
    path.write_text(text)
    assert find_crashed(tmp_path) == []
    with pytest.raises(InputError, match=r"newer version of the program \(9\.0\)"):
        Session.restore(folder)
    os.utime(folder, (1, 1))
    clean_up(tmp_path)
    assert path.read_text() == text


def test_leftovers_are_cleaned(tmp_path):
    alive, ended, fresh_crash, old_crash = (Session.create(tmp_path) for _ in range(4))
    half_made = tmp_path / "half made"
    half_made.mkdir()
    for session in (alive, fresh_crash, old_crash):
        session.save(page="load")
    for session in (ended, fresh_crash, old_crash):
        crash(session)
    (ended.folder / "volumes").mkdir()
    os.utime(old_crash.folder, (1, 1))
    clean_up(tmp_path)
    assert set(tmp_path.iterdir()) == {alive.folder, fresh_crash.folder, half_made}
    os.utime(half_made, (1, 1))
    clean_up(tmp_path)
    assert not half_made.exists()
    clean_up(tmp_path / "nowhere")
    assert find_crashed(tmp_path / "nowhere") == []


def test_what_killed_processes_left_goes_when_a_session_is_restored(tmp_path):
    session = Session.create(tmp_path)
    session.save(images=(image(session, 1),))
    (session.folder / "tmp" / "123").mkdir(parents=True)
    (session.folder / "tmp" / "123" / "x.npy").touch()
    (session.store.folder / "k.npy.123-abc.tmp").touch()
    back = Session.restore(crash(session))
    assert not (back.folder / "tmp").exists()
    assert not list(back.store.folder.glob("*.tmp"))


def test_superpixels_that_are_lost_are_done_without(tmp_path):
    session = Session.create(tmp_path)
    ref = session.store.add(volume(5, Kind.LABELS))
    session.save(images=(image(session, 1),), superpixels=ref)
    session.store.forget([ref.key])
    back = Session.restore(crash(session))
    assert (back.state.superpixels, back.problems) == (None, ())


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="PLANTSEG_APP_HOME"):
        Session.create(tmp_path / "file" / "sessions")


def test_a_full_disk_is_a_sentence_and_keeps_the_state_before(tmp_path, monkeypatch):
    session = Session.create(tmp_path)
    session.save(page="first")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(ResourceError, match="cannot be saved"):
        session.save(page="second")
    monkeypatch.undo()
    assert session.state.page == "first"
    assert Session.restore(crash(session)).state.page == "first"


SAVE_FOR_EVER = """
import sys, itertools
from pathlib import Path
import numpy as np
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.run.session import OpenImage, Session

session = Session.create(Path(sys.argv[1]))
for number in itertools.count(1):
    data = np.full((2, 30, 30), number % 251, np.uint8)
    ref = session.store.add(Volume(data, Kind.RAW, name=str(number)))
    session.save(page=str(number), images=(OpenImage(name=str(number), ref=ref),))
    print(number, flush=True)
"""


@posix
def test_whenever_it_is_killed_what_was_confirmed_is_restored(tmp_path):
    chance = np.random.default_rng(0)
    for round_ in range(4):
        folder = tmp_path / str(round_)
        command = [sys.executable, "-c", SAVE_FOR_EVER, str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            confirmed = 0
            for _ in range(chance.integers(3, 40)):
                confirmed = int(process.stdout.readline())
            # From here a random moment within a save or two.
            time.sleep(chance.uniform(0, 0.01))
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
        confirmed = max([confirmed, *(int(number) for number in rest if number.isdecimal())])
        crashed = find_crashed(folder)
        assert [session.problem for session in crashed] == [""]
        back = Session.restore(crashed[0].folder)
        assert back.problems == ()
        assert int(back.state.page) in (confirmed, confirmed + 1)
        opened = back.store.open(back.state.images[0].ref)
        assert opened.name == back.state.page
        assert set(np.unique(opened.data)) == {int(back.state.page) % 251}
        back.close()
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
