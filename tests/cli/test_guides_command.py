"""``plantseg-app models guides``: what is drawn and said of a harmonic model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import write_volume
from plantseg_app.zoo.catalogue import find_model


def test_guides_and_targets_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    family = find_model("nuclei-harmonic").card.network_family()
    _, height, width = family.frame_vox
    labels = np.zeros((1, height, width), np.uint32)
    labels[0, 10:40, 10:40], labels[0, 100:130, 180:210], labels[0, 200:220, 30:60] = 1, 2, 3
    file = write_volume(tmp_path / "labels.tif", Volume(labels, Kind.LABELS))
    folder = tmp_path / "new" / "pictures"
    words = ["models", "guides", "nuclei-harmonic", "--labels", str(file), "--output", str(folder), "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == [str(folder / "guides.png"), str(folder / "targets.png")]
    assert said["close_pairs"] == 0.0
    sheet = np.asarray(Image.open(folder / "guides.png"))
    assert sheet.ndim == 2
    assert sheet.shape[1] > 5 * width
    targets = np.asarray(Image.open(folder / "targets.png"))
    np.testing.assert_array_equal(targets.any(-1), labels[0] > 0)
    colours = [targets[labels[0] == name] for name in (1, 2, 3)]
    assert all((one == one[0]).all() for one in colours)
    assert len({tuple(one[0]) for one in colours}) == 3


def test_two_halves_of_one_place_are_too_close(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.zeros((1, 256, 256), np.uint32)
    labels[0, 100:106, 100:106] = np.indices((6, 6)).sum(0) % 2 + 1
    file = write_volume(tmp_path / "labels.tif", Volume(labels, Kind.LABELS))
    assert main(["models", "guides", "nuclei-harmonic", "--labels", str(file), "--output", str(tmp_path)]) == 0
    assert "100 % of the pairs" in capsys.readouterr().out


def test_a_model_without_guides_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "guides", "nuclei-2d", "--output", str(tmp_path / "p")]) != 0
    assert "has no guides" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
