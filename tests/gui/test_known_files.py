"""What is remembered about files survives in the preferences."""

from __future__ import annotations

from pathlib import Path

from plantseg_app.gui.known_files import KnownFiles
from plantseg_app.gui.preferences import PreferenceStore
from plantseg_app.run.reading import Part, Reading


def known_in(folder: Path) -> KnownFiles:
    return KnownFiles(PreferenceStore(folder / "preferences.json"))


def test_the_newest_file_is_first_and_comes_once(tmp_path: Path) -> None:
    known = known_in(tmp_path)
    for name in ("a.tif", "b.tif", "ü c.tif", "a.tif"):
        known.add_recent(tmp_path / name)
    assert [recent.name for recent in known_in(tmp_path).recent()] == ["a.tif", "ü c.tif", "b.tif"]


def test_an_answer_is_kept_until_it_is_forgotten(tmp_path: Path) -> None:
    known = known_in(tmp_path)
    reading = Reading((Part(1, "nuclei"), Part("gray", "signal")), "a/b", "Z-YX", 3, (0.5, 0.2, 0.2))
    alone = Reading((Part(None, "labels"),))
    known.remember("sort", reading.to_plain())
    known.remember("other", alone.to_plain())
    again = known_in(tmp_path)
    assert Reading.from_plain(again.answer("sort") or {}) == reading
    assert Reading.from_plain(again.answer("other") or {}) == alone
    assert again.answer("third") is None
    again.forget("sort")
    again.forget("third")
    assert known_in(tmp_path).answer("sort") is None
    assert known_in(tmp_path).answer("other") is not None
