"""Layers of objects that overlap survive every format, masks are numbered, COCO files of others are understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.errors import InputError, RequestError
from plantseg_app.io import inspect_image, is_image_name, read_volume, read_workflow, write_volume

SIZE = VoxelSize(1.0, 0.5, 0.25)


def layers() -> np.ndarray:
    made = np.zeros((3, 1, 20, 30), np.uint32)
    made[0, 0, 2:9, 2:9], made[1, 0, 5:12, 5:12], made[2, 0, 8:15, 7:15], made[0, 0, 0, 29] = 3, 70000, 9, 4
    return made


def objects(data: np.ndarray) -> dict[int, bytes]:
    return {int(name): np.packbits(plane == name).tobytes() for plane in data for name in np.unique(plane[plane > 0])}


@pytest.mark.parametrize("name", ["a.tif", "a.h5", "a.json"])
def test_overlapping_objects_survive_saving(name: str, tmp_path: Path) -> None:
    volume = Volume(layers(), Kind.LAYERED_LABELS, SIZE, name="worms")
    file = write_volume(tmp_path / name, volume, workflow="workflow: 1\n")
    back = read_volume(file, kind=Kind.LAYERED_LABELS)
    assert objects(back.data) == objects(volume.data)
    assert back.data.dtype == np.uint32
    assert back.voxel_size_um == SIZE
    assert inspect_image(file).kind is Kind.LAYERED_LABELS
    assert read_workflow(file) == "workflow: 1\n"


@pytest.mark.parametrize("name", ["a.tif", "a.h5", "a.json"])
def test_layers_are_not_read_as_plain_labels(name: str, tmp_path: Path) -> None:
    file = write_volume(tmp_path / name, Volume(layers(), Kind.LAYERED_LABELS))
    with pytest.raises(InputError, match=r"objects that overlap.*flatten-layers"):
        read_volume(file, kind=Kind.LABELS)


def test_a_tiff_has_a_plane_a_layer_that_other_programs_read(tmp_path: Path) -> None:
    file = write_volume(tmp_path / "a.tif", Volume(layers(), Kind.LAYERED_LABELS, SIZE))
    with tifffile.TiffFile(file) as tiff:
        assert tiff.is_ome
        assert (tiff.series[0].axes, tiff.series[0].shape) == ("CYX", (3, 20, 30))
        np.testing.assert_array_equal(tiff.asarray(), layers()[:, 0])


def test_masks_become_objects(tmp_path: Path) -> None:
    masks = (layers()[:, 0] > 0).astype(np.uint8)
    tifffile.imwrite(tmp_path / "masks.tif", 255 * masks, photometric="minisblack")
    read = read_volume(tmp_path / "masks.tif", kind=Kind.LAYERED_LABELS).data[:, 0]
    np.testing.assert_array_equal(read, masks * np.array([1, 2, 3])[:, None, None])


def coco(annotations: list[dict[str, Any]], **more: Any) -> str:
    images = [{"id": 7, "file_name": "a.png", "height": 4, "width": 5}]
    return json.dumps({"images": images, "annotations": annotations, "categories": [], **more})


def test_files_of_other_programs(tmp_path: Path) -> None:
    square = {"size": [4, 5], "counts": [0, 2, 2, 2, 14]}
    found = [
        {"id": 5, "image_id": 7, "segmentation": square},
        {"id": 6, "image_id": 7, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]},
        {"id": 8, "image_id": 7, "segmentation": square, "iscrowd": 1},
        {"id": 9, "image_id": 8, "segmentation": square},
    ]
    (tmp_path / "a.json").write_text(coco(found), encoding="utf-8")
    data = read_volume(tmp_path / "a.json", kind=Kind.LAYERED_LABELS).data[:, 0]
    first = [[5, 5, 0, 0, 0], [5, 5, 0, 0, 0], [0] * 5, [0] * 5]
    second = [[0] * 5, [0, 6, 6, 6, 0], [0, 6, 6, 6, 0], [0] * 5]
    assert data.tolist() == [first, second]
    # Without numbers of their own objects are counted.
    for one in found:
        del one["id"]
    (tmp_path / "b.json").write_text(coco(found), encoding="utf-8")
    assert set(np.unique(read_volume(tmp_path / "b.json", kind=Kind.LAYERED_LABELS).data)) == {0, 1, 2}


def test_of_several_images_one_is_chosen(tmp_path: Path) -> None:
    images = [{"id": i, "file_name": f"{i}.png", "height": 2, "width": 3} for i in (1, 2)]
    found = [{"id": 4, "image_id": 2, "segmentation": {"size": [2, 3], "counts": "231"}}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": found}), encoding="utf-8")
    with pytest.raises(InputError, match=r"2 images.*--dataset"):
        read_volume(tmp_path / "a.json", kind=Kind.LAYERED_LABELS)
    one, two = (read_volume(tmp_path / "a.json", kind=Kind.LAYERED_LABELS, dataset=f"{i}.png").data for i in (1, 2))
    assert one.shape == two.shape == (1, 1, 2, 3)
    assert not one.any()
    assert two[0, 0].tolist() == [[0, 4, 4], [0, 4, 0]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"images": [', "no readable JSON"),
        ("{}", "not that of COCO"),
        ('{"images": [], "annotations": []}', "no image"),
        ('{"images": [{"id": 1}], "annotations": []}', "height"),
        (coco([{"id": 1, "image_id": 7, "segmentation": {"size": [9, 9], "counts": "231"}}]), "in an image of"),
        (coco([{"id": 1, "image_id": 7, "segmentation": {"size": [4, 5], "counts": "231"}}]), "come to 6"),
        (coco([{"id": 1, "image_id": 7}]), "segmentation"),
    ],
)
def test_damaged_files_are_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_volume(tmp_path / "a.json", kind=Kind.LAYERED_LABELS)


def test_what_a_coco_file_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="hold objects"):
        write_volume(tmp_path / "a.json", Volume(np.zeros((1, 4, 4), np.uint8), Kind.RAW))
    with pytest.raises(RequestError, match="one slice"):
        write_volume(tmp_path / "a.json", Volume(np.ones((2, 4, 4), np.uint32), Kind.LABELS))
    labels = np.arange(16, dtype=np.uint32).reshape(1, 4, 4)
    file = write_volume(tmp_path / "a.json", Volume(labels, Kind.LABELS))
    np.testing.assert_array_equal(read_volume(file, kind=Kind.LABELS).data, labels)
    # Settings and reports of other programs end in .json, too: in a folder they are no images.
    assert not is_image_name("a.json")
