"""Objects that overlap on the command line: found, saved, scored, measured, flattened, converted, each one whole."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from plantseg_app.cli.main import main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import read_volume, write_volume

WORKFLOW = """
workflow: 1
name: from-layers
title: Objects from layers
sources:
  image: {kind: layers, help: Layers that a network made.}
nodes:
  objects: {step: objects-from-layers, inputs: {layers: image}, settings: {min_size: 20}}
outputs: [objects]
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Return a network's layers of three bars, two of which cross, and a stack of their masks."""
    masks = np.zeros((3, 40, 50), np.uint8)
    masks[0, 10:16, 4:40], masks[1, 2:36, 20:26], masks[2, 30:38, 34:46] = 1, 1, 1
    activity = np.stack([masks[0] | masks[2], masks[1]])[:, None].astype(np.float32)
    write_volume(tmp_path / "image.h5", Volume(0.05 + 0.9 * activity, Kind.LAYERS))
    tifffile.imwrite(tmp_path / "masks.tif", masks, photometric="minisblack")
    (tmp_path / "workflow.yaml").write_text(WORKFLOW, encoding="utf-8")
    names = ("image.h5", "masks.tif", "workflow.yaml", "out.tif", "report.html", "cells.csv", "flat.tif", "out.json")
    return {name.replace(".", "_"): tmp_path / name for name in names}


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_from_layers_to_a_table(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    out, masks = files["out_tif"], files["masks_tif"]
    more = ["--reference", masks, "--report", files["report_html"], "--json", "--quiet"]
    assert run("segment", files["image_h5"], "--workflow", files["workflow_yaml"], "--output", out, *more) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["scores"]["mean_ap"] == 1.0
    with tifffile.TiffFile(out) as tiff:
        assert (tiff.series[0].axes, tiff.series[0].shape) == ("CYX", (2, 40, 50))
    assert "Agreement with the reference" in files["report_html"].read_text(encoding="utf-8")
    assert run("evaluate", out, masks, "--layered", "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["aji"], scores["n_segmented"], scores["n_reference"]) == (1.0, 3, 3)
    assert run("measure", out, "--layered", "--output", files["cells_csv"], "--quiet") == 0
    rows = list(csv.DictReader(io.StringIO(files["cells_csv"].read_text(encoding="utf-8"))))
    assert sorted(int(row["n_voxels"]) for row in rows) == [8 * 12, 6 * 34, 6 * 36]


def test_flattened_by_a_rule_and_in_other_formats(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    flat, masks, coco = files["flat_tif"], files["masks_tif"], files["out_json"]
    for rule, expected in (("background", 0), ("last", 2), ("larger", 1), ("smaller", 2)):
        assert run("step", "flatten-layers", "--layers", masks, "--rule", rule, "--output", flat, "--quiet") == 0
        assert set(np.unique(read_volume(flat, kind=Kind.LABELS).data[0, 10:16, 20:26])) == {expected}
    assert run("convert", masks, coco, "--kind", "layered_labels", "--quiet") == 0
    assert len(json.loads(coco.read_text(encoding="utf-8"))["annotations"]) == 3
    capsys.readouterr()
    assert run("evaluate", coco, masks, "--layered", "--json") == 0
    assert json.loads(capsys.readouterr().out)["aji"] == 1.0
    assert run("evaluate", coco, masks) == 1
    assert "--layered" in capsys.readouterr().err


def test_folders_and_patterns_are_scored_one_by_one_and_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = np.zeros((2, 1, 10, 20), np.uint32)
    truth[0, 0, 2:6, 2:12], truth[1, 0, 0:10, 6:10] = 1, 2
    for name, found in (("a", truth), ("b", truth[:1])):
        for folder, layers in (("found", found), ("truth", truth)):
            (tmp_path / folder).mkdir(exist_ok=True)
            suffix = "_objects" if folder == "found" else ""
            write_volume(tmp_path / folder / f"{name}{suffix}.tif", Volume(layers, Kind.LAYERED_LABELS))
    found, masks = tmp_path / "found", tmp_path / "truth"
    assert run("evaluate", found / "*_objects.tif", masks / "*.tif", "--layered", "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    assert [image["n_segmented"] for image in scores["images"]] == [2, 1]
    assert Path(scores["images"][1]["ground_truth"]) == masks / "b.tif"
    # Three of four objects are found, each of them exactly.
    assert scores["data_set"]["ap"] == [{"iou": iou, "ap": 0.75} for iou in (0.5, 0.6, 0.7, 0.8, 0.9)]
    # The one that is missed shares 16 pixels with the found one, its best.
    assert (scores["data_set"]["mean_ap"], scores["data_set"]["aji"]) == (0.75, (3 * 40 + 16) / (3 * 40 + 64))
    assert run("evaluate", found / "*_objects.tif", masks / "*.tif", "--layered") == 0
    text = capsys.readouterr().out
    assert "b_objects.tif" in text
    assert "2 images taken together" in text
    assert run("evaluate", found, masks, "--layered") == 2
    assert "has no counterpart" in capsys.readouterr().err
    assert run("evaluate", found, masks / "a.tif", "--layered") == 2
    assert "folders or patterns for all" in capsys.readouterr().err
    assert run("evaluate", found / "*.png", masks / "*.tif", "--layered") == 2
    assert "No file matches" in capsys.readouterr().err
    write_volume(masks / "b.tif", Volume(truth[..., :8], Kind.LAYERED_LABELS))
    assert run("evaluate", found / "*_objects.tif", masks / "*.tif", "--layered") == 1
    assert "b_objects.tif" in capsys.readouterr().err


def test_one_image_is_scored_as_the_method_was_published(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    masks = files["masks_tif"]
    assert run("evaluate", masks, masks, "--layered", "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["n_reference"] == scores["data_set"]["n_reference"] == 3
    assert [entry["iou"] for entry in scores["data_set"]["ap"]] == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert run("evaluate", masks, masks, "--layered") == 0
    assert "mean over IoU 0.5, 0.6 ... 0.9" in capsys.readouterr().out
