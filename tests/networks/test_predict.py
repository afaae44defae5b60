"""Tiled prediction equals the untiled network, survives a lack of memory, and stops when asked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from plantseg_app.core.context import QuietContext
from plantseg_app.core.tiles import Tiling
from plantseg_app.errors import Cancelled, InputError, RequestError, ResourceError
from plantseg_app.networks.boundary.family import BoundaryFamily
from plantseg_app.networks.memory import network_cost
from plantseg_app.networks.plan import PredictOptions, make_plan
from plantseg_app.networks.predict import cut_mirrored, predict_tiled

EXACT = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other on a busy machine would make these small cases slow."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def family(**settings):
    return BoundaryFamily(**{"feature_maps": (4, 8, 8), "layer_order": "bcr", **settings})


def random_network(family, seed=0):
    """Random weights and running statistics, such that the logits vary by about one."""
    torch.manual_seed(seed)
    network = family.build().eval()
    for name, module in network.named_modules():
        if hasattr(module, "kernel_size") and "pool" not in name:
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.3, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    probe = torch.from_numpy(random_image(1, family.in_channels, *[8 * g for g in family.grid_vox]))
    with torch.no_grad():
        logits = network(probe[:, :, 0] if family.is_2d else probe)
        network.final_conv.weight /= logits.std()
        network.final_conv.bias -= logits.mean() / logits.std()
    return network


def random_image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def untiled(network, family, image):
    """The definition: the network on the whole volume, mirrored to whole cells of the pooling grid."""
    tiling = Tiling(image.shape[1:], family.grid_vox)
    pads = [
        (before, padded - before - size)
        for before, padded, size in zip(tiling.pad_before_vox, tiling.padded_shape_vox, image.shape[1:], strict=True)
    ]
    padded = torch.from_numpy(np.pad(image, [(0, 0), *pads], mode="reflect"))
    with torch.no_grad():
        if family.is_2d:
            result = torch.stack([network(plane[None])[0] for plane in padded.unbind(1)], 1)
        else:
            result = network(padded[None])[0]
    inside = tuple(slice(b, b + n) for (b, _), n in zip(pads, image.shape[1:], strict=True))
    return torch.sigmoid(result)[(slice(None), *inside)].numpy()


class Counting(QuietContext):
    def __init__(self, stop_after=math.inf):
        super().__init__("cpu", 1)
        self.tiles = 0
        self.totals = []
        self.stop_after = stop_after

    def track(self, items, label, total=None):
        assert label == "Predict"
        self.totals.append(total)
        for item in items:
            if self.tiles >= self.stop_after:
                raise Cancelled("stopped")
            self.tiles += 1
            yield item


def float32(tile=None, **options):
    return PredictOptions(tile_vox=tile, precision="float32", **options)


@pytest.mark.parametrize(
    ("settings", "shape", "tile"),
    [
        ({}, (1, 20, 45, 61), (12, 24, 24)),
        ({}, (1, 5, 50, 7), (4, 4, 4)),
        ({}, (1, 1, 33, 70), (4, 8, 16)),
        ({"upsampling": "trilinear"}, (1, 9, 60, 40), (12, 20, 20)),
        ({"layer_order": "cbl", "image_channels": 2, "predicts": ("boundary", "nuclei")}, (2, 9, 30, 66), (12, 16, 24)),
        ({"layer_order": "cl", "upsampling": "deconv", "feature_maps": (4, 8, 16)}, (1, 6, 31, 70), (4, 16, 16)),
        ({"residual": True, "layer_order": "bcr"}, (1, 6, 30, 73), (4, 16, 16)),
        ({"dimensions": "2D"}, (1, 3, 70, 45), (2, 16, 16)),
        ({"dimensions": "2D", "residual": True, "image_channels": 3}, (3, 2, 33, 80), (1, 8, 16)),
    ],
)
def test_tiled_equals_untiled(settings, shape, tile):
    fam = family(**settings)
    network = random_network(fam)
    image = random_image(*shape)
    expected = untiled(network, fam, image)
    assert expected.std() > 0.05
    context = Counting()
    result = predict_tiled(network, fam, image, context, float32(tile))
    assert context.tiles > 1
    assert context.totals == [context.tiles]
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, **EXACT)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 9), (3, 1, 1), (17, 1, 6), (2, 64, 2)])
@pytest.mark.parametrize("dimensions", ["2D", "3D"])
@pytest.mark.parametrize("order", ["bcr", "gcr"])
def test_any_size_gives_probabilities(shape, dimensions, order):
    fam = family(dimensions=dimensions, layer_order=order, norm_groups=2)
    network = random_network(fam)
    image = random_image(1, *shape)
    result = predict_tiled(network, fam, image, QuietContext("cpu", 1), float32())
    assert result.shape == (1, *shape)
    assert (result >= 0).all()
    assert (result <= 1).all()
    np.testing.assert_allclose(result, untiled(network, fam, image), **EXACT)


@pytest.mark.parametrize("value", [0.0, 1.0, -1e4])
def test_a_constant_image_gives_probabilities(value):
    fam = family()
    image = np.full((1, 6, 20, 20), value, np.float32)
    result = predict_tiled(random_network(fam), fam, image, QuietContext("cpu", 1))
    assert np.isfinite(result).all()
    assert result.min() >= 0
    assert result.max() <= 1


def test_a_margin_is_the_network_on_a_larger_mirrored_volume():
    fam = family()
    network = random_network(fam)
    image = random_image(1, 8, 16, 24)
    mirrored = np.pad(image, ((0, 0), (4, 4), (4, 4), (4, 4)), mode="reflect")
    expected = untiled(network, fam, mirrored)[:, 4:-4, 4:-4, 4:-4]
    result = predict_tiled(network, fam, image, QuietContext("cpu", 1), float32((8, 8, 8), margin_vox=(4, 4, 4)))
    np.testing.assert_allclose(result, expected, **EXACT)


def test_group_norm_tiles_blend_without_seams():
    fam = family(layer_order="gcr", norm_groups=4)
    network = random_network(fam)
    # Brightness falls along X, so the statistics of the tiles differ and hard seams would show.
    image = random_image(1, 4, 16, 200) * np.linspace(3, 0.3, 200, dtype=np.float32)
    blended = predict_tiled(network, fam, image, QuietContext("cpu", 1), float32((4, 16, 48)))
    whole = untiled(network, fam, image)
    tiling = Tiling(image.shape[1:], fam.grid_vox, (0, 0, 0), (4, 16, 48))
    seams = [tile.core[2][0] for tile in tiling][1:]
    error = blended - whole
    steps = np.abs(np.diff(error, axis=3)).mean(axis=(0, 1, 2))
    assert np.abs(error).max() > 1e-4, "the case would show nothing"
    assert steps[[seam - 1 for seam in seams]].max() < 1.5 * np.percentile(steps, 95)


def test_one_group_norm_tile_is_the_untiled_network():
    fam = family(layer_order="gcr", norm_groups=4)
    network = random_network(fam)
    image = random_image(1, 5, 18, 33)
    result = predict_tiled(network, fam, image, QuietContext("cpu", 1), float32())
    np.testing.assert_allclose(result, untiled(network, fam, image), **EXACT)


def test_bfloat16_is_near_float32():
    fam = family()
    network = random_network(fam)
    image = random_image(1, 8, 32, 32)
    low = predict_tiled(network, fam, image, QuietContext("cpu", 1), PredictOptions(precision="bfloat16"))
    full = predict_tiled(network, fam, image, QuietContext("cpu", 1), float32())
    assert low.dtype == np.float32
    assert 0 < np.abs(low - full).max() < 0.1


def test_only_the_wanted_channels_are_kept():
    fam = family(predicts=("boundary", "foreground", "nuclei"))
    network = random_network(fam)
    image = random_image(1, 4, 8, 8)
    everything = predict_tiled(network, fam, image, QuietContext("cpu", 1), float32())
    some = predict_tiled(network, fam, image, QuietContext("cpu", 1), float32(channels=(2, 0)))
    np.testing.assert_array_equal(some, everything[[2, 0]])


class Limited(torch.nn.Module):
    """A network that has no room for more than some voxels."""

    def __init__(self, network, most_voxels, error):
        super().__init__()
        self.network, self.most_voxels, self.error = network, most_voxels, error

    def forward(self, x):
        if x.numel() > self.most_voxels:
            raise self.error
        return self.network(x)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("order", ["bcr", "gcr"])
def test_smaller_tiles_when_memory_runs_out(error, order):
    # Two scales have a narrow halo, so that there is room for two rounds of smaller tiles, and no need of many.
    fam = family(layer_order=order, norm_groups=4, feature_maps=(4, 8))
    network = random_network(fam)
    image = random_image(1, 8, 64, 64)
    context = QuietContext("cpu", 1)
    result = predict_tiled(Limited(network, 12_000, error), fam, image, context, float32())
    assert all("smaller tiles" in message for message in context.messages)
    assert context.messages
    if order == "bcr":
        assert len(context.messages) == 2
        np.testing.assert_allclose(result, untiled(network, fam, image), **EXACT)
    assert result.min() >= 0
    assert result.max() <= 1 + 1e-6


def test_no_memory_at_all_is_said():
    fam = family()
    network = Limited(random_network(fam), 600, MemoryError())
    with pytest.raises(ResourceError, match="smallest tile"):
        predict_tiled(network, fam, random_image(1, 8, 40, 40), QuietContext("cpu", 1), float32())


def test_other_errors_are_not_mistaken_for_memory():
    fam = family()
    network = Limited(random_network(fam), 600, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        predict_tiled(network, fam, random_image(1, 8, 40, 40), QuietContext("cpu", 1), float32())


def test_an_image_larger_than_memory_is_refused_before_the_run(monkeypatch):
    monkeypatch.setattr("plantseg_app.networks.plan.free_bytes", lambda device: 1000)
    fam = family()
    with pytest.raises(ResourceError, match="are free"):
        predict_tiled(random_network(fam), fam, random_image(1, 8, 40, 40), QuietContext("cpu", 1))


def test_tiles_follow_the_free_memory(monkeypatch):
    fam = family()
    network = random_network(fam)
    tiles = []
    for free in (2**24, 2**26, 2**34):
        monkeypatch.setattr("plantseg_app.networks.plan.free_bytes", lambda device, free=free: free)
        plan = make_plan(network, fam, (32, 128, 128), QuietContext("cpu", 1))
        assert plan.tile_bytes + plan.output_bytes <= free
        tiles.append(len(plan.tiling))
    assert tiles[0] > tiles[1] > tiles[2] == 1


def test_cancel_stops_between_tiles():
    fam = family()
    context = Counting(stop_after=2)
    with pytest.raises(Cancelled):
        predict_tiled(random_network(fam), fam, random_image(1, 8, 64, 64), context, float32((8, 8, 8)))
    assert context.tiles == 2


def test_cancelling_does_not_wait_for_the_end_of_a_tile():
    class Impatient(QuietContext):
        checks = 0

        def check(self):
            self.checks += 1
            if self.checks == 5:
                raise Cancelled("stopped")

    fam = family()
    network, image, context = random_network(fam), random_image(1, 8, 16, 16), Impatient("cpu", 1)
    with pytest.raises(Cancelled):
        predict_tiled(network, fam, image, context, float32())
    # Nothing of it stays on the network, which others use as well.
    predict_tiled(network, fam, image, QuietContext("cpu", 1), float32())
    assert context.checks == 5


def test_surroundings_are_left_as_they_were():
    fam = family()
    network = random_network(fam).train()
    image = random_image(1, 4, 8, 8)
    before = image.copy()
    predict_tiled(network, fam, image, QuietContext("cpu", 2))
    assert network.training
    assert torch.get_num_threads() == 1
    np.testing.assert_array_equal(image, before)


def test_overflow_of_16_bits_is_repeated_in_float32(monkeypatch):
    fam = family()
    network = random_network(fam)

    class Overflowing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x):
            logits = self.network(x)
            return logits + torch.inf - torch.inf if logits.dtype == torch.bfloat16 else logits

    image = random_image(1, 4, 8, 8)
    context = QuietContext("cpu", 1)
    result = predict_tiled(Overflowing(), fam, image, context, PredictOptions(precision="bfloat16"))
    assert "float32" in context.messages[0]
    np.testing.assert_allclose(result, untiled(network, fam, image), **EXACT)


def test_damaged_weights_are_said():
    fam = family()
    network = random_network(fam)
    torch.nn.init.constant_(network.final_conv.bias, math.nan)
    with pytest.raises(InputError, match="NaN"):
        predict_tiled(network, fam, random_image(1, 4, 8, 8), QuietContext("cpu", 1), float32())


@pytest.mark.parametrize("shape", [(4, 8, 8), (2, 4, 8, 8), (1, 0, 8, 8)])
def test_images_of_the_wrong_shape_are_refused(shape):
    fam = family()
    with pytest.raises(InputError, match=r"\(1, Z, Y, X\)"):
        predict_tiled(random_network(fam), fam, np.zeros(shape, np.float32), QuietContext("cpu", 1))


def test_a_tile_of_nothing_is_refused():
    fam = family()
    with pytest.raises(RequestError):
        predict_tiled(random_network(fam), fam, random_image(1, 4, 8, 8), QuietContext("cpu", 1), float32((0, 8, 8)))


def test_cut_mirrored_is_the_mirrored_volume():
    image = random_image(2, 3, 5, 1)
    padded = np.pad(image, ((0, 0), (4, 4), (6, 6), (2, 2)), mode="reflect")
    part = cut_mirrored(image, ((-4, 2), (1, 9), (-2, 3)))
    np.testing.assert_array_equal(part, padded[:, 0:6, 7:15, 0:5])
    assert part.flags.c_contiguous


def test_cost_of_a_network_is_that_of_its_layers():
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(8, 2, 1))
    cost = network_cost(network, 1, (2, 2, 2), torch.float32)
    # Input, the first features and their copy after ReLU live at once; two operations a multiplication.
    assert cost.bytes_per_voxel == 4 * (1 + 8 + 8)
    assert cost.flop_per_voxel == 2 * (27 * 8 + 8 * 2)
    assert cost.elements_per_voxel == 8
    assert cost.channels_out == 2
    assert network_cost(network, 1, (2, 2, 2), torch.bfloat16).bytes_per_voxel == cost.bytes_per_voxel / 2


def test_only_what_no_tiling_equals_is_tiled_as_it_was_trained():
    options = PredictOptions(trained_tile_vox=(16, 32, 32), halo_vox=(3, 5, 5))
    shape = (64, 96, 96)

    def plan(order):
        fam = family(layer_order=order, norm_groups=4)
        return make_plan(fam.build(), fam, shape, QuietContext("cpu"), options)

    exact, coupled = plan("bcr"), plan("gcr")
    assert len(exact.tiling) == 1
    # The halo on the grid of 4; cores of the trained tile.
    assert coupled.tiling.halo_vox == (4, 8, 8)
    assert coupled.ramp_vox == (2, 4, 4)
    assert len(coupled.tiling) == 4 * 3 * 3


def test_a_trained_tile_smaller_than_its_halo_or_larger_than_memory_is_changed(monkeypatch):
    fam = family(layer_order="gcr", norm_groups=4)

    def cores(trained):
        options = PredictOptions(trained_tile_vox=trained, halo_vox=(8, 8, 8))
        plan = make_plan(fam.build(), fam, (64, 64, 64), QuietContext("cpu"), options)
        return len(plan.tiling)

    assert cores((4, 4, 4)) == cores((16, 16, 16)) == 4**3
    assert cores((64, 64, 64)) == 1
    monkeypatch.setattr("plantseg_app.networks.plan._FLOP_PER_TILE", {"cpu": 1e9})
    assert cores((64, 64, 64)) > 1
