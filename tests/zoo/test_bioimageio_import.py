"""Packages of BioImage.IO become models that are proved to work, whatever version, format or axes; nothing runs."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
import stat
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from plantseg_app import paths
from plantseg_app.cli.main import main
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError, PlantSegError, RequestError
from plantseg_app.io import read_volume, write_volume
from plantseg_app.steps.predict.predict import Predict
from plantseg_app.zoo.bioimageio import source_code
from plantseg_app.zoo.library import add_model
from plantseg_app.zoo.questions import Answers, SourceQuestion
from plantseg_app.zoo.trial import try_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
REAL = Path(__file__).with_name("packages") / "unet2d_nuclei_broad.zip"


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def nothing_is_left() -> bool:
    home = paths.user_models_dir()
    return not home.exists() or not list(home.iterdir())


# ------------------------------------------------------------------------------------------------ the real package


def test_the_real_package_is_added_proved_and_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path / "home"))
    model = add_model(REAL)
    card = model.card
    assert (card.id, card.licence, card.segments) == ("unet-2d-nuclei-broad", "MIT", "nuclei")
    assert card.doi == "10.1007/978-3-319-24574-4_28"
    assert [(output.name, output.kind) for output in card.outputs] == [("nuclei", Kind.FOREGROUND)]
    assert "runs its own graph (torchscript)" in card.training
    # The package names a picture that it lacks, so one is drawn of its test image.
    assert (model.folder / card.picture).is_file()
    trial = try_model(model)
    assert trial is not None
    assert trial.passed
    assert trial.largest_difference < 1e-4

    image, expected = (np.load(model.folder / f"test_{name}.npy") for name in ("input", "output"))
    source = write_volume(tmp_path / "image.tif", Volume(image[0], Kind.RAW))
    target = tmp_path / "nuclei.tif"
    assert main(["segment", str(source), "--model", card.id, "--output", str(target), "--quiet"]) == 0
    nuclei = read_volume(target, kind=Kind.LABELS).data
    inside = expected[0] > 0.5
    assert nuclei.max() > 10
    assert (nuclei[inside] > 0).mean() > 0.9
    assert (nuclei[~inside] == 0).all()


def rewrite(folder: Path, change) -> None:
    path = next(folder / name for name in ("bioimageio.yaml", "rdf.yaml") if (folder / name).is_file())
    plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(plain)
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")


# ------------------------------------------------------------------------------------------------ small packages


class Halves(nn.Module):
    """Sums its channels and gives two maps: the sum, and its negative."""

    def forward(self, x):
        total = x.sum(1, keepdim=True)
        return torch.cat([total, -total], 1)


def scripted(module: nn.Module) -> bytes:
    made = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(module.eval()), made)
    return made.getvalue()


def space(name: str, size, **more) -> dict:
    return {"type": "space", "id": name, "size": size, **more}


def package(folder: Path, image: np.ndarray, expected: np.ndarray, **changes) -> Path:
    """Write a small package: 2D, two input channels, two output channels, TorchScript."""
    folder.mkdir()
    np.save(folder / "in.npy", image)
    np.save(folder / "out.npy", expected)
    (folder / "graph.pt").write_bytes(scripted(Halves()))
    sizes = {"min": 8, "step": 4}
    plain = {
        "format_version": "0.5.4", "type": "model", "name": "Small model (test)",
        "description": "Finds nuclei and boundaries.",
        "authors": [{"name": "Somebody"}], "license": "MIT", "cite": [{"text": "A paper", "doi": "10.1000/xyz"}],
        "tags": ["confocal"], "timestamp": "2024-01-01T00:00:00", "documentation": "README.md", "covers": ["cover.png"],
        "inputs": [{
            "id": "raw",
            "axes": [{"type": "batch"}, {"type": "channel", "channel_names": ["membranes", "dna"]},
                     space("y", sizes, unit="micrometer", scale=0.2), space("x", sizes, unit="micrometer", scale=0.25)],
            "test_tensor": {"source": "in.npy"},
        }],
        "outputs": [{
            "id": "maps",
            "axes": [{"type": "batch"}, {"type": "channel", "channel_names": ["nuclei", "cell boundary"]},
                     *(space(name, {"tensor_id": "raw", "axis_id": name}, halo=2, unit="micrometer", scale=scale)
                       for name, scale in (("y", 0.2), ("x", 0.25)))],
            "test_tensor": {"source": "out.npy"},
            "postprocessing": [{"id": "sigmoid"}],
        }],
        "weights": {"torchscript": {"source": "graph.pt", "pytorch_version": "2.5.1"}},
    } | changes  # fmt: skip
    (folder / "rdf.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    (folder / "README.md").write_text("# A page for people\n", encoding="utf-8")
    return folder


def an_image(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


def halved(image: np.ndarray) -> np.ndarray:
    total = image.sum(1, keepdims=True)
    return 1 / (1 + np.exp(-np.concatenate([total, -total], 1)))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    image = an_image(1, 2, 12, 16)
    return package(tmp_path / "small", image, halved(image).astype(np.float32))


@pytest.mark.parametrize("form", ["folder", "description"])
def test_a_folder_or_its_description_will_do(home: Path, small: Path, form: str) -> None:
    model = add_model(small if form == "folder" else small / "rdf.yaml", "mine")
    assert model.card.id == "mine"
    assert model.card.family["layout"]["step_vox"] == [1, 4, 4]


def test_a_changed_test_image_is_found_out(home: Path, small: Path) -> None:
    checksum = hashlib.sha256((small / "out.npy").read_bytes()).hexdigest()
    image = np.load(small / "out.npy")
    image[0, 0, 3:5, 3:5] += 0.01
    np.save(small / "out.npy", image)
    with pytest.raises(InputError, match=r"something else of the test image \(by up to 0.01\)"):
        add_model(small)
    rewrite(small, lambda plain: plain["outputs"][0]["test_tensor"].update(sha256=checksum))
    with pytest.raises(InputError, match="checksum differs"):
        add_model(small)
    assert nothing_is_left()


def test_channels_sizes_and_facts_are_those_of_the_description(home: Path, small: Path) -> None:
    model = add_model(small)
    card = model.card
    assert [channel.name for channel in card.inputs] == ["membranes", "dna"]
    assert [(output.name, output.kind.value) for output in card.outputs] == [
        ("nuclei", "foreground"),
        ("boundary", "boundary"),
    ]
    assert card.voxel_size_um == (1.0, 0.2, 0.25)
    assert (card.modality, card.authors, card.title) == ("confocal", ("Somebody",), "Small model (test)")
    assert card.family["halo_vox"] == [0, 2, 2]
    assert (model.folder / "README.md").read_text(encoding="utf-8") == "# A page for people\n"
    image = an_image(2, 3, 21, 9)
    made = Predict(model=card.id, output="boundary").run({"image": Volume(image, Kind.RAW)}, QuietContext("cpu", 1))
    np.testing.assert_allclose(made.data, halved(image.transpose(1, 0, 2, 3))[:, 1], atol=1e-6)


def test_a_graph_is_no_start_of_a_training(home: Path, small: Path) -> None:
    from plantseg_app.train.settings import TrainSettings
    from plantseg_app.train.start import find_start

    card = add_model(small).card
    assert card.own_graph == "torchscript"
    plain = {
        "output": "x",
        "start_from": card.id,
        "data": {"train": [{"path": "a.h5"}], "validation": [{"path": "b.h5"}]},
    }
    with pytest.raises(RequestError, match="cannot be trained"):
        find_start(TrainSettings.model_validate(plain))


def test_a_person_can_say_what_the_outputs_show(home: Path, small: Path) -> None:
    card = add_model(small, answers=Answers(outputs=("boundary", "sky"))).card
    assert [(output.name, output.kind.value) for output in card.outputs] == [("boundary", "boundary"), ("sky", "raw")]
    with pytest.raises(RequestError, match="name each"):
        add_model(small, "other", answers=Answers(outputs=("boundary",)))


def test_several_inputs_and_outputs(home: Path, tmp_path: Path) -> None:
    class Pair(nn.Module):
        def forward(self, a, b):
            return a - b, a + b, torch.zeros(3)

    image = an_image(1, 8, 12)
    other = an_image(1, 8, 12) * 100 + 7
    normal = (other - other.mean()) / (other.std() + 1e-6)
    small = package(tmp_path / "pair", image, image - normal)
    (small / "graph.pt").write_bytes(scripted(Pair()))
    np.save(small / "in2.npy", other)
    np.save(small / "out2.npy", np.clip(image + normal, 0, 1))

    def two_of_each(plain: dict) -> None:
        fixed = [{"type": "batch"}, space("y", 8), space("x", 12)]
        following = [{"type": "batch"}, *(space(n, {"tensor_id": "a", "axis_id": n}) for n in "yx")]
        plain["inputs"] = [
            {"id": "a", "axes": fixed, "test_tensor": {"source": "in.npy"}},
            {
                "id": "b",
                "axes": fixed,
                "test_tensor": {"source": "in2.npy"},
                "preprocessing": [{"id": "zero_mean_unit_variance"}],
            },
        ]
        plain["outputs"] = [
            {"id": "difference", "axes": following, "test_tensor": {"source": "out.npy"}},
            {"id": "nuclei", "axes": following, "test_tensor": {"source": "out2.npy"},
             "postprocessing": [{"id": "clip", "kwargs": {"min": 0, "max": 1}}]},
            {"id": "scores", "axes": [{"type": "index", "size": 3}]},
        ]  # fmt: skip

    rewrite(small, two_of_each)
    card = add_model(small).card
    assert [channel.name for channel in card.inputs] == ["a", "b"]
    # What steps look for comes first; scores are no map.
    assert [output.name for output in card.outputs] == ["nuclei", "difference"]


def test_the_older_description_with_a_network_of_plantseg_is_taken_natively(home: Path, tmp_path: Path) -> None:
    from pytorch3dunet.unet3d.model import UNet3D

    torch.manual_seed(1)
    network = UNet3D(1, 2, f_maps=[8, 16], num_groups=4).eval()
    image = an_image(1, 1, 8, 12, 16)
    normal = (image - image.mean()) / (image.std() + 1e-6)
    with torch.no_grad():
        expected = network(torch.from_numpy(normal)).numpy()
    folder = tmp_path / "old"
    folder.mkdir()
    np.save(folder / "in.npy", image)
    np.save(folder / "out.npy", expected)
    torch.save(network.state_dict(), folder / "weights.pt")
    checksum = hashlib.sha256((folder / "weights.pt").read_bytes()).hexdigest()
    plain = f"""
format_version: 0.4.9
type: model
name: 3D UNet Arabidopsis Nuclei
description: Nuclei of ovules.
authors: [{{name: Adrian}}]
cite: [{{text: Wolny et al., doi: 10.7554/eLife.57613}}]
covers: [cover.png]
documentation: README.md
license: MIT
tags: [unet3d, PlantSeg, light-sheet]
timestamp: '2023-10-05T00:00:00'
test_inputs: [in.npy]
test_outputs: [out.npy]
inputs:
- name: input0
  axes: bczyx
  data_type: float32
  data_range: [-.inf, .inf]
  shape: {{min: [1, 1, 8, 8, 8], step: [0, 0, 2, 2, 2]}}
  preprocessing: [{{name: zero_mean_unit_variance, kwargs: {{mode: per_sample, axes: zyx}}}}]
outputs:
- name: output0
  axes: bczyx
  data_type: float32
  halo: [0, 0, 2, 2, 2]
  shape: {{reference_tensor: input0, scale: [1, 0, 1, 1, 1], offset: [0, 1.0, 0, 0, 0]}}
weights:
  pytorch_state_dict:
    source: weights.pt
    sha256: {checksum}
    architecture: plantseg.training.model.UNet3D
    kwargs: {{in_channels: 1, out_channels: 2, f_maps: [8, 16], num_groups: 4, layer_order: gcr}}
"""
    (folder / "rdf.yaml").write_text(plain, encoding="utf-8")
    model = add_model(folder)
    assert model.card.family["kind"] == "boundary"
    assert model.card.weights.file == "weights.safetensors"
    assert [output.name for output in model.card.outputs] == ["nuclei", "boundary"]
    trial = try_model(model)
    assert trial is not None
    assert trial.largest_difference < 1e-5
    (folder / "weights.pt").write_bytes((folder / "weights.pt").read_bytes() + b"x")
    with pytest.raises(InputError, match="checksum differs"):
        add_model(folder, "other")


SOURCE = """
import pathlib
import torch
pathlib.Path(__file__)
class Network(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.factor = factor
    def forward(self, x):
        total = x.sum(1, keepdim=True) * self.weight * self.factor
        return torch.cat([total, -total], 1)
with open({trace!r}, "a") as file:
    file.write("I ran")
"""


def test_source_code_runs_only_after_a_person_has_seen_it_and_agreed(home: Path, small: Path, tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"
    (small / "network.py").write_text(SOURCE.format(trace=str(trace)), encoding="utf-8")
    torch.save({"weight": torch.tensor([0.5])}, small / "state.pt")
    described = {"source": "network.py", "callable": "Network", "kwargs": {"factor": 2.0}}
    weights = {"pytorch_state_dict": {"source": "state.pt", "pytorch_version": "2.5.1", "architecture": described}}
    rewrite(small, lambda plain: plain.update(weights=weights))
    with pytest.raises(SourceQuestion, match=r"network\.py") as asked:
        add_model(small)
    assert "class Network" in asked.value.source.text
    for answer in ("", "0" * 64):
        with pytest.raises(SourceQuestion):
            add_model(small, answers=Answers(confirmed_source=answer))
    assert not trace.exists()
    assert nothing_is_left()

    model = add_model(small, answers=Answers(confirmed_source=asked.value.source.sha256))
    assert trace.read_text(encoding="utf-8") == "I ran"
    assert model.card.family["layout"]["runtime"] == "torchscript"
    assert not list(model.folder.glob("*.py"))
    # Only the drawn graph is kept, so nothing runs when the model is used.
    trial = try_model(model)
    assert trial is not None
    assert trial.passed
    assert trace.read_text(encoding="utf-8") == "I ran"

    (small / "network.py").write_text(SOURCE.format(trace=str(trace)) + "\n# changed", encoding="utf-8")
    with pytest.raises(SourceQuestion):
        add_model(small, "again", answers=Answers(confirmed_source=asked.value.source.sha256))
    assert trace.read_text(encoding="utf-8") == "I ran"


class HereAndNow:
    """Runs what a process would run when it is started."""

    class SimpleQueue(list):
        put, get = list.append, list.pop

        def empty(self) -> bool:
            return not self

    class Process:
        def __init__(self, target, args, daemon) -> None:
            self.start = lambda: target(*args)

        def join(self, seconds: float) -> None:
            pass

        def is_alive(self) -> bool:
            return False


def test_source_code_that_fails_is_told(home: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (small / "network.py").write_text("raise ImportError('no such package')", encoding="utf-8")
    torch.save({"weight": torch.tensor([0.5])}, small / "state.pt")
    described = {"source": "network.py", "callable": "Network"}
    weights = {"pytorch_state_dict": {"source": "state.pt", "pytorch_version": "2.5.1", "architecture": described}}
    rewrite(small, lambda plain: plain.update(weights=weights))
    with pytest.raises(SourceQuestion) as asked:
        add_model(small)
    # In this process: a new one takes seconds to start.
    monkeypatch.setattr(source_code.multiprocessing, "get_context", lambda _: HereAndNow)
    with pytest.raises(InputError, match="no such package"):
        add_model(small, answers=Answers(confirmed_source=asked.value.source.sha256))
    assert nothing_is_left()


# ------------------------------------------------------------------------------------------------ what cannot be done


def _post(*entries):
    return lambda plain: plain["outputs"][0].update(postprocessing=list(entries))


def _weights(**weights):
    return lambda plain: plain.update(weights=weights)


def _coarser(plain: dict) -> None:
    size = {"tensor_id": "raw", "axis_id": "y"}
    plain["outputs"][0]["axes"][2] = space("y", size, unit="micrometer", scale=0.4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_post({"id": "scale_mean_variance", "kwargs": {"reference_tensor": "raw"}}), "scale_mean_variance"),
        (_post({"id": "scale_range", "kwargs": {"reference_tensor": "raw"}}), "another tensor"),
        (_post({"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel"]}}), "along channel"),
        (_post({"id": "softmax", "kwargs": {"axis": "x"}}), "softmax along x"),
        (_post({"id": "nonsense"}), "valid description"),
        (_weights(keras_hdf5={"source": "graph.pt", "tensorflow_version": "2.1"}), "keras_hdf5"),
        (_weights(torchscript={"source": "gone.pt", "pytorch_version": "2.5"}), "not in the package"),
        (_weights(torchscript={"source": "https://example.org/a.pt", "pytorch_version": "2.5"}), "not in the package"),
        (_weights(torchscript={"source": "graph.pt", "pytorch_version": "2.5", "sha256": "0" * 64}), "checksum"),
        (lambda plain: plain.update(type="dataset"), "dataset"),
        (lambda plain: plain.pop("inputs"), "valid description"),
        (lambda plain: plain.update(inputs="none"), "description"),
        (_coarser, "another scale"),
        (lambda plain: plain["inputs"][0]["axes"].append({"type": "time", "size": 5, "id": "time"}), "axis"),
    ],
)  # fmt: skip
def test_what_this_program_does_not_do_is_said(home: Path, small: Path, change, words: str) -> None:
    rewrite(small, change)
    with pytest.raises(InputError, match=words):
        add_model(small)
    assert nothing_is_left()


# ------------------------------------------------------------------------------------------------ hostile packages


class _Attack:
    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


def _pickled_weights(folder: Path) -> None:
    torch.save({"a": _Attack(str(folder.parent / "hostage"))}, folder / "state.pt")
    described = {"import_from": "plantseg.training.model", "callable": "UNet2D"}
    weights = {"pytorch_state_dict": {"source": "state.pt", "pytorch_version": "2.5.1", "architecture": described}}
    rewrite(folder, lambda plain: plain.update(weights=weights))


def _pickled_test_image(folder: Path) -> None:
    np.save(folder / "in.npy", np.array([_Attack(str(folder.parent / "hostage"))], object), allow_pickle=True)


def _test_image_that_claims_much(folder: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 100000, 1000000), }"
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    (folder / "in.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(16))


def _yaml_that_runs(folder: Path) -> None:
    (folder / "rdf.yaml").write_text(
        f"name: !!python/object/apply:os.mkdir ['{folder.parent / 'hostage'}']", encoding="utf-8"
    )


def _yaml_that_grows(folder: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    (folder / "rdf.yaml").write_text("\n".join([*lines, "type: model"]), encoding="utf-8")


def _entry_that_grows(folder: Path) -> None:
    """A description that is whole, and has a place for anything."""
    lines = ["config:", "  a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    with (folder / "rdf.yaml").open("a", encoding="utf-8") as stream:
        stream.write("\n".join(lines))


def _path_out_of_the_folder(folder: Path) -> None:
    shutil.copy(folder / "graph.pt", folder.parent / "outside.pt")
    rewrite(folder, lambda plain: plain["weights"]["torchscript"].update(source="../outside.pt"))


def _absolute_path(folder: Path) -> None:
    shutil.copy(folder / "graph.pt", folder.parent / "outside.pt")
    rewrite(folder, lambda plain: plain["weights"]["torchscript"].update(source=str(folder.parent / "outside.pt")))


def _link(folder: Path) -> None:
    (folder / "graph.pt").rename(folder.parent / "outside.pt")
    (folder / "graph.pt").symlink_to(folder.parent / "outside.pt")


def _custom_processing(folder: Path) -> None:
    (folder / "custom.py").write_text(f"import os; os.mkdir({str(folder.parent / 'hostage')!r})", encoding="utf-8")
    entry = {"id": "custom", "source": "custom.py", "callable": "f", "kwargs": {}}
    rewrite(folder, lambda plain: plain["outputs"][0].update(postprocessing=[entry]))


def _another_models_output(folder: Path) -> None:
    """Reading the description would fetch that of another model."""
    rewrite(folder, lambda plain: plain["inputs"][0].update(output_of="http://127.0.0.1:9/rdf.yaml"))
    (folder / "graph.pt").write_bytes(b"")


@pytest.mark.parametrize(
    "spoil",
    [
        _pickled_weights,
        _pickled_test_image,
        _test_image_that_claims_much,
        _yaml_that_runs,
        _yaml_that_grows,
        _entry_that_grows,
        _path_out_of_the_folder,
        _absolute_path,
        _link,
        _custom_processing,
        _another_models_output,
    ],
)
def test_nothing_in_a_package_runs_or_reaches_out(home: Path, small: Path, tmp_path: Path, spoil) -> None:
    spoil(small)
    with pytest.raises(InputError):
        add_model(small)
    assert not (tmp_path / "hostage").exists()
    assert nothing_is_left()


def zipped(folder: Path, target: Path, **extra: bytes) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    return target


def _with_entry(name: str, content: bytes = b"x", mode: int = 0):
    def spoil(path: Path) -> None:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        # As it is: zipfile would mend the name.
        entry.filename = name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(entry, content)

    return spoil


def _bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros.bin", "w") as stream:
        for _ in range(120):
            stream.write(bytes(2**20))


def _lying_bomb(path: Path) -> None:
    """Unpacks to more than its directory says."""
    _bomb(path)
    content = path.read_bytes()
    size = (120 * 2**20).to_bytes(4, "little")
    path.write_bytes(content.replace(size, (2**20).to_bytes(4, "little")))


def _many(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(10_001):
            archive.writestr(f"{number}.txt", b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 40] = bytes(40)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_with_entry("../escaped.txt"), "outside its folder"),
        (_with_entry("a/../../escaped.txt"), "outside its folder"),
        (_with_entry("/escaped.txt"), "outside its folder"),
        (_with_entry("C:\\escaped.txt"), "outside its folder"),
        (_with_entry("..\\escaped.txt"), "outside its folder"),
        (_with_entry("link", b"/etc/passwd", stat.S_IFLNK | 0o777), "link or a device"),
        (_with_entry("pipe", b"", stat.S_IFIFO | 0o666), "link or a device"),
        (_with_entry("RDF.YAML"), "twice"),
        (_with_entry("nul.txt"), "device"),
        (_with_entry("graph.pt/inside"), "cannot be unpacked"),
        (_bomb, "would unpack"),
        (_lying_bomb, "damaged|more than the archive says"),
        (_many, "would unpack"),
        (_cut, "damaged"),
        (_corrupt, "damaged"),
    ],
)
def test_no_archive_leaves_its_folder_or_fills_the_disk(
    home: Path, small: Path, tmp_path: Path, spoil, words: str
) -> None:
    path = zipped(small, tmp_path / "package.zip")
    spoil(path)
    before = {entry for entry in tmp_path.rglob("*") if "user" not in entry.parts}
    with pytest.raises(PlantSegError, match=words):
        add_model(path)
    assert {entry for entry in tmp_path.rglob("*") if "user" not in entry.parts} == before
    assert nothing_is_left()


def test_an_archive_with_a_folder_around_it_is_taken(home: Path, small: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        for path in small.iterdir():
            archive.write(path, f"small/{path.name}")
    assert add_model(tmp_path / "package.zip").card.title == "Small model (test)"


def test_other_archives_and_pickles_are_no_models(home: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(_Attack(str(tmp_path / "hostage"))))
    for name in ("other.zip", "model.pkl"):
        with pytest.raises(RequestError, match="is no model"):
            add_model(tmp_path / name)
    assert not (tmp_path / "hostage").exists()
