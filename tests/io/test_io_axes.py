"""Axes come from metadata or from the person; channel and time are chosen, never guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile

from plantseg_app.core.volume import Kind
from plantseg_app.errors import InputError, RequestError
from plantseg_app.io import inspect_image, read_volume

# Every voxel says where it is: T C Z Y X as decimal digits.
FIVE = sum(np.indices((2, 3, 4, 5, 6))[axis] * 10 ** (4 - axis) for axis in range(5)).astype(np.uint16)


def imagej(file: Path) -> None:
    tifffile.imwrite(file, FIVE.swapaxes(1, 2), imagej=True, metadata={"axes": "TZCYX"})


def imagej_zlib(file: Path) -> None:
    tifffile.imwrite(file, FIVE.swapaxes(1, 2), imagej=True, compression="zlib", metadata={"axes": "TZCYX"})


def ome(file: Path) -> None:
    names = {"axes": "TCZYX", "Channel": {"Name": ["wall", "nuclei", "grün"]}}
    tifffile.imwrite(file, FIVE, ome=True, photometric="minisblack", metadata=names)


def ome_other_order(file: Path) -> None:
    data = FIVE.transpose(1, 2, 0, 3, 4)
    tifffile.imwrite(file, data, ome=True, photometric="minisblack", compression="zlib", metadata={"axes": "CZTYX"})


def shaped(file: Path) -> None:
    tifffile.imwrite(file, FIVE, photometric="minisblack", metadata={"axes": "TCZYX"})


def ilastik(file: Path) -> None:
    tags = {"axes": [{"key": key, "typeFlags": 2, "resolution": 0, "description": ""} for key in "tzyxc"]}
    with h5py.File(file, "w") as opened:
        made = opened.create_dataset("exported_data", data=FIVE.transpose(0, 2, 3, 4, 1), chunks=(1, 2, 3, 4, 2))
        made.attrs["axistags"] = json.dumps(tags)


def labelled_dimensions(file: Path) -> None:
    with h5py.File(file, "w") as opened:
        made = opened.create_dataset("x", data=FIVE)
        for dimension, letter in zip(made.dims, "tczyx", strict=True):
            dimension.label = letter


WRITERS = {
    "imagej.tif": imagej,
    "imagej_zlib.tif": imagej_zlib,
    "ome.tif": ome,
    "ome_other_order.tif": ome_other_order,
    "shaped.tif": shaped,
    "ilastik.h5": ilastik,
    "labelled.h5": labelled_dimensions,
}


@pytest.mark.parametrize("name", WRITERS)
def test_five_axes(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    WRITERS[name](file)
    volume = read_volume(file, channel=2, time=1)
    np.testing.assert_array_equal(volume.data, FIVE[1, 2])
    assert volume.data.flags.c_contiguous
    assert "channel 2" in volume.origin.detail
    assert "time 1" in volume.origin.detail
    np.testing.assert_array_equal(read_volume(file, channel="all", time=0).data, FIVE[0])
    np.testing.assert_array_equal(read_volume(file, kind=Kind.LAYERS, time=0).data, FIVE[0])
    info = inspect_image(file)
    assert (info.n_time, info.n_channels, info.axes_assumed) == (2, 3, False)
    with pytest.raises(InputError, match="has 3 channels; choose one with --channel: 0"):
        read_volume(file, time=0)
    with pytest.raises(InputError, match="has 2 time points; choose one with --time 0 to 1"):
        read_volume(file, channel=0)
    for wrong in (3, "wall7", -1):
        with pytest.raises(RequestError, match="choose one of: 0"):
            read_volume(file, channel=wrong, time=0)
    with pytest.raises(RequestError, match="no time point 2; choose one from 0 to 1"):
        read_volume(file, channel=0, time=2)
    with pytest.raises(RequestError, match="one channel"):
        read_volume(file, kind=Kind.LABELS, channel="all", time=0)


def test_channel_by_name(tmp_path: Path) -> None:
    file = tmp_path / "a.ome.tif"
    ome(file)
    volume = read_volume(file, channel="Nuclei", time=0)
    np.testing.assert_array_equal(volume.data, FIVE[0, 1])
    assert volume.name == "a"
    assert inspect_image(file).channel_names == ("wall", "nuclei", "grün")
    with pytest.raises(InputError, match=r"0 \(wall\), 1 \(nuclei\), 2 \(grün\)"):
        read_volume(file, time=0)


@pytest.mark.parametrize("first", [2, 3, 4, 5, 8, 1])
def test_a_small_first_axis_is_depth(first: int, tmp_path: Path) -> None:
    data = np.arange(first * 40 * 30, dtype=np.uint16).reshape(first, 40, 30)
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["raw"] = data
    np.testing.assert_array_equal(read_volume(tmp_path / "a.h5").data, data)
    for options in ({}, {"metadata": None}, {"metadata": None, "compression": "zlib"}):
        tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", **options)
        np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").data, data)
    info = inspect_image(tmp_path / "a.h5")
    assert info.axes == "ZYX"
    assert info.axes_assumed


def test_metadata_that_says_channels_or_time_is_followed(tmp_path: Path) -> None:
    data = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    for axes, what in (("CYX", "channels"), ("TYX", "time points")):
        tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": axes})
        with pytest.raises(InputError, match=rf"3 {what}.*If these are slices, give --axes zyx"):
            read_volume(tmp_path / "a.tif")
        np.testing.assert_array_equal(read_volume(tmp_path / "a.tif", axes="zyx").data, data)


def test_given_axes(tmp_path: Path) -> None:
    data = FIVE[0]
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["raw"] = data
    file = tmp_path / "a.h5"
    with pytest.raises(InputError, match=r"image a\.h5 \(3 x 4 x 5 x 6, uint16\) does not say what its 4 axes are"):
        read_volume(file)
    assert inspect_image(file).axes is None
    np.testing.assert_array_equal(read_volume(file, axes="CZYX", channel=1).data, data[1])
    np.testing.assert_array_equal(read_volume(file, axes="c,z,y,x", channel=1).data, data[1])
    np.testing.assert_array_equal(read_volume(file, axes="zcyx", channel=1).data, data[:, 1])
    np.testing.assert_array_equal(read_volume(file, axes="yxzc", channel=1).data, data[..., 1].transpose(2, 0, 1))
    np.testing.assert_array_equal(read_volume(file, axes="tzyx", time=2).data, data[2])
    np.testing.assert_array_equal(read_volume(file, axes="c-zy-x", channel=0).data, data[0, ::-1, :, ::-1])
    np.testing.assert_array_equal(
        read_volume(file, axes="-y-xzc", channel=4).data, data[::-1, ::-1, :, 4].transpose(2, 0, 1)
    )
    np.testing.assert_array_equal(read_volume(file, kind=Kind.AFFINITIES).data, data)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ("zyx", "name 3 axes, but the image .* has 4"),
        ("zzyx", "at most once"),
        ("zqyx", "at most once"),
        ("czyx-", "at most once"),
        ("tczx", "need Y and X"),
        ("-czyx", "only Z, Y and X can be flipped"),
    ],
)
def test_axes_that_do_not_fit(axes: str, message: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["raw"] = FIVE[0]
    with pytest.raises(RequestError, match=message):
        read_volume(tmp_path / "a.h5", axes=axes)


def test_axes_may_leave_out_those_of_length_one(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["predictions"] = FIVE[:1, 0]
    np.testing.assert_array_equal(read_volume(tmp_path / "a.h5", axes="zyx").data, FIVE[0, 0])
    np.testing.assert_array_equal(read_volume(tmp_path / "a.h5", axes="czyx").data, FIVE[0, 0])


def test_kinds_with_a_leading_axis(tmp_path: Path) -> None:
    planes = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack", compression="zlib")
    volume = read_volume(tmp_path / "a.tif", kind=Kind.LAYERED_LABELS)
    np.testing.assert_array_equal(volume.data, planes[:, np.newaxis])
    assert volume.data.dtype == np.uint32
    tifffile.imwrite(tmp_path / "b.tif", planes, photometric="minisblack", metadata={"axes": "ZYX"})
    assert read_volume(tmp_path / "b.tif", kind=Kind.LAYERED_LABELS).data.shape == (1, 3, 4, 5)


RGB = np.random.default_rng(3).integers(0, 256, (4, 5, 3)).astype(np.uint8)


def _write_rgb(file: Path) -> None:
    if file.suffix == ".png":
        file.write_bytes(imagecodecs.png_encode(RGB))
    else:
        tifffile.imwrite(file, RGB, photometric="rgb")


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_rgb_needs_a_choice(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    _write_rgb(file)
    with pytest.raises(InputError, match=r"0 \(red\), 1 \(green\), 2 \(blue\), gray \(luminance\)"):
        read_volume(file)
    np.testing.assert_array_equal(read_volume(file, channel="green").data[0], RGB[..., 1])
    np.testing.assert_array_equal(read_volume(file, channel=2).data[0], RGB[..., 2])
    np.testing.assert_array_equal(read_volume(file, channel="all").data[:, 0], np.moveaxis(RGB, -1, 0))
    gray = read_volume(file, channel="gray")
    np.testing.assert_allclose(gray.data[0], RGB @ np.array([0.299, 0.587, 0.114]), rtol=1e-5)
    assert gray.data.dtype == np.float32
    assert "luminance" in gray.origin.detail


def test_rgb_stack(tmp_path: Path) -> None:
    stack = np.random.default_rng(4).integers(0, 256, (6, 4, 5, 3)).astype(np.uint8)
    for options in ({}, {"compression": "zlib"}, {"metadata": None, "compression": "lzw"}):
        tifffile.imwrite(tmp_path / "a.tif", stack, photometric="rgb", **options)
        np.testing.assert_array_equal(read_volume(tmp_path / "a.tif", channel="red").data, stack[..., 0])


def test_three_slices_that_call_themselves_rgb(tmp_path: Path) -> None:
    data = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", planarconfig="separate")
    with pytest.raises(InputError, match="If these are slices, give --axes zyx"):
        read_volume(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif", axes="zyx").data, data)


def test_single_channel_asked_for_by_number(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["raw"] = FIVE[0, 0]
    np.testing.assert_array_equal(read_volume(tmp_path / "a.h5", channel=0, time=0).data, FIVE[0, 0])
    with pytest.raises(RequestError, match="single channel"):
        read_volume(tmp_path / "a.h5", channel=1)
    with pytest.raises(RequestError, match="single time point"):
        read_volume(tmp_path / "a.h5", time=1)


def test_series_of_different_sizes_are_chosen(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    with tifffile.TiffWriter(file) as writer:
        writer.write(np.zeros((4, 5), np.uint8), metadata=None)
        writer.write(np.ones((6, 7), np.uint8), metadata=None)
    with pytest.raises(InputError, match=r"holds 2 images; choose one with --dataset: 0 .*4 x 5.*1 .*6 x 7"):
        read_volume(file)
    assert read_volume(file, dataset="1").data.shape == (1, 6, 7)
    assert inspect_image(file).dataset is None
    with pytest.raises(RequestError, match=r'no image "2"'):
        read_volume(file, dataset="2")


def test_pyramid_is_read_at_full_size(tmp_path: Path) -> None:
    file = tmp_path / "a.ome.tif"
    data = np.random.default_rng(5).integers(0, 255, (3, 64, 96)).astype(np.uint8)
    options: dict[str, Any] = {"photometric": "minisblack", "tile": (32, 32), "compression": "zlib"}
    with tifffile.TiffWriter(file) as writer:
        writer.write(data, subifds=2, metadata={"axes": "ZYX"}, **options)
        writer.write(data[:, ::2, ::2], subfiletype=1, **options)
        writer.write(data[:, ::4, ::4], subfiletype=1, **options)
    np.testing.assert_array_equal(read_volume(file).data, data)


@pytest.mark.parametrize(
    "compression", ["lzw", "zlib", "deflate", "zstd", "packbits", "lzma", "jpeg2000", "lerc", "webp"]
)
def test_compressions(compression: str, tmp_path: Path) -> None:
    data = np.arange(2 * 32 * 32, dtype=np.uint8).reshape(2, 32, 32)
    options: dict[str, Any] = {"compression": compression}
    if compression == "jpeg2000":
        options["compressionargs"] = {"reversible": True}
    if compression == "webp":
        rgb = np.stack([data[0]] * 3, axis=-1)
        tifffile.imwrite(
            tmp_path / "a.tif", rgb, photometric="rgb", compression="webp", compressionargs={"lossless": True}
        )
        np.testing.assert_array_equal(read_volume(tmp_path / "a.tif", channel=0).data, data[:1])
        return
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", **options)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").data, data)


def test_predictor(tmp_path: Path) -> None:
    for data in (FIVE[0, 0], FIVE[0, 0].astype(np.float32)):
        tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", compression="zlib", predictor=True)
        np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").data, data)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_old_imagej_stack_that_names_no_slices(options: dict[str, Any], tmp_path: Path) -> None:
    data = np.arange(5 * 16 * 17, dtype=np.uint8).reshape(5, 16, 17)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for number, page in enumerate(data):
            text = "ImageJ=1.44\nimages=5\nunit=micron\n" if number == 0 else None
            writer.write(page, metadata=None, description=text, contiguous=False, **options)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").data, data)


def test_ome_tiff_of_several_files(tmp_path: Path) -> None:
    data = np.arange(2 * 6 * 7, dtype=np.uint8).reshape(2, 6, 7)
    names = ["one.ome.tif", "two.ome.tif"]
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(names)
    )
    for z, name in enumerate(names):
        xml = (
            f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{z}">'
            '<Image ID="Image:0" Name="x"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="7" SizeY="6"'
            f' SizeZ="2" SizeC="1" SizeT="1"><Channel ID="Channel:0:0"/>{planes}</Pixels></Image></OME>'
        )
        tifffile.imwrite(tmp_path / name, data[z], metadata=None, description=xml)
    for name in names:
        np.testing.assert_array_equal(read_volume(tmp_path / name).data, data)
    (tmp_path / names[1]).unlink()
    with pytest.raises(InputError, match=r"one\.ome\.tif"):
        read_volume(tmp_path / names[0])
