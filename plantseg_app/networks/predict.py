"""Run a network over a volume of any size, tile by tile, as if it had seen the whole at once.

"The whole" is the image, mirrored at its borders just far enough to fill the pooling grid. With batch norm the tiles
equal that prediction; with group norm, which no tiling can equal, they blend into each other smoothly.
Knows arrays and networks, neither files nor model cards.

>>> import numpy as np
>>> from plantseg_app.core.context import QuietContext
>>> from plantseg_app.networks.boundary.family import BoundaryFamily
>>> family = BoundaryFamily(feature_maps=(4, 8))
>>> image = np.zeros((1, 1, 5, 7), np.float32)
>>> predict_tiled(family.build(), family, image, QuietContext("cpu")).shape
(1, 1, 5, 7)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from plantseg_app.core.context import Context, GrowingArray, Sketch
from plantseg_app.core.tiles import Span, Tile, Window, blend_windows, mirror_indices
from plantseg_app.errors import InputError
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.networks.framed import predict_framed
from plantseg_app.networks.memory import sees_slices
from plantseg_app.networks.plan import AUTOMATIC, Plan, PredictOptions, make_plan
from plantseg_app.networks.running import autocast, memory_layout, prepared

Image = NDArray[np.float32]

_OUT_OF_MEMORY = ("DefaultCPUAllocator", "out of memory", "not enough memory", "can't allocate", "INT_MAX")


class _NotFiniteError(ArithmeticError):
    """The network gave NaN or infinity."""


def predict_tiled(
    network: torch.nn.Module,
    family: NetworkFamily,
    image: Image,
    context: Context,
    options: PredictOptions = AUTOMATIC,
    sketch: Sketch | None = None,
) -> Image:
    """Return what `network` says about `image`.

    Parameters
    ----------
    network
        Built by `family`; is moved to the device, and to the memory layout that is fastest there.
    family
        Pooling grid, receptive radius and activation of the network.
    image
        (C, Z, Y, X) float32, normalised; every axis may be as short as one voxel. A 2D network sees slice by slice.
    context
        Device, threads, progress (one item a tile), cancelling, messages.
    options
        Tile size, precision, channels.
    sketch
        What the result is, for those who look at it while it fills tile by tile.

    Returns
    -------
    NDArray[np.float32]
        (C', Z, Y, X), activated (for example probabilities).

    Raises
    ------
    InputError
        If the image has the wrong axes or channels, or the network gives NaN.
    ResourceError
        If memory or device are missing.
    Cancelled
        Between two layers of the network, when the user asked to stop.
    """
    if image.ndim != 4 or image.shape[0] != family.in_channels or 0 in image.shape:
        raise InputError(
            f"The network reads images of shape ({family.in_channels}, Z, Y, X); this one has shape {image.shape}."
        )
    if family.frame_vox is not None:
        return predict_framed(network, family, image, context, options)
    if family.finishes:
        return _predict_finished(network, family, image, context, options)
    plan = make_plan(network, family, (image.shape[1], image.shape[2], image.shape[3]), context, options)
    shape = (len(plan.channels), *image.shape[1:])
    output = GrowingArray(np.zeros(shape, np.float32)) if sketch is None else context.growing(sketch, shape, np.float32)
    _fill(network, family, image, output, plan, context)
    return output.data


def _predict_finished(
    network: torch.nn.Module, family: NetworkFamily, image: Image, context: Context, options: PredictOptions
) -> Image:
    """Return the wanted channels of maps that mean something only once they are whole."""
    plan = make_plan(network, family, (image.shape[1], image.shape[2], image.shape[3]), context, options)
    plan = dataclasses.replace(plan, channels=tuple(range(plan.cost.channels_out)))
    output = GrowingArray(np.zeros((len(plan.channels), *image.shape[1:]), np.float32))
    _fill(network, family, image, output, plan, context)
    finished = family.finish(output.data)
    return finished if options.channels is None else finished[list(options.channels)]


def _fill(
    network: torch.nn.Module, family: NetworkFamily, image: Image, output: GrowingArray, plan: Plan, context: Context
) -> None:
    with prepared(network, plan, context):
        while problem := _attempt(network, family, image, output, plan, context):
            plan = _plan_after(problem, plan)
            context.message(problem)
            output.data[...] = 0


def _attempt(
    network: torch.nn.Module, family: NetworkFamily, image: Image, output: GrowingArray, plan: Plan, context: Context
) -> str:
    """Fill `output`; return "" or, in words, why the plan did not work and what follows."""
    try:
        _predict_all(network, family, image, output, plan, context)
    except _NotFiniteError:
        if plan.dtype == torch.float32:
            raise InputError(
                "The network gave NaN or infinite values: its weights are damaged, or the image was not normalised "
                "as its card says."
            ) from None
        return _OVERFLOW
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
    else:
        return ""
    # The exception is gone here, and with it the tensors that its frames held.
    if plan.device.type == "cuda":
        torch.cuda.empty_cache()
    return f"The memory of {plan.device} did not suffice; predicting again in smaller tiles."


_OVERFLOW = "The network left the range of 16 bits; predicting again in float32."


def _plan_after(problem: str, plan: Plan) -> Plan:
    return plan.in_float32() if problem == _OVERFLOW else plan.with_smaller_tiles()


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(words in str(error) for words in _OUT_OF_MEMORY)


def _predict_all(
    network: torch.nn.Module, family: NetworkFamily, image: Image, output: GrowingArray, plan: Plan, context: Context
) -> None:
    network.to(memory_format=memory_layout(plan, 4 if sees_slices(network) else 5))  # type: ignore[call-overload]
    tiles: Iterable[tuple[Tile, Window | None]]
    if plan.ramp_vox is None:
        tiles = ((tile, None) for tile in plan.tiling)
    else:
        tiles = blend_windows(plan.tiling, plan.ramp_vox)
    for tile, window in context.track(tiles, "Predict", total=len(plan.tiling)):
        spans = tile.core if window is None else window.spans
        predicted = _predict_tile(network, family, image, plan, (tile.outer, spans))
        place = (slice(None), *(slice(*span) for span in spans))
        if window is None:
            output.data[place] = predicted
        else:
            z, y, x = window.weights
            predicted *= z[:, None, None] * y[:, None]
            predicted *= x
            output.data[place] += predicted
        output.tell(spans)


def _predict_tile(
    network: torch.nn.Module,
    family: NetworkFamily,
    image: Image,
    plan: Plan,
    spans: tuple[tuple[Span, Span, Span], tuple[Span, Span, Span]],
) -> Image:
    """Return the activated prediction (C', Z, Y, X) of the second box of `spans`, from the image in the first one."""
    seen, wanted = spans
    tile = torch.from_numpy(cut_mirrored(image, seen))
    slices = sees_slices(network)
    batch = tile.movedim(1, 0) if slices else tile[None]
    with autocast(plan):
        logits = network(batch.to(plan.device).contiguous(memory_format=memory_layout(plan, batch.ndim)))
    logits = logits.movedim(0, 1) if slices else logits[0]
    inside = [slice(a - o, b - o) for (a, b), (o, _) in zip(wanted, seen, strict=True)]
    # Activation works voxel by voxel, so it is spared the halo; it expects a leading batch axis.
    activated = family.activate(logits[(slice(None), *inside)].float()[None])[0]
    predicted: Image = activated[list(plan.channels)].cpu().numpy()
    if not np.isfinite([predicted.min(), predicted.max()]).all():
        raise _NotFiniteError
    return predicted


def cut_mirrored(image: Image, spans: tuple[Span, Span, Span]) -> Image:
    """Return the box `spans` (Z, Y, X) of `image` (C, Z, Y, X), mirrored where it reaches beyond; contiguous."""
    part = image
    for axis, (span, size) in enumerate(zip(spans, image.shape[1:], strict=True), start=1):
        if span[0] >= 0 and span[1] <= size:
            part = part[(slice(None),) * axis + (slice(*span),)]
    for axis, (span, size) in enumerate(zip(spans, image.shape[1:], strict=True), start=1):
        if span[0] < 0 or span[1] > size:
            part = np.take(part, mirror_indices(span, size), axis=axis)
    return np.ascontiguousarray(part, dtype=np.float32)
