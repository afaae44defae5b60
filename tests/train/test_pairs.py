"""Which files belong together, and how the open image with its cells becomes a stack to learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from plantseg_app.core.volume import Kind, Place, Volume
from plantseg_app.errors import InputError, RequestError
from plantseg_app.io import read_volume, write_volume
from plantseg_app.train.data import read_stack
from plantseg_app.train.pairs import pair_files, write_pair
from plantseg_app.train.settings import DataSettings, StackFiles


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("a.tif", "a_labels.tif"),
        ("leaf raw 3.tif", "leaf seg 3.tif"),
        ("raw/a.tif", "labels/a.tif"),
        ("IMG_7.tif", "Mask_7.tif"),
        ("membrane-t1.tif", "cells-t1.tif"),
    ],
)
def test_names_that_differ_in_the_role_alone_are_a_pair(image: str, labels: str) -> None:
    found = pair_files([Path(labels), Path("other.tif"), Path(image)])
    assert [(files.image, files.labels) for files in found.stacks] == [(image, labels)]
    assert found.left == (Path("other.tif"),)


def test_words_inside_other_words_do_not_count() -> None:
    found = pair_files([Path("excellsior.tif"), Path("imagination.tif")])
    assert not found.stacks


def test_two_files_of_any_name_are_a_pair_when_one_holds_labels(tmp_path: Path) -> None:
    cells = Volume(np.ones((2, 4, 4), np.uint32), Kind.LABELS)
    image = Volume(np.ones((2, 4, 4), np.uint8), Kind.RAW)
    first = write_volume(tmp_path / "monday.tif", cells)
    second = write_volume(tmp_path / "tuesday.tif", image)
    (files,) = pair_files([first, second]).stacks
    assert (files.image, files.labels) == (str(second), str(first))
    third = write_volume(tmp_path / "sunday.tif", image)
    assert pair_files([second, third]).left == (second, third)
    assert not pair_files([first, second, third]).stacks


def test_a_pair_is_written_as_a_training_reads_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = Volume(rng.integers(0, 255, (4, 8, 8), np.uint8), Kind.RAW, voxel_size_um=(0.5, 0.2, 0.2))
    cells = Volume(rng.integers(1, 90000, (4, 8, 8)).astype(np.uint32), Kind.LABELS)
    stack = read_stack(write_pair(tmp_path / "new" / "pair.h5", image, cells), DataSettings())
    np.testing.assert_array_equal(stack.image[0], image.data)
    np.testing.assert_array_equal(stack.labels, cells.data)
    assert stack.voxel_size_um == image.voxel_size_um
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pair.h5"]


def test_cells_of_a_crop_take_their_part_of_the_image(tmp_path: Path) -> None:
    image = Volume(np.arange(4 * 8 * 8, dtype=np.uint16).reshape(4, 8, 8), Kind.RAW)
    place = Place((1, 2, 3), (3, 6, 8), (4, 8, 8))
    cells = Volume(np.ones((2, 4, 5), np.uint32), Kind.LABELS, place=place)
    files = write_pair(tmp_path / "pair.h5", image, cells)
    np.testing.assert_array_equal(read_volume(files.path).data, image.data[1:3, 2:6, 3:8])
    with pytest.raises(RequestError, match="each voxel"):
        write_pair(tmp_path / "other.h5", image, cells.replace(data=np.ones((2, 2, 2), np.uint32), place=None))
    assert not (tmp_path / "other.h5").exists()


def test_planes_of_masks_are_known_by_the_single_slice_they_belong_to(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    image, masks = tmp_path / "first" / "b3.tif", tmp_path / "second" / "b3.tif"
    tifffile.imwrite(image, rng.integers(0, 255, (20, 30), np.uint8), photometric="minisblack")
    planes = np.zeros((3, 20, 30), np.uint8)
    planes[0, :9], planes[1, 5:], planes[2, :, 4:9] = 255, 255, 255
    tifffile.imwrite(masks, planes, photometric="minisblack")
    (files,) = pair_files([masks, image]).stacks
    assert (files.image, files.labels, files.layered) == (str(image), str(masks), True)
    stack = read_stack(files, DataSettings())
    found = stack.objects(stack.labels)
    assert sorted(np.unique(found)) == [0, 1, 2, 3]
    for number, mask in enumerate(planes, start=1):
        np.testing.assert_array_equal((found == number).any((0, 1)), mask > 0)
    # A stack of slices with as many planes as its image is none.
    tifffile.imwrite(image, rng.integers(0, 255, (3, 20, 30), np.uint8), photometric="minisblack")
    assert not pair_files([masks, image]).stacks


def test_layers_of_an_hdf5_file_are_known_by_what_was_written(tmp_path: Path) -> None:
    planes = np.zeros((2, 1, 6, 8), np.uint32)
    planes[0, 0, :4], planes[1, 0, 2:] = 3, 5
    image = Volume(np.ones((1, 6, 8), np.uint8), Kind.RAW)
    files = write_pair(tmp_path / "pair.h5", image, Volume(planes, Kind.LAYERED_LABELS))
    assert files.layered
    assert pair_files([tmp_path / "pair.h5"]).stacks == (files,)
    silent = files.model_copy(update={"layered": False})
    stack = read_stack(silent, DataSettings())
    np.testing.assert_array_equal(stack.objects(stack.labels), planes)


def test_what_is_no_stack_of_objects_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    names = {"image": str(tmp_path / "a.tif"), "labels": str(tmp_path / "b.tif")}
    slices = np.repeat(np.arange(1, 5, dtype=np.uint16), 60).reshape(1, 12, 20).repeat(3, 0)
    tifffile.imwrite(names["labels"], slices, photometric="minisblack")
    tifffile.imwrite(names["image"], rng.integers(0, 255, (12, 20), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match="occurs in several layers"):
        read_stack(StackFiles(**names, layered=True), DataSettings())
    with pytest.raises(InputError, match="set layered: true"):
        read_stack(StackFiles(**names), DataSettings())
    tifffile.imwrite(names["labels"], (slices == 2).astype(np.uint8), photometric="minisblack")
    tifffile.imwrite(names["image"], rng.integers(0, 255, (3, 12, 20), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match="set layered: false"):
        read_stack(StackFiles(**names, layered=True), DataSettings())
