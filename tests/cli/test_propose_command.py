"""``plantseg-app propose``: files in, a model and a proposal out; which cells are learned from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import read_volume, write_volume
from plantseg_app.proofread.journal import journal_path
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tools.marks import Lock
from plantseg_app.run import segmenting
from plantseg_app.train import few_cells
from plantseg_app.train.settings import StoppingSettings, TrainSettings


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """An image and three cells in it; trainings of two steps, and a model that finds one cell in the corner."""
    cells = np.zeros((1, 40, 48), np.uint32)
    for name, place in ((3, 2), (5, 16), (9, 30)):
        cells[0, 4:16, place : place + 10] = name
    paths = tmp_path / "image.tif", tmp_path / "cells.tif"
    write_volume(paths[0], Volume((cells > 0).astype(np.uint8) * 100 + 20, Kind.RAW, (1.0, 0.5, 0.5)))
    write_volume(paths[1], Volume(cells, Kind.LABELS))
    usual = few_cells.few_cells_settings

    def quick(*arguments: Any) -> TrainSettings:
        settings = usual(*arguments)
        family = {**(settings.family or {}), "feature_maps": [4, 8], "embedding_channels": 4}
        return settings.model_copy(
            update={"family": family, "stopping": StoppingSettings(steps=2), "precision": "float32"}
        )

    def segment_with(model: str, image: Volume, runner: Any) -> Volume:
        assert (Path(model) / "card.yaml").is_file()
        found = np.zeros(image.shape_vox, np.uint32)
        found[0, 25:35, 5:20] = 1
        return image.replace(data=found, kind=Kind.LABELS)

    monkeypatch.setattr(few_cells, "few_cells_settings", quick)
    monkeypatch.setattr(segmenting, "segment_with", segment_with)
    return paths


def test_cells_are_learned_from_and_others_proposed(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, model = tmp_path / "proposal.tif", tmp_path / "model"
    command = ["propose", *map(str, files), "--output", str(output), "--model-output", str(model)]
    assert main([*command, "--json", "--device", "cpu", "--threads", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["n_learned"], told["n_proposed"], Path(told["model"])) == (3, 1, model)
    found = read_volume(output, kind=Kind.LABELS)
    assert sorted(np.unique(found.data)) == [0, 3, 5, 9, 10]
    assert found.voxel_size_um == (1.0, 0.5, 0.5)


def test_where_cells_are_marked_as_correct_these_count_alone(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = ProofreadSession(np.array(read_volume(files[1], kind=Kind.LABELS).data))
    session.open_journal(journal_path(files[1]))
    session.do(Lock(cells=(5,)))
    session.close()
    output = tmp_path / "proposal.tif"
    command = ["propose", *map(str, files), "--output", str(output), "--model-output", str(tmp_path / "model")]
    assert main([*command, "--device", "cpu", "--threads", "1"]) == 0
    assert "Learned from 1 cell, which stays as it is, and proposed 1 other." in capsys.readouterr().out
    assert sorted(np.unique(read_volume(output, kind=Kind.LABELS).data)) == [0, 5, 6]


def test_images_and_cells_have_to_fit_and_time_is_a_number(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.tif"
    write_volume(other, Volume(np.zeros((1, 8, 8), np.uint8), Kind.RAW))
    command = ["--output", str(tmp_path / "p.tif"), "--model-output", str(tmp_path / "m")]
    assert main(["propose", str(other), str(files[1]), *command]) == 2
    assert "the cells (1, 40, 48)" in capsys.readouterr().err
    assert main(["propose", *map(str, files), *command, "--minutes", "soon"]) == 2
    assert "minutes above 0" in capsys.readouterr().err
    assert main(["propose", *map(str, files), *command, "--start-from", "membranes-2d"]) == 2
    assert "only SPOCO models" in capsys.readouterr().err
