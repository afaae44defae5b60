"""The lists of models to download: complete, readable, found by name, and forgiving of one wrong entry."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from plantseg_app import paths
from plantseg_app.core.volume import VoxelSize
from plantseg_app.errors import RequestError
from plantseg_app.zoo.offers import LIST_FILE, Offer, find_offer, read_offers

# The names under which PlantSeg's users know its models, with record, dimension and voxel size.
PLANTSEG = {
    "generic_confocal_3D_unet": (7805434, "3D", (0.235, 0.15, 0.15)),
    "generic_light_sheet_3D_unet": (7765026, "3D", (0.25, 0.1625, 0.1625)),
    "confocal_3D_unet_ovules_ds1x": (7772553, "3D", (0.235, 0.075, 0.075)),
    "confocal_3D_unet_ovules_ds2x": (7805434, "3D", (0.235, 0.15, 0.15)),
    "confocal_3D_unet_ovules_ds3x": (7772532, "3D", (0.235, 0.225, 0.225)),
    "confocal_2D_unet_ovules_ds2x": (7772709, "2D", (1.0, 0.15, 0.15)),
    "lightsheet_3D_unet_root_ds1x": (7765026, "3D", (0.25, 0.1625, 0.1625)),
    "lightsheet_3D_unet_root_ds2x": (7774122, "3D", (0.25, 0.325, 0.325)),
    "lightsheet_3D_unet_root_ds3x": (7774145, "3D", (0.25, 0.4875, 0.4875)),
    "lightsheet_2D_unet_root_ds1x": (7774537, "2D", (0.25, 0.1625, 0.1625)),
    "lightsheet_3D_unet_root_nuclei_ds1x": (7774421, "3D", (0.25, 0.1625, 0.1625)),
    "lightsheet_2D_unet_root_nuclei_ds1x": (7774563, "2D", (0.25, 0.1625, 0.1625)),
    "confocal_2D_unet_sa_meristem_cells": (7781054, "2D", (1.0, 0.25, 0.25)),
    "confocal_3D_unet_sa_meristem_cells": (7768142, "3D", (0.25, 0.25, 0.25)),
    "lightsheet_3D_unet_mouse_embryo_cells": (7774490, "3D", (1.0, 0.2, 0.2)),
    "confocal_3D_unet_mouse_embryo_nuclei": (7774505, "3D", (1.0, 0.2, 0.2)),
    "PlantSeg_3Dnuc_platinum": (10070349, "3D", (0.2837, 0.1268, 0.1268)),
}


@pytest.mark.parametrize("name", PLANTSEG)
def test_every_model_of_plantseg_is_found_by_the_name_that_people_know(name: str) -> None:
    offer = find_offer(name)
    record, dimensionality, voxel_size = PLANTSEG[name]
    assert name in offer.also_called
    assert (offer.dimensionality, offer.voxel_size_um) == (dimensionality, VoxelSize(*voxel_size))
    assert [file.file for file in offer.files] == ["best_checkpoint.pytorch", "config_train.yml"]
    assert all(f"records/{record}/files/" in url for file in offer.files for url in file.urls)
    assert all(url.startswith("https://zenodo.org/") for file in offer.files for url in file.urls)
    assert ("nuclei" in name.lower() or "nuc" in name) == (offer.segments == "nuclei")
    assert ("lightsheet" in name or "light_sheet" in name) == (offer.modality == "light-sheet")
    assert offer.tile_vox
    assert offer.doi
    assert (offer.tile_vox[0] == 1) == (dimensionality == "2D")


def test_the_list_of_the_program_is_whole_and_shares_no_id_with_what_ships() -> None:
    offers = read_offers()
    assert offers.problems == ()
    assert len(offers.offers) == 15
    shipped = {path.name for path in paths.bundled_models_dir().iterdir() if path.is_dir()}
    names = [name for offer in offers.offers for name in offer.names]
    assert len({name.casefold() for name in names}) == len(offers.offers) + 2
    assert not shipped & set(names)


def test_capitals_and_dashes_do_not_matter_and_a_near_name_is_suggested() -> None:
    assert find_offer("PLANTSEG-3dnuc-platinum").id == "plantseg_3dnuc_platinum"
    with pytest.raises(RequestError, match='Did you mean "plantseg_3dnuc_platinum"'):
        find_offer("plantseg_3dnuc_platin")


def test_a_list_of_ones_own_is_read_besides(own_list: Path, offer_entry: dict[str, object]) -> None:
    wrong = {**offer_entry, "id": "second", "files": []}
    stolen = {**offer_entry, "id": "plantseg_3dnuc_platinum"}
    own_list.write_text(yaml.safe_dump({"catalogue": 1, "models": [offer_entry, wrong, stolen]}), encoding="utf-8")
    offers = read_offers()
    assert find_offer("ours").title == "Ours"
    assert len(offers.offers) == 16
    assert "model 2" in offers.problems[0]
    assert "files" in offers.problems[0]
    assert "the id plantseg_3dnuc_platinum is taken" in offers.problems[1]


@pytest.mark.parametrize("text", ["a: [", "[1]", "catalogue: 2", "catalogue: 1", "catalogue: 1\nmodels: [x]", "\x00"])
def test_rubbish_is_told_and_hides_nothing(own_list: Path, text: str) -> None:
    own_list.write_text(text, encoding="utf-8")
    offers = read_offers()
    assert len(offers.problems) == 1
    assert str(own_list) in offers.problems[0]
    assert len(offers.offers) == 15


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"urls": ["file:///etc/passwd"]}, "no address"),
        ({"urls": ["ftp://a.org/x"]}, "no address"),
        ({"urls": []}, "urls"),
        ({"file": "../x"}, "without folders"),
        ({"sha256": "abc"}, "sha256"),
    ],
)
def test_addresses_and_names_are_checked(offer_entry: dict[str, object], changes: dict[str, object], said: str) -> None:
    file = {"file": "w", "urls": ["https://a.org/w"], **changes}
    with pytest.raises(ValueError, match=said):
        Offer(**{**offer_entry, "files": [file]})


def test_two_files_cannot_have_one_name(offer_entry: dict[str, object]) -> None:
    file = {"file": "w", "urls": ["https://a.org/w"]}
    with pytest.raises(ValueError, match="the same name"):
        Offer(**{**offer_entry, "files": [file, {**file, "file": "W"}]})


@pytest.fixture
def own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
    return tmp_path / LIST_FILE


@pytest.fixture
def offer_entry() -> dict[str, object]:
    return {
        "id": "ours",
        "title": "Ours",
        "description": "For tests.",
        "dimensionality": "3D",
        "inputs": [{"name": "membrane"}],
        "outputs": [{"name": "boundary", "kind": "boundary"}],
        "licence": "MIT",
        "authors": ["Nobody"],
        "collection": "our lab",
        "files": [{"file": "w", "urls": ["http://lab.example/w"]}],
    }
