"""What is found of trainings: their settings and validations without torch, also after a crash."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plantseg_app.errors import RequestError
from plantseg_app.train.journal import begin_journal, find_trainings, note_validation, read_record
from plantseg_app.train.settings import TrainSettings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLANTSEG_APP_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def begun(folder: Path, resume: bool = False) -> TrainSettings:
    settings = TrainSettings(output=str(folder), start_from="membranes-3d")
    begin_journal(settings, resume)
    return settings


def test_trainings_are_found_here_and_elsewhere_the_newest_first(home: Path, tmp_path: Path) -> None:
    for age, folder in enumerate((home / "trainings" / "here", tmp_path / "disk" / "elsewhere")):
        begun(folder)
        os.utime(folder / "run" / "settings.yaml", (1000 + age, 1000 + age))
    (home / "trainings" / "no training").mkdir()
    assert [record.name for record in find_trainings()] == ["elsewhere", "here"]
    assert [record.has_checkpoint for record in find_trainings()] == [False, False]
    (tmp_path / "disk").rename(tmp_path / "gone")
    assert [record.name for record in find_trainings()] == ["here"]


def test_the_state_follows_from_checkpoint_and_model(tmp_path: Path) -> None:
    begun(tmp_path / "a")
    last, card = tmp_path / "a" / "run" / "last.pt", tmp_path / "a" / "card.yaml"
    last.write_bytes(b"x")
    record = read_record(tmp_path / "a")
    assert (record.has_checkpoint, record.is_finished) == (True, False)
    card.write_text("x")
    os.utime(last, (1000, 1000))
    assert read_record(tmp_path / "a").is_finished
    os.utime(card, (999, 999))
    assert not read_record(tmp_path / "a").is_finished


def test_a_line_cut_short_and_a_step_twice_are_no_trouble(tmp_path: Path) -> None:
    begun(tmp_path / "a")
    for step, loss in ((2, 0.9), (4, 0.8), (6, float("nan")), (4, 0.7)):
        note_validation(tmp_path / "a", {"step": step, "loss": loss})
    with (tmp_path / "a" / "run" / "validations.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')
    record = read_record(tmp_path / "a")
    assert [row["step"] for row in record.rows] == [2, 4, 6]
    assert record.rows[1]["loss"] == 0.7
    assert record.step == 6


def test_a_new_training_does_not_take_the_place_of_an_old_one(tmp_path: Path) -> None:
    first = begun(tmp_path / "a")
    note_validation(tmp_path / "a", {"step": 2})
    (tmp_path / "a" / "run" / "last.pt").write_bytes(b"x")
    with pytest.raises(RequestError, match="already holds a training"):
        begun(tmp_path / "a")
    begun(tmp_path / "a", resume=True)
    assert read_record(tmp_path / "a").rows == ({"step": 2},)
    assert read_record(tmp_path / "a").settings == first


def test_a_folder_that_was_moved_is_resumed_where_it_is(tmp_path: Path) -> None:
    begun(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert read_record(tmp_path / "b").settings.output == str(tmp_path / "b")
    assert read_record(tmp_path / "a") is None
