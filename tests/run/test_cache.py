from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from plantseg_app.core.step import make_step
from plantseg_app.core.volume import Kind, Origin, Place, Volume, VoxelSize
from plantseg_app.run.cache import DiskCache, MemoryCache, node_key, volume_key


def labels(value: int = 1, shape=(2, 3, 4)) -> Volume:
    return Volume(
        np.full(shape, value, np.uint32),
        Kind.LABELS,
        (0.3, 0.1, 0.1),
        name="cells",
        origin=Origin("a.tif", "channel 0", (2, 3, 4), VoxelSize(0.3, 0.1, 0.1)),
        place=Place((0, 0, 0), (2, 3, 4), (20, 30, 40)),
    )


def test_keys_follow_content_type_shape_and_scale():
    base = labels()
    assert volume_key(base) == volume_key(labels())
    assert volume_key(base) != volume_key(labels(2))
    assert volume_key(base) != volume_key(labels(1, (4, 3, 2)))
    assert volume_key(base) != volume_key(base.replace(voxel_size_um=None))
    assert volume_key(base) != volume_key(base.replace(data=base.data.astype(np.uint64)))
    wide = np.arange(48, dtype=np.uint32).reshape(2, 4, 6)
    strided = base.replace(data=wide[:, ::2, ::-1])
    assert volume_key(strided) == volume_key(base.replace(data=np.ascontiguousarray(wide[:, ::2, ::-1])))
    big_endian = Volume(np.zeros((1, 2, 2), ">f4"), Kind.RAW)
    assert len(volume_key(big_endian)) == 40


def test_node_keys_follow_settings_ports_and_what_the_step_depends_on():
    step = make_step("test-add")
    assert node_key(step, {"image": "k"}) == node_key(make_step("test-add", {"amount": 1.0}), {"image": "k"})
    assert node_key(step, {"image": "k"}) != node_key(step.replace(amount=2), {"image": "k"})
    assert node_key(step, {"image": "k"}) != node_key(step, {"image": "other"})

    class Weighted(type(step)):
        def depends_on(self) -> str:
            return "sha256 of new weights"

    assert node_key(step, {"image": "k"}) != node_key(Weighted(), {"image": "k"})


def test_the_memory_cache_is_bounded_and_drops_the_least_recently_used():
    cache = MemoryCache(limit_bytes=2 * labels().data.nbytes)
    cache.put("a", labels(1))
    cache.put("b", labels(2))
    assert cache.get("a") is not None
    cache.put("c", labels(3))
    assert cache.get("b") is None
    assert cache.get("a") is not None
    assert cache.size_bytes <= cache.limit_bytes
    cache.put("huge", labels(1, (20, 30, 40)))
    assert cache.get("huge") is None
    assert cache.get("a") is not None


def test_the_disk_cache_gives_back_what_it_was_given(tmp_path):
    cache = DiskCache(tmp_path / "cache", 10**7)
    assert cache.get("nothing") is None
    assert not (tmp_path / "cache").exists()
    cache.put("k", labels(7))
    back = DiskCache(tmp_path / "cache", 10**7).get("k")
    assert back is not None
    np.testing.assert_array_equal(back.data, labels(7).data)
    for name in ("kind", "voxel_size_um", "name", "origin", "place"):
        assert getattr(back, name) == getattr(labels(), name)
    assert volume_key(back) == volume_key(labels(7))
    cache.forget(["k"])
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_disk_cache_is_bounded(tmp_path):
    cache = DiskCache(tmp_path, 3 * 300)
    for index in range(5):
        cache.put(f"k{index}", labels(index))
        os.utime(tmp_path / f"k{index}.npy", (1000 + index, 1000 + index))
    assert cache.get("k0") is None
    assert cache.get("k4") is not None
    assert sum(path.stat().st_size for path in tmp_path.glob("*.npy")) <= 900


def test_damaged_files_count_as_absent(tmp_path):
    cache = DiskCache(tmp_path, 10**7)
    for name, harm in {
        "short": lambda: (tmp_path / "short.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:-8]),
        "nojson": lambda: (tmp_path / "nojson.json").write_text("{"),
        "noarray": lambda: (tmp_path / "noarray.npy").unlink(),
        "other": lambda: (tmp_path / "other.json").write_text("[]"),
    }.items():
        cache.put(name, labels())
        harm()
        assert cache.get(name) is None, name


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_loading_never_runs_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = DiskCache(tmp_path, 10**7)
    cache.put("k", labels())
    array = np.empty((1,), dtype=object)
    array[0] = Bomb()
    with (tmp_path / "k.npy").open("wb") as file:
        np.save(file, array, allow_pickle=True)
    meta = (tmp_path / "k.json").read_text()
    size = (tmp_path / "k.npy").stat().st_size
    (tmp_path / "k.json").write_text(meta.replace(meta[meta.index('"file_bytes"') :], f'"file_bytes": {size}}}'))
    assert cache.get("k") is None
    assert not (tmp_path / "exploded").exists()


WRITER = """
import itertools, sys
from pathlib import Path
import numpy as np
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.run.cache import DiskCache

def write_for_ever():
    cache = DiskCache(Path(sys.argv[1]), 10**10)
    for value in itertools.count(1):
        cache.put("k", Volume(np.full((16, 256, 256), value, np.uint32), Kind.LABELS))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_a_kill_in_the_middle_leaves_a_whole_result_or_none(killed_while_writing, tmp_path):
    for _ in killed_while_writing(WRITER, [tmp_path], (0.02, 0.05, 0.08, 0.11, 0.13)):
        kept = DiskCache(tmp_path, 10**10).get("k")
        if kept is not None:
            assert kept.data.shape == (16, 256, 256)
            assert (kept.data == kept.data.flat[0]).all()
