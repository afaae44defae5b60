"""The step rescale: each way to say what to reach, and what it keeps."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.core.context import QuietContext
from plantseg_app.core.step import make_step
from plantseg_app.core.volume import Kind, Origin, Volume, VoxelSize
from plantseg_app.errors import InputError, RequestError, ResourceError
from plantseg_app.steps.preprocess.crop import Crop
from plantseg_app.steps.preprocess.rescale import Rescale

SIZE = VoxelSize(0.235, 0.15, 0.15)


def raw(shape=(8, 20, 30), dtype=np.float32, voxel_size=SIZE, **changes):
    data = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    return Volume(data, Kind.RAW, voxel_size, name="raw", **changes)


def labels(shape=(8, 20, 30)):
    data = np.random.default_rng(1).integers(0, 2**32, shape, dtype=np.uint32)
    return Volume(data, Kind.LABELS, SIZE)


def run(image, reference=None, context=None, **fields):
    inputs = {"image": image} if reference is None else {"image": image, "reference": reference}
    return Rescale.from_settings(fields).execute(inputs, context or QuietContext())


def field_of_view(volume):
    return [n * size for n, size in zip(volume.shape_vox, volume.voxel_size_um, strict=True)]


def test_factor():
    result = run(raw(), factor="1,0.5,2")
    assert result.shape_vox == (8, 10, 60)
    assert result.voxel_size_um == (0.235, 0.3, 0.075)
    assert run(raw(), factor=0.5).shape_vox == (4, 10, 15)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(1, 20)] * 3), st.tuples(*[st.floats(0.1, 3)] * 3))
def test_the_field_of_view_stays_and_the_voxel_size_is_exact(shape, factor):
    image = raw(shape)
    result = run(image, factor=factor)
    assert field_of_view(result) == pytest.approx(field_of_view(image), rel=1e-14)


def test_voxel_size():
    result = run(raw(), voxel_size_um="0.235,0.3,0.151")
    assert result.shape_vox == (8, 10, 30)
    assert result.voxel_size_um == (0.235, 0.3, 0.15), "what whole voxels allow, not what was asked for"


def test_shape():
    result = run(raw(), shape_vox="4,10,60")
    assert result.shape_vox == (4, 10, 60)
    assert result.voxel_size_um == (0.47, 0.3, 0.075)


def test_reference():
    reference = Volume(np.zeros((5, 7, 9), np.uint8), Kind.RAW, (0.47, 0.3, 0.3))
    assert run(raw(), reference).shape_vox == (5, 7, 9)
    assert run(raw(), reference, to="reference-shape").shape_vox == (5, 7, 9)
    assert run(raw(), reference, to="reference-voxel-size").shape_vox == (4, 10, 15)
    context = QuietContext()
    assert run(raw(), reference, context, factor=2).shape_vox == (16, 40, 60)
    assert "not used" in context.messages[0]
    with pytest.raises(RequestError, match="reference"):
        run(raw(), to="reference-shape")
    with pytest.raises(InputError, match="set-voxel-size"):
        run(raw(), reference.replace(voxel_size_um=None), to="reference-voxel-size")


def pretend_models(monkeypatch, **cards):
    """Put a catalogue in place of the real one, whose models change."""
    module = types.ModuleType("plantseg_app.zoo.catalogue")
    module.find_model = lambda name: types.SimpleNamespace(card=cards[name])
    monkeypatch.setitem(sys.modules, "plantseg_app.zoo.catalogue", module)


def test_model(monkeypatch):
    card = types.SimpleNamespace
    pretend_models(
        monkeypatch,
        deep=card(voxel_size_um=VoxelSize(0.47, 0.3, 0.3), dimensionality="3D"),
        flat=card(voxel_size_um=VoxelSize(1.0, 0.3, 0.3), dimensionality="2D"),
        any=card(voxel_size_um=None, dimensionality="3D"),
    )
    assert run(raw(), model="deep").shape_vox == (4, 10, 15)
    assert run(raw(), model="flat").shape_vox == (8, 10, 15)
    with pytest.raises(RequestError, match="any voxel size"):
        run(raw(), model="any")
    assert Rescale(model="deep").depends_on() != Rescale(model="flat").depends_on()


def test_original_undoes_another_scale_exactly():
    origin = Origin("a.tif", shape_vox=(8, 20, 30), voxel_size_um=SIZE)
    image = raw(origin=origin)
    small = run(image, factor="0.7,0.33,0.9")
    back = run(small, to="original")
    assert back.shape_vox == image.shape_vox
    assert back.voxel_size_um == SIZE
    with pytest.raises(InputError, match="original"):
        run(raw(), to="original")


def test_original_of_a_crop_is_the_size_of_the_crop():
    image = raw(origin=Origin("a.tif", shape_vox=(8, 20, 30), voxel_size_um=SIZE))
    part = Crop(box="2:6, 5:15, :").execute({"image": image}, QuietContext())
    assert run(run(part, factor=0.5), to="original").shape_vox == (4, 10, 30)
    half = run(image, factor="1,0.5,0.5")
    part_of_half = Crop(box="2:6, 5:10, 0:5").execute({"image": half}, QuietContext())
    assert run(part_of_half, to="original").shape_vox == (4, 10, 10)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_labels_take_the_nearest_voxel_whatever_is_asked(interpolation):
    image = labels()
    result = run(image, factor="0.8,1.3,0.4", interpolation=interpolation)
    assert result.data.dtype == np.uint32
    assert set(np.unique(result.data)) <= set(np.unique(image.data))
    up = run(image, factor="2,3,1", interpolation=interpolation)
    np.testing.assert_array_equal(run(up, shape_vox="8,20,30").data, image.data)
    layered = Volume(np.stack([image.data] * 2), Kind.LAYERED_LABELS)
    np.testing.assert_array_equal(run(layered, factor="0.8,1.3,0.4").data[1], result.data)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_2d_and_channels(dtype):
    flat = run(raw((1, 20, 30), dtype), factor=2, interpolation="cubic")
    assert flat.shape_vox == (1, 40, 60)
    assert flat.voxel_size_um == (0.235, 0.075, 0.075)
    assert run(raw((1, 20, 30), dtype), voxel_size_um=0.075).shape_vox == (1, 40, 60)
    channels = raw((3, 4, 20, 30), dtype)
    result = run(channels, factor="1,0.5,0.5")
    assert result.data.shape == (3, 4, 10, 15)
    assert result.data.dtype == dtype
    single = run(channels.replace(data=channels.data[1]), factor="1,0.5,0.5")
    np.testing.assert_allclose(result.data[1], single.data, atol=1e-3)


def test_probabilities_stay_probabilities():
    wall = np.zeros((4, 16, 16), np.float32)
    wall[:, :, 8:] = 1
    result = run(Volume(wall, Kind.BOUNDARY), factor=1.7, interpolation="cubic")
    assert result.data.min() >= 0
    assert result.data.max() <= 1


def test_nothing_asked_is_nothing_done():
    image = raw()
    assert run(image) is image
    assert run(image, shape_vox="8,20,30") is image


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"factor": 2, "shape_vox": "1,2,3"}, "factor and shape_vox"),
        ({"to": "shape"}, "shape_vox"),
        ({"to": "model"}, "model"),
        ({"to": "original", "factor": 2}, "factor"),
        ({"to": "factor", "model": "x"}, "model"),
        ({"factor": 0}, "factor"),
        ({"factor": "1,2"}, "factor"),
        ({"shape_vox": "0,1,1"}, "shape_vox"),
        ({"to": "orignal"}, "original"),
    ],
)
def test_contradictions_are_refused_in_one_line(fields, words):
    with pytest.raises(RequestError) as caught:
        Rescale.from_settings(fields)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_voxel_size_and_too_much_memory():
    with pytest.raises(InputError, match="set-voxel-size"):
        run(raw(voxel_size=None), voxel_size_um=1)
    assert run(raw(voxel_size=None), factor=2).voxel_size_um is None
    with pytest.raises(ResourceError, match="unit"):
        run(raw(), voxel_size_um=0.0001)


def test_each_way_survives_being_written_down():
    for fields in ({"factor": 2}, {"shape_vox": "1,2,3"}, {"model": "m"}, {"voxel_size_um": 0.2}, {"to": "original"}):
        step = Rescale.from_settings(fields)
        assert make_step("rescale", step.settings()) == step
        assert make_step("rescale", step.settings(only_changed=True)) == step
    assert Rescale(factor=(0.5, 0.5, 0.5)).estimate((8, 8, 8)).memory_bytes < Rescale(factor=2).estimate((8, 8, 8))[0]
