"""A crop knows its place in the full image after it was written and read; what is no place of it is passed over."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.core.volume import Kind, Place, Volume, VoxelSize
from plantseg_app.io import read_volume, read_workflow, write_volume
from plantseg_app.io.place import place_from_text, place_to_text

PLACE = Place((4, 0, 10), (7, 4, 15), (32, 128, 100), VoxelSize(0.235, 0.15, 0.15))
TEXT = "3 x 4 x 5 voxels from 4:7, 0:4, 10:15 of 32 x 128 x 100 (0.235 x 0.15 x 0.15 um)"


def crop(kind: Kind, dtype: str, place: Place | None = PLACE, shape: tuple[int, ...] = (3, 4, 5)) -> Volume:
    return Volume(np.arange(np.prod(shape)).reshape(shape).astype(dtype), kind, (0.3, 0.1, 0.1), place=place)


FILES = {
    "TIFF labels (OME)": (".tif", crop(Kind.LABELS, "uint32")),
    "TIFF labels of 64 bits (JSON)": (".tif", crop(Kind.LABELS, "uint64").replace(data=np.full((3, 4, 5), 2**40))),
    "TIFF image (ImageJ)": (".tif", crop(Kind.RAW, "uint16")),
    "TIFF channels (ImageJ)": (".tif", crop(Kind.RAW, "uint16", shape=(2, 3, 4, 5))),
    "TIFF affinities (ImageJ)": (".tif", crop(Kind.AFFINITIES, "float32", shape=(3, 3, 4, 5))),
    "TIFF image (OME)": (".tif", crop(Kind.RAW, "float64")),
    "HDF5 labels": (".h5", crop(Kind.LABELS, "uint32")),
    "HDF5 map": (".h5", crop(Kind.BOUNDARY, "float32")),
    "PNG": (".png", crop(Kind.RAW, "uint8", dataclasses.replace(PLACE, stop_vox=(5, 4, 15)), (1, 4, 5))),
    "JPEG": (".jpg", crop(Kind.RAW, "uint8", dataclasses.replace(PLACE, stop_vox=(5, 4, 15)), (1, 4, 5))),
}


@pytest.mark.parametrize("workflow", [None, "nodes: []\ncrop (z, y, x): " + TEXT.replace("4:7", "0:3")])
@pytest.mark.parametrize("case", FILES)
def test_a_crop_keeps_its_place(case: str, workflow: str | None, tmp_path: Path) -> None:
    suffix, volume = FILES[case]
    file = write_volume(tmp_path / f"a{suffix}", volume, workflow=workflow)
    channel = "all" if volume.kind is Kind.RAW and volume.data.ndim == 4 else None
    back = read_volume(file, kind=volume.kind, channel=channel)
    assert back.place == volume.place
    assert back.origin.shape_vox == PLACE.full_shape_vox
    assert read_workflow(file) == workflow
    plain = write_volume(tmp_path / f"b{suffix}", volume.replace(place=None), workflow=workflow)
    assert read_volume(plain, kind=volume.kind, channel=channel).place is None


def test_a_text_too_long_for_jpeg_leaves_the_place(tmp_path: Path) -> None:
    _, volume = FILES["JPEG"]
    file = write_volume(tmp_path / "a.jpg", volume, workflow="x" * 70_000)
    assert read_volume(file).place == volume.place


def test_each_data_set_has_a_place_of_its_own(tmp_path: Path) -> None:
    other = dataclasses.replace(PLACE, start_vox=(0, 0, 10), stop_vox=(3, 4, 15))
    file = tmp_path / "a.h5"
    for name, place in (("raw", PLACE), ("second", other), ("third", None)):
        write_volume(file, crop(Kind.RAW, "uint8", place), dataset=name)
    assert [read_volume(file, dataset=name).place for name in ("raw", "second", "third")] == [PLACE, other, None]


COUNT = st.integers(1, 40)


@settings(max_examples=30, deadline=None)
@given(
    corners=st.tuples(*[st.tuples(st.integers(0, 50), COUNT, st.integers(0, 50))] * 3),
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    size=st.none() | st.tuples(*[st.floats(1e-5, 1e6)] * 3),
    kind=st.sampled_from([Kind.RAW, Kind.LABELS]),
    suffix=st.sampled_from([".tif", ".h5"]),
)
def test_round_trip_of_places(corners, shape, size, kind, suffix) -> None:
    start = tuple(a for a, _, _ in corners)
    stop = tuple(a + length for a, length, _ in corners)
    full = tuple(a + length + rest for a, length, rest in corners)
    place = Place(start, stop, full, VoxelSize(*size) if size else None)
    with tempfile.TemporaryDirectory() as folder:
        file = write_volume(Path(folder) / f"a{suffix}", crop(kind, "uint32", place, shape))
        back = read_volume(file, kind=kind)
    assert back.place == place
    # The full image at the scale of the crop, so that the crop is a part of it as before.
    assert back.origin.shape_vox is not None
    parts = zip(back.origin.shape_vox, full, shape, start, stop, strict=True)
    assert all(abs(whole - n * m / (b - a)) <= 0.5 for whole, n, m, a, b in parts)


WRONG = {
    "nothing": "",
    "other words": "from my phone",
    "empty box": TEXT.replace("4:7", "7:7"),
    "backwards": TEXT.replace("4:7", "7:4"),
    "outside": TEXT.replace("0:4", "126:130"),
    "negative": TEXT.replace("4:7", "-4:7"),
    "endless": TEXT.replace("32 x", f"{'9' * 5000} x"),
    "other digits": TEXT.replace("4:7", "4:٧"),
    "of another shape": TEXT.replace("3 x 4 x 5", "3 x 5 x 4"),
    "two axes": TEXT.replace("4:7, ", ""),
    "no size": TEXT.replace("0.235", "..e-"),
    "a size of zero": TEXT.replace("0.235", "0.0"),
    "a size without end": TEXT.replace("0.235", "1e999"),
    "half": TEXT[:40],
    "twice": TEXT + TEXT,
    "surrogate": "\udcff" + TEXT,
    "control": "\x00\x07" + TEXT,
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_place_is_passed_over(case: str, tmp_path: Path) -> None:
    assert place_from_text(TEXT, (3, 4, 5)) == PLACE
    assert place_from_text(WRONG[case], (3, 4, 5)) is None
    text = WRONG[case].encode("utf-8", "replace").decode()
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["raw"] = np.zeros((3, 4, 5), np.uint8)
        opened["raw"].attrs["place"] = text.replace("\0", "")
    info = f"PlantSeg App\nkind: raw\ncrop (z, y, x): {text}".encode("ascii", "replace").decode()
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((3, 4, 5), np.uint8), imagej=True, metadata={"axes": "ZYX", "Info": info}
    )
    for name in ("a.h5", "a.tif"):
        back = read_volume(tmp_path / name)
        assert back.place is None
        assert back.origin.shape_vox == (3, 4, 5)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, len(TEXT)), length=st.integers(0, 9), put=st.text("0123456789 x:,.-+e", max_size=9))
def test_a_damaged_text_is_a_place_or_none(at: int, length: int, put: str) -> None:
    text = TEXT[:at] + put + TEXT[at + length :]
    place = place_from_text(text, (3, 4, 5))
    assert place is None or place_from_text(place_to_text(place, (3, 4, 5)), (3, 4, 5)) == place


def _opaque(dataset: h5py.Dataset) -> None:
    kind = h5py.h5t.create(h5py.h5t.OPAQUE, 8)
    h5py.h5a.create(dataset.id, b"place", kind, h5py.h5s.create(h5py.h5s.SCALAR))


def _bits(dataset: h5py.Dataset) -> None:
    h5py.h5a.create(dataset.id, b"place", h5py.h5t.STD_B8LE, h5py.h5s.create(h5py.h5s.SCALAR))


@pytest.mark.parametrize(
    "put",
    [
        lambda dataset: dataset.attrs.create("place", 7),
        lambda dataset: dataset.attrs.create("place", [TEXT, TEXT]),
        lambda dataset: dataset.attrs.create("place", b"\xff\xfe"),
        lambda dataset: dataset.attrs.create("place", np.void(b"\xff\xfe")),
        lambda dataset: dataset.attrs.create("place", h5py.Empty("f")),
        lambda dataset: dataset.attrs.create("place", dataset.ref, dtype=h5py.ref_dtype),
        _opaque,
        _bits,
    ],
)
def test_odd_attributes_of_hdf5_are_passed_over(put, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        put(opened.create_dataset("raw", data=np.zeros((3, 4, 5), np.uint8)))
    assert read_volume(tmp_path / "a.h5").place is None


def test_an_image_that_was_cut_turned_or_mirrored_elsewhere_has_lost_its_place(tmp_path: Path) -> None:
    file = write_volume(
        tmp_path / "a.tif", crop(Kind.RAW, "uint8", dataclasses.replace(PLACE, stop_vox=(7, 3, 13)), (3, 3, 3))
    )
    assert read_volume(file).place is not None
    assert read_volume(file, axes="zyx").place == read_volume(file).place
    for axes in ("-zyx", "xyz", "zxy"):
        assert read_volume(file, axes=axes).place is None
    with tifffile.TiffFile(file) as tif:
        data, info = tif.asarray(), tif.imagej_metadata["Info"]
    # As Fiji does: the text of the image it was cut from stays.
    tifffile.imwrite(tmp_path / "b.tif", data[:2], imagej=True, metadata={"axes": "ZYX", "Info": info})
    assert read_volume(tmp_path / "b.tif").place is None


def test_a_voxel_size_that_is_given_overrules_that_of_the_full_image(tmp_path: Path) -> None:
    file = write_volume(tmp_path / "a.h5", crop(Kind.RAW, "uint8"))
    place = read_volume(file, voxel_size_um=(1, 1, 1)).place
    assert place == dataclasses.replace(PLACE, full_voxel_size_um=None)
