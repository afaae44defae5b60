"""Folders become the images in them, in the order of people."""

from __future__ import annotations

from pathlib import Path

from plantseg_app.gui.file_list import expand


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


def test_a_folder_is_the_images_in_it_and_below_it(tmp_path: Path) -> None:
    touch(tmp_path / "a10.tif", tmp_path / "a2.tif", tmp_path / "notes.txt", tmp_path / ".hidden.tif")
    touch(tmp_path / "sub" / "b.h5", tmp_path / ".git" / "c.tif")
    found = expand([tmp_path])
    assert [path.name for path in found.images] == ["a2.tif", "a10.tif", "b.h5"]
    assert found.n_in_folders == 3


def test_files_keep_their_order_and_come_once(tmp_path: Path) -> None:
    touch(tmp_path / "b.tif", tmp_path / "a.tif", tmp_path / "w.yaml")
    found = expand([tmp_path / "b.tif", tmp_path / "w.yaml", tmp_path])
    assert [path.name for path in found.images] == ["b.tif", "a.tif"]
    assert [path.name for path in found.workflows] == ["w.yaml"]


def test_a_folder_without_images_is_a_problem(tmp_path: Path) -> None:
    touch(tmp_path / "empty" / "notes.txt")
    found = expand([tmp_path / "empty"])
    assert not found.images
    assert "empty holds no image" in found.problems[0]


def test_a_named_file_of_another_sort_is_left_to_the_reader(tmp_path: Path) -> None:
    touch(tmp_path / "a.czi")
    assert expand([tmp_path / "a.czi"]).images == (tmp_path / "a.czi",)


def test_links_that_run_in_a_circle_end(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a.tif")
    (tmp_path / "in" / "again").symlink_to(tmp_path)
    assert [path.name for path in expand([tmp_path]).images] == ["a.tif"]
