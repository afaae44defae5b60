"""Every damaged or unusual file ends in one clear message or in the right result."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile

from plantseg_app.core.volume import Kind
from plantseg_app.errors import InputError, PlantSegError, RequestError, ResourceError
from plantseg_app.io import FORMATS, inspect_image, read_volume

STACK = np.random.default_rng(0).integers(0, 256, (6, 40, 50)).astype(np.uint8)

TIFF_FLAVOURS: dict[str, dict[str, Any]] = {
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "imagej zlib": {"imagej": True, "compression": "zlib", "metadata": {"axes": "ZYX"}},
    "ome": {"ome": True, "photometric": "minisblack", "metadata": {"axes": "ZYX"}},
    "ome zlib": {"ome": True, "photometric": "minisblack", "compression": "zlib", "metadata": {"axes": "ZYX"}},
    "ome tiles": {"ome": True, "photometric": "minisblack", "tile": (16, 16), "metadata": {"axes": "ZYX"}},
    "plain": {"metadata": None},
    "plain zlib": {"metadata": None, "compression": "zlib"},
    "shaped": {},
    "shaped zlib": {"compression": "zlib"},
    "tiles lzw": {"tile": (16, 16), "compression": "lzw"},
    "packbits": {"compression": "packbits"},
    "bigtiff": {"bigtiff": True},
    "bigtiff zlib": {"bigtiff": True, "compression": "zlib"},
    "big-endian zlib": {"byteorder": ">", "compression": "zlib"},
}


def tiff_bytes(data: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, data, **options)
    return stream.getvalue()


@pytest.mark.parametrize("flavour", TIFF_FLAVOURS)
def test_truncated_tiff_is_refused_or_whole(flavour: str, tmp_path: Path) -> None:
    whole = tiff_bytes(STACK, **TIFF_FLAVOURS[flavour])
    file = tmp_path / "cut.tif"
    cuts = sorted({*np.linspace(1, len(whole) - 1, 40).astype(int), *range(len(whole) - 12, len(whole))})
    refused = 0
    for cut in cuts:
        file.write_bytes(whole[:cut])
        try:
            volume = read_volume(file)
        except InputError as error:
            assert "cut.tif" in str(error)
            refused += 1
        else:
            np.testing.assert_array_equal(volume.data, STACK)
    assert refused > len(cuts) // 2
    file.write_bytes(whole)
    np.testing.assert_array_equal(read_volume(file).data, STACK)


def test_what_tifffile_returns_silently_is_refused(tmp_path: Path) -> None:
    whole = tiff_bytes(STACK, imagej=True, metadata={"axes": "ZYX"})
    file = tmp_path / "half.tif"
    file.write_bytes(whole[: len(whole) // 2])
    logging.getLogger("tifffile").addHandler(handler := logging.NullHandler())
    try:
        assert tifffile.imread(file).shape == (40, 50)
    finally:
        logging.getLogger("tifffile").removeHandler(handler)
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_volume(file)
    with pytest.raises(InputError, match="damaged or incomplete"):
        inspect_image(file)


def _hdf5_bytes() -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("raw", data=STACK, compression="gzip", chunks=(2, 20, 25))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("suffix", "whole", "expected"),
    [
        (".h5", _hdf5_bytes(), STACK),
        (".png", imagecodecs.png_encode(STACK[0]), STACK[:1]),
        (".jpg", imagecodecs.jpeg_encode(STACK[0], level=95), None),
    ],
)
def test_other_truncated_files_are_refused_or_whole(
    suffix: str, whole: bytes, expected: np.ndarray | None, tmp_path: Path
) -> None:
    file = tmp_path / f"cut{suffix}"
    for cut in np.linspace(1, len(whole) - 1, 50).astype(int):
        file.write_bytes(whole[:cut])
        try:
            volume = read_volume(file)
        except InputError as error:
            assert "cut" in str(error)
        else:
            assert expected is not None
            np.testing.assert_array_equal(volume.data, expected)


@pytest.mark.parametrize("suffix", [suffix for known in FORMATS for suffix in known.suffixes])
def test_no_bytes_garbage_and_text(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"a{suffix}"
    file.write_bytes(b"")
    with pytest.raises(InputError, match=r"empty \(0 bytes\)"):
        read_volume(file)
    for content in (b"hello, I am a text\n" * 50, np.random.default_rng(1).bytes(5000), b"\0" * 100):
        file.write_bytes(content)
        with pytest.raises(InputError, match="is not a"):
            read_volume(file)
        with pytest.raises(InputError, match="is not a"):
            inspect_image(file)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_right_start_then_garbage(known: Any, tmp_path: Path) -> None:
    file = tmp_path / f"a{known.suffixes[0]}"
    for seed in range(20):
        for start in known.signatures:
            file.write_bytes(start + np.random.default_rng(seed).bytes(3000))
            with pytest.raises((InputError, ResourceError)):
                read_volume(file)


def test_flipped_bytes_never_escape_as_other_errors(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    rng = np.random.default_rng(2)
    for flavour in ("imagej zlib", "ome tiles", "plain", "bigtiff zlib"):
        whole = bytearray(tiff_bytes(STACK[:2, :16, :16], **(TIFF_FLAVOURS[flavour])))
        for _ in range(60):
            broken = bytearray(whole)
            for place in rng.integers(8, 400, 4):
                broken[place] = rng.integers(256)
            file.write_bytes(broken)
            try:
                read_volume(file, axes="zyx", nan="replace")
            except PlantSegError as error:
                assert str(error)


def test_a_file_under_another_format_s_name(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    file.write_bytes(imagecodecs.png_encode(STACK[0]))
    with pytest.raises(InputError, match=r"is a PNG file, in spite of its name; rename it to a\.png"):
        read_volume(file)


def test_requests_for_what_is_no_image_file(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="There is no file"):
        read_volume(tmp_path / "missing.tif")
    with pytest.raises(RequestError, match="is a folder"):
        read_volume(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(RequestError, match=r'ending "\.txt".*\.tif, \.tiff.*\.h5.*\.png'):
        read_volume(tmp_path / "notes.txt")
    (tmp_path / "noending").write_text("x")
    with pytest.raises(RequestError, match="has no ending"):
        read_volume(tmp_path / "noending")
    (tmp_path / "a.czi").write_bytes(b"ZISRAWFILE")
    with pytest.raises(RequestError, match=r"Zeiss files.*OME-TIFF"):
        read_volume(tmp_path / "a.czi")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, STACK)

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="may not be read by you"):
        read_volume(file)


def _nan_stack() -> np.ndarray:
    data = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    data[0, 0, :2] = np.nan
    data[2, 3, 4] = np.inf
    data[1, 0, 0] = -np.inf
    return data


def test_nan_and_infinity_are_counted_or_replaced(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    data = _nan_stack()
    tifffile.imwrite(file, data, photometric="minisblack")
    with pytest.raises(InputError, match=r"2 NaN and 2 infinite voxels of 60.*--nan replace"):
        read_volume(file)
    replaced = read_volume(file, nan="replace").data
    expected = data.copy()
    expected[0, 0, :2] = expected[1, 0, 0] = 2.0
    expected[2, 3, 4] = 58.0
    np.testing.assert_array_equal(replaced, expected)
    tifffile.imwrite(file, np.full((2, 3, 4), np.nan, np.float32), photometric="minisblack")
    with pytest.raises(InputError, match="no finite number: all 24"):
        read_volume(file, nan="replace")


GOOD: dict[str, tuple[np.ndarray, dict[str, Any], Kind]] = {
    "constant": (np.full((3, 4, 5), 7, np.uint8), {}, Kind.RAW),
    "all zero labels": (np.zeros((3, 4, 5), np.uint16), {}, Kind.LABELS),
    "one pixel": (np.array([[5]], np.uint8), {}, Kind.RAW),
    "one voxel column": (np.arange(9, dtype=np.uint8).reshape(9, 1, 1), {"metadata": {"axes": "ZYX"}}, Kind.RAW),
    "2D": (np.arange(20, dtype=np.uint16).reshape(4, 5), {}, Kind.RAW),
    "float64": (np.linspace(0, 1, 60).reshape(3, 4, 5), {}, Kind.RAW),
    "float16": (np.linspace(0, 1, 60).reshape(3, 4, 5).astype(np.float16), {}, Kind.RAW),
    "big-endian uint16": (np.arange(60, dtype=np.uint16).reshape(3, 4, 5) * 900, {"byteorder": ">"}, Kind.RAW),
    "big-endian float32 zlib": (
        np.linspace(-1, 1, 60, dtype=np.float32).reshape(3, 4, 5),
        {"byteorder": ">", "compression": "zlib"},
        Kind.RAW,
    ),
    "big-endian labels": (np.arange(60, dtype=np.uint32).reshape(3, 4, 5), {"byteorder": ">"}, Kind.LABELS),
    "bool": (np.arange(60).reshape(3, 4, 5) % 2 == 0, {"photometric": "minisblack"}, Kind.RAW),
    "bool labels": (np.arange(60).reshape(3, 4, 5) % 2 == 0, {"photometric": "minisblack"}, Kind.LABELS),
    "int8": (np.arange(60, dtype=np.int8).reshape(3, 4, 5) - 30, {}, Kind.RAW),
    "int16 labels": (np.arange(60, dtype=np.int16).reshape(3, 4, 5), {}, Kind.LABELS),
    "int32 labels": (np.arange(60, dtype=np.int32).reshape(3, 4, 5), {}, Kind.LABELS),
    "float labels": (np.arange(60, dtype=np.float32).reshape(3, 4, 5), {}, Kind.LABELS),
    "uint64 labels": (np.arange(60, dtype=np.uint64).reshape(3, 4, 5) + 2**40, {}, Kind.LABELS),
    "three slices": (np.arange(60, dtype=np.uint8).reshape(3, 4, 5), {"photometric": "minisblack"}, Kind.RAW),
}


@pytest.mark.parametrize("case", GOOD)
def test_unusual_but_good(case: str, tmp_path: Path) -> None:
    data, options, kind = GOOD[case]
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, data, **({"photometric": "minisblack"} | options))
    volume = read_volume(file, kind=kind)
    expected = data if data.ndim == 3 else data[np.newaxis]
    np.testing.assert_array_equal(volume.data, expected)
    assert volume.data.dtype.isnative
    assert volume.data.flags.c_contiguous
    assert volume.shape_vox == expected.shape
    if kind is Kind.LABELS:
        assert volume.data.dtype == (np.uint64 if data.dtype == np.uint64 else np.uint32)


BAD_LABELS: dict[str, tuple[np.ndarray, str]] = {
    "negative int8": (np.full((2, 3, 4), -3, np.int8), r"negative numbers \(down to -3\)"),
    "negative int32": (np.full((2, 3, 4), -1, np.int32), "negative numbers"),
    "negative float": (np.full((2, 3, 4), -1, np.float32), "negative numbers"),
    "fractions": (np.full((2, 3, 4), 0.25, np.float32), r"fractions such as 0.25.*probability map"),
    "inexact float": (np.full((2, 3, 4), 2.0**25, np.float32), "exact only up to 16777216"),
    "nan": (np.full((2, 3, 4), np.nan, np.float32), "no finite number"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_numbers_that_are_no_labels(case: str, tmp_path: Path) -> None:
    data, message = BAD_LABELS[case]
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    with pytest.raises(InputError, match=message):
        read_volume(tmp_path / "a.tif", kind=Kind.LABELS)


def _hdf5(write: Callable[[h5py.File], object], file: Path) -> Path:
    with h5py.File(file, "w") as opened:
        write(opened)
    return file


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda file: file.create_dataset("raw", data=np.ones((2, 3, 4), np.complex64)), "complex numbers"),
        (lambda file: file.create_dataset("raw", data=np.array([[b"a", b"b"]])), "texts"),
        (lambda file: file.create_dataset("raw", (2, 3), dtype=h5py.string_dtype()), "texts or objects"),
        (lambda file: file.create_dataset("raw", (2, 3), dtype=[("a", "f4"), ("b", "i2")]), "records"),
        (lambda file: file.create_dataset("raw", data=np.arange(5)), "holds no image"),
        (lambda file: file.create_group("empty"), "holds no image"),
        (lambda file: file.create_dataset("raw", (0, 4, 4), dtype="u1"), "holds no voxel"),
        (lambda file: file.create_dataset("raw", (2, 3, 4, 5), dtype="u1"), "what its 4 axes are.*--axes"),
        (lambda file: file.create_dataset("raw", (2, 3, 4, 5, 6), dtype="u1"), "what its 5 axes are.*--axes"),
    ],
)
def test_hdf5_data_sets_that_are_no_image(write: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_volume(_hdf5(write, tmp_path / "a.h5"))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_tiff(dtype: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((2, 3, 4), dtype), photometric="minisblack")
    with pytest.raises(InputError, match="complex numbers"):
        read_volume(tmp_path / "a.tif")


def test_broken_chunk_in_hdf5(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as opened:
        made = opened.create_dataset("raw", data=STACK, compression="gzip", chunks=(6, 40, 50))
        place = made.id.get_chunk_info(0).byte_offset
    content = bytearray(file.read_bytes())
    content[place + 10 : place + 40] = b"\xff" * 30
    file.write_bytes(content)
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_volume(file)


def test_broken_private_tag_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, STACK, extratags=[(40000, 4, 3, (1, 2, 3), True)])
    with tifffile.TiffFile(file) as tif:
        place = tif.pages.first.tags[40000].offset
    content = bytearray(file.read_bytes())
    content[place + 8 : place + 12] = b"\xff\xff\xff\x7f"
    file.write_bytes(content)
    np.testing.assert_array_equal(read_volume(file).data, STACK)


def test_too_large_for_the_machine(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", (100_000, 100_000, 100_000), dtype="u1", chunks=(16, 64, 64))
    with pytest.raises(ResourceError, match="more than this machine has"):
        read_volume(tmp_path / "a.h5")
    assert inspect_image(tmp_path / "a.h5").shape == (100_000,) * 3
