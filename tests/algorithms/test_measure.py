"""Measurements of objects: a case by hand, an independent program, and a second way to every number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from plantseg_app.algorithms import measure
from plantseg_app.algorithms.labels import split_components
from plantseg_app.algorithms.measure import equivalent_diameters, measure_objects
from plantseg_app.errors import Cancelled


@pytest.fixture
def small_slabs(monkeypatch):
    """Slabs of a few slices, so that objects reach over several."""
    monkeypatch.setattr(measure, "_SLAB_VOX", 300)


def test_a_case_by_hand():
    labels = np.zeros((3, 4, 5), np.uint32)
    labels[0, 1, 1:4] = 7
    labels[1, 1, 1] = 7
    labels[2, 3, 4] = labels[0, 0, 0] = 2**31
    image = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    labels.flags.writeable = image.flags.writeable = False
    found = measure_objects(labels, [image])
    assert found.ids.tolist() == [7, 2**31]
    assert found.n_voxels.tolist() == [4, 2]
    assert found.centroid_vox.tolist() == [[0.25, 1.0, 1.75], [1.0, 1.5, 2.0]]
    assert found.box_start_vox.tolist() == [[0, 1, 1], [0, 0, 0]]
    assert found.box_stop_vox.tolist() == [[2, 2, 4], [3, 4, 5]]
    assert found.touches_border.tolist() == [True, True]
    assert found.n_pieces.tolist() == [1, 2]
    values = found.intensities[0]
    # The first object has the values 6, 7, 8 and 26, the second 0 and 59.
    assert values.sum.tolist() == [47, 59]
    assert values.mean.tolist() == [11.75, 29.5]
    assert (values.min.tolist(), values.max.tolist()) == ([6, 0], [26, 59])
    np.testing.assert_allclose(values.std, [np.std([6, 7, 8, 26]), 29.5])


def test_only_borders_that_there_are_count():
    plane = np.zeros((1, 5, 5), np.uint32)
    plane[0, 2, 2] = 1
    plane[0, 4, 1] = 2
    assert measure_objects(plane).touches_border.tolist() == [False, True]
    assert measure_objects(np.repeat(plane, 3, axis=0)).touches_border.tolist() == [True, True]


@pytest.mark.parametrize("shape", [(13, 17, 19), (1, 40, 40), (30, 3, 2)])
def test_scikit_image_measures_the_same(shape, small_slabs):
    from skimage.measure import regionprops

    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 9, [max(1, n // 4) + 1 for n in shape])
    labels = np.kron(coarse, np.ones((4, 4, 4), int))[: shape[0], : shape[1], : shape[2]].astype(np.uint32) * 1000
    labels[rng.random(shape) < 0.1] = 0
    images = [rng.normal(5e4, 3.0, shape).astype(np.float32), rng.integers(0, 256, shape).astype(np.uint8)]
    found = measure_objects(labels, images)
    regions = regionprops(labels.astype(np.int64), np.stack(images, axis=-1).astype(np.float64))
    assert found.ids.tolist() == [region.label for region in regions]
    assert found.n_voxels.tolist() == [region.num_pixels for region in regions]
    np.testing.assert_allclose(found.centroid_vox, [region.centroid for region in regions])
    assert found.box_start_vox.tolist() == [list(region.bbox[:3]) for region in regions]
    assert found.box_stop_vox.tolist() == [list(region.bbox[3:]) for region in regions]
    for number, intensities in enumerate(found.intensities):
        values = [images[number][labels == region.label].astype(np.float64) for region in regions]
        np.testing.assert_allclose(intensities.mean, [region.intensity_mean[number] for region in regions])
        np.testing.assert_allclose(intensities.min, [region.intensity_min[number] for region in regions])
        np.testing.assert_allclose(intensities.max, [region.intensity_max[number] for region in regions])
        np.testing.assert_allclose(intensities.std, [value.std() for value in values], atol=1e-6)
        np.testing.assert_allclose(intensities.sum, [value.sum() for value in values])


labels_of_any_sort = arrays.arrays(
    st.sampled_from([np.uint8, np.uint32, np.uint64]),
    arrays.array_shapes(min_dims=3, max_dims=3, max_side=7),
    elements=st.integers(0, 3),
)


@given(labels_of_any_sort, st.integers(1, 60))
def test_pieces_and_sizes_do_not_depend_on_the_slabs(labels, slab):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "_SLAB_VOX", slab)
        found = measure_objects(labels)
    ids, counts = np.unique(labels[labels > 0], return_counts=True)
    assert found.ids.tolist() == ids.tolist()
    assert found.n_voxels.tolist() == counts.tolist()
    parts = split_components(labels)
    assert found.n_pieces.tolist() == [len(np.unique(parts[labels == label])) for label in ids]
    for row, label in enumerate(ids):
        where = np.argwhere(labels == label)
        assert found.box_start_vox[row].tolist() == where.min(axis=0).tolist()
        assert found.box_stop_vox[row].tolist() == (where.max(axis=0) + 1).tolist()
        np.testing.assert_allclose(found.centroid_vox[row], where.mean(axis=0))


def test_no_object_is_no_row():
    found = measure_objects(np.zeros((2, 3, 4), np.uint32), [np.ones((2, 3, 4))])
    assert len(found.ids) == len(found.n_pieces) == len(found.intensities[0].mean) == 0
    assert found.centroid_vox.shape == found.box_start_vox.shape == (0, 3)


def test_it_can_be_stopped(small_slabs):
    def check():
        raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        measure_objects(np.ones((4, 20, 20), np.uint32), check=check)


def test_diameters_are_those_of_balls_and_discs():
    np.testing.assert_allclose(equivalent_diameters(np.array([4 / 3 * np.pi * 8]), 3), [4.0])
    np.testing.assert_allclose(equivalent_diameters(np.array([np.pi * 9]), 2), [6.0])
