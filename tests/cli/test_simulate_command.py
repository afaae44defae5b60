from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.io import read_volume, read_workflow, write_volume

SMALL = ["--shape", "12,48,40", "--cell-diameter", "4"]


def stack(path):
    return read_volume(path, dataset="raw"), read_volume(path, kind=Kind.LABELS, dataset="label")


def test_a_stack_and_its_cells_are_written_with_the_voxel_size(tmp_path, capsys):
    file = tmp_path / "new" / "one.h5"
    words = ["simulate", "--output", str(file), *SMALL, "--voxel-size", "0.6,0.2,0.2", "--pixel-type", "uint16"]
    assert main([*words, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["stacks"]
    raw, labels = stack(file)
    assert raw.shape_vox == labels.shape_vox == (12, 48, 40)
    assert raw.data.dtype == np.uint16
    assert told == {
        "output": str(file), "shape": [12, 48, 40], "n_cells": int(labels.data.max()), "seed": 0,
    }  # fmt: skip
    with h5py.File(file) as content:
        assert set(content) == {"raw", "label"}
        for dataset in content.values():
            np.testing.assert_allclose(dataset.attrs["element_size_um"], (0.6, 0.2, 0.2))


def test_several_stacks_differ_and_each_can_be_made_again_alone(tmp_path):
    assert main(["simulate", "--output", str(tmp_path / "many"), "--count", "3", "--seed", "7", *SMALL]) == 0
    files = sorted((tmp_path / "many").iterdir())
    assert [file.name for file in files] == [f"simulated-{n:04d}.h5" for n in range(3)]
    assert main(["simulate", "--output", str(tmp_path / "again.h5"), "--seed", "9", *SMALL]) == 0
    last, again = stack(files[2]), stack(tmp_path / "again.h5")
    for one, other in zip(last, again, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
    assert (stack(files[0])[1].data != last[1].data).any()


@pytest.mark.parametrize("tissue", ["elongated", "pavement"])
def test_a_slice_of_each_tissue_under_a_light_sheet(tissue, tmp_path):
    file = tmp_path / "slice.h5"
    words = ["--tissue", tissue, "--shape", "80,90", "--organ", "body", "--modality", "light-sheet", "--photons", "20"]
    assert main(["simulate", "--output", str(file), *words]) == 0
    raw, labels = stack(file)
    assert raw.shape_vox == (1, 80, 90)
    assert (labels.data == 0).any()
    step = Workflow.from_yaml(read_workflow(file)).nodes["result"].step
    assert (step.id, step.modality, step.photons) == ("simulate-stack", "light-sheet", 20)


def test_given_cells_are_kept_and_their_image_is_that_of_the_step(tmp_path):
    cells = np.ones((6, 20, 20), np.uint32)
    cells[:, :, 10:] = 70_000
    write_volume(tmp_path / "cells.tif", Volume(cells, Kind.LABELS, (0.3, 0.2, 0.2)))
    given = ["--labels", str(tmp_path / "cells.tif")]
    assert main(["simulate", "--output", str(tmp_path / "out.h5"), *given, "--haze", "0", "--seed", "3"]) == 0
    raw, labels = stack(tmp_path / "out.h5")
    np.testing.assert_array_equal(labels.data, cells)
    assert raw.voxel_size_um == pytest.approx((0.3, 0.2, 0.2))
    same = ["--output", str(tmp_path / "out.tif"), "--haze", "0", "--seed", "3"]
    assert main(["step", "simulate-stack", *given, *same]) == 0
    np.testing.assert_array_equal(read_volume(tmp_path / "out.tif").data, raw.data)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--count", "2", "--output", "one.h5"], "need a folder"),
        (["--output", "one.tif"], "no HDF5"),
        (["--output", "x", "--shape", "4,5,six"], "three numbers"),
        (["--output", "x", "--cell-diameter", "0.1"], "four voxels"),
        (["--output", "x", "--tissue", "brick"], "brick"),
        (["--output", "x", "--photons", "0"], "photons"),
        (["--output", "x", "--foton", "3"], "foton"),
        (["--output", "x", "--labels", "nowhere.tif"], "no file"),
        (["--output", "x", "--labels", "nowhere.tif", "--organ", "body"], "--organ"),
        ([], "--output"),
    ],
    ids=str,
)
def test_a_wrong_request_is_one_line_and_leaves_nothing(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
    assert not list(tmp_path.iterdir())


def test_what_it_writes_is_what_a_training_reads(tmp_path):
    from plantseg_app.core.context import QuietContext
    from plantseg_app.train.data import load_data
    from plantseg_app.train.settings import DataSettings, SplitSettings

    file = tmp_path / "one.h5"
    assert main(["simulate", "--output", str(file), *SMALL]) == 0
    settings = DataSettings(train=(str(file),), split=SplitSettings(axis="x"))
    train, validation = load_data(settings, QuietContext(), tmp_path)
    assert train[0].shape_vox[:2] == validation[0].shape_vox[:2] == (12, 48)
    assert train[0].is_labelled
