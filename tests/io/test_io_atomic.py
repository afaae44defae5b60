"""Whatever happens while a file is written, there is the old one or the new one."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import ResourceError
from plantseg_app.io import read_volume, write_volume
from plantseg_app.io.atomic import replacing

WRITE_FOR_EVER = """
import sys, itertools, numpy as np, h5py, imagecodecs, tifffile
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import write_volume

def write_for_ever():
    volumes = [Volume(np.full((12, 300, 300), value, np.uint32), Kind.LABELS) for value in (1, 2)]
    for number in itertools.count():
        for name in sys.argv[1:]:
            write_volume(name, volumes[number % 2], dataset="raw" if name.endswith(".h5") else None)
"""


@pytest.mark.skipif(os.name == "nt", reason="the signal does not exist there")
def test_kill_leaves_the_old_file_or_the_new_one(killed_while_writing: Any, tmp_path: Path) -> None:
    files = [tmp_path / "a.tif", tmp_path / "a.h5"]
    for file in files:
        write_volume(file, Volume(np.full((12, 300, 300), 1, np.uint32), Kind.LABELS))
    rng = np.random.default_rng(0)
    for _ in killed_while_writing(WRITE_FOR_EVER, files, rng.uniform(0.01, 0.25, 5)):
        for file in files:
            data = read_volume(
                file, kind=Kind.LABELS, dataset="raw" if file.suffix == ".h5" and _has_raw(file) else None
            ).data
            assert data.shape == (12, 300, 300)
            assert np.unique(data).tolist() in ([1], [2])


def _has_raw(file: Path) -> bool:
    from plantseg_app.io import inspect_image

    return any(image.name == "raw" for image in inspect_image(file).datasets)


@pytest.mark.parametrize("suffix", [".tif", ".h5", ".png"])
def test_full_disk_leaves_the_old_file(suffix: str, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    file = tmp_path / f"a{suffix}"
    kind = Kind.RAW
    old = Volume(np.full((1, 30, 30), 7, np.uint8), kind)
    write_volume(file, old)
    noise = np.random.default_rng(0).integers(0, 256, (1, 1500, 1500)).astype(np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(ResourceError, match="no space left"):
            write_volume(file, Volume(noise, kind))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    np.testing.assert_array_equal(read_volume(file).data, old.data)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_no_room_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResourceError, match="could not be written"):
        write_volume(tmp_path / "file" / "a.tif", Volume(np.zeros((1, 2, 2), np.uint8), Kind.RAW))


def test_a_failure_removes_the_new_file(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    target.write_text("old")

    def fail() -> None:
        with replacing(target) as partial:
            partial.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    assert target.read_text() == "old"


def test_abandoned_files_are_cleared_after_a_day(tmp_path: Path) -> None:
    for name, age in ((".a.tif.1234.partial", 30), (".a.tif.5678.partial", 1), (".b.tif.1234.partial", 30)):
        (tmp_path / name).write_text("x")
        then = time.time() - age * 3600
        os.utime(tmp_path / name, (then, then))
    with replacing(tmp_path / "a.tif") as partial:
        partial.write_text("new")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a.tif", ".a.tif.5678.partial", ".b.tif.1234.partial"}


@pytest.mark.skipif(os.name == "nt", reason="no links and permission bits there")
def test_links_and_permissions_are_kept(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    real = tmp_path / "store" / "real.tif"
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "a.tif"
    link.symlink_to(real)
    write_volume(link, Volume(np.zeros((1, 2, 2), np.uint8), Kind.RAW))
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert read_volume(real).data.shape == (1, 2, 2)
    umask = os.umask(0)
    os.umask(umask)
    made = write_volume(tmp_path / "new.tif", Volume(np.zeros((1, 2, 2), np.uint8), Kind.RAW))
    assert made.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="lists open files on Linux")
def test_no_file_stays_open(tmp_path: Path) -> None:
    def opened() -> list[str]:
        found = []
        for entry in Path("/proc/self/fd").iterdir():
            try:
                found.append(str(entry.readlink()))
            except OSError:
                continue
        return [name for name in found if str(tmp_path) in name]

    data = np.arange(60, dtype=np.uint8).reshape(1, 6, 10)
    kept = []
    for suffix in (".tif", ".h5", ".png", ".jpg"):
        file = write_volume(tmp_path / f"a{suffix}", Volume(data, Kind.RAW))
        kept.append(read_volume(file))
        (tmp_path / f"cut{suffix}").write_bytes(file.read_bytes()[:60])
        with pytest.raises(Exception, match="cut"):
            read_volume(tmp_path / f"cut{suffix}")
    assert opened() == []
    assert "memmap" not in {type(volume.data).__name__ for volume in kept}
