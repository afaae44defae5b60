"""Finding and loading models: suggestions, damaged cards, and weights that are not the card's."""

from __future__ import annotations

import pytest
import torch

from plantseg_app.errors import InputError, RequestError
from plantseg_app.zoo.catalogue import find_model, list_models, read_catalogue
from plantseg_app.zoo.load import load_network


def test_nothing_installed_is_no_error(home):
    assert list_models() == []
    with pytest.raises(RequestError, match="None is available"):
        find_model("tiny")


def test_models_of_both_folders_are_found_by_id(home, install):
    install(home / "bundled" / "b", "shipped")
    install(home / "user" / "a", "mine")
    assert [model.card.id for model in list_models()] == ["mine", "shipped"]
    assert find_model("shipped").folder == home / "bundled" / "b"


def test_a_model_is_found_by_its_folder(home, install):
    install(home / "elsewhere" / "model")
    assert find_model(home / "elsewhere" / "model").card.id == "tiny"
    assert find_model(str(home / "elsewhere" / "model")).card.id == "tiny"


def test_an_unknown_model_is_refused_with_a_suggestion(home, install):
    install(home / "user" / "membranes-3d", "membranes-3d")
    with pytest.raises(RequestError, match='Did you mean "membranes-3d"'):
        find_model("membrane-3d")
    with pytest.raises(RequestError, match=r"holds no card\.yaml"):
        find_model(home)


def test_a_damaged_card_is_reported_and_hides_no_other(home, install):
    install(home / "user" / "good", "good")
    (home / "user" / "bad").mkdir()
    (home / "user" / "bad" / "card.yaml").write_text("card: 1\nid: bad\n", encoding="utf-8")
    (home / "user" / "notes").mkdir()
    catalogue = read_catalogue()
    assert [model.card.id for model in catalogue.models] == ["good"]
    assert [broken.folder.name for broken in catalogue.broken] == ["bad"]
    assert "title" in catalogue.broken[0].reason
    with pytest.raises(InputError, match="cannot be used"):
        find_model("bad")


def test_an_id_given_twice_stays_with_the_shipped_model(home, install):
    install(home / "bundled" / "tiny")
    install(home / "user" / "copy")
    assert find_model("tiny").folder == home / "bundled" / "tiny"
    assert "taken" in read_catalogue().broken[0].reason


def test_a_changed_card_is_read_again(home, install):
    install(home / "user" / "tiny")
    assert find_model("tiny").card.title == "Tiny"
    path = home / "user" / "tiny" / "card.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("Tiny", "Changed"), encoding="utf-8")
    assert find_model("tiny").card.title == "Changed"


def test_the_loaded_network_has_the_stored_weights_and_is_kept(home, install):
    network = install(home / "user" / "tiny", seed=5)
    loaded = load_network(find_model("tiny"))
    assert not loaded.training
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert load_network(find_model("tiny")) is loaded


def test_replaced_weights_are_refused(home, install):
    install(home / "user" / "tiny")
    load_network(find_model("tiny"))
    path = home / "user" / "tiny" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="checksum"):
        load_network(find_model("tiny"))


def test_incomplete_and_missing_weights_are_refused(home, install):
    install(home / "user" / "tiny")
    path = home / "user" / "tiny" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="not complete"):
        load_network(find_model("tiny"))
    path.unlink()
    with pytest.raises(InputError, match="missing"):
        load_network(find_model("tiny"))


def test_weights_of_another_architecture_are_refused(home, install):
    install(home / "user" / "tiny")
    path = home / "user" / "tiny" / "card.yaml"
    text = path.read_text(encoding="utf-8").replace("  - 4\n", "  - 6\n")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="does not fit"):
        load_network(find_model("tiny"))


def test_a_model_that_can_be_downloaded_is_named_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("PLANTSEG_APP_HOME", str(tmp_path))
    with pytest.raises(RequestError, match=r"plantseg-app models download confocal_3d_unet_ovules_ds2x$"):
        find_model("generic_confocal_3D_unet")
