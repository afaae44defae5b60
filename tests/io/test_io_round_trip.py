"""What is written is read back: data, type, voxel size, workflow; and other programs can open it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import RequestError
from plantseg_app.io import inspect_image, read_volume, read_workflow, write_volume

WORKFLOW = "version: 1\nnodes:\n- {name: \"größe <&> 'x'\", sigma: 1.5}\n"
LENGTH = st.floats(1e-3, 1e3)
IMAGE_TYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "uint64", "float32", "float64"]


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    kind = draw(st.sampled_from([Kind.RAW, Kind.BOUNDARY, Kind.LABELS, Kind.LAYERED_LABELS, Kind.AFFINITIES]))
    shape = draw(st.tuples(*[st.integers(1, 7)] * 3))
    if kind.needs_leading_axis or (kind is Kind.RAW and draw(st.booleans())):
        shape = (draw(st.integers(1, 5)), *shape)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    dtype = np.dtype(draw(st.sampled_from(["uint32", "uint64"] if kind.is_labels else IMAGE_TYPES)))
    data: np.ndarray
    if dtype.kind == "f":
        data = rng.normal(size=shape).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        data = rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    if draw(st.booleans()):
        data = np.asfortranarray(data)
    size = draw(st.none() | st.tuples(LENGTH, LENGTH, LENGTH))
    return Volume(data, kind, size, name=draw(st.sampled_from(["", "cells", "größe <1>"])))


@pytest.mark.parametrize("suffix", [".tif", ".h5"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(volume=volumes(), workflow=st.none() | st.just(WORKFLOW))
def test_round_trip(suffix: str, volume: Volume, workflow: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = write_volume(Path(folder) / f"a{suffix}", volume, workflow=workflow)
        channel = "all" if volume.kind is Kind.RAW and volume.data.ndim == 4 else None
        back = read_volume(file, kind=volume.kind, channel=channel)
        assert inspect_image(file).kind is volume.kind
        assert read_workflow(file) == workflow
        assert [path.name for path in Path(folder).iterdir()] == [f"a{suffix}"]
    expected = volume.data
    if volume.kind is Kind.RAW and volume.data.ndim == 4 and volume.data.shape[0] == 1:
        expected = volume.data[0]
    assert back.data.dtype == volume.data.dtype or int(volume.data.max()) < 2**32
    np.testing.assert_array_equal(back.data, expected)
    if volume.voxel_size_um is None:
        assert back.voxel_size_um is None
    else:
        np.testing.assert_allclose(back.voxel_size_um or (), volume.voxel_size_um, rtol=1e-6)


def many_labels() -> Volume:
    data = (np.arange(80_000, dtype=np.uint32) * 50_021 + 1).reshape(8, 100, 100)
    return Volume(data, Kind.LABELS, (0.235, 0.15, 0.16), name="cells")


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".h5", ".hdf5", ".hdf"])
def test_more_than_70000_labels_survive(suffix: str, tmp_path: Path) -> None:
    volume = many_labels()
    back = read_volume(write_volume(tmp_path / f"a{suffix}", volume), kind=Kind.LABELS)
    assert back.data.dtype == np.uint32
    assert len(np.unique(back.data)) == 80_000
    np.testing.assert_array_equal(back.data, volume.data)


def test_labels_are_ome_tiff_that_other_programs_open(tmp_path: Path) -> None:
    volume = many_labels()
    write_volume(tmp_path / "a.tif", volume, workflow=WORKFLOW)
    # napari reads TIFF through imread.
    stack = tifffile.imread(tmp_path / "a.tif")
    assert stack.dtype == np.uint32
    np.testing.assert_array_equal(stack, volume.data)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        page = tif.pages.first
        assert tif.is_ome
        assert not tif.is_bigtiff
        assert len(tif.pages) == 8
        # Plain ImageJ: strips, zlib (8), no predictor, one sample, no colour table.
        assert not page.is_tiled
        assert page.compression == 8
        assert page.predictor == 1
        assert page.samplesperpixel == 1
        assert page.colormap is None
        assert page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
        xml = tif.ome_metadata
    for piece in ('PhysicalSizeZ="0.235"', 'PhysicalSizeY="0.15"', 'PhysicalSizeX="0.16"', 'PhysicalSizeXUnit="µm"'):
        assert piece in xml
    assert "nodes:" in xml
    assert (tmp_path / "a.tif").stat().st_size < volume.data.nbytes


def test_ome_xml_is_valid_for_tifffile(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.tif", many_labels(), workflow=WORKFLOW)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        root = tifffile.xml2dict(tif.ome_metadata)["OME"]
    assert root["Image"]["Pixels"]["SizeZ"] == 8
    assert root["Image"]["Pixels"]["Type"] == "uint32"


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_images_are_imagej_hyperstacks(dtype: str, tmp_path: Path) -> None:
    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(dtype)
    for part, axes in ((data, "ZCYX"), (data[0], "ZYX")):
        volume = Volume(part, Kind.RAW, (0.235, 0.15, 0.16))
        write_volume(tmp_path / "a.tif", volume, workflow=WORKFLOW)
        with tifffile.TiffFile(tmp_path / "a.tif") as tif:
            meta: Any = tif.imagej_metadata
            assert tif.series[0].axes == axes
            assert (meta["unit"], meta["spacing"]) == ("micron", 0.235)
            assert "nodes:" in meta["Info"]
            assert tif.pages.first.resolution == pytest.approx((1 / 0.16, 1 / 0.15))
            assert tif.pages.first.compression == 8
            stored = tif.asarray()
        np.testing.assert_array_equal(stored, part.swapaxes(0, 1) if part.ndim == 4 else part)


def test_booleans_and_half_floats_become_what_programs_read(tmp_path: Path) -> None:
    for data in (np.eye(4, dtype=bool)[None], np.linspace(0, 1, 16, dtype=np.float16).reshape(1, 4, 4)):
        for suffix in (".tif", ".h5"):
            back = read_volume(write_volume(tmp_path / f"a{suffix}", Volume(data, Kind.RAW)))
            np.testing.assert_array_equal(back.data, data)
            assert back.data.dtype == (np.uint8 if data.dtype == bool else np.float32)


def test_big_endian_and_strided_data(tmp_path: Path) -> None:
    data = np.arange(480, dtype=">u2").reshape(4, 10, 12)[::2, ::-1, ::3]
    for suffix in (".tif", ".h5"):
        back = read_volume(write_volume(tmp_path / f"a{suffix}", Volume(data, Kind.RAW)))
        np.testing.assert_array_equal(back.data, data)


def test_wide_labels_that_fit_are_stored_in_32_bits(tmp_path: Path) -> None:
    volume = Volume(np.full((2, 3, 4), 2**32 - 1, np.uint64), Kind.LABELS)
    for suffix in (".tif", ".h5"):
        assert inspect_image(write_volume(tmp_path / f"a{suffix}", volume)).dtype == "uint32"


def test_bigtiff_above_four_gibibytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plantseg_app.io.tiff_writer._CLASSIC_BYTES", 100)
    data = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    for kind in (Kind.RAW, Kind.LABELS):
        volume = Volume(data if kind is Kind.RAW else data.astype(np.uint32), kind, (0.3, 0.1, 0.1))
        file = write_volume(tmp_path / "a.tif", volume)
        with tifffile.TiffFile(file) as tif:
            assert tif.is_bigtiff
        back = read_volume(file, kind=kind)
        np.testing.assert_array_equal(back.data, data)
        assert back.voxel_size_um == (0.3, 0.1, 0.1)


def test_hdf5_as_other_programs_read_it(tmp_path: Path) -> None:
    file = write_volume(tmp_path / "a.h5", many_labels(), workflow=WORKFLOW)
    with h5py.File(file) as opened:
        assert list(opened) == ["segmentation"]
        made = opened["segmentation"]
        assert (made.dtype, made.compression, made.chunks) == (np.uint32, "gzip", (8, 100, 100))
        np.testing.assert_allclose(made.attrs["element_size_um"], (0.235, 0.15, 0.16))
        assert made.attrs["workflow"] == WORKFLOW
        assert made.attrs["axes"] == "ZYX"


def test_hdf5_keeps_the_other_data_sets(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as opened:
        opened.attrs["note"] = "mine"
        opened["raw"] = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
        opened["raw"].attrs["element_size_um"] = (0.3, 0.1, 0.1)
        opened["deep/er/x"] = np.arange(12).reshape(3, 4)
        opened["text"] = "kept too"
    volume = Volume(np.full((2, 3, 4), 70_000, np.uint32), Kind.LABELS)
    for name in ("segmentation", "deep/er/labels", "/deep/er/x"):
        write_volume(file, volume, dataset=name, workflow=name)
    with h5py.File(file) as opened:
        assert opened.attrs["note"] == "mine"
        assert opened["text"][()] == b"kept too"
        np.testing.assert_array_equal(opened["raw"], np.arange(24).reshape(2, 3, 4))
        np.testing.assert_allclose(opened["raw"].attrs["element_size_um"], (0.3, 0.1, 0.1))
        for name in ("segmentation", "deep/er/labels", "deep/er/x"):
            assert int(opened[name][()].max()) == 70_000
    assert read_workflow(file, "deep/er/labels") == "deep/er/labels"
    assert read_workflow(file, "raw") is None
    with pytest.raises(RequestError, match="is a group"):
        write_volume(file, volume, dataset="deep")
    with pytest.raises(RequestError, match="cannot lie in it"):
        write_volume(file, volume, dataset="raw/x")
    # Writing again and again does not let the file grow.
    size = write_volume(file, volume, dataset="segmentation").stat().st_size
    for _ in range(5):
        write_volume(file, volume, dataset="segmentation")
    assert file.stat().st_size == size
    write_volume(file, volume)
    assert [image.name for image in inspect_image(file).datasets] == ["segmentation"]


def test_hdf5_choice_of_data_set(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    data = np.zeros((2, 3, 4), np.uint16)
    with h5py.File(file, "w") as opened:
        for number, name in enumerate(("label", "prediction", "raw", "watershed")):
            opened[name] = data + number
    chosen = {kind: int(read_volume(file, kind=kind).data[0, 0, 0]) for kind in (Kind.RAW, Kind.BOUNDARY, Kind.LABELS)}
    assert chosen == {Kind.RAW: 2, Kind.BOUNDARY: 1, Kind.LABELS: 0}
    assert int(read_volume(file, dataset="/watershed").data[0, 0, 0]) == 3
    with pytest.raises(RequestError, match=r'Did you mean "watershed"\? It holds: label \(2 x 3 x 4, uint16\)'):
        read_volume(file, dataset="watersheds")


def test_long_workflow(tmp_path: Path) -> None:
    text = "".join(f"line {number}: value\n" for number in range(20_000))
    volume = Volume(np.zeros((2, 3, 4), np.uint32), Kind.LABELS)
    for suffix, kind in ((".tif", Kind.LABELS), (".tif", Kind.BOUNDARY), (".h5", Kind.LABELS)):
        part = volume if kind is Kind.LABELS else Volume(np.zeros((2, 3, 4), np.float32), kind)
        assert read_workflow(write_volume(tmp_path / f"a{suffix}", part, workflow=text)) == text


def test_no_workflow_in_foreign_files(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), np.uint8))
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((4, 5), np.uint8), imagej=True)
    with h5py.File(tmp_path / "c.h5", "w") as opened:
        opened["raw"] = np.zeros((4, 5))
    for name in ("a.tif", "b.tif", "c.h5"):
        assert read_workflow(tmp_path / name) is None


def test_refusals(tmp_path: Path) -> None:
    volume = Volume(np.zeros((2, 3, 4), np.uint8), Kind.RAW)
    with pytest.raises(RequestError, match=r"images are written as \.tif"):
        write_volume(tmp_path / "a.xyz", volume)
    with pytest.raises(RequestError, match="has no ending"):
        write_volume(tmp_path / "a", volume)
    (tmp_path / "d.tif").mkdir()
    with pytest.raises(RequestError, match="is a folder"):
        write_volume(tmp_path / "d.tif", volume)
    with pytest.raises(RequestError, match="TIFF file holds one image"):
        write_volume(tmp_path / "a.tif", volume, dataset="raw")
    with pytest.raises(RequestError, match="is empty"):
        write_volume(tmp_path / "a.h5", volume, dataset="/")
    write_volume(tmp_path / "a.h5", volume, overwrite=False)
    write_volume(tmp_path / "a.h5", volume, dataset="other", overwrite=False)
    for dataset in (None, "other"):
        with pytest.raises(RequestError, match="choose another name"):
            write_volume(tmp_path / "a.h5", volume, dataset=dataset, overwrite=False)


def test_the_folder_is_made(tmp_path: Path) -> None:
    file = write_volume(tmp_path / "new" / "er" / "a.tif", Volume(np.zeros((1, 2, 3), np.uint8), Kind.RAW))
    assert file.exists()


@pytest.mark.parametrize("dtype", [">u2", ">f4", ">f8", "f2", "bool", "longdouble", "i1", "u8"])
@pytest.mark.parametrize(
    "options", [{}, {"chunks": (1, 2, 4), "compression": "lzf"}, {"chunks": (2, 3, 4), "shuffle": True}]
)
def test_hdf5_types(dtype: str, options: dict[str, Any], tmp_path: Path) -> None:
    data = (np.arange(24).reshape(2, 3, 4) % 2).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened.create_dataset("raw", data=data, **options)
        opened.create_dataset("label", data=np.ascontiguousarray(data.transpose(2, 1, 0)))
        opened["label"].attrs["axes"] = "XYZ"
    for kind in (Kind.RAW, Kind.LABELS):
        back = read_volume(tmp_path / "a.h5", kind=kind)
        np.testing.assert_array_equal(back.data, data.astype(float))
        assert back.data.dtype.isnative
        assert back.data.flags.c_contiguous
    assert read_volume(tmp_path / "a.h5").data.dtype.itemsize <= 8
