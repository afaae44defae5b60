"""``plantseg-app models``: finding, showing and checking models, on a machine without a network."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plantseg_app import paths
from plantseg_app.cli.main import main
from plantseg_app.zoo.catalogue import list_models
from plantseg_app.zoo.offers import read_offers

SAMPLE = paths.samples_dir() / "sample_ovule.h5"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["models", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_search_finds_what_is_here_and_what_is_to_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "search", "ovule", "--dimension", "3d", "--structure", "boundaries")
    by_id = {entry["id"]: entry for entry in found}
    assert by_id["membranes-3d"]["installed"]
    assert by_id["membranes-3d"]["collection"] is None
    assert not by_id["confocal_3d_unet_ovules_ds1x"]["installed"]
    assert by_id["confocal_3d_unet_ovules_ds1x"]["collection"] == "PlantSeg"
    assert {entry["dimensionality"] for entry in found} == {"3D"}
    assert "nuclei-3d" not in by_id


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--structure", "nuclei", "--modality", "light-sheet", "--dimension", "2D"),
         {"lightsheet_2d_unet_root_nuclei_ds1x"}),
        (("generic_light_sheet_3D_unet",), {"lightsheet_3d_unet_root_ds1x"}),
        (("mouse", "live"), {"lightsheet_3d_unet_mouse_embryo_cells"}),
        (("no", "such", "thing"), set()),
    ],
)  # fmt: skip
def test_search_by_what_a_model_is_for(
    words: tuple[str, ...], expected: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert {entry["id"] for entry in asked(capsys, "search", *words)} == expected


def test_every_filter_leaves_only_what_fits(capsys: pytest.CaptureFixture[str]) -> None:
    everything = asked(capsys, "search")
    assert len(everything) == len(list_models()) + len(read_offers().offers)
    assert [entry["id"] for entry in everything] == sorted(entry["id"] for entry in everything)
    flat = asked(capsys, "search", "--dimension", "2D")
    deep = asked(capsys, "search", "--dimension", "3D")
    assert len(flat) + len(deep) == len(everything)
    worms = {entry["id"] for entry in asked(capsys, "search", "--structure", "worms")}
    assert {"worms-harmonic", "worms-layering"} <= worms
    assert not any("unet" in name or "membranes" in name for name in worms)


def test_the_nearest_scale_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    for size, best in (("0.235,0.075,0.075", "ds1x"), ("0.23,0.15,0.15", "ds2x"), ("0.25,0.22,0.22", "ds3x")):
        found = asked(capsys, "search", "ovules", "confocal", "--dimension", "3D", "--voxel-size", size)
        found = [entry for entry in found if entry["collection"] == "PlantSeg" and entry["segments"] != "nuclei"]
        assert found[0]["id"] == f"confocal_3d_unet_ovules_{best}"
        assert "was trained at" in found[0]["advice"]


def test_an_image_says_its_scale_itself(capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "search", "--structure", "membrane", "--image", str(SAMPLE))
    assert found[0]["id"] == "confocal_3d_unet_ovules_ds2x"
    flat = [entry["dimensionality"] for entry in found].index("2D")
    assert {entry["dimensionality"] for entry in found[:flat]} == {"3D"}
    assert main(["models", "search", "--structure", "membrane", "--image", str(SAMPLE)]) == 0
    first, advice, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("confocal_3d_unet_ovules_ds2x")
    assert "The image has the voxel size that confocal_3d_unet_ovules_ds2x was trained at." in advice
    assert main(["models", "search", "--image", "missing.tif"]) == 2


def test_show_tells_of_models_that_are_not_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "PlantSeg_3Dnuc_platinum"]) == 0
    text = capsys.readouterr().out
    assert "https://doi.org/10.5281/zenodo.10070349" in text
    assert "plantseg-app models download plantseg_3dnuc_platinum" in text
    shipped = asked(capsys, "show", "membranes-3d")
    assert shipped["segments"] == "cell boundaries"
    assert main(["models", "show", "membranes-3d"]) == 0
    words = capsys.readouterr().out
    for fact in (shipped["weights"]["sha256"], "voxels of the model's scale across", "percentiles", "feature maps"):
        assert fact in words
    assert main(["models", "show", "membrane-3d"]) == 2
    assert 'Did you mean "membranes-3d"' in capsys.readouterr().err


def test_verify_names_what_is_damaged(capsys: pytest.CaptureFixture[str]) -> None:
    assert {entry["whole"] for entry in asked(capsys, "verify")} == {True}
    own = paths.user_models_dir() / "mine"
    shutil.copytree(paths.bundled_models_dir() / "nuclei-2d", own)
    card = (own / "card.yaml").read_text(encoding="utf-8").replace("id: nuclei-2d", "id: mine")
    (own / "card.yaml").write_text(card, encoding="utf-8")
    assert asked(capsys, "verify", "mine") == [{"id": "mine", "whole": True, "problem": None}]
    with (own / "weights.safetensors").open("ab") as weights:
        weights.write(b"x")
    broken = paths.user_models_dir() / "broken"
    broken.mkdir()
    (broken / "card.yaml").write_text("card: 1", encoding="utf-8")
    assert main(["models", "verify"]) == 1
    printed = capsys.readouterr()
    assert {"mine: damaged", "broken: damaged", "nuclei-2d: whole"} <= set(printed.out.splitlines())
    assert len(printed.err.splitlines()) == 2
    assert main(["models", "verify", "nuclei-2d", "--run"]) == 0
    assert "its network loads" in capsys.readouterr().out
    assert main(["models", "verify", "nothing"]) == 2


def test_a_wrong_list_of_ones_own_is_told_and_hides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    paths.home_dir().mkdir(parents=True)
    (paths.home_dir() / "catalogue.yaml").write_text("catalogue: 7", encoding="utf-8")
    assert main(["models", "search", "nuclei"]) == 0
    printed = capsys.readouterr()
    assert "catalogue: 1" in printed.err
    assert "plantseg_3dnuc_platinum" in printed.out


def test_without_a_network_downloading_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    def lookup(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert main(["models", "download", "plantseg_3dnuc_platinum"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "There is no connection to zenodo.org. This computer seems to be offline" in line
    assert not list(paths.user_models_dir().glob("*"))
    assert main(["models", "download", "no-such-model"]) == 2


@pytest.mark.parametrize("command", [["list"], ["search", "x"], ["show", "nuclei-2d"]])
def test_nothing_heavy_is_loaded_to_look_at_models(command: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from plantseg_app.cli.main import main; main(sys.argv[1:]);"
        "sys.exit(bool({'torch', 'requests', 'filelock'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code, "models", *command], check=False, capture_output=True)
    assert ran.returncode == 0
