"""Preferences: kept whole, repaired when damaged, told when changed, followed by paths."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plantseg_app import paths
from plantseg_app.errors import RequestError
from plantseg_app.gui.preferences import (
    Appearance,
    Computing,
    Folders,
    Preferences,
    PreferenceStore,
    ReadingAnswer,
    read_preferences,
    write_preferences,
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLANTSEG_APP_HOME", str(tmp_path / "home"))
    return paths.preferences_file()


FULL = Preferences(
    appearance=Appearance(theme="light", font_size_pt=14, label_palette="tol-muted"),
    computing=Computing(device="cuda:1", threads=3),
    folders=Folders(models="/big/models", output="/out"),
    tour_seen=True,
    recent_files=("/a.tif", "/b.tif"),
    reading={
        "tif 4D uint8": ReadingAnswer(
            axes="ZCYX", voxel_size_um=(1, 0.5, 0.5), parts=((0, "membranes"), ("gray", "nuclei"))
        )
    },
)


def test_they_come_back_as_they_were(file: Path) -> None:
    assert read_preferences() == Preferences()
    assert not file.exists(), "reading makes no file"
    write_preferences(FULL)
    assert read_preferences() == FULL
    assert json.loads(file.read_text())["version"] == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"appearance": {"theme": "pink", "font_size_pt": 14}}, {"appearance": Appearance(font_size_pt=14)}),
        ({"appearance": {"font_size_pt": 400, "theme": "light"}}, {"appearance": Appearance(theme="light")}),
        ({"appearance": {"label_palette": "glaring"}}, {"appearance": Appearance()}),
        ({"appearance": "dark"}, {"appearance": Appearance()}),
        ({"appearance": None}, {"appearance": Appearance()}),
        ({"folders": {"models": "not/whole"}}, {"folders": Folders()}),
        ({"something_new": {"deep": 1}}, {}),
        ({"computing": {"threads": 2, "cores": 7}}, {"computing": Computing(threads=2)}),
        ({"recent_files": ["/a.tif", 5, "/c.tif", None]}, {"recent_files": ("/a.tif", "/c.tif")}),
        ({"reading": {"good": {"axes": "YX"}, "bad": {"axes": 5}}}, {"reading": {"good": {"axes": "YX"}, "bad": {}}}),
        ({"reading": {"bad": 3}}, {"reading": {}}),
        ({"version": 99}, {}),
    ],
)
def test_what_is_not_understood_is_dropped_and_the_rest_stays(
    file: Path, change: dict, expected: dict, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.mkdir()
    file.write_text(json.dumps({**json.loads(FULL.model_dump_json()), **change}))
    with caplog.at_level(logging.WARNING):
        assert read_preferences() == FULL.replace(**expected)
    assert ("Dropped from the preferences" in caplog.text) == ("version" not in change)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"5", b"null", b'{"recent_files": ' + b"[" * 5000])
def test_a_file_that_is_no_preferences_gives_the_usual_ones(
    file: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    assert read_preferences() == Preferences()
    assert "usual ones" in caplog.text
    assert paths.user_models_dir() == file.parent / "models"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from([*Preferences.model_fields, "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["theme", "threads", "models", "axes", "x"]), inner, max_size=3)
            ),
            max_leaves=8,
        ),
    )
)
def test_no_content_keeps_the_program_from_starting(tmp_path: Path, plain: dict) -> None:
    file = tmp_path / "any.json"
    file.write_text(json.dumps(plain))
    assert isinstance(read_preferences(file), Preferences)


def test_recent_files_are_few_the_last_first_and_only_those_that_exist(tmp_path: Path) -> None:
    preferences = Preferences()
    for number in range(20):
        preferences = preferences.with_recent(tmp_path / f"{number}.tif")
    preferences = preferences.with_recent(tmp_path / "15.tif")
    names = [Path(file).stem for file in preferences.recent_files]
    assert names == ["15", "19", "18", "17", "16", "14", "13", "12", "11", "10", "9", "8"]
    (tmp_path / "17.tif").write_text("")
    (tmp_path / "9.tif").write_text("")
    assert preferences.existing_recent() == [tmp_path / "17.tif", tmp_path / "9.tif"]


def test_a_change_is_kept_and_told_with_what_was_before(file: Path) -> None:
    store, heard = PreferenceStore(), []
    store.changed.connect(lambda now, before: heard.append((before.tour_seen, now.tour_seen)))
    store.change(tour_seen=True)
    store.change(tour_seen=True)
    assert heard == [(False, True)]
    assert PreferenceStore().value.tour_seen
    store.opened("/data/a.tif")
    store.remember_reading("tif 3D", {"axes": "ZYX", "voxel_size_um": [1, 1, 1]})
    again = PreferenceStore().value
    assert again.recent_files == ("/data/a.tif",)
    assert again.reading["tif 3D"] == ReadingAnswer(axes="ZYX", voxel_size_um=(1, 1, 1))
    store.set(store.value.without_memory())
    assert (store.value.recent_files, store.value.reading, store.value.tour_seen) == ((), {}, True)


def test_a_wrong_change_is_refused_in_one_sentence(file: Path) -> None:
    store = PreferenceStore()
    with pytest.raises(RequestError, match=r"appearance\.font_size_pt: Input should be less than or equal to 20"):
        store.change(appearance={"font_size_pt": 50})
    with pytest.raises(RequestError, match='Did you mean "tour_seen"'):
        store.change(tour_sen=True)
    with pytest.raises(RequestError, match="voxel_size_um"):
        store.remember_reading("tif", {"voxel_size_um": [1, 0, 1]})
    assert store.value == Preferences()


def test_where_nothing_can_be_written_they_hold_for_this_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLANTSEG_APP_HOME", str(tmp_path / "file"))
    store = PreferenceStore()
    store.change(tour_seen=True)
    assert store.value.tour_seen
    assert "this run only" in caplog.text


def test_the_folders_are_those_of_the_whole_program(file: Path, tmp_path: Path) -> None:
    assert paths.sessions_dir() == file.parent / "sessions"
    store = PreferenceStore()
    store.change(folders=Folders(models=str(tmp_path / "m"), sessions=str(tmp_path / "s")))
    assert paths.user_models_dir() == tmp_path / "m"
    assert paths.sessions_dir() == tmp_path / "s"
    store.change(folders=Folders())
    assert paths.user_models_dir() == file.parent / "models"
