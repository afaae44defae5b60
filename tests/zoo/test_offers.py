"""The lists of models to download: complete, readable, found by name, and forgiving of one wrong entry."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from plantseg_app import paths
from plantseg_app.core.volume import VoxelSize
from plantseg_app.errors import RequestError
from plantseg_app.zoo.offers import LIST_FILE, Offer, find_offer, read_offers

# The names under which PlantSeg's users know its models, with record, file, voxel size and patch.
PLANTSEG = [
    "generic_confocal_3D_unet 7805434 unet3d-arabidopsis-ovules-confocal-ds2x 0.235 0.15 0.15 80 160 160",
    "generic_light_sheet_3D_unet 7765026 unet3d-lateral-root-lightsheet-ds1x 0.25 0.1625 0.1625 80 160 160",
    "confocal_3D_unet_ovules_ds1x 7772553 unet3d-arabidopsis-ovules-confocal-ds1x 0.235 0.075 0.075 80 160 160",
    "confocal_3D_unet_ovules_ds2x 7805434 unet3d-arabidopsis-ovules-confocal-ds2x 0.235 0.15 0.15 80 160 160",
    "confocal_3D_unet_ovules_ds3x 7772532 unet3d-arabidopsis-ovules-confocal-ds3x 0.235 0.225 0.225 80 160 160",
    "confocal_2D_unet_ovules_ds2x 7772709 confocal_2D_unet_ovules_ds2x 1.0 0.15 0.15 1 256 256",
    "lightsheet_3D_unet_root_ds1x 7765026 unet3d-lateral-root-lightsheet-ds1x 0.25 0.1625 0.1625 80 160 160",
    "lightsheet_3D_unet_root_ds2x 7774122 unet3d-lateral-root-lightsheet-ds2x 0.25 0.325 0.325 80 160 160",
    "lightsheet_3D_unet_root_ds3x 7774145 unet3d-lateral-root-lightsheet-ds3x 0.25 0.4875 0.4875 80 160 160",
    "lightsheet_2D_unet_root_ds1x 7774537 unet2d-lateral-root-lightsheet 0.25 0.1625 0.1625 1 256 256",
    "lightsheet_3D_unet_root_nuclei_ds1x 7774421 unet3d-lateral-root-nuclei-lightsheet 0.25 0.1625 0.1625 80 160 160",
    "lightsheet_2D_unet_root_nuclei_ds1x 7774563 unet2d-lateral-root-nuclei-lightsheet 0.25 0.1625 0.1625 1 256 256",
    "confocal_2D_unet_sa_meristem_cells 7781054 confocal_2d_unet_apical_stem 1.0 0.25 0.25 1 256 256",
    "confocal_3D_unet_sa_meristem_cells 7768142 confocal_pnas_3d 0.25 0.25 0.25 80 160 160",
    "lightsheet_3D_unet_mouse_embryo_cells 7774490 unet-bce-dice-cell-boundary-311021 1.0 0.2 0.2 80 160 160",
    "confocal_3D_unet_mouse_embryo_nuclei 7774505 unet-bce-dice-ab-nuclei-boundary-090121 1.0 0.2 0.2 40 220 220",
    "PlantSeg_3Dnuc_platinum 10070349 FOR2581_PlantSeg_Plant_Nuclei_3D 0.2837 0.1268 0.1268 128 256 256",
]


@pytest.mark.parametrize("row", PLANTSEG)
def test_every_model_of_plantseg_is_found_by_the_name_that_people_know(row: str) -> None:
    name, record, file, *numbers = row.split()
    voxel_size, tile = tuple(map(float, numbers[:3])), tuple(map(int, numbers[3:]))
    offer = find_offer(name)
    assert name in offer.also_called
    assert (offer.voxel_size_um, offer.tile_vox) == (VoxelSize(*voxel_size), tile)
    assert offer.dimensionality == ("2D" if tile[0] == 1 else "3D") == ("2D" if "_2D_" in name else "3D")
    assert [file.file for file in offer.files] == ["best_checkpoint.pytorch", "config_train.yml"]
    weights, config = offer.files
    assert weights.urls[0] == f"https://zenodo.org/records/{record}/files/{file}.pytorch?download=1"
    assert config.urls[0] == f"https://zenodo.org/records/{record}/files/config_train.yml?download=1"
    assert all(url.startswith(f"https://zenodo.org/api/records/{record}/") for f in offer.files for url in f.urls[1:])
    assert ("nuclei" in name.lower() or "nuc" in name) == (offer.segments == "nuclei")
    assert ("lightsheet" in name or "light_sheet" in name) == (offer.modality == "light-sheet")
    assert offer.doi


def test_the_list_of_the_program_is_whole_and_shares_no_id_with_what_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
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
