"""Volumes that pass through a folder."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pydantic
import pytest

from plantseg_app.core.volume import Kind, Origin, Place, Volume, VoxelSize
from plantseg_app.errors import InputError, ResourceError
from plantseg_app.run.store import VolumeRef, VolumeStore

Usage = namedtuple("Usage", "total used free")


def volume(value: int = 1, kind: Kind = Kind.RAW, shape=(2, 3, 4)) -> Volume:
    dtype = np.uint32 if kind.is_labels else np.uint8
    origin, place = Origin("a.tif", "channel 0", (2, 3, 4)), Place((0, 0, 0), shape[-3:], (20, 30, 40))
    return Volume(np.full(shape, value, dtype), kind, (0.3, 0.1, 0.1), "image", origin, place)


def test_a_reference_survives_pickle_and_json_and_leads_to_the_same_volume(tmp_path):
    store = VolumeStore(tmp_path / "volumes")
    for sent in (volume(7), volume(70000, Kind.LABELS)):
        ref = store.add(sent)
        assert pickle.loads(pickle.dumps(ref)) == ref
        assert VolumeRef.model_validate_json(ref.model_dump_json()) == ref
        assert len(pickle.dumps(ref)) < 1000
        assert (ref.shape_vox, ref.size_bytes) == (sent.shape_vox, sent.data.nbytes)
        back = VolumeStore(tmp_path / "volumes").open(ref)
        np.testing.assert_array_equal(back.data, sent.data)
        assert back.data.dtype == sent.data.dtype
        for name in ("kind", "voxel_size_um", "name", "origin", "place"):
            assert getattr(back, name) == getattr(sent, name)


def test_an_opened_volume_is_a_view_of_the_file_that_cannot_be_written(tmp_path):
    store = VolumeStore(tmp_path)
    back = store.open(store.add(volume(7)))
    assert type(back.data) is np.ndarray
    assert isinstance(back.data.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        back.data[0] = 0


def test_the_same_numbers_can_be_taken_as_another_kind(tmp_path):
    store = VolumeStore(tmp_path)
    ref = store.add(volume(7))
    assert store.open(ref.as_kind(Kind.NUCLEI)).kind is Kind.NUCLEI
    assert store.open(ref.as_kind(Kind.LABELS)).data.dtype == np.uint32
    assert store.open(ref).kind is Kind.RAW
    with pytest.raises(InputError, match="axes"):
        store.open(ref.as_kind(Kind.AFFINITIES))


def test_equal_volumes_are_written_once(tmp_path):
    store = VolumeStore(tmp_path)
    first = store.add(volume(7))
    written = (tmp_path / f"{first.key}.npy").stat().st_mtime_ns
    assert store.add(volume(7)) == first
    assert (tmp_path / f"{first.key}.npy").stat().st_mtime_ns == written
    assert store.add(volume(8)).key != first.key


def test_what_is_gone_or_damaged_is_said(tmp_path):
    store = VolumeStore(tmp_path)
    ref = store.add(volume(7))
    data = tmp_path / f"{ref.key}.npy"
    data.write_bytes(data.read_bytes()[:-3])
    with pytest.raises(InputError, match=r'"image" is not in .* or is damaged; read or compute it again'):
        store.open(ref)


def test_a_reference_cannot_lead_out_of_the_folder(tmp_path):
    plain = json.loads(VolumeStore(tmp_path).add(volume()).model_dump_json())
    with pytest.raises(pydantic.ValidationError):
        VolumeRef.model_validate(plain | {"key": "../../etc/passwd0000"})


def test_pinned_volumes_stay_and_the_others_make_room(tmp_path):
    one = volume(0, shape=(10, 10, 10)).data.nbytes + 128
    store = VolumeStore(tmp_path / "volumes", limit_bytes=3 * one)
    assert not store.folder.exists()
    refs = [store.add(volume(n, shape=(10, 10, 10))) for n in range(2)]
    store.pin(refs[0].key)
    refs += [store.add(volume(n, shape=(10, 10, 10))) for n in range(2, 6)]
    assert store.holds(refs[0].key)
    assert not store.holds(refs[1].key)
    assert store.holds(refs[5].key)
    store.pin_only([refs[5].key])
    refs += [store.add(volume(n, shape=(10, 10, 10))) for n in range(6, 9)]
    assert not store.holds(refs[0].key)
    assert store.holds(refs[5].key)
    store.forget([refs[5].key])
    assert not list(store.folder.glob(f"{refs[5].key}*"))


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    store = VolumeStore(tmp_path)
    kept = store.add(volume(1))
    store.pin(kept.key)
    store.add(volume(2))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 5000))
    with pytest.raises(ResourceError, match=r'"image" takes 24 bytes and the disk of .* has 5 kB free; make room'):
        store.add(volume(3))
    # What nobody needs has made room before, in vain.
    assert [path.stem for path in tmp_path.glob("*.npy")] == [kept.key]


def test_another_voxel_size_shares_the_numbers(tmp_path: Path) -> None:
    store = VolumeStore(tmp_path)
    data = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    place = Place((0, 0, 0), (2, 3, 4), (4, 3, 4), VoxelSize(9, 9, 9))
    first = store.add(Volume(data, Kind.RAW, name="a", place=place))
    sized = store.with_voxel_size(first.as_kind(Kind.BOUNDARY), VoxelSize(1.0, 0.5, 0.5))
    assert sized.key != first.key
    assert (sized.kind, sized.voxel_size_um) == (Kind.BOUNDARY, VoxelSize(1.0, 0.5, 0.5))
    back = store.open(sized)
    assert np.array_equal(back.data, data)
    assert back.place == Place((0, 0, 0), (2, 3, 4), (4, 3, 4), None)
    assert (tmp_path / f"{sized.key}.npy").samefile(tmp_path / f"{first.key}.npy")
    assert store.with_voxel_size(first.as_kind(Kind.BOUNDARY), VoxelSize(1.0, 0.5, 0.5)) == sized
    store.forget([first.key])
    assert np.array_equal(store.open(sized).data, data)
    assert store.with_voxel_size(sized, None).voxel_size_um is None
