"""What a volume accepts, refuses and never changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantseg_app.core.volume import Kind, Place, Volume, VoxelSize, as_labels
from plantseg_app.errors import InputError


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (Kind.RAW, (8, 8)),
        (Kind.BOUNDARY, (2, 3, 8, 8)),
        (Kind.LABELS, (1, 1, 8, 8)),
        (Kind.EMBEDDING, (3, 8, 8)),
        (Kind.LAYERED_LABELS, (3, 8, 8)),
        (Kind.RAW, (1, 1, 3, 8, 8)),
    ],
)
def test_wrong_number_of_axes_is_refused_with_the_shape(kind: Kind, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=str(shape[-1])):
        Volume(np.zeros(shape, np.uint8), kind)


def test_empty_volume_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        Volume(np.zeros((0, 4, 4)), Kind.RAW)


@pytest.mark.parametrize("size", [(0, 1, 1), (-1, 1, 1), (float("nan"), 1, 1), (float("inf"), 1, 1), (1, 1)])
def test_unusable_voxel_size_is_refused(size: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="micrometres"):
        Volume(np.zeros((1, 2, 2)), Kind.RAW, voxel_size_um=size)  # type: ignore[arg-type]


def test_complex_and_text_are_refused() -> None:
    for data in (np.zeros((1, 2, 2), complex), np.full((1, 2, 2), "a")):
        with pytest.raises(InputError, match="real numbers"):
            Volume(data, Kind.RAW)


def test_spacing_of_unknown_voxel_size_is_isotropic_and_known_one_is_kept() -> None:
    assert Volume(np.zeros((1, 2, 2)), Kind.RAW).spacing == VoxelSize(1, 1, 1)
    volume = Volume(np.zeros((1, 2, 2)), Kind.RAW, voxel_size_um=VoxelSize(3, 2, 1))
    assert volume.spacing.z == 3
    assert volume.is_2d


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=8), st.sampled_from(["<u8", ">u8", "<i8", ">i8", "<u4"]))
def test_labels_are_never_narrowed(values: list[int], dtype: str) -> None:
    data = np.array(values, np.uint64)
    typed = data[data <= np.iinfo(dtype).max].astype(dtype).reshape(1, 1, -1)
    if typed.size == 0:
        return
    labels = as_labels(typed)
    assert labels.dtype in (np.uint32, np.uint64)
    assert labels.dtype.isnative
    assert labels.ravel().tolist() == typed.ravel().tolist()


def test_labels_already_right_are_not_copied() -> None:
    data = np.ones((1, 2, 2), np.uint32)
    assert as_labels(data) is data


@pytest.mark.parametrize("data", [np.array([[[-1]]], np.int16), np.array([[[1.0]]])])
def test_negative_or_broken_labels_are_refused(data: np.ndarray) -> None:
    with pytest.raises(InputError):
        Volume(data, Kind.LABELS)


def test_place_indexes_the_full_image() -> None:
    full = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    place = Place((1, 2, 3), (3, 4, 6), (4, 5, 6))
    assert np.array_equal(full[place.slices], full[1:3, 2:4, 3:6])
