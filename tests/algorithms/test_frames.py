"""Frames cover an image as promised, and objects that several frames see come out once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.algorithms.frames import FrameGrid, Piece, owners_of, stitch, views_of
from plantseg_app.errors import InputError


@given(st.tuples(*[st.integers(1, 70)] * 3), st.tuples(*[st.integers(1, 24)] * 3), st.floats(0, 0.5))
@settings(max_examples=60, deadline=None)
def test_cores_part_the_image_and_frames_of_a_layer_do_not_touch(shape, frame, overlap):
    grid = FrameGrid(shape, frame, (overlap,) * 3)
    count, layers = np.zeros(shape, int), np.zeros((grid.n_layers, *shape), int)
    frames = list(grid)
    assert len(frames) == len(grid)
    for one in frames:
        assert all(b - a == n for (a, b), n in zip(one.box, frame, strict=True))
        core = tuple(slice(*span) for span in one.core)
        count[core] += 1
        inside = one.inside(shape)
        assert all(i.start <= c.start and c.stop <= i.stop for i, c in zip(inside, core, strict=True))
        layers[(one.layer, *inside)] += 1
    assert (count == 1).all()
    assert layers.max() == 1


def test_neighbours_share_at_least_the_overlap():
    spans = [box for box, _ in FrameGrid((1, 1, 100), (1, 1, 32), (0, 0, 0.25)).spans(2)]
    assert all(a[1] - b[0] == 8 for a, b in itertools.pairwise(spans))
    assert spans[0][0] <= 0
    assert spans[-1][1] >= 100


def test_an_image_that_fits_lies_in_the_middle_of_one_frame():
    (only,) = FrameGrid((1, 520, 696), (1, 544, 704), (0, 0.25, 0.25))
    assert only.box == ((0, 1), (-12, 532), (-4, 700))


def stored(grid, n_channels):
    """An embedding whose values say which frame wrote them."""
    data = np.zeros((grid.n_layers * (n_channels + 1), *grid.shape_vox), np.float32)
    for frame in grid:
        part, first = frame.inside(grid.shape_vox), frame.layer * (n_channels + 1)
        data[(first, *part)] = frame.number
        data[(slice(first + 1, first + 1 + n_channels), *part)] = 10 * frame.number
    return data


def test_views_give_back_what_was_stored_also_after_resampling():
    from plantseg_app.algorithms.resample import NEAREST, resample

    grid = FrameGrid((3, 20, 30), (1, 12, 16), (0.0, 0.25, 0.25))
    data = stored(grid, 2)
    frames = list(grid)
    for scale in (1, 2):
        enlarged = resample(data, (3, 20 * scale, 30 * scale), NEAREST)
        views = views_of(enlarged, 2)
        assert len(views) == len(grid)
        for view, frame in zip(views, frames, strict=True):
            assert (view.embedding == 10 * frame.number).all()
            z, y, x = frame.inside(grid.shape_vox)
            assert view.part == (z, slice(scale * y.start, scale * y.stop), slice(scale * x.start, scale * x.stop))


def test_an_embedding_of_another_model_is_refused():
    with pytest.raises(InputError, match="another model"):
        views_of(np.zeros((14, 1, 4, 4)), 12)


def test_an_object_across_frames_comes_out_once_and_whole():
    truth = np.zeros((1, 24, 60), np.uint32)
    truth[0, 4:9, 2:58] = 1  # crosses all frames
    truth[0, 12:20, 14:22] = 2  # lies on a border
    truth[0, 12:20, 40:44] = 3
    grid = FrameGrid(truth.shape, (1, 24, 24), (0, 0, 0.25))
    rng = np.random.default_rng(0)
    pieces = []
    for frame in grid:
        part = frame.inside(truth.shape)
        names = np.append(0, 1 + rng.permutation(3)).astype(np.uint32)  # every frame has names of its own
        pieces.append(Piece(part, names[truth[part]]))
    found = stitch(pieces, truth.shape, 0.5)
    assert found.max() == 3
    for name in (1, 2, 3):
        inside = np.unique(found[truth == name])
        assert len(inside) == 1
        assert inside[0] > 0
        np.testing.assert_array_equal(found == inside[0], truth == name)


def test_two_objects_of_one_frame_never_become_one():
    left = Piece((slice(0, 1), slice(0, 1), slice(0, 8)), np.array([[[2, 2, 1, 1, 1, 2, 2, 2]]], np.uint32))
    right = Piece((slice(0, 1), slice(0, 1), slice(4, 12)), np.full((1, 1, 8), 1, np.uint32))
    found = stitch([left, right], (1, 1, 12), 0.1)[0, 0]
    assert found[0] == found[-1]
    assert found[3] != found[0]


def test_slices_are_linked_when_asked_to():
    planes = [np.zeros((1, 6, 6), np.uint32) for _ in range(3)]
    for z, plane in enumerate(planes):
        plane[0, 0:3, 0:3] = 1 + z % 2
        plane[0, 4:, 4:] = 2 - z % 2
    pieces = [Piece((slice(z, z + 1), slice(0, 6), slice(0, 6)), plane) for z, plane in enumerate(planes)]
    apart, linked = stitch(pieces, (3, 6, 6), 0.5), stitch(pieces, (3, 6, 6), 0.5, link_slices=True)
    assert apart.max() == 6
    assert linked.max() == 2
    assert len(np.unique(linked[:, 1, 1])) == 1


def test_owners_lie_deepest():
    parts = [(slice(0, 1), slice(0, 1), slice(0, 6)), (slice(0, 1), slice(0, 1), slice(4, 10))]
    assert owners_of(parts, (1, 1, 10))[0, 0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
