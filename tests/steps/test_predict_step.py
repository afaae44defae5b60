"""The predict step: scale, channels, outputs and the tiles beneath, on models with known answers."""

from __future__ import annotations

import hashlib
import threading

import numpy as np
import pytest
import torch

from plantseg_app import paths
from plantseg_app.algorithms.normalise import percentile_normalise, zscore
from plantseg_app.algorithms.resample import resample
from plantseg_app.core.context import QuietContext
from plantseg_app.core.step import make_step
from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import InputError, RequestError
from plantseg_app.networks.boundary.family import BoundaryFamily
from plantseg_app.networks.plan import PredictOptions
from plantseg_app.networks.predict import predict_tiled
from plantseg_app.networks.weights import save_weights
from plantseg_app.run.context import RunContext
from plantseg_app.run.events import RunnerEvents
from plantseg_app.run.runner import Runner
from plantseg_app.steps.predict.predict import Predict
from plantseg_app.zoo.card import ModelCard
from plantseg_app.zoo.catalogue import find_model
from plantseg_app.zoo.load import load_network

FLOAT32 = PredictOptions(precision="float32")


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Return a function that installs a model with random weights."""
    monkeypatch.setattr(paths, "bundled_models_dir", lambda: tmp_path / "none")
    monkeypatch.setattr(paths, "user_models_dir", lambda: tmp_path / "user")

    def install(model_id="tiny", family=None, **entries):
        family = family or BoundaryFamily(feature_maps=(2, 4))
        folder = tmp_path / "user" / model_id
        folder.mkdir(parents=True)
        torch.manual_seed(1)
        network = family.build()
        torch.nn.init.normal_(network.final_conv.weight)
        save_weights(network, folder / "weights.safetensors")
        stored = (folder / "weights.safetensors").read_bytes()
        card = ModelCard(
            **{
                "id": model_id,
                "title": "Tiny",
                "description": "For tests.",
                "family": family.to_plain(),
                "dimensionality": family.dimensions,
                "inputs": [{"name": f"channel {i}"} for i in range(family.in_channels)],
                "outputs": [{"name": output.name, "kind": output.kind} for output in family.outputs],
                "normalisation": {"method": "percentile", "low": 1, "high": 99},
                "weights": {
                    "file": "weights.safetensors",
                    "sha256": hashlib.sha256(stored).hexdigest(),
                    "size_bytes": len(stored),
                },
                "licence": "MIT",
                "authors": ["Nobody"],
                **entries,
            }
        )
        (folder / "card.yaml").write_text(card.to_yaml(), encoding="utf-8")
        return family

    return install


def raw(*shape, voxel_size=None, seed=0):
    data = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    return Volume(data, Kind.RAW, voxel_size)


def run(image, context=None, **settings):
    settings = {"model": "tiny", "precision": "float32", **settings}
    return make_step("predict", settings).execute({"image": image}, context or QuietContext("cpu", 1))


def expected(family, prepared):
    """The network on an image that is ready for it."""
    return predict_tiled(load_network(find_model("tiny")), family, prepared, QuietContext("cpu", 1), FLOAT32)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_it_is_the_network_on_the_normalised_image(models):
    family = models()
    image = raw(5, 20, 24, voxel_size=VoxelSize(0.3, 0.1, 0.1))
    result = run(image)
    assert result.kind is Kind.BOUNDARY
    assert result.data.dtype == np.float32
    assert result.voxel_size_um == image.voxel_size_um
    np.testing.assert_allclose(
        result.data, expected(family, percentile_normalise(image.data, 1, 99)[None])[0], atol=1e-6
    )


def test_zscore_and_no_normalisation(models):
    family = models(normalisation={"method": "zscore"})
    image = raw(4, 16, 16)
    np.testing.assert_allclose(run(image).data, expected(family, zscore(image.data)[None])[0], atol=1e-6)
    models("plain", normalisation={"method": "none"})
    plain = expected(family, image.data[None].astype(np.float32))[0]
    np.testing.assert_allclose(run(image, model="plain").data, plain, atol=1e-6)


def test_tiles_change_nothing(models):
    models()
    image = raw(6, 40, 50)
    np.testing.assert_allclose(run(image, tile="4,8,12").data, run(image).data, atol=1e-5)


def seen_shapes(monkeypatch):
    """Record the shape of what the network is given."""
    import plantseg_app.networks.predict as module

    shapes = []
    original = module.predict_tiled

    def recording(network, family, image, *rest):
        shapes.append(image.shape)
        return original(network, family, image, *rest)

    monkeypatch.setattr(module, "predict_tiled", recording)
    return shapes


@pytest.mark.parametrize(
    ("voxel_size", "settings", "seen"),
    [
        ((0.4, 0.1, 0.1), {}, (16, 8, 10)),
        ((0.4, 0.1, 0.1), {"rescale_to_model": False}, (8, 16, 20)),
        ((0.4, 0.1, 0.1), {"scale": 2.0}, (32, 16, 20)),
        ((0.2, 0.2, 0.2), {}, (8, 16, 20)),
        ((0.21, 0.19, 0.2), {}, (8, 16, 20)),
        ((0.21, 0.19, 0.2), {"scale": 0.5}, (4, 8, 10)),
        ((0.2, 0.2, 0.3), {}, (8, 16, 30)),
        ((1.0, 0.001, 0.001), {}, (40, 1, 1)),
    ],
)
def test_the_image_is_brought_to_the_scale_of_the_model_and_back(models, monkeypatch, voxel_size, settings, seen):
    models(voxel_size_um=(0.2, 0.2, 0.2))
    shapes = seen_shapes(monkeypatch)
    image = raw(8, 16, 20, voxel_size=VoxelSize(*voxel_size))
    result = run(image, **settings)
    assert shapes == [(1, *seen)]
    assert result.shape_vox == (8, 16, 20)
    assert result.voxel_size_um == image.voxel_size_um
    assert 0 <= result.data.min() <= result.data.max() <= 1


@pytest.mark.parametrize(
    ("dimensions", "shape", "seen"), [("3D", (1, 16, 20), (1, 8, 10)), ("2D", (3, 16, 20), (3, 8, 10))]
)
def test_slices_keep_their_number(models, monkeypatch, dimensions, shape, seen):
    models(family=BoundaryFamily(feature_maps=(2, 4), dimensions=dimensions), voxel_size_um=(0.2, 0.2, 0.2))
    shapes = seen_shapes(monkeypatch)
    assert run(raw(*shape, voxel_size=VoxelSize(5, 0.1, 0.1))).shape_vox == shape
    assert shapes == [(1, *seen)]


def test_an_unknown_voxel_size_is_said(models):
    models(voxel_size_um=(0.2, 0.2, 0.2))
    context = QuietContext("cpu", 1)
    run(raw(4, 8, 8), context)
    assert "voxel size of the image is unknown" in context.messages[0]
    quiet = QuietContext("cpu", 1)
    run(raw(4, 8, 8), quiet, rescale_to_model=False)
    assert quiet.messages == []


@pytest.mark.parametrize("dimensions", ["2D", "3D"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 31), (3, 1, 40), (2, 17, 9)])
@pytest.mark.parametrize("content", ["zeros", "constant", "noise"])
def test_every_image_gives_probabilities_of_its_own_shape(models, dimensions, shape, content):
    models(family=BoundaryFamily(feature_maps=(2, 4), dimensions=dimensions))
    image = raw(*shape)
    if content != "noise":
        image = image.replace(data=np.full(shape, 0 if content == "zeros" else 77, np.uint16))
    result = run(image, precision="auto")
    assert result.data.shape == shape
    assert np.isfinite(result.data).all()
    assert 0 <= result.data.min() <= result.data.max() <= 1


def test_channels_must_be_those_of_the_model(models):
    models()
    models("two", family=BoundaryFamily(feature_maps=(2, 4), image_channels=2))
    with pytest.raises(InputError, match=r"reads 1 channel.*has 2"):
        run(raw(2, 4, 8, 8))
    with pytest.raises(InputError, match=r"reads 2 channel.*has 1"):
        run(raw(4, 8, 8), model="two")
    assert run(raw(2, 4, 8, 8), model="two").data.shape == (4, 8, 8)


def test_each_channel_is_normalised_by_itself(models):
    models("two", family=BoundaryFamily(feature_maps=(2, 4), image_channels=2))
    image = raw(2, 4, 8, 8)
    stretched = image.replace(data=image.data * np.array([1, 100], np.uint16)[:, None, None, None])
    np.testing.assert_allclose(run(image, model="two").data, run(stretched, model="two").data, atol=1e-5)


def test_outputs_are_chosen_by_name(models):
    family = models(family=BoundaryFamily(feature_maps=(2, 4), predicts=("boundary", "nuclei")))
    image = raw(4, 8, 8)
    both = expected(family, percentile_normalise(image.data, 1, 99)[None])
    np.testing.assert_allclose(run(image).data, both[0], atol=1e-6)
    nuclei = run(image, output="nuclei")
    np.testing.assert_allclose(nuclei.data, both[1], atol=1e-6)
    assert nuclei.kind is family.outputs[1].kind
    assert make_step("predict", {"model": "tiny", "output": "nuclei"}).made_kind({}) is nuclei.kind
    with pytest.raises(RequestError, match="nuclei"):
        run(image, output="nucleus")


@pytest.fixture
def calls(monkeypatch):
    """Return the list of output channels of every run of a network."""
    import plantseg_app.networks.predict as module

    original, made = module.predict_tiled, []

    def recording(network, family, image, context, options, *rest):
        made.append(options.channels)
        return original(network, family, image, context, options, *rest)

    monkeypatch.setattr(module, "predict_tiled", recording)
    return made


def two_outputs(**settings):
    usual = {"model": "tiny", "precision": "float32"}
    nodes = {
        name: {"step": "predict", "inputs": {"image": "image"}, "settings": {**usual, "output": name, **more}}
        for name, more in (("boundary", {}), ("nuclei", settings))
    }
    return Workflow.from_plain({"workflow": 1, "name": "two", "sources": {"image": {"kind": "raw"}}, "nodes": nodes})


def test_two_outputs_of_one_network_run_it_once(models, calls):
    models(family=BoundaryFamily(feature_maps=(2, 4), predicts=("boundary", "nuclei")))
    image = raw(4, 8, 8)
    alone = {name: run(image, output=name).data for name in ("boundary", "nuclei")}
    calls.clear()
    found = Runner(device="cpu", n_threads=1).run(two_outputs(), {"image": image})
    assert calls == [(0, 1)]
    for name, data in alone.items():
        np.testing.assert_array_equal(found[name].data, data)
        # No result is a part of a larger array that it would keep alive.
        assert found[name].data.base is None or found[name].data.base.size == image.data.size
    Runner(device="cpu", n_threads=1).run(two_outputs(), {"image": image})
    assert calls == [(0, 1), (0, 1)]


@pytest.mark.parametrize("settings", [{"scale": 2.0}, {"model": "other"}])
def test_other_settings_or_models_run_the_network_again(models, calls, settings):
    for model_id in ("tiny", "other"):
        models(model_id, family=BoundaryFamily(feature_maps=(2, 4), predicts=("boundary", "nuclei")))
    Runner(device="cpu", n_threads=1).run(two_outputs(**settings), {"image": raw(4, 8, 8)})
    assert len(calls) == 2


def test_what_is_kept_belongs_to_one_image_and_the_last_prediction(models, calls):
    models(family=BoundaryFamily(feature_maps=(2, 4), predicts=("boundary", "nuclei")))
    context, step = QuietContext("cpu", 1), make_step("predict", {"model": "tiny", "output": "nuclei"})
    first, second = raw(4, 8, 8), raw(4, 8, 8)
    for image in (first, second, second, first):
        step.execute({"image": image}, context)
    # What is asked for comes first, for those who watch it grow.
    assert calls == [(1, 0)] * 3
    assert len(context.memo) == 1


def test_nothing_is_kept_where_memory_is_short_or_there_is_one_output(models, calls, monkeypatch):
    models(family=BoundaryFamily(feature_maps=(2, 4), predicts=("boundary", "nuclei")))
    models("single")
    context, image = QuietContext("cpu", 1), raw(4, 8, 8)
    make_step("predict", {"model": "single"}).execute({"image": image}, context)
    monkeypatch.setattr("plantseg_app.steps.predict.predict._SHARE_FOR_MEMO", 0.0)
    for output in ("boundary", "nuclei"):
        make_step("predict", {"model": "tiny", "output": output}).execute({"image": image}, context)
    assert not context.memo
    assert calls == [(0,), (0,), (1,)]


def test_an_unknown_model_is_refused_when_the_workflow_is_loaded(models):
    models()
    with pytest.raises(RequestError, match="tiny"):
        make_step("predict", {"model": "tny"}).made_kind({})


def test_other_weights_make_another_key(models):
    models()
    models("other", normalisation={"method": "zscore"})
    assert Predict(model="tiny").depends_on() != Predict(model="other").depends_on()


def test_the_estimate_grows_with_the_image(models):
    models(family=BoundaryFamily(feature_maps=(8, 16)))
    small, large = (Predict(model="tiny").estimate(shape) for shape in ((8, 32, 32), (32, 64, 64)))
    assert 5 < large.seconds / small.seconds < 32
    assert large.memory_bytes > 5 * small.memory_bytes


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_the_map_can_be_watched_tile_by_tile(models, tmp_path, norm):
    family = BoundaryFamily(feature_maps=(2, 4), layer_order="bcr" if norm == "batch" else "gcr")
    models(family=family, voxel_size_um=VoxelSize(0.3, 0.2, 0.2))
    image = raw(8, 40, 48, voxel_size=VoxelSize(0.3, 0.1, 0.1))
    events, told = RunnerEvents(), []
    events.growing.connect(told.append)
    events.grew.connect(told.append)
    context = RunContext(events, threading.Event(), "cpu", 1, growing_folder=tmp_path)
    result = run(image, context, tile=(8, 8, 8))
    growing, *grew = told
    assert growing.kind is result.kind is Kind.BOUNDARY
    # The model sees voxels twice as long within a slice, and the file is at its scale.
    assert (growing.shape, growing.spacing_ratio) == ((1, 8, 20, 24), (1.0, 2.0, 2.0))
    covered = np.zeros(growing.shape[1:], int)
    for event in grew:
        covered[tuple(slice(*span) for span in event.box)] += 1
    assert len(grew) > 4
    assert covered.min() >= 1
    assert np.array_equal(run(image, tile=(8, 8, 8)).data, result.data)
    assert np.array_equal(np.clip(resample(growing.open(), image.shape_vox), 0, 1)[0], result.data)
