"""Workflows by name, from files and from results, and what can be changed in them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from plantseg_app import paths
from plantseg_app.core.step import STEPS
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import AbsentError, InputError, RequestError
from plantseg_app.io import write_volume
from plantseg_app.run.workflows import (
    DEFAULT_WORKFLOW,
    bundled_workflows,
    default_workflow,
    find_workflow,
    prediction_workflow,
    step_workflow,
    what_is_missing,
    with_model,
    with_settings,
)

CARD = f"""
card: 1
id: other
title: Another model
description: Is never run.
family: {{kind: boundary, dimensions: 3D}}
dimensionality: 3D
voxel_size_um: [0.2, 0.2, 0.2]
inputs: [{{name: membrane}}]
outputs: [{{name: boundary, kind: boundary}}]
normalisation: {{method: percentile}}
weights: {{file: weights.safetensors, sha256: "{"0" * 64}", size_bytes: 8}}
licence: MIT
authors: [Somebody]
data: [{{name: ovules, seen_as: train, licence: MIT}}]
scores: [{{data: ovules, metric: adapted_rand_error, value: 0.05}}]
"""


@pytest.fixture
def other_model(tmp_path, monkeypatch) -> str:
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
    folder = paths.user_models_dir() / "other"
    folder.mkdir(parents=True)
    (folder / "card.yaml").write_text(CARD)
    return folder.name


def test_every_ready_made_workflow_is_listed_and_found_by_name():
    names = [workflow.name for workflow in bundled_workflows()]
    assert names == sorted(path.stem for path in paths.workflows_dir().glob("*.yaml"))
    assert all(find_workflow(name).name == name for name in names)
    assert default_workflow(None) == DEFAULT_WORKFLOW
    assert DEFAULT_WORKFLOW in [workflow.name for workflow in bundled_workflows({Kind.RAW})]
    for workflow in bundled_workflows({Kind.BOUNDARY}):
        assert [source.kind for source in workflow.sources.values() if not source.optional] == [Kind.BOUNDARY]


def test_a_workflow_comes_from_a_file_or_from_the_result_it_made(workflow, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(workflow.to_yaml(), encoding="utf-8")
    assert find_workflow(file) == find_workflow(str(file)) == workflow
    cells = Volume(np.ones((1, 2, 3), np.uint32), Kind.LABELS)
    assert find_workflow(write_volume(tmp_path / "cells.tif", cells, workflow=workflow.to_yaml())) == workflow


def test_what_is_no_workflow_is_said_in_words(tmp_path):
    with pytest.raises(RequestError, match=f'Did you mean "{DEFAULT_WORKFLOW}"'):
        find_workflow(DEFAULT_WORKFLOW.replace("g", "j"))
    with pytest.raises(RequestError, match="There is no workflow file"):
        find_workflow(tmp_path / "none.yaml")
    plain = write_volume(tmp_path / "cells.tif", Volume(np.ones((1, 2, 3), np.uint32), Kind.LABELS))
    with pytest.raises(RequestError, match="does not hold the workflow"):
        find_workflow(plain)
    (tmp_path / "latin.yaml").write_bytes(b"name: gr\xf6\xdfe")
    with pytest.raises(RequestError, match="UTF-8"):
        find_workflow(tmp_path / "latin.yaml")
    (tmp_path / "other.yaml").write_text("a: 1")
    with pytest.raises(RequestError, match=r"other\.yaml: A workflow file"):
        find_workflow(tmp_path / "other.yaml")


def test_a_workflow_whose_models_are_not_here_opens_and_says_so_before_it_runs(tmp_path):
    file = tmp_path / "shared.yaml"
    for here in bundled_workflows():
        text = re.sub(r"(?<!_)\bmodel: \S+", "model: generic_confocal_3D_unet", here.to_yaml())
        file.write_text(text, encoding="utf-8")
        workflow = find_workflow(file)
        assert workflow.kinds() == here.kinds()
        assert what_is_missing(here) == ""
        if workflow == here:
            # It runs no network.
            continue
        assert "models download confocal_3d_unet_ovules_ds2x" in what_is_missing(workflow)
        with pytest.raises(AbsentError, match="models download"):
            workflow.bind(workflow.sources)


def test_a_workflow_opens_though_its_model_is_damaged_or_removed(other_model):
    workflow = with_model(find_workflow(DEFAULT_WORKFLOW), other_model)
    card = paths.user_models_dir() / "other" / "card.yaml"
    card.write_text("card: 1", encoding="utf-8")
    assert Workflow.from_yaml(workflow.to_yaml()) == workflow
    assert "cannot be used" in what_is_missing(workflow)
    with pytest.raises(InputError, match="cannot be used"):
        workflow.bind(["image"])
    card.unlink()
    assert with_model(workflow, "membranes-3d") == find_workflow(DEFAULT_WORKFLOW)
    assert 'no model "other"' in what_is_missing(workflow)


def test_a_card_may_name_another_workflow_than_its_family(other_model):
    assert default_workflow(other_model) == DEFAULT_WORKFLOW
    card = paths.user_models_dir() / other_model / "card.yaml"
    card.write_text(CARD + "workflow: membranes-multicut\n")
    assert default_workflow(other_model) == "membranes-multicut"


def test_settings_are_changed_by_node_or_by_the_step_that_only_one_node_runs():
    workflow = find_workflow(DEFAULT_WORKFLOW)
    node = next(name for name, content in workflow.nodes.items() if content.step.id == "gasp")
    assert node != "gasp"
    for name in (node, "gasp"):
        changed = with_settings(workflow, {name: {"beta": 0.25}})
        assert changed.nodes[node].step.settings()["beta"] == 0.25
    assert workflow == find_workflow(DEFAULT_WORKFLOW)
    with pytest.raises(RequestError, match="beta"):
        with_settings(workflow, {"gasp": {"beta": 2}})
    with pytest.raises(RequestError, match='no node "gaps"'):
        with_settings(workflow, {"gaps": {"beta": 0.5}})


def test_settings_that_fit_only_together_are_changed_together():
    crop = step_workflow(STEPS.get("crop").from_settings({"box": "0:2, :, :"}), {"image": Kind.RAW})
    changed = with_settings(crop, {"result": {"box": ":, :, :"}, "crop": {"start_vox": [1, 0, 0]}})
    assert changed.nodes["result"].step.settings()["start_vox"] == [1, 0, 0]


def test_a_model_replaces_all_networks_where_there_are_some(other_model):
    changed = with_model(find_workflow(DEFAULT_WORKFLOW), other_model)
    assert [node.step.settings()["model"] for node in changed.nodes.values() if node.step.id == "predict"] == ["other"]
    crop = step_workflow(STEPS.get("crop").from_settings({}), {"image": Kind.RAW})
    with pytest.raises(RequestError, match="uses a model; leave the model out"):
        with_model(crop, other_model)
    with pytest.raises(RequestError, match="no model"):
        default_workflow("none")


def test_a_single_step_is_a_workflow(other_model):
    predict = prediction_workflow({"model": other_model})
    assert list(predict.sources) == ["image"]
    assert predict.outputs == ("prediction",)
    assert predict.nodes["prediction"].step.settings()["model"] == "other"
    with pytest.raises(RequestError, match="modell"):
        prediction_workflow({"modell": "other"})
    with pytest.raises(RequestError, match="image"):
        step_workflow(STEPS.get("gaussian").from_settings({}), {"image": Kind.LABELS})
