"""Which processors a network could run on, found without loading torch, which takes seconds.

The drivers are asked themselves. Whether torch can use a card is known for certain only to the process that computes;
a build of torch without support for a card is recognised by its version.

>>> [device.id for device in find_devices()][-1]
'cpu'
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

_NVML_NAMES = {"win32": ("nvml.dll",), "linux": ("libnvidia-ml.so.1", "libnvidia-ml.so")}
_NAME_BYTES = 96


@dataclasses.dataclass(frozen=True)
class FoundDevice:
    """A processor.

    Attributes
    ----------
    id
        As the command line takes it: ``cuda:0``, ``mps`` or ``cpu``.
    title
        As people know it.
    """

    id: str
    title: str


def find_devices() -> list[FoundDevice]:
    """Return what this machine has, the fastest sort first; ``cpu`` is always the last."""
    cards = nvidia_cards() if _torch_knows_cuda() else []
    found = [FoundDevice(f"cuda:{number}", f"{name} (cuda:{number})") for number, name in enumerate(cards)]
    if sys.platform == "darwin" and platform.machine() == "arm64":
        found.append(FoundDevice("mps", "Apple graphics processor (mps)"))
    return [*found, FoundDevice("cpu", f"Processor, {os.cpu_count() or 1} threads (cpu)")]


def _torch_knows_cuda() -> bool:
    try:
        found = version("torch")
    except PackageNotFoundError:
        return False
    # Builds without support for cards say so ("2.13.0+cpu"); others may have it.
    return not found.endswith("+cpu")


def nvidia_cards() -> list[str]:
    """Return the names of the graphics cards that NVIDIA's driver knows; empty without a driver."""
    library = _load_nvml()
    if library is None or library.nvmlInit_v2() != 0:
        return []
    try:
        count = ctypes.c_uint()
        if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return []
        return [_card_name(library, number) for number in range(count.value)]
    finally:
        library.nvmlShutdown()


def _load_nvml() -> ctypes.CDLL | None:
    for name in _NVML_NAMES.get(sys.platform, ()):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _card_name(library: ctypes.CDLL, number: int) -> str:
    handle, name = ctypes.c_void_p(), ctypes.create_string_buffer(_NAME_BYTES)
    found = library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(handle)) == 0
    if found and library.nvmlDeviceGetName(handle, name, _NAME_BYTES) == 0:
        return name.value.decode(errors="replace")
    return "NVIDIA graphics card"
