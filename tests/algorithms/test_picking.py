"""The object around a voxel: all of it, nothing else, and read no further than needed."""

from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.algorithms.picking import Embedded, object_at
from plantseg_app.errors import Cancelled, RequestError


def paste(box, mask, shape):
    whole = np.zeros(shape, bool)
    whole[box] = mask
    return whole


@pytest.fixture
def scene():
    """A long object that winds through a volume larger than the first look, one like it far away, and background."""
    labels = np.zeros((9, 40, 160), np.uint8)
    labels[3:6, 10:14, 5:150] = 1
    labels[3:6, 10:30, 146:150] = 1
    labels[3:6, 20:30, 20:40] = 2
    labels[1:3, 34:38, 5:9] = 3
    values = np.array([[0, 0], [4, 0], [0, 4], [4, 0]], np.float32)
    noise = np.random.default_rng(0).normal(0, 0.1, (2, *labels.shape))
    return (np.moveaxis(values[labels], -1, 0) + noise).astype(np.float32), labels


@pytest.mark.parametrize(("place", "name"), [((4, 12, 8), 1), ((4, 28, 148), 1), ((4, 25, 30), 2), ((2, 35, 6), 3)])
def test_a_voxel_stands_for_its_object(scene, place, name):
    embedding, labels = scene
    box, mask = object_at(embedding, place, 2.0)
    np.testing.assert_array_equal(paste(box, mask, labels.shape), labels == name)
    assert mask.any(axis=(1, 2))[[0, -1]].all()


def test_the_background_is_an_object_too(scene):
    embedding, labels = scene
    box, mask = object_at(embedding, (0, 0, 0), 2.0)
    # Slice by slice all holes are filled.
    assert paste(box, mask, labels.shape).all()


def test_an_object_ends_with_its_slice_where_slices_were_embedded_apart(scene):
    embedding, labels = scene
    box, mask = object_at(embedding, (4, 12, 8), 2.0, by_slice=True)
    assert box[0] == slice(4, 5)
    np.testing.assert_array_equal(paste(box, mask, labels.shape)[4], labels[4] == 1)


def test_a_pixel_at_the_rim_finds_all_of_its_object():
    ramp = np.zeros((1, 1, 5, 30), np.float32)
    ramp[..., 10:] = 4
    ramp[..., 9], ramp[..., 10] = 1.2, 2.8
    box, mask = object_at(ramp, (0, 2, 10), 2.0)
    assert box[2] == slice(10, 30)
    assert mask.all()


def test_holes_are_filled():
    embedding = np.zeros((1, 1, 9, 9), np.float32)
    embedding[..., 4, 4] = 9
    _, mask = object_at(embedding, (0, 1, 1), 2.0)
    assert mask.all()


def test_places_outside_are_refused_and_it_can_be_stopped(scene):
    embedding, _ = scene
    for place in [(9, 0, 0), (0, -1, 0), (0, 0, 160)]:
        with pytest.raises(RequestError, match="outside"):
            object_at(embedding, place, 2.0)

    def stop():
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        object_at(embedding, (4, 12, 8), 2.0, check=stop)


def test_in_frames_the_frame_counts_in_which_the_place_lies_deepest():
    layers = np.zeros((6, 1, 4, 12), np.float32)
    layers[0, ..., :8], layers[1, ..., 2:6] = 1, 4
    layers[3, ..., 4:], layers[5, ..., 8:10] = 2, 4
    embedded = Embedded(layers, 0.5, 4.0, n_channels=2)
    box, mask = embedded.object_at((0, 1, 4))
    assert box == (slice(0, 1), slice(0, 4), slice(2, 6))
    assert mask.all()
    assert embedded.object_at((0, 1, 9))[0][2] == slice(8, 10)
    like = embedded.likeness_to((0, 1, 3), (slice(0, 1), slice(0, 4), slice(0, 12)))
    assert like[0, 0].round(2).tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    with pytest.raises(RequestError, match="outside"):
        embedded.object_at((0, 1, 12))


def test_likeness_of_a_box_is_that_of_the_whole_there(scene):
    embedding, labels = scene
    embedded = Embedded(embedding, 0.5, 4.0)
    whole = embedded.likeness_to((4, 12, 8), tuple(slice(0, size) for size in labels.shape))
    assert whole[labels == 1].mean() > 0.7
    assert whole[labels == 2].max() < 0.01
    part = embedded.likeness_to((4, 12, 8), (slice(4, 5), slice(3, 30), slice(5, 100)), (1, 4, 4))
    np.testing.assert_array_equal(part, whole[4:5, 3:30:4, 5:100:4])
