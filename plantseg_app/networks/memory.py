"""What a network costs per voxel: found by running it once on a few cells of its pooling grid.

Every tensor that the forward pass makes is counted while it lives, so the peak follows from the architecture,
whatever it is; multiplications are counted on the way.

>>> cost = network_cost(torch.nn.Conv3d(1, 4, 3, padding=1), 1, (8, 8, 8), torch.float32)
>>> cost.bytes_per_voxel, cost.flop_per_voxel, cost.channels_out   # one channel in and four out; 2 x 4 x 27
(20.0, 216.0, 4)
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from plantseg_app.core.volume import Shape3

_GRID_CELLS = 2


class NetworkCost(NamedTuple):
    """What one forward pass takes, for each voxel of its input.

    Attributes
    ----------
    bytes_per_voxel
        Peak of the living activations, input included, weights not.
    flop_per_voxel
        Floating-point operations; a multiplication and an addition count as two.
    elements_per_voxel
        Size of the largest single tensor: some graphics kernels stop at 2**31 elements.
    weight_bytes
        Size of the parameters in float32.
    channels_out
        Output channels.
    """

    bytes_per_voxel: float
    flop_per_voxel: float
    elements_per_voxel: float
    weight_bytes: int
    channels_out: int


def network_cost(network: torch.nn.Module, channels_in: int, grid_vox: Shape3, dtype: torch.dtype) -> NetworkCost:
    """Return what `network` costs per voxel when its activations are of `dtype`.

    Parameters
    ----------
    network
        Maps (N, C, Z, Y, X) to (N, C', Z, Y, X), or without Z where its convolutions are 2D.
    channels_in
        C.
    grid_vox
        Pooling grid (Z, Y, X); its first number must be 1 for a 2D network.
    dtype
        Type of the activations.
    """
    if dtype == torch.float16:
        dtype = torch.bfloat16  # Of the same size, and known to every processor.
    shape = [_GRID_CELLS * grid for grid in grid_vox]
    trial = copy.deepcopy(network).to("cpu", dtype).eval()
    image = torch.zeros(batch_shape(trial, (channels_in, *shape)), dtype=dtype)
    return metered(trial, image)


def metered(network: torch.nn.Module, image: torch.Tensor) -> NetworkCost:
    """Return what `network` costs per voxel, as seen on the batch `image` (N, C, [Z,] Y, X) in main memory."""
    n_voxels = image.numel() // image.shape[1]
    meter = _Meter(image)
    with torch.inference_mode(False), torch.no_grad(), meter:
        result = network(image)
    return NetworkCost(
        bytes_per_voxel=meter.peak_bytes / n_voxels,
        flop_per_voxel=meter.flop / n_voxels,
        elements_per_voxel=meter.largest_elements / n_voxels,
        weight_bytes=4 * sum(parameter.numel() for parameter in network.parameters()),
        channels_out=int(result.shape[1]),
    )


def batch_shape(network: torch.nn.Module, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape in which `network` takes an image of `shape` (C, Z, Y, X): (1, C, Z, Y, X) or (Z, C, Y, X)."""
    channels, z, y, x = shape
    return (z, channels, y, x) if sees_slices(network) else (1, channels, z, y, x)


def sees_slices(network: torch.nn.Module) -> bool:
    """Return whether the network is a 2D one, which takes slices as a batch; one may say so of itself."""
    said = getattr(network, "sees_slices", None)
    return bool(said) if said is not None else any(isinstance(module, torch.nn.Conv2d) for module in network.modules())


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storage of every tensor made, until it is freed."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.living_bytes = self.peak_bytes = image.untyped_storage().nbytes()
        self.largest_elements = image.numel()
        self.flop = 0
        self._seen: set[int] = {image.untyped_storage()._cdata}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Otherwise torch imports its compiler, and with it sympy, for nothing: a second.
        return False

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation and count what it made."""
        made = func(*args, **(kwargs or {}))
        formula = flop_registry.get(getattr(func, "overloadpacket", func))
        if formula is not None:
            self.flop += formula(*args, **(kwargs or {}), out_val=made)
        for tensor in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor)
        return made

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, n_bytes = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.living_bytes += n_bytes
        self.peak_bytes = max(self.peak_bytes, self.living_bytes)
        self.largest_elements = max(self.largest_elements, tensor.numel())
        weakref.finalize(storage, self._forget, key, n_bytes)

    def _forget(self, key: int, n_bytes: int) -> None:
        self._seen.discard(key)
        self.living_bytes -= n_bytes
