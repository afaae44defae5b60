"""The networks of a workflow as one choice: settings, other models, and what a prediction will take."""

from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.core.volume import Kind, Origin, Volume, VoxelSize
from plantseg_app.errors import RequestError, ResourceError
from plantseg_app.run.prediction import (
    expect_prediction,
    grid_box,
    is_predicted,
    map_kinds,
    predict_step,
    prediction_nodes,
    suits_better,
    with_prediction_settings,
    workflow_for_model,
)
from plantseg_app.run.workflow_crop import crop_of, with_crop
from plantseg_app.run.workflow_edit import add_to_group
from plantseg_app.run.workflows import find_workflow, with_model

IMAGE = Volume(np.zeros((16, 64, 64), np.uint8), Kind.RAW, VoxelSize(0.5, 0.2, 0.2), origin=Origin("a.tif"))
MEMBRANES, NUCLEI = find_workflow("membranes-gasp"), find_workflow("nuclei-mask-outline")


def test_a_workflow_without_a_network_has_nothing_to_predict() -> None:
    workflow = find_workflow("boundary-map")
    assert prediction_nodes(workflow) == []
    assert predict_step(workflow) is None
    assert not is_predicted(workflow, {}, IMAGE)


def test_settings_go_to_every_network() -> None:
    changed = with_prediction_settings(NUCLEI, {"scale": 2.0})
    assert [changed.nodes[name].step.settings()["scale"] for name in ("mask", "outlines")] == [2.0, 2.0]
    assert changed.nodes["outlines"].step.settings()["output"] == "boundary"
    with pytest.raises(RequestError, match="scale"):
        with_prediction_settings(NUCLEI, {"scale": -1.0})


def test_a_model_that_makes_other_maps_is_offered_its_own_workflow() -> None:
    suited = suits_better(MEMBRANES, "nuclei-2d")
    assert suited is not None
    assert (suited.name, predict_step(suited).model) == ("nuclei-mask-outline", "nuclei-2d")
    assert suits_better(MEMBRANES, "membranes-2d") is None
    assert suits_better(find_workflow("membranes-multicut"), "membranes-3d") is None
    assert suits_better(NUCLEI, "nuclei-3d") is None
    assert map_kinds(suited) == [Kind.FOREGROUND, Kind.BOUNDARY]


def test_crop_and_preparation_go_along_to_another_workflow() -> None:
    prepared = add_to_group(add_to_group(MEMBRANES, "gaussian", {"sigma": 3.0}), "normalise")
    suited = workflow_for_model(with_crop(prepared, "2:8, :, :", paste_back=False), "nuclei-3d")
    assert crop_of(suited) == "2:8, :, :"
    assert [node for node in suited.nodes if suited.nodes[node].step.id in ("crop", "gaussian", "normalise")] == [
        "crop",
        "gaussian",
        "normalise",
    ]
    assert suited.nodes["gaussian"].step.settings()["sigma"] == 3.0
    assert suited.outputs == ("nuclei",)
    put_back = workflow_for_model(with_crop(MEMBRANES, "2:8, :, :"), "nuclei-3d")
    assert put_back.nodes[put_back.outputs[0]].step.id == "paste-back"


def test_a_crop_a_scale_and_a_voxel_size_change_what_is_expected() -> None:
    whole = expect_prediction(MEMBRANES, {"image": IMAGE})
    assert [outlook.shape_vox for outlook in whole.outlooks] == [(16, 64, 64)]
    assert whole.fits
    assert "1 tile" in whole.sentence
    cropped = expect_prediction(with_crop(MEMBRANES, "0:8, :, 0:32"), {"image": IMAGE})
    assert cropped.outlooks[0].shape_vox == (8, 64, 32)
    assert cropped.seconds < whole.seconds
    enlarged = expect_prediction(with_prediction_settings(MEMBRANES, {"scale": 2.0}), {"image": IMAGE})
    assert enlarged.outlooks[0].shape_vox == (32, 128, 128)
    tiled = with_prediction_settings(MEMBRANES, {"tile": (8, 32, 32)})
    assert expect_prediction(tiled, {"image": IMAGE}).n_tiles == 8


def test_the_voxel_size_that_reaches_the_network_counts() -> None:
    nuclei = with_model(NUCLEI, "nuclei-3d")
    assert expect_prediction(nuclei, {"image": IMAGE}).outlooks[0].shape_vox == (28, 64, 64)
    told = add_to_group(nuclei, "set-voxel-size", {"voxel_size_um": (0.568, 0.4, 0.4)})
    assert expect_prediction(told, {"image": IMAGE}).outlooks[0].shape_vox == (32, 128, 128)
    halved = add_to_group(nuclei, "rescale", {"factor": (1.0, 0.5, 0.5)})
    assert expect_prediction(halved, {"image": IMAGE}).outlooks[0].shape_vox == (28, 64, 64)


def test_a_network_with_two_outputs_is_counted_once() -> None:
    assert len(expect_prediction(NUCLEI, {"image": IMAGE}).outlooks) == 1


def test_what_does_not_fit_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plantseg_app.run.prediction.available_memory", lambda: 1000)
    outlook = expect_prediction(MEMBRANES, {"image": IMAGE})
    assert not outlook.fits
    assert "does not fit: crop the image" in outlook.sentence
    with pytest.raises(ResourceError, match="cuda:7"):
        expect_prediction(MEMBRANES, {"image": IMAGE}, "cuda:7")


def test_a_map_counts_as_made_only_for_the_same_settings_and_image() -> None:
    made = {"boundary": (MEMBRANES.model_copy(update={"outputs": ("boundary",)}), IMAGE)}
    assert is_predicted(MEMBRANES, made, IMAGE)
    assert is_predicted(MEMBRANES.replace("cells", beta=0.3), made, IMAGE)
    assert not is_predicted(with_prediction_settings(MEMBRANES, {"scale": 2.0}), made, IMAGE)
    assert not is_predicted(with_crop(MEMBRANES, "0:8, :, :"), made, IMAGE)
    assert not is_predicted(MEMBRANES, made, IMAGE.replace(origin=Origin("b.tif")))
    assert not is_predicted(MEMBRANES, {}, IMAGE)


def test_a_growing_map_lies_in_the_box_that_is_cropped() -> None:
    cropped = with_crop(MEMBRANES, "2:6, :, 10:50")
    assert grid_box(cropped, "boundary", (16, 64, 64)) == ((2, 0, 10), (6, 64, 50))
    assert grid_box(MEMBRANES, "boundary", (16, 64, 64)) == ((0, 0, 0), (16, 64, 64))
