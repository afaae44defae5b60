"""What is asked about a file, what is proposed, and how an answer is kept."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.io import inspect_image, read_volume, write_volume
from plantseg_app.run.reading import (
    Part,
    Reading,
    check_reading,
    could_be_labels,
    kind_to_read,
    open_questions,
    sort_of_file,
    stored_image,
    usual_reading,
)


def imagej(path: Path, shape: tuple[int, ...], axes: str) -> Path:
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    tifffile.imwrite(path, data, imagej=True, metadata={"axes": axes})
    return path


def hdf5(path: Path, **datasets: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file[name.replace("__", "/")] = data
    return path


def test_complete_metadata_leave_nothing_to_ask(tmp_path: Path) -> None:
    stack = imagej(tmp_path / "a.tif", (4, 8, 9), "ZYX")
    assert open_questions(inspect_image(stack)) == ()
    assert usual_reading(inspect_image(stack)) == Reading((Part(None, "membranes"),))


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((4, 2, 8, 9), "ZCYX", ("channel",)),
        ((3, 4, 8, 9), "TZYX", ("time",)),
        ((3, 4, 2, 8, 9), "TZCYX", ("channel", "time")),
    ],
)
def test_channels_and_time_points_are_asked_for(
    tmp_path: Path, shape: tuple[int, ...], axes: str, expected: tuple[str, ...]
) -> None:
    assert open_questions(inspect_image(imagej(tmp_path / "a.tif", shape, axes))) == expected


def test_four_axes_without_names_are_asked_for_and_three_are_not(tmp_path: Path) -> None:
    assert open_questions(inspect_image(hdf5(tmp_path / "a.h5", raw=np.zeros((2, 9, 8, 7), np.uint8)))) == ("axes",)
    assert open_questions(inspect_image(hdf5(tmp_path / "b.h5", raw=np.zeros((9, 8, 7), np.uint8)))) == ()


def test_a_short_axis_without_name_may_be_channels(tmp_path: Path) -> None:
    file = hdf5(tmp_path / "a.h5", raw=np.zeros((3, 80, 70), np.uint8))
    assert open_questions(inspect_image(file)) == ("axes",)


def test_several_data_sets_are_asked_for_unless_one_has_a_usual_name(tmp_path: Path) -> None:
    data = np.zeros((9, 8, 7), np.uint8)
    assert open_questions(inspect_image(hdf5(tmp_path / "a.h5", one=data, two=data))) == ("dataset",)
    assert open_questions(inspect_image(hdf5(tmp_path / "b.h5", raw=data, two=data))) == ()


def test_channel_names_give_roles(tmp_path: Path) -> None:
    file = tmp_path / "a.ome.tif"
    data = np.zeros((3, 4, 8, 9), np.uint8)
    tifffile.imwrite(file, data, ome=True, metadata={"axes": "CZYX", "Channel": {"Name": ["PM", "H2B-RFP", "GFP"]}})
    assert [part.role for part in usual_reading(inspect_image(file)).parts] == ["membranes", "nuclei", "signal"]


def test_of_channels_without_names_the_first_is_the_membranes(tmp_path: Path) -> None:
    reading = usual_reading(inspect_image(imagej(tmp_path / "a.tif", (4, 2, 8, 9), "ZCYX")))
    assert reading.parts == (Part(0, "membranes"), Part(1, "signal"))


def test_a_colour_picture_is_proposed_as_its_brightness(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.zeros((8, 9, 3), np.uint8), photometric="rgb")
    info = inspect_image(file)
    assert open_questions(info) == ("channel",)
    assert usual_reading(info).parts == (Part("gray", "membranes"),)
    assert check_reading(info, usual_reading(info)) == ""


@pytest.mark.parametrize("kind", [Kind.LAYERED_LABELS, Kind.AFFINITIES])
def test_results_with_a_leading_axis_open_without_a_question(tmp_path: Path, kind: Kind) -> None:
    dtype = np.uint32 if kind.is_labels else np.float32
    file = write_volume(tmp_path / "a.h5", Volume(np.ones((3, 4, 8, 9), dtype), kind))
    info = inspect_image(file)
    reading = usual_reading(info)
    part = reading.parts[0]
    assert open_questions(info) == ()
    assert kind_to_read(stored_image(info, None), part.role) is kind
    plan = reading.plan(info.image, part)
    back = read_volume(file, kind=kind)
    assert (plan.shape, plan.n_bytes) == (back.data.shape, back.data.nbytes)


def test_a_name_that_speaks_of_cells_is_not_enough(tmp_path: Path) -> None:
    info = inspect_image(imagej(tmp_path / "cells.tif", (4, 8, 9), "ZYX"))
    assert usual_reading(info).parts[0].role == "labels"
    assert usual_reading(info, looks_like_labels=False).parts[0].role == "membranes"


def test_patches_look_like_labels_and_noise_does_not() -> None:
    noise = np.random.default_rng(0).normal(100, 9, (40, 40)).astype(np.uint16)
    patches = np.kron(np.arange(16).reshape(4, 4) + 70_000, np.ones((10, 10), int))
    assert could_be_labels(patches)
    assert not could_be_labels(noise)
    assert not could_be_labels(noise + 0.5)
    assert could_be_labels(np.zeros((5, 5), np.uint8))


def test_an_answer_survives_being_kept_as_json() -> None:
    reading = Reading((Part(1, "nuclei"), Part("gray", "signal")), "a/b", "Z-YX", 3, (0.5, 0.2, 0.2), "replace")
    assert Reading.from_plain(json.loads(json.dumps(reading.to_plain()))) == reading
    bare = Reading((Part(None, "labels"),))
    assert Reading.from_plain(json.loads(json.dumps(bare.to_plain()))) == bare


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"parts": []},
        {"parts": [[0, "no such role"]]},
        {"parts": [[0, "nuclei"]], "time": "one"},
        {"parts": [[0, "nuclei"]], "voxel_size_um": [0, 1, 1]},
        {"parts": [[[], "nuclei"]]},
        {"parts": 3},
    ],
)
def test_a_damaged_answer_is_no_answer(plain: dict[str, object]) -> None:
    assert Reading.from_plain(plain) is None


def test_files_of_one_sort_differ_in_size_and_name_alone(tmp_path: Path) -> None:
    one = inspect_image(imagej(tmp_path / "a.tif", (4, 2, 8, 9), "ZCYX"))
    same = inspect_image(imagej(tmp_path / "b.tif", (7, 2, 20, 9), "ZCYX"))
    other = inspect_image(imagej(tmp_path / "c.tif", (4, 3, 8, 9), "ZCYX"))
    assert sort_of_file(one) == sort_of_file(same) != sort_of_file(other)


def test_an_answer_that_does_not_fit_says_why(tmp_path: Path) -> None:
    info = inspect_image(imagej(tmp_path / "a.tif", (3, 4, 8, 9), "TZYX"))
    assert "no time point 9" in check_reading(info, Reading((Part(None, "membranes"),), time=9))
    assert check_reading(info, Reading((), time=0))
    assert check_reading(info, Reading((Part(None, "membranes"),), time=1)) == ""


def test_options_are_those_of_the_reader(tmp_path: Path) -> None:
    file = imagej(tmp_path / "a.tif", (3, 4, 2, 8, 9), "TZCYX")
    reading = Reading((Part(1, "nuclei"),), time=2, voxel_size_um=(1.0, 0.5, 0.5))
    volume = read_volume(file, **reading.options(reading.parts[0]).given())
    assert np.array_equal(volume.data, tifffile.imread(file)[2, :, 1])
    assert volume.voxel_size_um == VoxelSize(1.0, 0.5, 0.5)
