"""Models written as packages: valid for bioimageio.spec, back again bit by bit, and the same when others run them."""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from plantseg_app.algorithms.operations import apply_operations, read_operations
from plantseg_app.cli.main import main
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError, RequestError
from plantseg_app.networks.boundary.family import BoundaryFamily
from plantseg_app.networks.harmonic.family import HarmonicFamily
from plantseg_app.networks.layering.family import LayeringFamily
from plantseg_app.networks.spoco.family import SpocoFamily
from plantseg_app.networks.weights import read_weights, save_weights
from plantseg_app.networks.wnet.family import WNetFamily
from plantseg_app.steps.predict.predict import Predict
from plantseg_app.zoo.bioimageio.exporting import export_bioimageio
from plantseg_app.zoo.bioimageio.processing import described_normalisation, to_operations
from plantseg_app.zoo.card import ModelCard, Normalisation
from plantseg_app.zoo.catalogue import InstalledModel, find_model
from plantseg_app.zoo.library import add_model
from plantseg_app.zoo.trial import try_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


FAMILIES = {
    "stacks": BoundaryFamily(feature_maps=(4, 8), layer_order="bcr"),
    "slices, group norm, softmax": BoundaryFamily(
        dimensions="2D", feature_maps=(4, 8), layer_order="gcr", norm_groups=2, exclusive=True, image_channels=2,
        predicts=("background", "nuclei", "boundary"),
    ),
    "residual": BoundaryFamily(dimensions="2D", residual=True, feature_maps=(4, 8), layer_order="cge", norm_groups=4),
    "harmonic": HarmonicFamily(
        dimensions="2D", feature_maps=(4, 8), frame_size_vox=(1, 32, 48), n_guides=4, guides="random"
    ),
    "layering": LayeringFamily(feature_maps=(4, 8), n_layers=3),
    "wnet": WNetFamily(feature_maps=(4, 8), passed_channels=4),
    "spoco": SpocoFamily(dimensions="3D", feature_maps=(4, 8), embedding_channels=4, foreground="predicted"),
}  # fmt: skip
NORMALISATIONS = {
    "stacks": {"method": "percentile", "low": 1, "high": 99.5},
    "slices, group norm, softmax": {"method": "zscore"},
    "residual": {"method": "operations", "operations": [
        {"do": "scale-range", "over": "slice", "low": 2}, {"do": "clip", "low": 0},
        {"do": "scale-linear", "gain": [2], "offset": [-1]},
    ]},
    "harmonic": {"method": "none"},
    "layering": {"method": "percentile"},
    "wnet": {"method": "zscore"},
    "spoco": {"method": "zscore"},
}  # fmt: skip


def a_model(folder: Path, name: str) -> InstalledModel:
    """Write a model of random, and so telling, weights."""
    family = FAMILIES[name]
    folder.mkdir(parents=True)
    torch.manual_seed(2)
    network = family.build()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    save_weights(network, folder / "weights.safetensors")
    content = (folder / "weights.safetensors").read_bytes()
    card = ModelCard(
        id="tiny", title="Tiny: a model/test", description="For tests. " * 200, segments="cells", modality="confocal",
        family=family.to_plain(), dimensionality="2D" if family.is_2d else "3D",
        inputs=[{"name": "membrane"}] * family.in_channels,
        outputs=[{"name": output.name, "kind": output.kind} for output in family.outputs],
        voxel_size_um=(0.284, 0.1268, 0.1268), normalisation=NORMALISATIONS[name],
        weights={
            "file": "weights.safetensors", "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)
        },
        licence="CC-BY-4.0", authors=["Somebody", "Some/body"], citation="A paper, doi:10.1000/xyz.",
        scores=[{"data": "mine", "metric": "ap", "value": 0.5}], data=[{"name": "ours", "seen_as": "train"}],
    )  # fmt: skip
    (folder / "card.yaml").write_text(card.to_yaml(), encoding="utf-8")
    return InstalledModel(card, folder)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[InstalledModel, Path]]:
    """A model by its name here, and its package; made once."""

    @functools.cache
    def made(name: str) -> tuple[InstalledModel, Path]:
        folder = tmp_path_factory.mktemp("exported")
        model = a_model(folder / "trained", name)
        return model, export_bioimageio(model, folder / "tiny.zip")

    return made


def description(package: Path) -> dict:
    with zipfile.ZipFile(package) as archive:
        return yaml.safe_load(archive.read("bioimageio.yaml"))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_package_is_valid_and_comes_back_as_it_was(home: Path, exported: Any, name: str) -> None:
    from bioimageio.spec import ValidationContext, load_description

    model, package = exported(name)
    with warnings.catch_warnings():
        # It leaves files open.
        warnings.simplefilter("ignore", ResourceWarning)
        with ValidationContext(perform_io_checks=True):
            summary = load_description(package).validation_summary
        assert summary.status == "valid-format", summary.format()
        complaints = [complaint.msg for detail in summary.details for complaint in detail.warnings]
        # Who maintains it on GitHub is nothing that a card says.
        assert [text for text in complaints if "maintainers" not in text] == []
        del summary
        gc.collect()

    back = add_model(package)
    assert back.card.id == "tiny"
    assert back.card.family == model.card.family
    assert back.card.normalisation == model.card.normalisation
    assert (back.folder / "weights.safetensors").read_bytes() == (model.folder / "weights.safetensors").read_bytes()
    trial = try_model(back)
    assert trial is not None
    assert trial.largest_difference == 0
    shape = (model.card.family.get("image_channels", 1), *([3, 40, 44] if FAMILIES[name].is_2d else [12, 20, 16]))
    image = np.random.default_rng(0).normal(100, 30, shape).astype(np.float32)
    one, other = (predicted(str(folder), image) for folder in (model.folder, back.folder))
    np.testing.assert_array_equal(one, other)


def predicted(model: str, image: np.ndarray) -> np.ndarray:
    data = image[0] if len(image) == 1 else image
    return Predict(model=model, precision="float32").run({"image": Volume(data, Kind.RAW)}, QuietContext("cpu", 1)).data


def stripped(package: Path, target: Path, *weights: str) -> Path:
    """Copy a package without what this program put into it for itself, and with some of its weights alone."""
    with zipfile.ZipFile(package) as archive:
        archive.extractall(target)
    plain = yaml.safe_load((target / "bioimageio.yaml").read_text(encoding="utf-8"))
    del plain["config"], plain["attachments"]
    plain["weights"] = {name: {k: v for k, v in plain["weights"][name].items() if k != "parent"} for name in weights}
    (target / "bioimageio.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    return target


@pytest.mark.parametrize(
    ("name", "weights", "kind"),
    [
        ("stacks", "torchscript", "graph"),
        ("slices, group norm, softmax", "torchscript", "graph"),
        ("layering", "torchscript", "graph"),
        ("harmonic", "torchscript", "graph"),
        ("wnet", "torchscript", "graph"),
        ("spoco", "torchscript", "graph"),
        ("stacks", "pytorch_state_dict", "boundary"),
        ("slices, group norm, softmax", "pytorch_state_dict", "boundary"),
        ("residual", "pytorch_state_dict", "boundary"),
    ],
)
def test_others_get_the_same_from_what_is_meant_for_them(
    home: Path, exported: Any, name: str, weights: str, kind: str
) -> None:
    """Read as a package of somebody else: the test image proves that description, weights and preparation agree."""
    _, package = exported(name)
    model = add_model(stripped(package, home / "theirs", weights), "theirs")
    assert model.card.family["kind"] == kind
    trial = try_model(model)
    assert trial is not None
    assert trial.largest_difference < 1e-5
    assert np.load(model.folder / "test_output.npy").std() > 1e-3
    assert model.card.voxel_size_um == ((1.0 if FAMILIES[name].is_2d else 0.284), 0.1268, 0.1268)
    wanted = {output.name for output in FAMILIES[name].outputs if output.kind in (Kind.BOUNDARY, Kind.FOREGROUND)}
    assert wanted <= {output.name for output in model.card.outputs}


def test_the_graph_takes_other_sizes_than_it_was_drawn_with(home: Path, exported: Any) -> None:
    trained, package = exported("stacks")
    add_model(stripped(package, home / "theirs", "torchscript"), "theirs")
    image = np.random.default_rng(0).normal(100, 30, (1, 60, 46, 52)).astype(np.float32)
    one, other = predicted("theirs", image), predicted(str(trained.folder), image)
    # Sizes that the graph does not take are mirrored up to those at other places.
    inner = tuple(slice(12, -12) for _ in range(3))
    np.testing.assert_allclose(one[inner], other[inner], atol=1e-5)


def test_the_state_dict_is_read_by_the_class_of_pytorch3dunet(home: Path, exported: Any) -> None:
    from pytorch3dunet.unet3d import model as theirs

    _, package = exported("slices, group norm, softmax")
    with zipfile.ZipFile(package) as archive:
        archive.extractall(home / "x")
    described = description(package)["weights"]["pytorch_state_dict"]
    network = getattr(theirs, described["architecture"]["callable"])(**described["architecture"]["kwargs"])
    network.load_state_dict(torch.load(home / "x" / described["source"], weights_only=True), strict=True)
    image = np.load(home / "x" / "test-input.npy")
    flat = image[0].reshape(2, -1)
    normal = (image - flat.mean(1).reshape(1, 2, 1, 1)) / flat.std(1).reshape(1, 2, 1, 1)
    with torch.inference_mode():
        made = network.eval()(torch.from_numpy(normal.astype(np.float32))).numpy()
    np.testing.assert_allclose(made, np.load(home / "x" / "test-output.npy"), atol=1e-5)


def test_what_people_and_programs_find_in_it(exported: Any) -> None:
    _, package = exported("stacks")
    plain = description(package)
    assert plain["name"] == "Tiny a model test"
    assert len(plain["description"]) <= 512
    assert plain["license"] == "CC-BY-4.0"
    assert plain["cite"][0]["doi"] == "10.1000/xyz"
    assert plain["authors"] == [{"name": "Somebody"}, {"name": "Some-body"}]
    assert plain["inputs"][0]["axes"][2] == {
        "type": "space", "id": "z", "size": {"min": 20, "step": 2}, "unit": "micrometer", "scale": pytest.approx(0.284)
    }  # fmt: skip
    with zipfile.ZipFile(package) as archive:
        assert set(archive.namelist()) == {
            "bioimageio.yaml", "README.md", "cover.png", "test-input.npy", "test-output.npy", "sample-input.tif",
            "sample-output.tif", "weights-torchscript.pt", "weights.pt", "weights.safetensors",
        }  # fmt: skip
        page = archive.read("README.md").decode()
    assert "## Validation" in page
    assert "ap 0.5 on mine" in page


def test_a_persons_own_image_is_the_test_image(home: Path) -> None:
    image = np.random.default_rng(3).integers(0, 255, (1, 50, 60, 70)).astype(np.uint8)
    package = export_bioimageio(a_model(home / "trained", "stacks"), home / "tiny.zip", image)
    with zipfile.ZipFile(package) as archive, archive.open("test-input.npy") as stream:
        tested = np.load(stream)
    assert tested.shape == (1, 1, 20, 20, 20)
    np.testing.assert_array_equal(tested[0, 0], image[0, 15:35, 20:40, 25:45])
    with pytest.raises(InputError, match=r"reads 1 channel"):
        export_bioimageio(find_model(home / "trained"), home / "tiny.zip", np.zeros((2, 9, 9, 9)))


def test_what_cannot_be_exported_is_said_and_leaves_nothing(home: Path) -> None:
    trained = a_model(home / "trained", "stacks")
    with pytest.raises(RequestError, match=r"tiny\.zip"):
        export_bioimageio(trained, home / "tiny.tif")
    package = export_bioimageio(trained, home / "tiny.zip")
    graph = add_model(stripped(package, home / "theirs", "torchscript"), "theirs")
    with pytest.raises(RequestError, match="another program"):
        export_bioimageio(graph, home / "again.zip")
    weights = home / "trained" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="checksum"):
        export_bioimageio(trained, home / "again.zip")
    assert not list(home.glob("*again*"))


def test_a_package_whose_weights_were_exchanged_is_refused(home: Path, exported: Any) -> None:
    _, package = exported("stacks")
    with zipfile.ZipFile(package) as archive:
        archive.extractall(home / "x")
    state = read_weights(home / "x" / "weights.safetensors")
    network = FAMILIES["stacks"].build()
    network.load_state_dict({name: value * 1.01 for name, value in state.items()})
    save_weights(network, home / "x" / "weights.safetensors")
    with pytest.raises(InputError, match="checksum differs"):
        add_model(home / "x", "other")
    # With a checksum to match, the test image tells.
    plain = yaml.safe_load((home / "x" / "bioimageio.yaml").read_text(encoding="utf-8"))
    content = (home / "x" / "weights.safetensors").read_bytes()
    plain["config"]["plantseg_app"]["card"]["weights"]["sha256"] = hashlib.sha256(content).hexdigest()
    (home / "x" / "bioimageio.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    with pytest.raises(InputError, match="something else of its test image"):
        add_model(home / "x", "other")
    assert not list((home / "user").iterdir())


def test_the_command_line_exports_adds_and_proves(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_model(home / "user" / "tiny", "stacks")
    assert main(["models", "export", "tiny", str(home / "tiny.zip"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["package"] == str(home / "tiny.zip")
    assert main(["models", "add", str(home / "tiny.zip"), "--id", "copy"]) == 0
    assert main(["models", "verify", "--run", "--json"]) == 0
    copy, tiny = json.loads(capsys.readouterr().out[len("copy: added") :].split("\n", 1)[1])
    assert (copy["id"], copy["whole"], copy["largest_difference"]) == ("copy", True, 0)
    assert (tiny["whole"], tiny["largest_difference"]) == (True, None)
    folder = home / "user" / "copy"
    np.save(folder / "test_output.npy", np.load(folder / "test_output.npy") + 0.01)
    assert main(["models", "verify", "copy", "--run"]) == 1
    assert "test_output.npy" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ words for preparation

IMAGE = np.random.default_rng(8).normal(50, 20, (2, 3, 6, 7)).astype(np.float32)


class Entry:
    """What bioimageio.spec makes of one entry."""

    def __init__(self, plain: dict) -> None:
        self.id, self.kwargs = plain["id"], plain.get("kwargs", {})


@pytest.mark.parametrize(
    "operation",
    [
        {"do": "scale-range", "low": 3, "high": 98},
        {"do": "scale-range", "over": "slice", "jointly": True, "epsilon": 0.01},
        {"do": "zero-mean-unit-variance"},
        {"do": "clip", "low": 3},
        {"do": "clip-percentiles", "low": 10, "high": 90},
        {"do": "scale-linear", "gain": [2, 3]},
        {"do": "fixed-zero-mean-unit-variance", "mean": [3], "std": [2]},
        {"do": "binarise", "threshold": [50, 40]},
        {"do": "sigmoid"},
        {"do": "softmax"},
        {"do": "cast", "to": "uint8"},
    ],
    ids=lambda operation: operation["do"],
)
def test_what_is_described_is_done_when_it_is_read_again(operation: dict) -> None:
    from bioimageio.spec.model.v0_5 import InputTensorDescr

    normalisation = Normalisation.model_validate({"method": "operations", "operations": [operation]})
    described = described_normalisation(normalisation, is_2d=False)
    axes = [
        {"type": "channel", "channel_names": ["a", "b"]},
        *({"type": "space", "id": name, "size": 8} for name in "zyx"),
    ]
    tensor = InputTensorDescr.model_validate(
        {"id": "raw", "axes": axes, "data": {"type": "float32"}, "preprocessing": described}
    )
    again = read_operations(to_operations(tensor.preprocessing, "czyx", "The input"))
    assert read_operations(to_operations([Entry(plain) for plain in described], "czyx", "it")) == again
    expected = apply_operations(IMAGE, normalisation.operations)
    np.testing.assert_allclose(apply_operations(IMAGE, again), expected, rtol=1e-6)
