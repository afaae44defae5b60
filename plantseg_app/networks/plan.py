"""Decide before a prediction starts: device, precision, tiles, and what they will cost. Touches no image."""

from __future__ import annotations

import dataclasses
import math

import torch

from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost
from plantseg_app.core.tiles import Tiling, best_tiling
from plantseg_app.core.volume import Shape3
from plantseg_app.errors import RequestError, ResourceError
from plantseg_app.networks.device import Precision, free_bytes, resolve_device, resolve_precision, speed_of
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.networks.memory import NetworkCost

# Measured peaks are 1.1 to 1.4 times the living activations: work space of the convolutions, fragments of the heap.
_MEMORY_SAFETY = 1.5
_SHARE_OF_FREE = {"cpu": 0.7, "cuda": 0.9, "mps": 0.6}
# A tile is the unit of progress and cancelling, so it must not take much longer than ten seconds.
_FLOP_PER_TILE = {"cpu": 4e12, "cuda": 4e14, "mps": 2e13}
_LARGEST_TENSOR = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    """How to predict; the defaults decide by themselves.

    Attributes
    ----------
    tile_vox
        Largest tile (Z, Y, X) without its halo; None: from the free memory.
    precision
        ``"auto"``, ``"float32"``, ``"bfloat16"`` or ``"float16"``.
    channels
        The output channels that are wanted, in this order; None: all.
    margin_vox
        Voxels of mirrored image around the whole volume, besides those that fill the pooling grid.
    trained_tile_vox, halo_vox
        The tile that the network was trained on, and the context (Z, Y, X) that it needs: followed where no tiling can
        equal the network, since its result depends on both, and memory allows.
    """

    tile_vox: Shape3 | None = None
    precision: Precision = "auto"
    channels: tuple[int, ...] | None = None
    margin_vox: Shape3 = (0, 0, 0)
    trained_tile_vox: Shape3 | None = None
    halo_vox: Shape3 | None = None


AUTOMATIC = PredictOptions()


@dataclasses.dataclass(frozen=True)
class Plan:
    """What will be done.

    Attributes
    ----------
    tiling
        The tiles.
    ramp_vox
        How far the tiles blend into each other; None where tiles are exact and need not.
    channels
        The output channels that are kept.
    """

    device: torch.device
    dtype: torch.dtype
    cost: NetworkCost
    tiling: Tiling
    ramp_vox: Shape3 | None
    channels: tuple[int, ...]

    @property
    def output_bytes(self) -> int:
        """Size of the result, float32."""
        return 4 * len(self.channels) * math.prod(self.tiling.shape_vox)

    @property
    def tile_bytes(self) -> int:
        """Memory that the network takes for its largest tile, on its device."""
        activations = self.cost.bytes_per_voxel * self.tiling.largest_outer_vox
        return int(_MEMORY_SAFETY * activations) + 2 * self.cost.weight_bytes

    def expected(self, n_threads: int) -> Cost:
        """Return the memory in main memory and the time that the prediction is expected to take."""
        speed = speed_of(self.device, self.dtype, n_threads)
        in_tiles = self.tile_bytes if self.device.type == "cpu" else 0
        seconds = self.cost.flop_per_voxel * self.tiling.computed_vox / speed
        return Cost(memory_bytes=self.output_bytes + in_tiles, seconds=seconds)

    def with_smaller_tiles(self) -> Plan:
        """Return the plan for about half the memory.

        Raises
        ------
        ResourceError
            If the tiles cannot become smaller.
        """
        smaller = best_tiling(self.tiling, self.tiling.largest_outer_vox // 2)
        if smaller.largest_outer_vox >= self.tiling.largest_outer_vox:
            raise ResourceError(
                f"The memory of {self.device} does not suffice even for the smallest tile "
                f"({_gigabytes(self.tile_bytes)}); close other programs, use a smaller network or another device."
            )
        return dataclasses.replace(self, tiling=smaller)

    def in_float32(self) -> Plan:
        """Return the plan in full precision, with tiles for the same memory."""
        ratio = 4 / torch.empty((), dtype=self.dtype).element_size()
        cost = self.cost._replace(bytes_per_voxel=self.cost.bytes_per_voxel * ratio)
        tiling = best_tiling(self.tiling, int(self.tiling.largest_outer_vox / ratio))
        return dataclasses.replace(self, dtype=torch.float32, cost=cost, tiling=tiling)


def make_plan(
    network: torch.nn.Module | None,
    family: NetworkFamily,
    shape_vox: Shape3,
    context: Context,
    options: PredictOptions = AUTOMATIC,
) -> Plan:
    """Choose device, precision and tiles for an image of `shape_vox`; without a network that of the family counts.

    Raises
    ------
    RequestError
        If device, precision or tile are not possible.
    ResourceError
        If device or memory are missing.
    """
    device = resolve_device(context.device)
    dtype = _precision(family, options, device)
    cost = family.cost(dtype, network)
    channels = tuple(range(cost.channels_out)) if options.channels is None else options.channels
    halo, ramp = _halo_and_ramp(family, options.halo_vox)
    tile = options.tile_vox or family.frame_vox
    tiling = Tiling(shape_vox, family.grid_vox, halo, tile, options.margin_vox, family.largest_input_vox)
    plan = Plan(device, dtype, cost, tiling, ramp, channels)
    tile_memory = _check_memory(plan)
    if tile is not None:
        return plan
    most_voxels = min(
        tile_memory / (_MEMORY_SAFETY * cost.bytes_per_voxel),
        _FLOP_PER_TILE[device.type] / max(cost.flop_per_voxel, 1.0),
        _LARGEST_TENSOR / cost.elements_per_voxel,
    )
    if options.trained_tile_vox is not None and not family.tiles_exactly:
        # Twice the halo at least: cores as small as some training patches would be computed many times over.
        z, y, x = (max(core, 2 * context) for core, context in zip(options.trained_tile_vox, halo, strict=True))
        as_trained = dataclasses.replace(tiling, tile_vox=(z, y, x))
        if as_trained.largest_outer_vox <= most_voxels:
            return dataclasses.replace(plan, tiling=as_trained)
    return dataclasses.replace(plan, tiling=best_tiling(tiling, int(most_voxels)))


def _precision(family: NetworkFamily, options: PredictOptions, device: torch.device) -> torch.dtype:
    if not family.only_float32:
        return resolve_precision(options.precision, device)
    if options.precision not in ("auto", "float32"):
        raise RequestError(
            f"This network runs in float32 alone, not in {options.precision}; leave the precision at auto."
        )
    return torch.float32


def _halo_and_ramp(family: NetworkFamily, wanted: Shape3 | None) -> tuple[Shape3, Shape3 | None]:
    if family.frame_vox is not None:
        # The whole of each frame is used.
        return (0, 0, 0), None
    if family.tiles_exactly:
        return family.tile_halo_vox, None
    radius, grid = family.receptive_radius_vox, family.grid_vox
    # Group norm couples the whole tile, so no halo is exact: half the radius holds nearly all of the influence of
    # neighbouring voxels, and the outer half of that, which sees the border of the tile, is not used.
    if wanted is None:
        z, y, x = (_half_on_grid(r, g) for r, g in zip(radius, grid, strict=True))
    else:
        z, y, x = (-(-w // g) * g for w, g in zip(wanted, grid, strict=True))
    return (z, y, x), (z // 2, y // 2, x // 2)


def _half_on_grid(radius: int, grid: int) -> int:
    return -(-radius // (2 * grid)) * grid


def _check_memory(plan: Plan) -> float:
    """Return the bytes that one tile may take; refuse what cannot fit."""
    free_main = free_bytes(torch.device("cpu"))
    if plan.output_bytes > free_main:
        raise ResourceError(
            f"The prediction takes {_gigabytes(plan.output_bytes)} of memory and {_gigabytes(free_main)} are free; "
            "crop or downscale the image, or close other programs."
        )
    free = free_bytes(plan.device)
    if plan.device.type == "cpu":
        free -= plan.output_bytes
    return _SHARE_OF_FREE[plan.device.type] * free - 2 * plan.cost.weight_bytes


def _gigabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.2g} GB"
