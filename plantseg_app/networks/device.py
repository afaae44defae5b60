"""Which processor runs a network, in which precision, and how much memory it has left.

Asks the machine when called, never when imported.

>>> resolve_device("cpu").type
'cpu'
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import psutil
import torch

from plantseg_app.errors import RequestError, ResourceError

Precision = Literal["auto", "float32", "bfloat16", "float16"]

_CGROUP = Path("/sys/fs/cgroup")
# Floating-point operations a second that U-Nets reach, of one processor thread or of a graphics card.
_SPEED = {
    ("cpu", torch.float32): 1.2e11,
    ("cpu", torch.bfloat16): 2.5e11,
    ("cuda", torch.float32): 8e12,
    ("cuda", torch.float16): 3e13,
    ("cuda", torch.bfloat16): 3e13,
}
_UNKNOWN_SPEED = 1e12


def resolve_device(name: str) -> torch.device:
    """Return the device that `name` stands for: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    ``auto`` takes the first graphics card, else Apple's, else the processor.

    Raises
    ------
    RequestError
        If `name` is none of these.
    ResourceError
        If the machine has no such device; the message lists what it has.
    """
    if name == "auto":
        return torch.device(available_devices()[0])
    base, _, number = name.partition(":")
    if base not in {"cpu", "cuda", "mps"} or (number and not (base == "cuda" and number.isdecimal())):
        raise RequestError(f'The device is "auto", "cpu", "cuda:0" (or another number) or "mps", not "{name}".')
    wanted = "cuda:0" if name == "cuda" else f"cuda:{int(number)}" if number else name
    available = available_devices()
    if wanted not in available:
        raise ResourceError(f'This machine has no device "{name}"; it has {", ".join(available)}.')
    return torch.device(wanted)


def available_devices() -> list[str]:
    """Return the names of all devices, the fastest sort first; ``cpu`` is always the last."""
    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the type in which convolutions run; ``auto`` takes 16 bits where the hardware multiplies them.

    Raises
    ------
    RequestError
        If the processor is asked for float16, which it cannot do usefully.
    """
    if precision == "float16" and device.type == "cpu":
        raise RequestError("A processor (cpu) predicts in float32 or bfloat16; float16 needs a graphics card.")
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if device.type == "cpu":
        return torch.bfloat16 if _cpu_multiplies_bfloat16() else torch.float32
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        # bfloat16 has the range of float32, so nothing overflows; before Ampere only float16 is fast.
        return torch.bfloat16 if major >= 8 else torch.float16 if major >= 7 else torch.float32
    return torch.float32


def _cpu_multiplies_bfloat16() -> bool:
    # Without these instructions bfloat16 is emulated, and slower than float32.
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def speed_of(device: torch.device, dtype: torch.dtype, n_threads: int) -> float:
    """Return how many floating-point operations a second networks reach on a device, with this many cores."""
    speed = _SPEED.get((device.type, dtype), _UNKNOWN_SPEED)
    return speed * n_threads if device.type == "cpu" else speed


def move_network(network: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Move `network` to `device`, in place, and return it.

    Raises
    ------
    ResourceError
        If not even the weights fit there.
    """
    try:
        return network.to(device)
    except torch.OutOfMemoryError as error:
        raise ResourceError(
            f"The weights of the network do not fit into the memory of {device}; close other programs that use it, "
            "or choose the device cpu."
        ) from error


def free_bytes(device: torch.device) -> int:
    """Return how much memory of `device` can still be taken, in bytes."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch has reserved and does not use counts as free.
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return min(int(psutil.virtual_memory().available), _left_in_control_group())


def _left_in_control_group() -> int:
    """Return what a container or a cluster job may still take (cgroup version 2); a huge number if unlimited."""
    unlimited = 2**62
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = (_CGROUP / "memory.current").read_text().strip()
        return max(0, int(limit) - int(used)) if limit != "max" else unlimited
    except (OSError, ValueError):
        return unlimited
