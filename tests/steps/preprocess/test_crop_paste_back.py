"""Crop and paste-back: a crop can always be put back where it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.algorithms.boxes import checked_box, parse_box
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind, Place, Volume, VoxelSize
from plantseg_app.errors import InputError, RequestError
from plantseg_app.steps.preprocess.crop import Crop
from plantseg_app.steps.preprocess.paste_back import PasteBack
from plantseg_app.steps.preprocess.rescale import Rescale

SIZE = VoxelSize(0.5, 0.25, 0.25)
RANGE = st.tuples(st.integers(0, 9), st.integers(1, 10)).filter(lambda r: r[0] < r[1])
BOX = st.tuples(RANGE, RANGE, RANGE)


def image(shape=(10, 10, 10), kind=Kind.RAW):
    data = np.random.default_rng(0).integers(0, 1000, shape, dtype=np.uint32)
    return Volume(data if kind.is_labels else data.astype(np.uint16), kind, SIZE)


def crop(volume, box, context=None):
    text = box if isinstance(box, str) else ",".join(f"{a}:{b}" for a, b in box)
    return Crop.from_settings({"box": text}).execute({"image": volume}, context or QuietContext())


def paste(piece, into=None, **fields):
    inputs = {"image": piece} if into is None else {"image": piece, "into": into}
    return PasteBack.from_settings(fields).execute(inputs, QuietContext())


@settings(max_examples=40, deadline=None)
@given(BOX, st.sampled_from([Kind.RAW, Kind.LABELS]))
def test_cropping_and_pasting_back_is_nothing(box, kind):
    full = image(kind=kind)
    part = crop(full, box)
    index = tuple(slice(a, b) for a, b in box)
    np.testing.assert_array_equal(part.data, full.data[index])
    assert part.voxel_size_um == SIZE
    back = paste(part, full, label_ids="keep")
    np.testing.assert_array_equal(back.data, full.data)
    assert back.place is None
    assert back.voxel_size_um == SIZE
    alone = paste(part)
    expected = np.zeros_like(full.data)
    expected[index] = full.data[index]
    np.testing.assert_array_equal(alone.data, expected)
    assert alone.voxel_size_um == SIZE


@settings(max_examples=40, deadline=None)
@given(BOX, BOX)
def test_a_crop_of_a_crop_knows_its_place_in_the_full_image(outer, wish):
    inner = []
    for (a, b), (start, stop) in zip(outer, wish, strict=True):
        first = start % (b - a)
        inner.append((first, first + 1 + stop % (b - a - first)))
    full = image()
    part = crop(crop(full, outer), inner)
    assert part.place.full_shape_vox == full.shape_vox
    np.testing.assert_array_equal(full.data[part.place.slices], part.data)
    np.testing.assert_array_equal(paste(part, crop(full, outer)).data, crop(full, outer).data)


def test_a_rescaled_crop_still_finds_its_place():
    full = image(kind=Kind.LABELS)
    part = crop(full, "2:6, 0:10, 4:8")
    large = Rescale(factor=2).execute({"image": part}, QuietContext())
    assert large.shape_vox == (8, 20, 8)
    np.testing.assert_array_equal(paste(large, full, label_ids="keep").data, full.data)
    inner = crop(large, "2:4, 10:20, 0:8")
    assert inner.place == Place((3, 5, 4), (4, 10, 8), (10, 10, 10), SIZE)
    np.testing.assert_array_equal(paste(inner, full, label_ids="keep").data, full.data)
    context = QuietContext()
    crop(large, "1:4, :, :", context)
    assert "half a voxel" in context.messages[0]


def test_pasted_labels_get_ids_that_are_free():
    full = Volume(np.arange(1, 9, dtype=np.uint32).reshape(1, 2, 4), Kind.LABELS)
    part = crop(full, "0, 0:2, 1:3")
    new = part.replace(data=np.array([[[1, 0], [1, 2]]], np.uint32))
    result = paste(new, full).data
    np.testing.assert_array_equal(result, [[[1, 9, 0, 4], [5, 9, 10, 8]]])
    kept = paste(new, full, keep_where_empty=True).data
    np.testing.assert_array_equal(kept, [[[1, 9, 3, 4], [5, 9, 10, 8]]])
    np.testing.assert_array_equal(full.data, np.arange(1, 9).reshape(1, 2, 4), "the full image is left alone")


def test_ids_beyond_32_bits_are_widened_not_wrapped():
    full = Volume(np.full((1, 1, 3), 2**32 - 1, np.uint32), Kind.LABELS)
    part = crop(full, "0, 0, 1:2").replace(data=np.full((1, 1, 1), 5, np.uint32))
    result = paste(part, full).data
    assert result.dtype == np.uint64
    np.testing.assert_array_equal(result, [[[2**32 - 1, 2**32 + 4, 2**32 - 1]]])


def test_channels_and_types():
    full = Volume(np.random.default_rng(0).random((2, 4, 6, 8), dtype=np.float32), Kind.RAW)
    part = crop(full, "1:3, 2:4, :")
    assert part.data.shape == (2, 2, 2, 8)
    np.testing.assert_array_equal(paste(part, full).data, full.data)
    into = full.replace(data=(full.data * 200).astype(np.uint16))
    pasted = paste(part, into)
    assert pasted.data.dtype == np.float32
    np.testing.assert_array_equal(pasted.data[:, 1:3, 2:4], part.data)
    with pytest.raises(InputError, match="channels"):
        paste(part, image((4, 6, 8)))


def test_what_was_never_cropped_is_whole():
    full = image()
    np.testing.assert_array_equal(paste(full).data, full.data)
    np.testing.assert_array_equal(paste(full, image()).data, full.data)


def test_pasting_into_the_wrong_image_is_refused():
    part = crop(image(), "0:2, 0:2, 0:2")
    with pytest.raises(InputError, match="cut from"):
        paste(part, image((10, 10, 11)))
    with pytest.raises(RequestError, match="labels"):
        paste(part, image(kind=Kind.LABELS))
    elsewhere = crop(image(), "5:8, :, :")
    with pytest.raises(InputError, match="cut from"):
        paste(part, elsewhere)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4:6, :, 1:9", (slice(4, 6), slice(0, 10), slice(1, 9))),
        ("[:3, 2:, -4:-1]", (slice(0, 3), slice(2, 10), slice(6, 9))),
        ("1:2,3:4", (slice(0, 10), slice(1, 2), slice(3, 4))),
        ("7, -1, 0", (slice(7, 8), slice(9, 10), slice(0, 1))),
    ],
)
def test_boxes_are_read(text, expected):
    assert checked_box(parse_box(text), (10, 10, 10)) == expected


@pytest.mark.parametrize("text", ["", "1:2", "1:2,3:4,5:6,7:8", "a:b,:,:", "0:4:2,:,:", "1.5:3,:,:", ",,"])
def test_unreadable_boxes_are_refused_with_an_example(text):
    with pytest.raises(RequestError, match="10:100"):
        Crop.from_settings({"box": text})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5:5, :, :", "no voxel"),
        (":, 8:2, :", "Y range 8:2"),
        (":, :, 0:11", "outside"),
        ("-11:, :, :", "outside"),
        ("12, :, :", "outside"),
    ],
)
def test_boxes_that_do_not_fit_are_refused(text, words):
    with pytest.raises(RequestError, match=words):
        crop(image(), text)


def test_start_and_stop_instead_of_a_box():
    step = Crop.from_settings({"start_vox": "1,2,3", "stop_vox": "4,5,6"})
    result = step.execute({"image": image()}, QuietContext())
    np.testing.assert_array_equal(result.data, image().data[1:4, 2:5, 3:6])
    only_start = Crop.from_settings({"start_vox": "8"}).execute({"image": image()}, QuietContext())
    assert only_start.shape_vox == (2, 2, 2)
    with pytest.raises(RequestError, match="not both"):
        Crop.from_settings({"box": "1:2,:,:", "stop_vox": "4,5,6"})


def test_the_crop_does_not_hold_the_full_image_in_memory():
    part = crop(image(), "0:1, 0:1, 0:1")
    assert part.data.base is None
    assert Crop(box="0:1,0:10,0:10").estimate((100, 100, 100)).memory_bytes == 400
    assert Crop(box="0:500,:,:").estimate((4, 4, 4)).memory_bytes == 256
