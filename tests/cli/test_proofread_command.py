"""``plantseg-app proofread`` without a window."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import read_volume, write_volume
from plantseg_app.proofread.journal import journal_path
from plantseg_app.train.data import read_stack
from plantseg_app.train.settings import DataSettings, StackFiles


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Twelve square cells of 10 x 10, the last one in two pieces."""
    _, y, x = np.indices((3, 30, 40)) // 10
    labels = (1 + 4 * y + x).astype(np.uint32)
    labels[:, 2:7, 2:7] = 12
    return write_volume(tmp_path / "cells.tif", Volume(labels, Kind.LABELS, (1.0, 0.5, 0.5)))


def test_the_most_doubtful_cells_come_first(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["proofread", str(cells), "--list-suspicious", "3", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["n_cells"] == 12
    first = said["suspicious"][0]
    assert first["cell"] == 12
    assert first["reasons"][0]["kind"] == "pieces"
    assert not journal_path(cells).exists()
    assert main(["proofread", str(cells), "--list-suspicious"]) == 0
    assert "cell 12 at Z,Y,X" in capsys.readouterr().out.splitlines()[0]


def test_corrections_are_made_noted_told_and_applied_elsewhere(
    cells: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corrected = tmp_path / "corrected.tif"
    words = ["--do", "keep-largest cells=[12]", "--do", "merge cells=[5, 6]", "--do", "lock cells=[5]"]
    assert main(["proofread", str(cells), *words, "--author", "Ada", "--output", str(corrected)]) == 0
    told = capsys.readouterr()
    assert "Merged cells 5 and 6." in told.out
    assert "11 cells, 3 corrections" in told.out
    labels = read_volume(corrected, kind=Kind.LABELS)
    assert tuple(labels.voxel_size_um or ()) == (1.0, 0.5, 0.5)
    assert not (labels.data == 6).any()
    assert not (labels.data[:, :8, :8] == 12).any()

    elsewhere = tmp_path / "there"
    elsewhere.mkdir()
    shutil.copy(cells, elsewhere / "other.tif")
    shutil.copy(journal_path(cells), elsewhere / "j.jsonl")
    again = elsewhere / "again.h5"
    words = ["--apply", str(elsewhere / "j.jsonl"), "--output", str(again), "--history", "--summary", "--json"]
    assert main(["proofread", str(elsewhere / "other.tif"), *words]) == 0
    said = json.loads(capsys.readouterr().out)
    np.testing.assert_array_equal(read_volume(again, kind=Kind.LABELS).data, labels.data)
    assert [(row["author"], row["tool"]) for row in said["history"]] == [
        ("Ada", "keep-largest"), ("Ada", "merge"), ("Ada", "lock")
    ]  # fmt: skip
    assert said["summary"].startswith("Of 11 cells, 1 were checked")


def test_overlapping_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planes = np.zeros((2, 1, 8, 8), np.uint32)
    planes[0, 0, :5], planes[1, 0, 3:] = 1, 2
    cells = write_volume(tmp_path / "layers.tif", Volume(planes, Kind.LAYERED_LABELS))
    output = tmp_path / "merged.tif"
    words = ["--layered", "--do", "merge cells=[1, 2]", "--output", str(output)]
    assert main(["proofread", str(cells), *words]) == 0
    merged = read_volume(output, kind=Kind.LAYERED_LABELS).data
    assert (merged.max(axis=0) == 1).all()
    assert main(["proofread", str(cells), "--layered", "--history"]) == 0
    assert "Merged cells 1 and 2" in capsys.readouterr().out


def test_nuclei_say_what_to_merge(cells: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nuclei = np.zeros((3, 30, 40), np.uint32)
    nuclei[:, 3:7, 17:23] = 70_000
    path = write_volume(tmp_path / "nuclei.tif", Volume(nuclei, Kind.LABELS))
    assert main(["proofread", str(cells), "--nuclei", str(path), "--suggest-by-nuclei"]) == 0
    assert "Cells 2 and 3 share a nucleus: merge them." in capsys.readouterr().out
    assert main(["proofread", str(cells), "--nuclei", str(path), "--correct-by-nuclei", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["by_nuclei"]["n_done"] == 1
    assert said["n_cells"] == 11


def test_locked_cells_become_training_data(cells: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = write_volume(tmp_path / "raw.tif", Volume(np.full((3, 30, 40), 7, np.uint8), Kind.RAW))
    folder = tmp_path / "learn"
    words = ["--do", "lock cells=[2, 3, 7]", "--image", str(image), "--export-corrections", str(folder), "--json"]
    assert main(["proofread", str(cells), *words]) == 0
    files = json.loads(capsys.readouterr().out)["training_data"]
    stack = read_stack(StackFiles(**files), DataSettings())
    assert stack.known is not None
    assert np.unique(stack.labels).tolist() == [0, 2, 3, 7]
    np.testing.assert_array_equal(stack.known, stack.labels > 0)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "Say what to do"),
        (["--do", "marge cells=[1, 2]"], 'Did you mean "merge"?'),
        (["--do", "merge cels=[1, 2]"], 'Did you mean "cells"?'),
        (["--do", "merge 1 2"], "merge cells="),
        (["--do", "merge cells=[1, 99]"], "no cell 99"),
        (["--do", "smooth cells=[1] sigma=-3"], "greater than or equal to 0"),
        (["--export-corrections", "x"], "--image"),
        (["--fine-tune", "membranes-3d", "--image", "raw.tif"], "--model-output"),
        (["--suggest-by-nuclei"], "--nuclei"),
        (["--apply", "nowhere.jsonl", "--history"], "no file"),
    ],
)
def test_wrong_requests_are_answered_in_a_sentence(
    cells: Path, words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = cells.read_bytes()
    assert main(["proofread", str(cells), *words]) == 2
    assert reason in capsys.readouterr().err
    assert cells.read_bytes() == before


def test_another_label_file_is_noticed(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["proofread", str(cells), "--do", "delete cells=[4]"]) == 0
    volume = read_volume(cells, kind=Kind.LABELS)
    changed = volume.data.copy()
    changed[0, 0, 0] = 9
    write_volume(cells, volume.replace(data=changed))
    assert main(["proofread", str(cells), "--history"]) == 1
    assert "changed since the corrections" in capsys.readouterr().err
