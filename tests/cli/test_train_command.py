"""``plantseg-app train`` from settings on the disk to a model folder that the other commands take."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from plantseg_app.cli.main import main
from plantseg_app.cli.terminal import Terminal
from plantseg_app.cli.train import EXAMPLE, with_assignments
from plantseg_app.errors import RequestError
from plantseg_app.train.settings import TrainSettings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = np.zeros((8, 48, 48), np.uint16)
    for number, (y, x) in enumerate([(y, x) for y in range(0, 48, 12) for x in range(0, 48, 12)], 1):
        labels[:, y : y + 12, x : x + 12] = number
    edge = (np.diff(labels, axis=1, append=labels[:, -1:]) != 0) | (
        np.diff(labels, axis=2, append=labels[..., -1:]) != 0
    )
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["raw"] = (200 * edge + rng.integers(0, 30, labels.shape)).astype(np.uint8)
        file["label"] = labels
    plain = {
        "output": "model", "device": "cpu", "precision": "float32",
        "family": {"kind": "boundary", "feature_maps": [4, 8]},
        "data": {"train": ["stack.h5"], "split": {"fraction": 0.25, "axis": "x"}},
        "patches": {"shape_vox": 8, "batch": 1}, "stopping": {"steps": 4}, "validation": {"every": 2},
    }  # fmt: skip
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(plain))
    return tmp_path / "train.yaml"


def test_train_then_predict_with_the_folder(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(config), "--json", "--quiet", "--threads", "1", "--set", "optimiser.rate=0.01"]) == 0
    told = json.loads(capsys.readouterr().out)
    model = config.parent / "model"
    assert told["model"] == str(model)
    assert (told["reason"], told["step"], told["score_name"]) == ("finished", 4, "adapted-rand-error")
    assert TrainSettings.from_yaml(model / "settings.yaml").optimiser.rate == 0.01
    assert main(["train", str(config), "--quiet"]) == 2
    assert "already holds a training" in capsys.readouterr().err
    assert main(["train", str(config), "--quiet", "--threads", "1", "--resume", "--set", "stopping.steps=6"]) == 0
    assert "after 6 steps" in capsys.readouterr().out
    output = config.parent / "boundary.h5"
    command = ["predict", str(config.parent / "stack.h5"), "--dataset", "raw", "--model", str(model)]
    assert main([*command, "--output", str(output), "--quiet", "--threads", "1"]) == 0
    with h5py.File(output) as file:
        (data,) = [file[name][...] for name in file]
    assert data.shape[-3:] == (8, 48, 48)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--example"),
        (["missing.yaml"], "cannot be read"),
        (["{config}", "--set", "optimiser.rtae=1"], 'Did you mean "rate"'),
        (["{config}", "--set", "rate"], "PART.FIELD=VALUE"),
        (["{config}", "--set", "data.split=null"], "nothing to validate on"),
    ],
)
def test_wrong_requests_are_told_in_one_line(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["train", *[argument.format(config=config) for argument in arguments]]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_the_example_is_a_file_of_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--example"]) == 0
    (tmp_path / "example.yaml").write_text(capsys.readouterr().out)
    assert TrainSettings.from_yaml(tmp_path / "example.yaml").family == yaml.safe_load(EXAMPLE)["family"]


def test_assignments_make_parts_that_were_empty(config: Path) -> None:
    settings = with_assignments(TrainSettings.from_yaml(config), ["data.split.axis=y", "seed=3"])
    assert (settings.data.split.axis, settings.seed) == ("y", 3)
    with pytest.raises(RequestError, match="not readable"):
        with_assignments(settings, ["seed=[1"])


def test_ctrl_c_keeps_the_best_so_far(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notes: list[str] = []

    def note(_terminal: Terminal, text: str) -> None:
        notes.append(text)
        if "validation loss" in text:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Terminal, "note", note)
    before = signal.getsignal(signal.SIGINT)
    assert main(["train", str(config), "--set", "stopping.steps=100000", "--threads", "1"]) == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert "cancelled after" in capsys.readouterr().out
    assert sum("stopping after this step" in text for text in notes) == 1
    assert (config.parent / "model" / "card.yaml").is_file()
