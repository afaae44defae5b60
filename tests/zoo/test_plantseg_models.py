"""Models of PlantSeg: taken as they are, equal to what pytorch-3dunet makes of them, and nothing in them runs."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from plantseg_app import paths
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError, RequestError
from plantseg_app.steps.predict.predict import Predict
from plantseg_app.zoo.card import ModelCard
from plantseg_app.zoo.library import add_model
from plantseg_app.zoo.offers import Offer
from plantseg_app.zoo.plantseg import convert_plantseg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    reference = pytest.importorskip("pytorch3dunet.unet3d.model")
    transforms = pytest.importorskip("pytorch3dunet.augment.transforms")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def a_model(folder: Path, normaliser=None, **model):
    """Write a folder as PlantSeg leaves it, and return the network of pytorch-3dunet whose weights it holds."""
    folder.mkdir(parents=True)
    model = {
        "name": "UNet3D",
        "in_channels": 1,
        "out_channels": 1,
        "f_maps": 8,
        "num_levels": 3,
        "num_groups": 4,
    } | model
    network = getattr(reference, model["name"])(**{k: v for k, v in model.items() if k != "name"})
    # PyTorch's first weights give nearly the same everywhere, which would hide mistakes.
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network.eval()
    state = {"num_iterations": 3, "model_state_dict": network.state_dict(), "best_eval_score": 0.5}
    for name in ("best_checkpoint.pytorch", "last_checkpoint.pytorch"):
        torch.save(state, folder / name)
    raw = [normaliser or {"name": "Standardize"}, {"name": "RandomFlip"}, {"name": "ToTensor", "expand_dims": True}]
    train = {"slice_builder": {"patch_shape": [16, 32, 32]}, "transformer": {"raw": raw}}
    config = {"model": model, "trainer": {"checkpoint_dir": "/home/me"}, "loaders": {"train": train}}
    (folder / "config_train.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return network


def an_image(n_channels: int = 1, shape=(8, 16, 24)) -> np.ndarray:
    grey = np.random.default_rng(1).integers(0, 4000, (n_channels, *shape)).astype(np.uint16)
    return grey * np.arange(1, n_channels + 1, dtype=np.uint16)[:, None, None, None]


def predicted(model_id: str, image: np.ndarray, output: str = "") -> np.ndarray:
    data = image[0] if len(image) == 1 else image
    step = Predict(model=model_id, output=output, precision="float32")
    return np.asarray(step.run({"image": Volume(data, Kind.RAW)}, QuietContext("cpu")).data)


@torch.inference_mode()
def expected(network, image: np.ndarray, normaliser=None) -> np.ndarray:
    """What pytorch-3dunet says: (C, Z, Y, X)."""
    normaliser = dict(normaliser or {"name": "Standardize"})
    prepared = getattr(transforms, normaliser.pop("name"))(**normaliser)(image.astype(np.float64)).astype(np.float32)
    if type(network).__name__.endswith("2D"):
        slices = [network(torch.from_numpy(prepared[:, z])[None]) for z in range(prepared.shape[1])]
        return torch.stack(slices, 2)[0].numpy()
    return network(torch.from_numpy(prepared)[None])[0].numpy()


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"name": "UNet2D", "layer_order": "bcr"},
        {"name": "ResidualUNet3D", "layer_order": "cbr"},
        {"layer_order": "bcr", "f_maps": [8, 16, 24], "upsample": "trilinear"},
        {"layer_order": "cge"},
    ],
    ids=str,
)
def test_a_model_predicts_what_pytorch3dunet_predicts(home: Path, model: dict) -> None:
    network = a_model(home / "mine", **model)
    card = add_model(home / "mine").card
    image = an_image()
    got = predicted(card.id, image)
    np.testing.assert_allclose(got, expected(network, image)[0], atol=1e-5)
    assert got.std() > 1e-3
    assert card.weights.file.endswith(".safetensors")
    assert card.tile_vox == (16, 32, 32)
    assert card.licence == "not stated"
    assert sorted(p.name for p in (paths.user_models_dir() / card.id).iterdir()) == ["card.yaml", "weights.safetensors"]


@pytest.mark.parametrize("channelwise", [False, True])
@pytest.mark.parametrize(
    "normaliser",
    [
        {"name": "Standardize"},
        {"name": "Standardize", "mean": 1000.0, "std": 700.0},
        {"name": "PercentileNormalizer", "pmin": 2, "pmax": 99},
        {"name": "Normalize"},
        {"name": "Normalize", "min_value": 50.0, "max_value": 3000.0, "norm01": True},
    ],
    ids=str,
)
def test_grey_values_are_prepared_as_in_training(home: Path, normaliser: dict, channelwise: bool) -> None:
    if channelwise and normaliser["name"] != "Normalize":
        normaliser = {**normaliser, "channelwise": True}
    network = a_model(home / "mine", normaliser, name="UNet2D", in_channels=2)
    card = add_model(home / "mine").card
    image = an_image(2)
    np.testing.assert_allclose(predicted(card.id, image), expected(network, image, normaliser)[0], atol=1e-5)


@pytest.mark.parametrize("sigmoid", [True, False])
def test_two_channels_are_nuclei_and_outlines_or_background_and_foreground(home: Path, sigmoid: bool) -> None:
    network = a_model(home / "mine", name="UNet2D", out_channels=2, final_sigmoid=sigmoid)
    card = add_model(home / "mine").card
    image = an_image()
    theirs = expected(network, image)
    names = ["nuclei", "boundary"] if sigmoid else ["foreground", "background"]
    assert [output.name for output in card.outputs] == names
    order = (0, 1) if sigmoid else (1, 0)
    for name, channel in zip(names, order, strict=True):
        np.testing.assert_allclose(predicted(card.id, image, name), theirs[channel], atol=1e-5)


def test_what_an_offer_says_is_on_the_card_and_names_the_channels(home: Path) -> None:
    a_model(home / "downloaded", name="UNet3D", out_channels=2)
    offer = Offer(
        id="ovule-nuclei", title="Ovule nuclei", description="Finds nuclei.", segments="nuclei", dimensionality="3D",
        inputs=[{"name": "nuclei", "description": "A nuclear stain."}],
        outputs=[
            {"name": "boundary", "kind": "boundary", "description": "Outlines."},
            {"name": "nuclei", "kind": "foreground"},
        ],
        voxel_size_um=(0.35, 0.1, 0.1), licence="MIT", authors=["Adrian"], collection="PlantSeg", tile_vox=(8, 16, 16),
        files=[{"file": "best_checkpoint.pytorch", "urls": ["https://example.org/a.pytorch"]}],
    )  # fmt: skip
    target = home / "target"
    target.mkdir()
    convert_plantseg(home / "downloaded", target, offer)
    card = ModelCard.read(target)
    assert (card.id, card.licence, card.authors, card.voxel_size_um) == (
        "ovule-nuclei",
        "MIT",
        ("Adrian",),
        (0.35, 0.1, 0.1),
    )
    assert card.tile_vox == (8, 16, 16)
    assert [(output.name, output.description) for output in card.outputs] == [("boundary", "Outlines."), ("nuclei", "")]
    assert card.family["predicts"] == ["boundary", "nuclei"]


def test_what_plantseg_noted_about_a_persons_own_model_is_kept(home: Path) -> None:
    a_model(home / ".panseg_models" / "my nuclei")
    noted = {"my nuclei": {"resolution": [0.5, 0.2, 0.2], "description": "Mine.", "modality": "confocal",
                           "output_type": "nuclei", "path": "/somewhere"}}  # fmt: skip
    (home / ".panseg_models" / "custom_zoo.yaml").write_text(yaml.safe_dump(noted), encoding="utf-8")
    card = add_model(home / ".panseg_models" / "my nuclei").card
    assert (card.id, card.title, card.description, card.modality) == ("my-nuclei", "my nuclei", "Mine.", "confocal")
    assert card.voxel_size_um == (0.5, 0.2, 0.2)
    assert [output.name for output in card.outputs] == ["nuclei"]


def test_a_single_checkpoint_with_its_training_file_beside_it_is_enough(home: Path) -> None:
    a_model(home / "mine")
    (home / "mine" / "last_checkpoint.pytorch").rename(home / "mine" / "unet3d-ovules.pytorch")
    assert add_model(home / "mine" / "unet3d-ovules.pytorch").card.id == "mine"


class _Attack:
    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


def _pickled_code(folder: Path, hostage: Path) -> None:
    (folder / "best_checkpoint.pytorch").write_bytes(pickle.dumps({"model_state_dict": {"a": _Attack(hostage)}}))


def _saved_code(folder: Path, hostage: Path) -> None:
    torch.save({"model_state_dict": {"a": _Attack(hostage)}}, folder / "best_checkpoint.pytorch")


def _code_in_the_config(folder: Path, hostage: Path) -> None:
    (folder / "config_train.yml").write_text(f"model: !!python/object/apply:os.mkdir ['{hostage}']", encoding="utf-8")


def _cut_short(folder: Path, hostage: Path) -> None:
    path = folder / "best_checkpoint.pytorch"
    path.write_bytes(path.read_bytes()[:-200])


def _hollow(folder: Path, hostage: Path) -> None:
    """One number that claims to be a network of many gigabytes."""
    state = torch.load(folder / "best_checkpoint.pytorch", weights_only=True)
    state["model_state_dict"]["final_conv.weight"] = torch.zeros(1).expand(10**6, 10**6, 1, 1, 1)
    torch.save(state, folder / "best_checkpoint.pytorch")


def _too_large_a_network(folder: Path, hostage: Path) -> None:
    config = yaml.safe_load((folder / "config_train.yml").read_text(encoding="utf-8"))
    config["model"]["f_maps"] = [4096] * 8
    (folder / "config_train.yml").write_text(yaml.safe_dump(config), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_pickled_code, "program code"),
        (_saved_code, "program code"),
        (_code_in_the_config, "readable YAML"),
        (_cut_short, "damaged"),
        (_hollow, "claims more numbers"),
        (_too_large_a_network, "shapes differ"),
    ],
)
def test_nothing_runs_and_nothing_is_left(home: Path, spoil, words: str) -> None:
    a_model(home / "mine")
    hostage = home / "hostage"
    spoil(home / "mine", hostage)
    with pytest.raises(InputError, match=words):
        add_model(home / "mine")
    assert not hostage.exists()
    assert list(paths.user_models_dir().iterdir()) == []


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"name": "ResidualUNetSE3D"}, "ResidualUNetSE3D"),
        ({"name": ["UNet3D"]}, "UNet3D"),
        ({"is_segmentation": False}, "is_segmentation"),
        ({"conv_padding": 0}, "conv_padding"),
        ({"final_sigmoid": False}, "exclusive"),
        ({"out_channels": 5}, "5 channels"),
        ({"out_channels": "many"}, "predicts"),
        ({"f_maps": "many"}, "feature_maps"),
        ({"layer_order": "xyz"}, "layer_order"),
        ({"num_groups": 3}, "num_groups"),
    ],
    ids=str,
)
def test_networks_that_are_not_known_are_refused_by_name(home: Path, model: dict, words: str) -> None:
    a_model(home / "mine")
    path = home / "mine" / "config_train.yml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["model"].update(model)
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises((InputError, RequestError), match=words):
        add_model(home / "mine")
    assert list(paths.user_models_dir().iterdir()) == []
