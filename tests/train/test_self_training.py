from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import yaml

from plantseg_app.cli.main import main
from plantseg_app.cli.self_train import EXAMPLE
from plantseg_app.core.context import QuietContext
from plantseg_app.errors import InputError, RequestError
from plantseg_app.networks.boundary.targets import boundary_target
from plantseg_app.train.data import Stack
from plantseg_app.train.events import TrainEvents
from plantseg_app.train.loop import train
from plantseg_app.train.self_training import ConfidenceRule, SelfTraining, self_train, sure_cells
from plantseg_app.train.settings import TrainSettings
from plantseg_app.zoo.card import ModelCard


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory, tissue: tuple, tissue_stack: Stack) -> Path:
    folder = tmp_path_factory.mktemp("self")
    plain = {
        "output": str(folder / "teacher"), "family": {"kind": "boundary", "feature_maps": [8, 16]}, "device": "cpu",
        "patches": {"shape_vox": [8, 32, 32], "batch": 2}, "stopping": {"steps": 12}, "validation": {"every": 12},
        "optimiser": {"rate": 0.02}, "precision": "float32",
    }  # fmt: skip
    settings = TrainSettings.from_plain(plain)
    train(settings, QuietContext("cpu", 1), data=([tissue_stack], [tissue_stack]))
    tifffile.imwrite(folder / "raw.tif", tissue[0], imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "cells.tif", tissue[1].astype(np.uint16), imagej=True, metadata={"axes": "ZYX"})
    with h5py.File(folder / "truth.h5", "w") as file:
        file["raw"], file["label"] = tissue
    plain = {
        "rounds": 2, "unlabelled": [{"image": "raw.tif"}], "rule": {"wall": 0.3, "min_size": 20, "inside": 0.9},
        "train": {**plain, "output": "improved", "start_from": "teacher", "family": None, "stopping": {"steps": 2},
                  "validation": {"every": 2}, "data": {"validation": ["truth.h5"]}},
    }  # fmt: skip
    (folder / "plan.yaml").write_text(yaml.safe_dump(plain))
    return folder / "plan.yaml"


def test_sure_cells_are_those_with_whole_walls_and_empty_insides(tissue: tuple) -> None:
    labels = tissue[1]
    boundary = boundary_target(labels).astype(np.float32)
    rule = ConfidenceRule(min_size=50, largest=100, wall=0.5)
    sure = sure_cells(labels, boundary, rule)
    assert len(sure) > 20
    spoiled = boundary.copy()
    spoiled[labels == sure[3]] = 0
    spoiled[labels == sure[5]] = 1
    left = sure_cells(labels, spoiled, rule)
    assert sure[3] not in left
    assert sure[5] not in left


def test_rounds_make_students_that_become_teachers(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["self-train", str(plan), "--threads", "1"]) == 0
    told = capsys.readouterr()
    assert "Round 2" in told.err
    cards = [ModelCard.read(plan.parent / "improved" / f"round-{number}") for number in (1, 2)]
    assert "teacher" in cards[0].training
    assert "round-1" in cards[1].training


def test_approval_decides_where_something_is_learned(
    plan: Path, monkeypatch: pytest.MonkeyPatch, tissue: tuple
) -> None:
    from plantseg_app.train import self_training

    seen: list[Stack] = []
    monkeypatch.setattr(
        self_training, "_train_student", lambda _s, stacks, *_: seen.extend(stacks) or plan.parent / "teacher"
    )
    base = SelfTraining.from_yaml(plan)
    told: list[str] = []
    events = TrainEvents()
    events.message.connect(told.append)

    def run(approve: object = None, **changes: object) -> Stack:
        stack = base.unlabelled[0].model_copy(update=changes)
        self_train(
            base.model_copy(update={"rounds": 1, "unlabelled": (stack,)}), QuietContext("cpu", 1), events, approve
        )
        return seen.pop()

    cells = run(segmentation=str(plan.parent / "cells.tif"), cells=(3, 4))
    assert (cells.known | ~np.isin(tissue[1], (3, 4))).all()
    assert cells.known.sum() < 3 * np.isin(tissue[1], (3, 4)).sum()
    np.testing.assert_array_equal(cells.labels, tissue[1])
    tifffile.imwrite(plan.parent / "half.tif", (tissue[1] < 9).astype(np.uint8), imagej=True, metadata={"axes": "ZYX"})
    masked = run(mask=str(plan.parent / "half.tif"))
    assert masked.known[tissue[1] < 9].all()
    person = run(lambda _n, labels, _b: labels == labels.max())
    assert person.known[person.labels == person.labels.max()].all()
    assert told
    with pytest.raises(InputError, match="Nothing is taken for right"):
        run(lambda _n, labels, _b: labels < 0)


def test_wrong_plans_are_refused(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = yaml.safe_load(plan.read_text())
    bad = tmp_path / "bad.yaml"
    bad.write_text(yaml.safe_dump({**plain, "unlabelled": [{"image": "a.tif", "cells": [1]}]}))
    with pytest.raises(RequestError, match="need the segmentation"):
        SelfTraining.from_yaml(bad)
    base = SelfTraining.from_yaml(plan)
    settings = {**base.train, "start_from": "", "family": {"kind": "boundary"}}
    with pytest.raises(RequestError, match="needs a teacher"):
        self_train(base.model_copy(update={"train": settings}))
    assert main(["self-train"]) == 2
    assert main(["self-train", "--example"]) == 0
    assert yaml.safe_load(EXAMPLE)["rounds"] == 4
    (tmp_path / "example.yaml").write_text(EXAMPLE)
    assert len(SelfTraining.from_yaml(tmp_path / "example.yaml").unlabelled) == 3
