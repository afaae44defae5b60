"""The U-Nets equal the classes of pytorch-3dunet, and their geometry is what they say."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.errors import InputError, RequestError
from plantseg_app.networks import unet

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    reference = pytest.importorskip("pytorch3dunet.unet3d.model")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Threads that wait for each other make these tiny networks many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


NAMES = ("UNet3D", "UNet2D", "ResidualUNet3D", "ResidualUNet2D")
ORDERS = (
    "gcr",
    "bcr",
    "crg",
    "cbr",
    "gcl",
    "cr",
    "cgr",
    "cge",
    "bce",
    "bcrd",
    "gcrD",
    "crb",
    "ce",
    "cl",
    "bcl",
    "cgl",
    "cbe",
    "gcd",
    "bc",
    "c",
    "cbrd",
    "gce",
    "gc",
)


def a_pair(name: str, **kwargs):
    """The reference network and ours with its weights, both in eval mode, batch statistics randomised."""
    torch.manual_seed(3)
    theirs = getattr(reference, name)(1, 2, **kwargs)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 2)
    ours = getattr(unet, name)(1, 2, **kwargs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs.eval(), ours.eval()


def an_image(name: str) -> torch.Tensor:
    shape = (5, 9, 12) if name.endswith("3D") else (13, 22)
    return torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(5))


@torch.inference_mode()
def difference(name: str, **kwargs) -> float:
    theirs, ours = a_pair(name, **kwargs)
    image = an_image(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # channel dropout on volumes is deprecated in torch
        expected = theirs(image, return_logits=True)[1]
        got = ours(image)
    assert got.shape == expected.shape
    return float((expected - got).abs().max())


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", NAMES)
def test_equals_pytorch3dunet_for_every_layer_order(name, order):
    assert difference(name, f_maps=8, num_levels=3, layer_order=order, num_groups=4) < 1e-5


@pytest.mark.parametrize(
    ("name", "upsample"),
    [
        *(("UNet3D", mode) for mode in ("default", "nearest", "trilinear", "area", "deconv")),
        *(("UNet2D", mode) for mode in ("nearest", "bilinear", "deconv")),
        ("ResidualUNet3D", "deconv"),
        ("ResidualUNet2D", "default"),
    ],
)
def test_equals_pytorch3dunet_for_every_upsampling(name, upsample):
    assert difference(name, f_maps=8, num_levels=3, upsample=upsample) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_equals_pytorch3dunet_with_its_default_levels_and_listed_maps(name):
    for kwargs in ({"f_maps": 8}, {"f_maps": [8, 24, 40], "layer_order": "bcr"}):
        with torch.device("meta"):
            theirs = getattr(reference, name)(2, 3, **kwargs).state_dict()
            ours = getattr(unet, name)(2, 3, **kwargs).state_dict()
        assert {n: v.shape for n, v in theirs.items()} == {n: v.shape for n, v in ours.items()}


@torch.inference_mode()
def test_activation_of_the_logits_is_what_pytorch3dunet_returns():
    theirs, ours = a_pair("UNet2D", f_maps=8, num_levels=2)
    image = an_image("UNet2D")
    torch.testing.assert_close(torch.sigmoid(ours(image)), theirs(image), atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["linear", "bilinear", "trilinear"])
def test_linear_means_the_linear_interpolation_of_the_dimension(mode):
    networks = [unet.UNet2D(1, 1, f_maps=4, num_groups=4, num_levels=2, upsample=m) for m in (mode, "bilinear")]
    networks[1].load_state_dict(networks[0].state_dict())
    torch.testing.assert_close(networks[0](an_image("UNet2D")), networks[1](an_image("UNet2D")))


@pytest.mark.parametrize(
    ("name", "kwargs", "words"),
    [
        ("UNet3D", {"layer_order": "gxr"}, "'x'"),
        ("UNet3D", {"layer_order": "gr"}, "exactly one c"),
        ("UNet3D", {"layer_order": "gccr"}, "exactly one c"),
        ("UNet3D", {"layer_order": "gcrr"}, "no letter twice"),
        ("UNet3D", {"layer_order": "rcg"}, "must not start"),
        ("UNet3D", {"f_maps": [8]}, "two levels"),
        ("UNet3D", {"f_maps": [8, 0]}, "two levels"),
        ("UNet3D", {"f_maps": 12}, "num_groups=8"),
        ("UNet3D", {"upsample": "cubic"}, "nearest"),
        ("UNet3D", {"upsample": None}, "nearest"),
        ("UNet3D", {"f_maps": [8, 24], "upsample": "deconv", "layer_order": "bcr"}, "double"),
        ("ResidualUNet3D", {"upsample": "nearest"}, "deconv, default"),
    ],
)
def test_settings_of_no_network_are_refused_in_words(name, kwargs, words):
    with pytest.raises(RequestError, match=words):
        getattr(unet, name)(1, 1, **kwargs)


def test_too_thin_an_image_is_refused_in_words():
    with pytest.raises(InputError, match="too thin"):
        unet.UNet3D(1, 1, f_maps=8)(torch.zeros(1, 1, 7, 16, 16))


def probed_interval(network: unet.UNet, size: int, at: int) -> tuple[int, int]:
    """First and last input voxel along X that changes output voxel `at`, from the gradient."""
    shape = (1, 1, *([network.pooling_factor] * (1 + network.is_3d)), size)
    reached = torch.zeros(size, dtype=torch.bool)
    for seed in range(4):  # the maximum of a pooling window passes the gradient to one voxel alone
        image = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()
        network(image)[..., at].sum().backward()
        reached |= image.grad.abs().sum(tuple(range(image.ndim - 1))) > 0
    hit = reached.nonzero().ravel()
    return int(hit[0]), int(hit[-1])


@pytest.mark.parametrize(
    ("name", "levels", "upsample"),
    [
        ("UNet2D", 2, "default"),
        ("UNet2D", 3, "default"),
        ("UNet2D", 4, "default"),
        ("UNet2D", 3, "bilinear"),
        ("UNet2D", 3, "deconv"),
        ("ResidualUNet2D", 3, "default"),
        ("UNet3D", 3, "default"),
    ],
)
def test_receptive_field_is_a_safe_and_tight_bound(name, levels, upsample):
    torch.manual_seed(0)
    network = getattr(unet, name)(1, 1, f_maps=8, num_levels=levels, layer_order="bc", upsample=upsample).eval()
    radius, factor = network.receptive_field_radius_vox(), network.pooling_factor
    middle = -(-(radius + factor) // factor) * factor
    widest = 0
    for at in range(middle, middle + factor):
        first, last = probed_interval(network, 2 * middle + factor, at)
        low, high = network.input_interval(at, at)
        assert low <= first
        assert last <= high
        widest = max(widest, at - first, last - at)
    assert widest <= radius
    if upsample == "default" and not network.is_residual:
        assert widest >= radius - factor


@given(start=st.integers(0, 6), size=st.integers(1, 4))
@settings(max_examples=8, deadline=None)
@torch.inference_mode()
def test_aligned_tiles_with_the_halo_equal_the_whole(start, size):
    torch.manual_seed(1)
    network = unet.UNet2D(1, 1, f_maps=8, num_levels=3, layer_order="bcr").eval()
    factor, halo = network.pooling_factor, network.tile_halo_vox()
    image = torch.randn(1, 1, 8, 2 * halo + 10 * factor)
    low = halo + start * factor
    high = low + size * factor
    tile = network(image[..., low - halo : high + halo])[..., halo:-halo]
    torch.testing.assert_close(tile, network(image)[..., low:high], atol=1e-5, rtol=0)


def test_only_group_norm_forbids_exact_tiles():
    made = {order: unet.UNet2D(1, 1, f_maps=8, layer_order=order).tiles_exactly for order in ("gcr", "bcr", "cr")}
    assert made == {"gcr": False, "bcr": True, "cr": True}
