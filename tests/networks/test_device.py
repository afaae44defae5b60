"""Which device and precision are taken, on machines with and without a graphics card."""

from __future__ import annotations

import pytest
import torch

from plantseg_app.errors import RequestError, ResourceError
from plantseg_app.networks import device as module
from plantseg_app.networks.device import (
    available_devices,
    free_bytes,
    move_network,
    resolve_device,
    resolve_precision,
)

CPU = torch.device("cpu")


@pytest.fixture
def two_cards(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def no_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_auto_takes_the_fastest(two_cards):
    assert available_devices() == ["cuda:0", "cuda:1", "cpu"]
    assert resolve_device("auto") == torch.device("cuda:0")
    assert resolve_device("cuda") == torch.device("cuda:0")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    assert resolve_device("cpu") == CPU


def test_auto_without_a_card_is_the_processor(no_card):
    assert resolve_device("auto") == CPU


def test_a_missing_device_is_said_with_what_there_is(two_cards):
    with pytest.raises(ResourceError, match="cuda:0, cuda:1, cpu"):
        resolve_device("cuda:2")
    with pytest.raises(ResourceError, match="mps"):
        resolve_device("mps")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cuda:-1", "cpu:0", "CPU", "mps:1", "cuda:0:1"])
def test_a_name_that_is_no_device_is_refused(name):
    with pytest.raises(RequestError, match="The device is"):
        resolve_device(name)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_f": True, "avx2": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_bfloat16_only_where_the_processor_multiplies_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve_precision("auto", CPU) is expected
    assert resolve_precision("float32", CPU) is torch.float32
    assert resolve_precision("bfloat16", CPU) is torch.bfloat16


def test_float16_is_not_for_processors():
    with pytest.raises(RequestError, match="graphics card"):
        resolve_precision("float16", CPU)


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), torch.bfloat16), ((7, 5), torch.float16), ((6, 1), torch.float32)]
)
def test_precision_of_graphics_cards(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", torch.device("cuda:0")) is expected


def test_apple_stays_in_float32():
    assert resolve_precision("auto", torch.device("mps")) is torch.float32


def test_a_container_limits_the_free_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_CGROUP", tmp_path)
    free = free_bytes(CPU)
    assert free > 1e6
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("4000000\n")
    assert free_bytes(CPU) == 1_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes(CPU) > 1_000_000


def test_a_network_too_large_for_its_device_is_said():
    class Huge(torch.nn.Module):
        def to(self, *args, **kwargs):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(ResourceError, match="do not fit"):
        move_network(Huge(), torch.device("cuda:0"))
