from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from plantseg_app.cli.main import COMMANDS, main
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import read_volume, read_workflow, write_volume


def test_help_is_quick_and_loads_neither_torch_nor_qt():
    code = (
        "import sys\n"
        "from plantseg_app.cli.main import main\n"
        "for words in (['--help'], ['segment', '--help'], ['evaluate', '--help'], ['--version']):\n"
        "    assert main(words) == 0\n"
        "heavy = {'torch', 'PySide6', 'napari', 'numpy', 'scipy', 'skimage', 'pydantic', 'h5py'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert command in done.stdout


def test_listing_steps_loads_no_torch():
    code = "import sys; from plantseg_app.cli.main import main; print(main(['steps']), {'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0 set()", done.stderr


def test_a_mistyped_command_is_answered_with_a_suggestion(capsys):
    assert main(["segmnt", "a.tif"]) == 2
    assert capsys.readouterr().err == 'plantseg-app: error: There is no command "segmnt". Did you mean "segment"?\n'


@pytest.mark.parametrize(
    "words",
    [
        ["segment"],
        ["segment", "nowhere.tif", "--output", "x.tif", "--workflow", "{workflow}"],
        ["nowhere.tif"],
        ["--what"],
        ["segment", "{image}", "--output", "x.tif", "--workflow", "no-such"],
        ["segment", "{image}", "--output", "x.tif", "--workflow", "{workflow}", "--set", "cells.beta=2"],
        ["segment", "{image}", "--output", "x.tif", "--workflow", "{workflow}", "--set", "cell.beta=0.2"],
        ["segment", "{image}", "--output", "x.tif", "--workflow", "{workflow}", "--set", "beta"],
        ["segment", "{image}", "--output", "x.zarr", "--workflow", "{workflow}"],
        ["segment", "{image}", "--output", "x.tif", "--workflow", "{workflow}", "--voxel-size", "1,2"],
        ["segment", "{image}", "--output", "x.tif", "--workflow", "{workflow}", "--channel", "7"],
        ["segment", "{image}", "--output", "x.tif", "--workflow", "{workflow}", "--source", "nucleus=a.tif"],
        ["segment", "{image}", "{image}", "--output", "x.tif", "--workflow", "{workflow}"],
        ["run", "{workflow}", "{image}", "--output", "."],
        ["run", "nowhere.yaml", "{image}", "--output", "x"],
        ["run", "{workflow}", "{image}", "--output", "out", "--scheduler", "tcp://127.0.0.1:1"],
        ["step", "gaps", "--output", "x.tif"],
        ["step"],
        ["step", "test-cells", "--output", "x.tif"],
        ["step", "test-cells", "--boundary", "nowhere.tif", "--output", "x.tif"],
        ["step", "test-cells", "--boundary", "{image}", "--output", "x.tif", "--beta", "1.5"],
        ["step", "test-cells", "--boundary", "{image}", "--output", "x.tif", "--betta", "0.5"],
        ["step", "test-flip", "--image", "{image}", "--output", "x.tif", "--kind", "labels?"],
        ["evaluate", "nowhere.tif", "{image}"],
        ["evaluate", "{image}"],
        ["convert", "{image}", "{image}"],
        ["convert", "{image}", "x.xyz"],
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(words, image, workflow_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main([word.format(image=image, workflow=workflow_file) for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("plantseg-app: error: ")
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_segment_writes_labels_with_scale_and_workflow(image, workflow_file, tmp_path, capsys):
    output = tmp_path / "new" / "cells.tif"
    words = ["segment", str(image), "--output", str(output), "--workflow", str(workflow_file)]
    assert main([*words, "--set", "cells.beta=0.25", "--set", "test-map.sigma-seeds=1", "--model", "other"]) == 0
    cells = read_volume(output, kind=Kind.LABELS)
    assert cells.data.max() == 2
    assert cells.voxel_size_um == pytest.approx((0.3, 0.1, 0.1))
    record = read_workflow(output)
    assert record is not None
    assert record.startswith("# image: stack.tif")
    for text in ("beta: 0.25", "sigma_seeds: 1.0", "model: other"):
        assert text in record
    out, err = capsys.readouterr()
    assert f"{output}: 2 cells" in out
    assert err == "plantseg-app: note: a note\n"


def test_a_result_can_be_repeated_from_its_record(image, workflow_file, tmp_path):
    first, second = tmp_path / "first.tif", tmp_path / "second.tif"
    words = ["segment", str(image), "--workflow", str(workflow_file), "--set", "cells.mode=one"]
    assert main([*words, "--output", str(first)]) == 0
    assert main(["segment", str(image), "--output", str(second), "--workflow", str(first)]) == 0
    assert read_workflow(first) == read_workflow(second)
    assert read_volume(second, kind=Kind.LABELS).data.max() == 1


def test_json_is_alone_on_standard_output(image, workflow_file, tmp_path, capsys):
    output = tmp_path / "cells.tif"
    words = ["segment", str(image), "--output", str(output), "--workflow", str(workflow_file), "--json", "--quiet"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    (result,) = json.loads(out)["results"]
    assert (result["status"], result["n_cells"], result["output"]) == ("done", 2, str(output))
    assert [node["node"] for node in result["nodes"]] == ["map", "cells"]
    assert err == ""


def test_failures_have_status_1_and_no_traceback_unless_asked_for(raw, workflow_file, tmp_path, capsys):
    for name, text in (("bad", "cells: the map is too strict."), ("defect", "unexpected ZeroDivisionError")):
        image = write_volume(tmp_path / f"{name}.tif", raw)
        words = ["segment", str(image), "--output", str(tmp_path / "x.tif"), "--workflow", str(workflow_file)]
        assert main([*words, "--quiet"]) == 1
        err = capsys.readouterr().err
        assert text in err
        assert err.count("\n") == 1
        assert main([*words, "--quiet", "--debug"]) == 1
        assert "Traceback" in capsys.readouterr().err
        assert not (tmp_path / "x.tif").exists()
    assert 'node "cells"' in err


def test_a_broken_file_has_status_1(workflow_file, tmp_path, capsys):
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0 this is no image")
    assert main(["segment", str(broken), "--output", str(tmp_path / "x.tif"), "--workflow", str(workflow_file)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_batch_goes_on_after_a_failure_and_says_so(folder, workflow_file, tmp_path, capsys):
    out_folder = tmp_path / "out"
    words = ["run", str(workflow_file), str(folder), "--output", str(out_folder), "--quiet"]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert err == f"plantseg-app: error: {folder / 'b_bad.tif'}: cells: the map is too strict.\n"
    assert "2 of 3 files done" in out
    assert sorted(path.name for path in out_folder.iterdir()) == [
        "a_good.tif",
        "c_good.tif",
        "summary.csv",
        "summary.jsonl",
    ]
    rows = [json.loads(line) for line in (out_folder / "summary.jsonl").read_text().splitlines()]
    assert [(row["status"], row["n_cells"]) for row in rows] == [("done", 2), ("failed", None), ("done", 2)]
    assert "too strict" in (out_folder / "summary.csv").read_text()


def test_resume_skips_what_the_same_workflow_finished(folder, workflow_file, tmp_path, runs, capsys):
    words = ["run", str(workflow_file), str(folder), "--output", str(tmp_path / "out"), "--quiet", "--resume"]
    assert main(words) == 1
    runs.clear()
    assert main(words) == 1
    # The map of the failed file was kept; only its cells are tried again.
    assert runs == ["cells"]
    rows = [json.loads(line) for line in (tmp_path / "out" / "summary.jsonl").read_text().splitlines()]
    assert [(row["status"], row["n_cells"]) for row in rows] == [("skipped", 2), ("failed", None), ("skipped", 2)]
    runs.clear()
    assert main([*words, "--set", "cells.mode=one"]) == 1
    assert runs.count("cells") == 3
    runs.clear()
    later = (folder / "a_good.tif").stat().st_mtime + 100
    os.utime(folder / "a_good.tif", (later, later))
    assert main([*words, "--set", "cells.mode=one"]) == 1
    assert runs == ["map", "cells", "cells"]


def test_missing_files_in_a_batch_fail_alone(image, workflow_file, tmp_path, capsys):
    words = ["run", str(workflow_file), str(image), str(tmp_path / "none.tif"), "--output", str(tmp_path / "out")]
    assert main([*words, "--quiet"]) == 1
    assert (tmp_path / "out" / "stack.tif").exists()
    assert "There is no file" in capsys.readouterr().err


def test_two_inputs_of_one_name_are_refused_before_anything_runs(raw, image, workflow_file, tmp_path, runs, capsys):
    other = write_volume(tmp_path / "other" / "STACK.h5", raw)
    words = ["run", str(workflow_file), str(image), str(other), "--output", str(tmp_path / "out")]
    assert main(words) == 2
    assert "would both become" in capsys.readouterr().err
    assert runs == []


def test_a_result_never_replaces_an_input(image, folder, workflow_file, capsys):
    before = image.read_bytes()
    assert main(["run", str(workflow_file), str(folder), "--output", str(folder)]) == 2
    assert main(["segment", str(image), "--output", str(image), "--workflow", str(workflow_file)]) == 2
    assert "over an input" in capsys.readouterr().err
    assert image.read_bytes() == before


def test_further_sources_come_from_files_folders_and_channels(raw, image, workflow_file, tmp_path, capsys):
    nuclei = raw.replace(kind=Kind.NUCLEI)
    in_folder = write_volume(tmp_path / "nuclei" / "stack.tif", nuclei)
    in_h5 = write_volume(tmp_path / "all.h5", raw, dataset="raw")
    write_volume(in_h5, nuclei, dataset="second")
    for extra, main_input in (
        (f"nuclei={in_folder}", image),
        (f"nuclei={in_folder.parent}", image),
        (f"nuclei={in_h5}:second", image),
        ("nuclei=dataset:second", in_h5),
    ):
        output = tmp_path / "cells.tif"
        words = ["segment", str(main_input), "--output", str(output), "--workflow", str(workflow_file)]
        assert main([*words, "--source", extra, "--quiet"]) == 0, capsys.readouterr().err
        assert read_volume(output, kind=Kind.LABELS).data.min() == 11


def test_a_dry_run_writes_nothing(image, workflow_file, tmp_path, runs, capsys):
    output = tmp_path / "x.tif"
    words = ["segment", str(image), "--output", str(output), "--workflow", str(workflow_file), "--dry-run"]
    assert main([*words, "--json"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)["plan"]
    assert plan["nodes"] == ["map", "cells"]
    assert main(words) == 0
    assert "about" in capsys.readouterr().out
    assert runs == []
    assert not output.exists()


def test_a_single_step_takes_its_options_from_its_fields(image, tmp_path, raw, capsys):
    boundary = write_volume(tmp_path / "map.tif", raw.replace(data=raw.data.astype(np.float32), kind=Kind.BOUNDARY))
    output = tmp_path / "cells.tif"
    words = ["step", "test-cells", "--boundary", str(boundary), "--output", str(output)]
    assert main([*words, "--beta", "0.1", "--tile", "1,2,3", "--mode", "one", "--is-strict", "false"]) == 0
    record = read_workflow(output)
    assert record is not None
    for text in ("beta: 0.1", "mode: one", "- 2"):
        assert text in record
    assert main([*words, "--is_strict"]) == 1
    assert main([*words, "--tile", "none", "--set-axes", "x"]) == 0
    record = read_workflow(output)
    assert record is not None
    assert "axes: x" in record
    assert main(["step", "test-map", "--image", str(image), "--output", str(output), "--sigma_seeds", "1.5"]) == 0
    assert "sigma_seeds: 1.5" in (read_workflow(output) or "")
    capsys.readouterr()


def test_the_help_of_a_step_shows_ranges_units_and_defaults(capsys):
    assert main(["step", "test-map", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--sigma-seeds" in text
    assert "in % of nothing. (0 to 100, voxel, default 2.0)" in text
    assert "The image. (raw)" in text


def test_labels_stay_labels_in_steps_that_take_any_image(raw, tmp_path, image, capsys):
    labels = Volume(np.full((2, 3, 4), 70000, np.uint32), Kind.LABELS)
    for path, expected in ((write_volume(tmp_path / "labels.tif", labels), Kind.LABELS), (image, Kind.RAW)):
        output = tmp_path / "flipped.tif"
        words = ["step", "test-flip", "--image", str(path), "--output", str(output), "--json"]
        assert main(words) == 0
        assert json.loads(capsys.readouterr().out)["kind"] == expected.value


def test_steps_are_listed_with_all_their_settings(capsys):
    assert main(["steps", "--json"]) == 0
    steps = {step["id"]: step for step in json.loads(capsys.readouterr().out)}
    cells = steps["test-cells"]
    assert set(cells) == {"id", "title", "help", "version", "ports", "makes", "fields"}
    assert cells["ports"][1] == {"name": "nuclei", "kinds": ["nuclei"], "optional": True, "help": "The nuclei."}
    beta = cells["fields"][0]
    assert {key: beta[key] for key in ("name", "type", "default", "minimum", "maximum", "choices", "unit", "help")} == {
        "name": "beta",
        "type": "number",
        "default": 0.6,
        "minimum": 0.0,
        "maximum": 1.0,
        "choices": [],
        "unit": "",
        "help": "Bias.",
    }
    assert "advanced" in beta
    assert cells["fields"][1]["choices"] == ["blocks", "one"]
    assert main(["steps"]) == 0
    assert "test-cells" in capsys.readouterr().out


def test_evaluate_prints_a_table_or_the_promised_keys(tmp_path, capsys):
    labels = Volume(np.repeat(np.arange(1, 5, dtype=np.uint32), 6).reshape(2, 3, 4), Kind.LABELS)
    path = write_volume(tmp_path / "labels.tif", labels)
    h5 = write_volume(tmp_path / "both.h5", labels.replace(kind=Kind.RAW), dataset="raw")
    write_volume(h5, labels, dataset="label")
    assert main(["evaluate", str(path), str(h5), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert set(scores) == {
        *("adapted_rand_error", "voi_split", "voi_merge", "seg", "sbd", "dic", "ap", "mean_ap", "aji"),
        *("n_segmented", "n_reference"),
    }
    assert scores["adapted_rand_error"] == 0
    assert scores["ap"][0] == {"iou": 0.5, "ap": 1.0}
    assert main(["evaluate", f"{h5}:label", str(path)]) == 0
    out = capsys.readouterr().out
    assert "adapted Rand error" in out
    assert "4 segmented, 4 true" in out
    other = write_volume(tmp_path / "other.tif", Volume(np.ones((2, 3, 5), np.uint32), Kind.LABELS))
    assert main(["evaluate", str(path), str(other)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_evaluate_scores_overlapping_instances(tmp_path, capsys):
    planes = np.zeros((2, 1, 4, 4), np.uint32)
    planes[0, 0, :3], planes[1, 0, 2:] = 1, 2
    path = write_volume(tmp_path / "layers.tif", Volume(planes, Kind.LAYERED_LABELS))
    assert main(["evaluate", str(path), str(path), "--layered", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["sbd"], scores["n_reference"]) == (1.0, 2)


def test_evaluate_ranks_by_confidence(tmp_path, capsys):
    labels = np.zeros((1, 8, 12), np.uint32)
    labels[0, 1:4, 1:4], labels[0, 5:8, 1:4], labels[0, 1:4, 6:9] = 1, 2, 3
    truth = np.where(labels == 3, 0, labels).astype(np.uint32)
    names = [str(tmp_path / f"{name}.tif") for name in ("found", "truth", "good", "bad")]
    write_volume(names[0], Volume(labels, Kind.LABELS))
    write_volume(names[1], Volume(truth, Kind.LABELS))
    for path, sure in zip(names[2:], (0.1, 0.9), strict=True):
        confidence = np.where(labels == 3, sure, 0.5 * (labels > 0)).astype(np.float32)
        write_volume(path, Volume(confidence, Kind.FOREGROUND))
    scores = []
    for path in names[2:]:
        assert main(["evaluate", *names[:2], "--confidence", path, "--json"]) == 0
        scores.append(json.loads(capsys.readouterr().out)["coco"]["ap50"])
    assert scores[0] == pytest.approx(1.0)
    assert scores[1] < 0.8
    assert main(["evaluate", *names[:2], "--confidence", names[2]]) == 0
    assert "COCO ap75" in capsys.readouterr().out


def test_convert_keeps_numbers_kind_and_scale(tmp_path, image, raw, capsys):
    assert main(["convert", str(image), str(tmp_path / "raw.h5")]) == 0
    back = read_volume(tmp_path / "raw.h5")
    np.testing.assert_array_equal(back.data, raw.data)
    assert back.data.dtype == np.uint8
    assert back.voxel_size_um == pytest.approx((0.3, 0.1, 0.1))
    labels = write_volume(tmp_path / "labels.tif", Volume(np.full((2, 3, 4), 70000, np.uint32), Kind.LABELS))
    capsys.readouterr()
    assert main(["convert", str(labels), f"{tmp_path / 'raw.h5'}:cells", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "labels"
    assert read_volume(tmp_path / "raw.h5", kind=Kind.LABELS, dataset="cells").data.max() == 70000
    assert read_volume(tmp_path / "raw.h5", dataset="raw").data.dtype == np.uint8


@pytest.mark.parametrize(("stop", "status"), [("interrupt", 130), ("terminate", 143)])
def test_stopping_leaves_one_line_and_no_file(stop, status, image, workflow_file, tmp_path, hooks, capsys):
    def interrupt():
        os.kill(os.getpid(), signal.SIGINT if stop == "interrupt" else signal.SIGTERM)

    hooks["item"] = interrupt
    output = tmp_path / "x.tif"
    words = ["segment", str(image), "--output", str(output), "--workflow", str(workflow_file), "--quiet"]
    assert main(words) == status
    assert capsys.readouterr().err.startswith("plantseg-app: stopped")
    assert not output.exists()


def test_progress_is_drawn_on_a_terminal_and_not_into_a_pipe(image, workflow_file, tmp_path, monkeypatch, capsys):
    words = ["segment", str(image), "--output", str(tmp_path / "x.tif"), "--workflow", str(workflow_file)]
    assert main(words) == 0
    assert "Label" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(words) == 0
    assert "cells: Label" in capsys.readouterr().err
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_files_open_the_window(image, monkeypatch):
    opened = []

    def launch(files):
        opened.append(list(files))
        return 0

    monkeypatch.setattr("plantseg_app.gui.app.launch", launch)
    assert main([]) == 0
    assert main([str(image), str(image)]) == 0
    assert opened == [[], [Path(image), Path(image)]]


def test_pictures_and_scores_come_with_a_single_segmentation(image, folder, workflow_file, tmp_path, capsys):
    words = ["segment", str(image), "--output", str(tmp_path / "x.tif"), "--workflow", str(workflow_file)]
    assert main([*words, "--quiet"]) == 0
    pictures = ["--overlay", str(tmp_path / "o" / "o.png"), "--report", str(tmp_path / "o" / "r.html")]
    capsys.readouterr()
    assert main([*words, *pictures, "--reference", str(tmp_path / "x.tif"), "--json", "--quiet"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["scores"]["adapted_rand_error"] == 0
    assert (tmp_path / "o" / "o.png").read_bytes().startswith(b"\x89PNG")
    html = (tmp_path / "o" / "r.html").read_text(encoding="utf-8")
    assert "Boundary map" in html
    assert "Agreement with the reference" in html
    batch = ["segment", str(folder), "--output", str(tmp_path / "out"), "--workflow", str(workflow_file)]
    assert main([*batch, *pictures]) == 2


def test_a_batch_has_a_report_with_failures_first(folder, workflow_file, tmp_path, capsys):
    words = ["segment", str(folder), "--output", str(tmp_path / "out"), "--workflow", str(workflow_file)]
    assert main([*words, "--report", str(tmp_path / "new" / "batch.html"), "--quiet"]) == 1
    html = (tmp_path / "new" / "batch.html").read_text(encoding="utf-8")
    assert html.count("data:image/jpeg") == 2
    assert html.index("b_bad.tif") < html.index("a_good.tif") < html.index("c_good.tif")
    assert "2 of 3" in html
    assert "too strict" in html


def test_a_folder_that_may_not_be_written_to_is_found_before_the_work(image, workflow_file, tmp_path, runs, capsys):
    (tmp_path / "file").touch()
    words = ["segment", str(image), "--output", str(tmp_path / "file" / "x.tif"), "--workflow", str(workflow_file)]
    assert main(words) == 2
    assert "may not be written to" in capsys.readouterr().err
    assert runs == []


def test_notes_of_a_batch_name_the_file(folder, workflow_file, tmp_path, capsys):
    assert main(["run", str(workflow_file), str(folder), "--output", str(tmp_path / "out")]) == 1
    assert "plantseg-app: note: c_good.tif: a note\n" in capsys.readouterr().err


CARD = """
card: 1
id: example
title: An example
description: Shows the fields.
family: {kind: boundary, dimensions: 2D, feature_maps: [8, 16]}
dimensionality: 2D
voxel_size_um: [1, 0.2, 0.2]
inputs: [{name: membrane}]
outputs: [{name: boundary, kind: boundary}]
normalisation: {method: percentile}
weights: {file: weights.safetensors, sha256: "%s", size_bytes: 8}
licence: MIT
authors: [Somebody]
data: [{name: ovules, seen_as: train, licence: MIT}]
scores: [{data: ovules, metric: adapted_rand_error, value: 0.05}]
"""


def test_models_are_listed_and_shown(tmp_path, capsys):
    folder = tmp_path / "home" / "models" / "example"
    folder.mkdir(parents=True)
    (folder / "card.yaml").write_text(CARD % ("0" * 64))
    (folder.parent / "broken").mkdir()
    (folder.parent / "broken" / "card.yaml").write_text("card: 1")
    assert main(["models", "list"]) == 0
    out, err = capsys.readouterr()
    assert "example" in out
    assert "1 x 0.2 x 0.2 um" in out
    assert "broken" in err
    assert main(["models", "list", "--json", "--quiet"]) == 0
    models = {model["id"]: model for model in json.loads(capsys.readouterr().out)}
    assert models["example"]["folder"] == str(folder)
    assert main(["models", "show", "example", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == models["example"]
    assert main(["models", "show", "example"]) == 0
    assert "adapted_rand_error 0.05 on ovules" in capsys.readouterr().out
    assert main(["models", "show", "exampel"]) == 2
    assert 'Did you mean "example"?' in capsys.readouterr().err
    assert main(["models"]) == 2
