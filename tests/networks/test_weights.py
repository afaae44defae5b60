"""Weights: what is read, what is refused, what a state dict tells about its network."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile

import pytest
import torch

from plantseg_app.errors import InputError
from plantseg_app.networks import unet
from plantseg_app.networks.boundary.family import BoundaryFamily
from plantseg_app.networks.weights import guess_architecture, load_weights, put_weights, read_weights, save_weights

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    reference = pytest.importorskip("pytorch3dunet.unet3d.model")


def a_network(**kwargs) -> unet.UNet2D:
    return unet.UNet2D(1, 1, f_maps=(8, 16), layer_order="bcr", **kwargs)


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(v, other.state_dict()[n]) for n, v in one.state_dict().items())


@pytest.mark.parametrize("suffix", [".pytorch", ".pt"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapper", [None, "model_state_dict", "state_dict"])
def test_checkpoints_of_pytorch3dunet_load_bare_or_wrapped(tmp_path, suffix, prefix, wrapper):
    trained = reference.UNet2D(1, 1, f_maps=[8, 16], layer_order="bcr")
    state = {prefix + name: value for name, value in trained.state_dict().items()}
    stored = state if wrapper is None else {"epoch": 3, wrapper: state, "best_eval_score": 0.5}
    path = tmp_path / f"best{suffix}"
    torch.save(stored, path)
    network = a_network()
    load_weights(network, path)
    assert equal(network, trained)


def test_old_files_without_the_batch_counters_load(tmp_path):
    state = {n: v for n, v in a_network().state_dict().items() if not n.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pt")
    load_weights(a_network(), tmp_path / "old.pt")


def test_safetensors_round_trip_and_nothing_else_is_left(tmp_path):
    one, other = a_network(), a_network()
    save_weights(one, tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors")
    assert equal(one, other)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
    with pytest.raises(InputError, match="safetensors"):
        save_weights(one, tmp_path / "w.pt")


class _Attack:
    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, writer):
    hostage, path = tmp_path / "hostage", tmp_path / "evil.pytorch"
    stored = {"model_state_dict": {"final_conv.weight": _Attack(str(hostage))}}
    if writer == "torch":
        torch.save(stored, path)
    else:
        path.write_bytes(pickle.dumps(stored))
    with pytest.raises(InputError, match=r"program code|damaged"):
        read_weights(path)
    assert not hostage.exists()


@pytest.mark.parametrize("suffix", [".pytorch", ".safetensors"])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.95])
def test_a_file_cut_short_is_named_damaged(tmp_path, suffix, share):
    path = tmp_path / f"w{suffix}"
    network = a_network()
    if suffix == ".safetensors":
        save_weights(network, path)
    else:
        torch.save(network.state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="damaged"):
        read_weights(path)


@pytest.mark.parametrize(
    "content",
    [
        (2**63 - 1).to_bytes(8, "little") + b"{}",
        (2**40).to_bytes(8, "little") + b"{}",
        (200 * 2**20).to_bytes(8, "little") + b"{" + b" " * 1000,
        b"\x02\0\0\0\0\0\0\0[]",
        # More numbers than there are, and the same ones twice.
        b"\x44\0\0\0\0\0\0\0" + b'{"a":{"dtype":"F32","shape":[1000000,1000],"data_offsets":[0,4]}}    ' + bytes(4),
        b"\x3f\0\0\0\0\0\0\0" + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4294967296]}} ' + bytes(4),
    ],
)
def test_safetensors_with_a_header_that_lies_are_refused(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_weights(path)


def test_a_checkpoint_that_fills_the_memory_is_not_unpacked(tmp_path):
    path = tmp_path / "w.pt"
    torch.save(a_network().state_dict(), path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/99", bytes(20 * 2**20))
    with pytest.raises(InputError, match="would unpack"):
        read_weights(path)


def test_numbers_that_are_not_there_are_not_made_up(tmp_path):
    path = tmp_path / "w.pt"
    for tensor in (torch.zeros(1).expand(10**6, 10**6), torch.zeros(3, device="meta"), torch.eye(3).to_sparse()):
        torch.save({"a": tensor}, path)
        with pytest.raises(InputError, match=r"claims more numbers|program code"):
            read_weights(path)


def test_files_of_other_content_are_refused_in_words(tmp_path):
    path = tmp_path / "w.pt"
    with pytest.raises(InputError, match="no file of weights"):
        read_weights(path)
    path.write_text("hello, I am a text file\n")
    with pytest.raises(InputError, match="damaged"):
        read_weights(path)
    for stored in ({}, {"epoch": 3}, [1, 2], torch.zeros(3)):
        torch.save(stored, path)
        with pytest.raises(InputError, match="holds no weights"):
            read_weights(path)
    torch.save({"a": torch.zeros(1), "epoch": 3}, path)
    with pytest.raises(InputError, match="'epoch'"):
        read_weights(path)


def test_weights_that_do_not_fit_say_what_differs_and_change_nothing():
    network = a_network()
    before = {n: v.clone() for n, v in network.state_dict().items()}
    other = unet.UNet2D(2, 1, f_maps=(8, 16), layer_order="cr").state_dict()
    with pytest.raises(InputError, match=r"lacks.*batchnorm.*too much.*conv\.bias.*shapes differ.*instead of"):
        put_weights(network, other, source="best.pytorch")
    assert all(torch.equal(v, before[n]) for n, v in network.state_dict().items())


@pytest.mark.parametrize("name", ["UNet3D", "UNet2D", "ResidualUNet3D", "ResidualUNet2D"])
@pytest.mark.parametrize("order", ["gcr", "bcr", "cbr", "cgr", "cr"])
def test_the_architecture_is_guessed_from_the_state_dict(name, order):
    with torch.device("meta"):
        weights = getattr(reference, name)(2, 1, f_maps=[16, 32, 64], layer_order=order).state_dict()
        guess = guess_architecture(weights)
        assert guess.feature_maps == (16, 32, 64)
        assert (guess.in_channels, guess.out_channels) == (2, 1)
        network = BoundaryFamily(**guess.settings()).build()
    assert {n: v.shape for n, v in network.state_dict().items()} == {n: v.shape for n, v in weights.items()}
    if guess.sure:
        assert guess.layer_order == order


@pytest.mark.parametrize("order", ["bcr", "cbr"])
def test_deconvolution_is_seen(order):
    weights = unet.UNet2D(1, 1, f_maps=16, num_levels=3, layer_order=order, upsample="deconv").state_dict()
    guess = guess_architecture(weights)
    put_weights(BoundaryFamily(**guess.settings()).build(), weights)
    assert guess.layer_order == order


@pytest.mark.parametrize("drop", ["final_conv.weight", "encoders.0.basic_module.SingleConv2.conv.weight"])
def test_other_networks_are_not_guessed(drop):
    weights = a_network().state_dict()
    del weights[drop]
    with pytest.raises(InputError, match=r"no U-Net of pytorch-3dunet"):
        guess_architecture(weights)
