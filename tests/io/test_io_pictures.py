"""PNG and JPEG: one slice, few bits, and honest refusals of everything else."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError, RequestError
from plantseg_app.io import inspect_image, read_volume, read_workflow, write_volume

PIXELS = np.arange(20).reshape(1, 4, 5)
SIZE = (0.3, 0.15, 0.16)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_keeps_numbers_size_and_workflow(dtype: type, tmp_path: Path) -> None:
    data = (PIXELS * (3000 if dtype is np.uint16 else 10)).astype(dtype)
    file = write_volume(tmp_path / "a.png", Volume(data, Kind.RAW, SIZE), workflow="grün: 1\n")
    back = read_volume(file)
    np.testing.assert_array_equal(back.data, data)
    assert back.data.dtype == dtype
    assert back.voxel_size_um == SIZE
    assert read_workflow(file) == "grün: 1\n"
    assert inspect_image(file).kind is Kind.RAW
    with Image.open(file) as picture:
        np.testing.assert_array_equal(np.array(picture), data[0])


@pytest.mark.parametrize(("largest", "dtype"), [(255, "uint8"), (65535, "uint16")])
def test_png_labels(largest: int, dtype: str, tmp_path: Path) -> None:
    data = PIXELS.astype(np.uint32)
    data[0, 0, 0] = largest
    file = write_volume(tmp_path / "a.png", Volume(data, Kind.LABELS))
    assert inspect_image(file).dtype == dtype
    back = read_volume(file, kind=Kind.LABELS)
    np.testing.assert_array_equal(back.data, data)
    assert back.data.dtype == np.uint32


def test_png_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    for data, kind, message in (
        (PIXELS.astype(np.uint32) + 65530, Kind.LABELS, r"largest here is 65549; write a \.tif or \.h5 file"),
        (PIXELS.astype(np.float32), Kind.BOUNDARY, "16 bits, and this is float32"),
        (np.zeros((2, 4, 5), np.uint8), Kind.RAW, "2 slices and 1 channels"),
        (np.zeros((2, 1, 4, 5), np.uint8), Kind.RAW, "1 slices and 2 channels"),
    ):
        with pytest.raises(RequestError, match=message):
            write_volume(tmp_path / "a.png", Volume(data, kind))
        assert list(tmp_path.iterdir()) == []


def test_colours(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, (3, 1, 4, 5)).astype(np.uint8)
    file = write_volume(tmp_path / "a.png", Volume(data, Kind.RAW))
    np.testing.assert_array_equal(read_volume(file, channel="all").data, data)
    wide = data.astype(np.uint16) * 257
    file = write_volume(tmp_path / "b.png", Volume(wide, Kind.RAW))
    np.testing.assert_array_equal(read_volume(file, channel="blue").data, wide[2])


def test_palette_offers_colours_and_indices(tmp_path: Path) -> None:
    picture = Image.fromarray(PIXELS[0].astype(np.uint8)).convert("P")
    picture.putpalette([part for index in range(256) for part in (index, 255 - index, 7)])
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.png", kind=Kind.LABELS).data, PIXELS)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.png", channel="green").data, 255 - PIXELS)
    with pytest.raises(InputError, match="has 3 channels"):
        read_volume(tmp_path / "a.png")


def test_one_bit_and_alpha(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[0] % 2 == 0).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.png", kind=Kind.LABELS).data, PIXELS % 2 == 0)
    Image.fromarray(PIXELS[0].astype(np.uint8)).convert("LA").save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "b.png", channel="gray").data, PIXELS)


def test_print_density_says_nothing(tmp_path: Path) -> None:
    picture = Image.fromarray(PIXELS[0].astype(np.uint8))
    picture.save(tmp_path / "a.png", dpi=(300, 300))
    assert read_volume(tmp_path / "a.png").voxel_size_um is None
    picture.save(tmp_path / "b.png", dpi=(25400 / 0.5, 25400 / 0.5))
    np.testing.assert_allclose(read_volume(tmp_path / "b.png").voxel_size_um or (), (0.5,) * 3, rtol=1e-5)


def test_jpeg(tmp_path: Path) -> None:
    data = np.tile(np.linspace(0, 255, 64), (1, 64, 1)).astype(np.uint8)
    file = write_volume(tmp_path / "a.jpg", Volume(data, Kind.RAW, SIZE), workflow="a: 1\n")
    back = read_volume(file)
    assert int(np.abs(back.data.astype(int) - data).max()) < 8
    assert back.voxel_size_um == SIZE
    assert read_workflow(file) == "a: 1\n"
    write_volume(tmp_path / "a.jpg", Volume(data, Kind.RAW), workflow="a: 1\n" * 20_000)
    assert read_workflow(tmp_path / "a.jpg") is None
    with pytest.raises(RequestError, match="destroys labels"):
        write_volume(tmp_path / "b.jpg", Volume(data.astype(np.uint32), Kind.LABELS))
    with pytest.raises(RequestError, match="JPEG holds 8 bits"):
        write_volume(tmp_path / "b.jpeg", Volume(data.astype(np.uint16), Kind.RAW))


def test_progressive_jpeg_with_a_thumbnail_in_colour(tmp_path: Path) -> None:
    data = np.full((32, 40, 3), (10, 120, 200), np.uint8)
    Image.fromarray(data).save(tmp_path / "a.jpg", progressive=True, quality=95, comment=b"hello")
    np.testing.assert_allclose(read_volume(tmp_path / "a.jpg", channel="blue").data, 200, atol=4)


def test_picture_larger_than_pillow_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.ones((20, 30), np.uint8)))
    assert read_volume(tmp_path / "a.png").data.sum() == 600
