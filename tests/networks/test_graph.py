"""Graphs of other programs: run as they are described, whatever their axes and sizes, and looked through before."""

from __future__ import annotations

import importlib.util
import io
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind
from plantseg_app.errors import InputError, RequestError, ResourceError
from plantseg_app.networks.graph import onnx_graph
from plantseg_app.networks.graph.family import GraphFamily, GraphLayout, GraphMap, TensorLayout, measured
from plantseg_app.networks.graph.torchscript import check_torchscript
from plantseg_app.networks.plan import PredictOptions
from plantseg_app.networks.predict import predict_tiled

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def _load(name: str):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


tiny_onnx = _load("tiny_onnx")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def save(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module.eval()).save(str(path))
    return path


def layout(dimensions="2D", runtime="torchscript", inputs=None, outputs=None, **sizes) -> GraphLayout:
    axes = "bcyx" if dimensions == "2D" else "bczyx"
    inputs = inputs or [TensorLayout(name="raw", axes=axes)]
    outputs = outputs or [TensorLayout(name="map", axes=axes)]
    return GraphLayout(runtime=runtime, dimensions=dimensions, inputs=inputs, outputs=outputs, **sizes)


def family_of(lay: GraphLayout, maps=None, **settings) -> GraphFamily:
    names = maps or [f"map-{i}" for i in range(lay.out_channels)]
    return GraphFamily(layout=lay, maps=[GraphMap(name=name, kind="raw") for name in names], **settings)


def predicted(family: GraphFamily, path: Path, image: np.ndarray, **options) -> np.ndarray:
    context = QuietContext("cpu", 1)
    return predict_tiled(family.load(path), family, image.astype(np.float32), context, PredictOptions(**options))


def an_image(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


class Blur(nn.Module):
    """A mean over five voxels along y and x, zeros beyond the border, of images of certain sizes alone."""

    def __init__(self, multiple: int = 1, only: int = 0, padding: int = 2) -> None:
        super().__init__()
        self.multiple, self.only, self.padding = multiple, only, padding
        self.kernel = nn.Buffer(torch.full((1, 1, 5, 5), 1 / 25))

    def forward(self, x: Tensor) -> Tensor:
        assert x.size(0) == 1
        assert x.size(2) % self.multiple == 0
        assert x.size(3) % self.multiple == 0
        assert self.only == 0 or (x.size(2) == self.only and x.size(3) == self.only)
        return F.conv2d(x, self.kernel, padding=self.padding)


def blurred(image: np.ndarray) -> np.ndarray:
    """The mean over five voxels, the image mirrored at its borders."""
    from scipy.ndimage import uniform_filter

    return uniform_filter(image, (1, 1, 5, 5), mode="mirror")


def test_a_graph_of_any_size_sees_each_slice_by_itself(tmp_path):
    family = family_of(layout(), halo_vox=(0, 2, 2))
    image = an_image(1, 3, 20, 31)
    got = predicted(family, save(Blur(), tmp_path / "g.pt"), image)
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(got[inner], blurred(image)[inner], atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 2, 5, 61), (1, 1, 16, 16), (1, 1, 40, 33), (1, 1, 1, 1)])
@pytest.mark.parametrize(
    ("sizes", "graph"),
    [
        ({"least_vox": (1, 16, 16), "step_vox": (1, 0, 0)}, Blur(only=16)),
        ({"least_vox": (1, 12, 12), "step_vox": (1, 4, 4)}, Blur(multiple=4)),
        ({"least_vox": (1, 16, 16), "step_vox": (1, 0, 0), "lost_vox": (0, 2, 2)}, Blur(only=16, padding=0)),
        ({"least_vox": (1, 9, 9), "step_vox": (1, 1, 1), "lost_vox": (0, 2, 2)}, Blur(padding=0)),
    ],
    ids=["one size", "multiples", "one size, smaller answer", "smaller answer"],
)
def test_images_of_any_size_are_cut_and_mirrored_to_what_a_graph_takes(tmp_path, shape, sizes, graph):
    family = family_of(layout(**sizes), halo_vox=(0, 3, 3))
    image = an_image(*shape)
    got = predicted(family, save(graph, tmp_path / "g.pt"), image)
    assert got.shape == image.shape
    expected = blurred(image)
    edge = 0 if "lost_vox" in sizes else 2
    inner = (slice(None), slice(None), *(slice(edge, n - edge) if n > 2 * edge else slice(0, 0) for n in shape[2:]))
    np.testing.assert_allclose(got[inner], expected[inner], atol=1e-5)


class Mixed(nn.Module):
    """Reads z, y, x, c and 1, x, y, z; returns 1, z, y, x and c, b, z, y, x."""

    def forward(self, membranes: Tensor, nuclei: Tensor) -> tuple[Tensor, Tensor]:
        total = membranes.sum(3)
        return total.unsqueeze(0), torch.stack([nuclei[0].permute(2, 1, 0) * 2, total - 1]).unsqueeze(1)


def test_axes_channels_and_several_tensors_go_where_they_belong(tmp_path):
    lay = layout(
        "3D",
        inputs=[TensorLayout(name="membranes", axes="zyxc", n_channels=2), TensorLayout(name="nuclei", axes="1xyz")],
        outputs=[
            TensorLayout(name="second", axes="cbzyx", n_channels=2, position=1),
            TensorLayout(name="first", axes="1zyx", position=0),
        ],
    )
    image = an_image(3, 4, 6, 5)
    got = predicted(family_of(lay), save(Mixed(), tmp_path / "g.pt"), image)
    total = image[0] + image[1]
    np.testing.assert_allclose(got, np.stack([2 * image[2], total - 1, total]), atol=1e-6)


class WantsBytes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.dtype == torch.uint8
        return x.float() / 2


def test_a_graph_gets_the_type_it_wants(tmp_path):
    lay = layout(inputs=[TensorLayout(name="raw", axes="bcyx", dtype="uint8")])
    image = np.array([[[[3.0, 200.0]]]])
    assert predicted(family_of(lay), save(WantsBytes(), tmp_path / "g.pt"), image).ravel().tolist() == [1.5, 100]


class Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, -x], 1)


def test_what_is_done_to_single_voxels_and_to_the_whole_map(tmp_path):
    lay = layout(outputs=[TensorLayout(name="map", axes="bcyx", n_channels=2)])
    path, image = save(Twice(), tmp_path / "g.pt"), an_image(1, 2, 9, 9)
    simple = family_of(lay, operations=[{"do": "softmax"}])
    expected = 1 / (1 + np.exp(-2 * image))
    np.testing.assert_allclose(predicted(simple, path, image)[:1], expected, atol=1e-6)
    whole = family_of(
        lay, operations=[{"do": "scale-linear", "gain": [3]}, {"do": "scale-range"}, {"do": "clip", "high": 0.5}]
    )
    spread = (image - image.min()) / (image.max() - image.min())
    for tile in (None, (1, 4, 4)):
        got = predicted(whole, path, image, tile_vox=tile, channels=(0,))
        np.testing.assert_allclose(got, np.minimum(spread, 0.5), atol=1e-5)


def test_maps_that_steps_look_for_come_first():
    lay = layout(outputs=[TensorLayout(name="map", axes="bcyx", n_channels=3)])
    maps = [
        GraphMap(name="background", kind="raw"),
        GraphMap(name="nuclei", kind="foreground"),
        GraphMap(name="boundary", kind="boundary"),
    ]
    family = GraphFamily(layout=lay, maps=maps)
    assert [output.name for output in family.outputs] == ["nuclei", "boundary", "background"]
    assert family.outputs[0].channels == (1,)
    assert family.default_workflow == "nuclei-mask-outline"
    assert (
        GraphFamily(layout=layout(), maps=[GraphMap(name="mask", kind="foreground")]).default_workflow == "nuclei-mask"
    )
    assert (
        GraphFamily(layout=layout(), maps=[GraphMap(name="b", kind=Kind.BOUNDARY)]).default_workflow == "membranes-gasp"
    )


def test_a_graph_is_not_trained_and_runs_in_single_precision():
    family = family_of(layout())
    for refused in (
        family.build,
        lambda: family.loss(torch.zeros(1), torch.zeros(1)),
        lambda: family.targets(np.zeros(1), None),
    ):
        with pytest.raises(RequestError, match="cannot be trained"):
            refused()
    assert family.only_float32


def test_half_precision_is_refused(tmp_path):
    with pytest.raises(RequestError, match="float32 alone"):
        predicted(family_of(layout()), save(Blur(), tmp_path / "g.pt"), an_image(1, 1, 8, 8), precision="bfloat16")


@pytest.mark.parametrize("step", [0, 8])
def test_what_a_graph_takes_is_measured(tmp_path, step):
    family = family_of(layout(least_vox=(1, 32, 32), step_vox=(1, step, step)))
    known = measured(family, family.load(save(Blur(only=0 if step else 32), tmp_path / "g.pt")))
    # One multiplication and one addition for each of 25 weights; one image in and one out.
    assert known.flop_per_voxel == 50
    assert 8 <= known.bytes_per_voxel <= 16


# ------------------------------------------------------------------------------------------ what is described wrong


class Fails(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(7, -1)


ONE, TWO = TensorLayout(name="b", axes="bcyx", position=1), TensorLayout(name="a", axes="bcyx", n_channels=2)


@pytest.mark.parametrize(
    ("graph", "lay", "words"),
    [
        (Fails(), layout(), "fails on images"),
        (Twice(), layout(), "1 channel"),
        (Blur(padding=0), layout(), "does not fit it"),
        (Twice(), layout(outputs=[TensorLayout(name="a", axes="bczyx", n_channels=2)]), "axes bczyx"),
        (Twice(), layout(outputs=[TWO, ONE]), "1 tensors"),
    ],
)
def test_a_description_that_does_not_fit_is_told(tmp_path, graph, lay, words):
    family = family_of(lay)
    with pytest.raises(InputError, match=words):
        predicted(family, save(graph, tmp_path / "g.pt"), an_image(1, 1, 8, 8))


@pytest.mark.parametrize(
    "wrong",
    [
        {"axes": "bcy"},
        {"axes": "bcyxx"},
        {"axes": "byx", "n_channels": 2},
        {"axes": "tyx"},
        {"axes": "bcyx", "dtype": "object"},
    ],
)
def test_tensors_that_are_no_images_are_refused(wrong):
    with pytest.raises(ValueError):
        TensorLayout(name="raw", **wrong)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="halo leaves nothing"):
        family_of(layout(least_vox=(1, 16, 16), step_vox=(1, 0, 0)), halo_vox=(0, 8, 8))
    with pytest.raises(ValueError, match="1 channels"):
        family_of(layout(), maps=["a", "b"])


# ------------------------------------------------------------------------------------------------ hostile files


class Saves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, "stolen.pt")
        return x


class ReadsFiles(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_file("/etc/passwd", False, 4, dtype=torch.uint8)


class OnLoading(nn.Module):
    """Its program begins to run while it is loaded."""

    @torch.jit.export
    def __getstate__(self):
        return (torch.zeros(1), self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, bool]):
        torch.save(state[0], "stolen.pt")
        self.training = state[1]

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize("graph", [Saves(), ReadsFiles(), OnLoading()], ids=["writes", "reads", "on loading"])
def test_a_program_that_reaches_beyond_the_network_is_not_loaded(tmp_path, monkeypatch, graph):
    monkeypatch.chdir(tmp_path)
    path = save(graph, tmp_path / "g.pt")
    for left in tmp_path.glob("stolen*"):
        left.unlink()
    with pytest.raises(InputError, match=r"can reach beyond the network"):
        family_of(layout()).load(path)
    assert not list(tmp_path.glob("stolen*"))


def changed(path: Path, change) -> Path:
    """Write an archive anew with the text of its programs changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(entry.filename, change(content) if entry.filename.endswith(".py") else content)
    path.write_bytes(made.getvalue())
    return path


@pytest.mark.parametrize(
    "line",
    [
        'torch.save(x, "a")',
        'ops.aten.save(x, "a")',
        'ops.aten . from_file("a")',
        "ops.rpc.send(x)",
        "ops.c10d.barrier()",
        "ops.prim.PythonOp(x)",
        "__torch__.torch.classes.dist.Store(x)",
        "import os",
        "x = (",
    ],
)
def test_other_ways_to_say_it_are_found(tmp_path, line):
    path = save(Twice(), tmp_path / "g.pt")
    check_torchscript(path)
    changed(path, lambda text: text.replace(b"    return", f"    {line}\n    return".encode()))
    with pytest.raises(InputError, match=r"not loaded"):
        check_torchscript(path)


def test_archives_that_hide_something_or_are_cut_short_are_refused(tmp_path):
    path = save(Twice(), tmp_path / "g.pt")
    whole = path.read_bytes()
    for content in (whole[:-30], whole[:50], b"", b"hello", b"x" + whole, whole + b"x"):
        path.write_bytes(content)
        with pytest.raises(InputError):
            family_of(layout()).load(path)
    path.write_bytes(whole)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("data/999", bytes(30 * 2**20), zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="would unpack to"):
        check_torchscript(path)


def test_a_state_dict_is_no_graph(tmp_path):
    torch.save(nn.Conv2d(1, 1, 1).state_dict(), tmp_path / "g.pt")
    with pytest.raises(InputError):
        family_of(layout()).load(tmp_path / "g.pt")


# ------------------------------------------------------------------------------------------------ ONNX


def test_onnx_graphs_run(tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "g.onnx"
    path.write_bytes(tiny_onnx.times_two_plus_one())
    family = family_of(
        layout(runtime="onnx", least_vox=(1, 8, 8), step_vox=(1, 4, 4)), operations=[{"do": "clip", "low": 0}]
    )
    image = an_image(1, 2, 10, 11)
    np.testing.assert_allclose(predicted(family, path, image), np.maximum(2 * image + 1, 0), atol=1e-6)
    known = measured(family, family.load(path))
    assert known.flop_per_voxel > 0


def test_a_missing_runtime_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "g.onnx"
    path.write_bytes(tiny_onnx.times_two_plus_one())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ResourceError, match="pip install onnxruntime"):
        family_of(layout(runtime="onnx")).load(path)


def _external_constant() -> bytes:
    return tiny_onnx.model(
        [tiny_onnx.node("Mul", ["x", "k"], ["y"])], [tiny_onnx.external("k", "../../etc/passwd")], ["x"], ["y"]
    )


def _external_in_a_node() -> bytes:
    inside = tiny_onnx.attribute_tensor("value", tiny_onnx.external("k", "/etc/passwd"))
    nodes = [tiny_onnx.node("Constant", [], ["k"], inside), tiny_onnx.node("Mul", ["x", "k"], ["y"])]
    return tiny_onnx.model(nodes, [], ["x"], ["y"])


@pytest.mark.parametrize("content", [_external_constant(), _external_in_a_node()], ids=["constant", "node"])
def test_onnx_graphs_that_read_other_files_are_refused(tmp_path, content):
    (tmp_path / "g.onnx").write_bytes(content)
    with pytest.raises(InputError, match="other files"):
        family_of(layout(runtime="onnx")).load(tmp_path / "g.onnx")


@pytest.mark.parametrize("content", [b"", b"hello, I am no graph", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 12, b"\x0b"])
def test_damaged_onnx_files_are_told(tmp_path, content):
    pytest.importorskip("onnxruntime")
    (tmp_path / "g.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"damaged|cannot be loaded"):
        family_of(layout(runtime="onnx")).load(tmp_path / "g.onnx")


def test_an_operator_of_a_foreign_library_is_not_run(tmp_path):
    pytest.importorskip("onnxruntime")
    foreign = tiny_onnx.node("RunShell", ["x"], ["y"]) + tiny_onnx.message(7, "evil.domain")
    (tmp_path / "g.onnx").write_bytes(tiny_onnx.model([foreign], [], ["x"], ["y"]))
    with pytest.raises(InputError, match="cannot be loaded"):
        family_of(layout(runtime="onnx")).load(tmp_path / "g.onnx")


def test_the_fields_of_a_message_are_read_however_deep():
    deep = b""
    for _ in range(100):
        deep = tiny_onnx.message(1, tiny_onnx.message(5, tiny_onnx.message(6, deep)))
    with pytest.raises(ValueError, match="too deep"):
        list(onnx_graph._tensor_fields(memoryview(tiny_onnx.message(7, deep)), "model", 0))
