"""Adding and removing models: checked whole, nothing half, nothing of the program's own deleted."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from plantseg_app import paths
from plantseg_app.cli.main import main
from plantseg_app.errors import InputError, RequestError
from plantseg_app.zoo.catalogue import list_models
from plantseg_app.zoo.library import add_model, add_under_free_id, clear_after, remove_model
from plantseg_app.zoo.load import load_network


@pytest.fixture
def trained(home, install) -> Path:
    """A folder as a training leaves it, on a machine without models."""
    folder = home / "trained"
    install(folder, "mine")
    (folder / "run").mkdir()
    (folder / "run" / "last.pt").write_bytes(b"a checkpoint")
    (folder / "history.csv").write_text("step,loss", encoding="utf-8")
    return folder


def test_added_models_are_found_and_load_without_their_checkpoints(trained: Path) -> None:
    model = add_model(trained)
    assert [found.card.id for found in list_models()] == ["mine"]
    assert sorted(path.name for path in model.folder.iterdir()) == ["card.yaml", "history.csv", "weights.safetensors"]
    load_network(model)


def test_a_taken_id_is_refused_and_another_one_accepted(trained: Path) -> None:
    add_model(trained)
    with pytest.raises(RequestError, match="--id"):
        add_model(trained)
    assert add_model(trained, "other").card.id == "other"
    assert [found.card.id for found in list_models()] == ["mine", "other"]


def test_an_id_that_is_no_name_is_refused(trained: Path) -> None:
    for name in ("../escape", "a/b", ""):
        with pytest.raises(InputError):
            add_model(trained, name)
    assert list_models() == []


def _claim_a_long_header(content: bytes) -> bytes:
    return (2**62).to_bytes(8, "little") + content[8:]


def _claim_many_numbers(_content: bytes) -> bytes:
    header = b'{"w": {"dtype": "F32", "shape": [1000000, 1000000], "data_offsets": [0, 4000000000000]}}'
    return len(header).to_bytes(8, "little") + header


def _cut_short(content: bytes) -> bytes:
    return content[:-9]


@pytest.mark.parametrize("spoil", [_claim_a_long_header, _claim_many_numbers, _cut_short])
def test_weights_that_no_network_can_use_are_refused_though_the_card_describes_them(
    trained: Path, spoil: Callable[[bytes], bytes]
) -> None:
    content = spoil((trained / "weights.safetensors").read_bytes())
    (trained / "weights.safetensors").write_bytes(content)
    describe(trained, weights={"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)})
    with pytest.raises(InputError, match="damaged"):
        add_model(trained)
    assert list(paths.user_models_dir().iterdir()) == []


def test_a_card_cannot_ask_for_a_network_larger_than_its_weights(trained: Path) -> None:
    # Of these settings alone a network would be made of some hundred gigabytes.
    describe(trained, family={"feature_maps": [4096] * 8})
    with pytest.raises(InputError, match="does not fit"):
        add_model(trained)


def describe(folder: Path, **changes: dict[str, object]) -> None:
    """Let the card of a model say something else."""
    card = yaml.safe_load((folder / "card.yaml").read_text(encoding="utf-8"))
    for part, entries in changes.items():
        card[part] |= entries
    (folder / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")


def test_damaged_weights_leave_nothing_behind(trained: Path) -> None:
    weights = trained / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="checksum"):
        add_model(trained)
    assert list_models() == []
    assert list(paths.user_models_dir().parent.glob("user/*")) == []


def test_a_folder_without_a_card_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"card\.yaml"):
        add_model(tmp_path)


def test_removing_deletes_the_users_models_alone(trained: Path) -> None:
    folder = add_model(trained).folder
    assert remove_model("mine") == folder
    assert not folder.exists()
    assert list(paths.user_models_dir().iterdir()) == []
    with pytest.raises(RequestError):
        remove_model("mine")
    bundled = paths.bundled_models_dir() / "mine"
    bundled.parent.mkdir()
    trained.rename(bundled)
    with pytest.raises(RequestError, match="not among your own"):
        remove_model("mine")
    with pytest.raises(RequestError):
        remove_model(str(bundled))
    assert (bundled / "card.yaml").is_file()


def test_a_damaged_model_can_be_removed(trained: Path) -> None:
    folder = add_model(trained).folder
    (folder / "card.yaml").write_text("nonsense", encoding="utf-8")
    remove_model("mine")
    assert not folder.exists()


def test_the_command_line_adds_and_removes(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "add", str(trained), "--id", "other", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "other"
    assert main(["models", "remove", "other"]) == 0
    assert main(["models", "remove", "other"]) == 2
    assert "other" in capsys.readouterr().err


def test_a_killed_addition_leaves_nothing_that_stays(trained: Path) -> None:
    home = paths.user_models_dir()
    for process_id in (11, 112):
        (home / f".adding-{process_id}-x" / "model").mkdir(parents=True)
    clear_after(11)
    assert [path.name for path in home.iterdir()] == [".adding-112-x"]
    assert list_models() == []
    # Nobody told that this one was killed; it goes once it is old.
    os.utime(home / ".adding-112-x", (0, 0))
    add_model(trained)
    assert [path.name for path in home.iterdir()] == ["mine"]


def test_a_free_id_is_found_and_the_same_weights_are_one_model(trained: Path, install: Callable[..., object]) -> None:
    add_model(trained)
    assert add_under_free_id(trained).card.id == "mine"
    install(trained.with_name("other"), "mine", seed=1)
    assert add_under_free_id(trained.with_name("other")).card.id == "mine-2"
    assert [model.card.id for model in list_models()] == ["mine", "mine-2"]
    with pytest.raises(RequestError, match="There is no"):
        add_under_free_id(trained.with_name("missing"))
