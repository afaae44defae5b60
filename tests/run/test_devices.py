"""Devices found without torch: those torch has itself, and those of a driver that is played."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from plantseg_app.networks.device import available_devices
from plantseg_app.run import devices


def test_they_are_those_that_torch_has() -> None:
    assert [device.id for device in devices.find_devices()] == available_devices()


def driver_with_two_cards(closed: list[bool]) -> SimpleNamespace:
    """NVIDIA's library with two cards, the second without a name."""

    def count(place: object) -> int:
        ctypes.cast(place, ctypes.POINTER(ctypes.c_uint))[0] = 2
        return 0

    def name(handle: object, place: ctypes.Array, length: int) -> int:
        place.value = b"NVIDIA H100"
        return 0

    return SimpleNamespace(
        nvmlInit_v2=lambda: 0,
        nvmlDeviceGetCount_v2=count,
        nvmlDeviceGetHandleByIndex_v2=lambda number, handle: number,
        nvmlDeviceGetName=name,
        nvmlShutdown=lambda: closed.append(True),
    )


@pytest.mark.parametrize(
    ("torch_version", "expected"),
    [("2.13.0", ["cuda:0", "cuda:1", "cpu"]), ("2.13.0+cu128", ["cuda:0", "cuda:1", "cpu"]), ("2.13.0+cpu", ["cpu"])],
)
def test_cards_count_if_torch_was_built_for_them(
    monkeypatch: pytest.MonkeyPatch, torch_version: str, expected: list[str]
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(devices, "_load_nvml", lambda: driver_with_two_cards(closed))
    monkeypatch.setattr(devices, "version", lambda name: torch_version)
    monkeypatch.setattr(devices, "sys", SimpleNamespace(platform="linux"))
    found = devices.find_devices()
    assert [device.id for device in found] == expected
    if len(found) > 1:
        assert found[0].title == "NVIDIA H100 (cuda:0)"
        assert found[1].title == "NVIDIA graphics card (cuda:1)"
        assert closed == [True]


def test_a_driver_without_a_card_is_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_load_nvml", lambda: SimpleNamespace(nvmlInit_v2=lambda: 9))
    assert devices.nvidia_cards() == []
    monkeypatch.setattr(devices, "_load_nvml", lambda: None)
    assert devices.nvidia_cards() == []
