"""Recent files and remembered answers survive, and damage in their file does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from plantseg_app.gui.known_files import KnownFiles


def test_the_newest_file_is_first_and_comes_once(tmp_path: Path) -> None:
    known = KnownFiles(tmp_path / "known.json")
    for name in ("a.tif", "b.tif", "ü c.tif", "a.tif"):
        known.add_recent(tmp_path / name)
    again = KnownFiles(tmp_path / "known.json")
    assert [recent.path.name for recent in again.recent()] == ["a.tif", "ü c.tif", "b.tif"]
    again.forget_recent()
    assert not KnownFiles(tmp_path / "known.json").recent()


def test_an_answer_is_kept_until_it_is_forgotten(tmp_path: Path) -> None:
    known = KnownFiles(tmp_path / "known.json")
    known.remember("sort", {"parts": [[0, "nuclei"]]})
    assert KnownFiles(tmp_path / "known.json").answer("sort") == {"parts": [[0, "nuclei"]]}
    assert known.answer("other") is None
    known.forget("sort")
    assert KnownFiles(tmp_path / "known.json").answer("sort") is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"recent": [1], "answers": {}}', '{"recent": [], "answers": [3]}'])
def test_a_damaged_file_is_forgotten(tmp_path: Path, text: str) -> None:
    file = tmp_path / "known.json"
    file.write_text(text, encoding="utf-8")
    known = KnownFiles(file)
    known.add_recent(tmp_path / "a.tif")
    assert [recent.path.name for recent in KnownFiles(file).recent()] == ["a.tif"]


def test_a_folder_that_cannot_be_written_keeps_nobody_from_working(tmp_path: Path) -> None:
    (tmp_path / "no folder").write_text("", encoding="utf-8")
    known = KnownFiles(tmp_path / "no folder" / "known.json")
    known.add_recent(tmp_path / "a.tif")
    assert known.recent()
