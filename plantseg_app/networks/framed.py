"""Run a network that is tied to a frame over an image of any size: whole frames, overlapping, nothing between them.

What such a network says about a pixel depends on where in the frame the pixel lies, so frames are neither cut nor
blended. Embeddings are kept frame by frame (`plantseg_app.algorithms.frames` says how they are stored); maps that mean
the same everywhere, such as the foreground, are put together from the middles of the frames. Beyond the image there is
nothing: zeros, as in training.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from plantseg_app.algorithms.frames import Frame, FrameGrid
from plantseg_app.core.context import Context
from plantseg_app.core.volume import Kind
from plantseg_app.errors import InputError, RequestError, ResourceError
from plantseg_app.networks.device import free_bytes
from plantseg_app.networks.family import NetworkFamily
from plantseg_app.networks.plan import Plan, PredictOptions, make_plan
from plantseg_app.networks.running import autocast, memory_layout, prepared

Image = NDArray[np.float32]


def predict_framed(
    network: torch.nn.Module, family: NetworkFamily, image: Image, context: Context, options: PredictOptions
) -> Image:
    """Return what a network with a frame says about an image (C, Z, Y, X), activated.

    Returns
    -------
    NDArray[np.float32]
        (C', Z, Y, X); embeddings of several frames as layers.

    Raises
    ------
    RequestError
        If a tile is asked for: the frame is that of the network.
    InputError
        If the network gives NaN.
    ResourceError
        If memory or device are missing.
    """
    if options.tile_vox is not None:
        raise RequestError("This network sees frames of its own size; leave the tile out.")
    grid = family.frame_grid((image.shape[1], image.shape[2], image.shape[3]))
    plan = make_plan(network, family, grid.shape_vox, context, options)
    collected = _Collected(plan, grid, _is_embedding(family, plan))
    with prepared(network, plan, context):
        network.to(memory_format=memory_layout(plan, 4 if family.is_2d else 5))  # type: ignore[call-overload]
        for frame in context.track(grid, "Predict", total=len(grid)):
            collected.put(frame, _one_frame(network, family, image, frame, plan))
    return collected.values


def _is_embedding(family: NetworkFamily, plan: Plan) -> bool:
    return any(output.kind is Kind.EMBEDDING and output.channels == plan.channels for output in family.outputs)


class _Collected:
    """The answer for the whole image, filled frame by frame."""

    def __init__(self, plan: Plan, grid: FrameGrid, in_layers: bool) -> None:
        self.grid = grid
        self.in_layers = in_layers and len(grid) > 1
        self.n_channels = len(plan.channels)
        count = grid.n_layers * (self.n_channels + 1) if self.in_layers else self.n_channels
        needed, free = 4 * count * int(np.prod(grid.shape_vox)), free_bytes(torch.device("cpu"))
        if needed > free:
            raise ResourceError(
                f"The embeddings of {len(grid)} overlapping frames take {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB "
                "are free; crop or downscale the image, or close other programs."
            )
        self.values = np.zeros((count, *grid.shape_vox), np.float32)

    def put(self, frame: Frame, answer: Image) -> None:
        """Keep the answer (C', Z, Y, X) of a whole frame."""
        z, y, x = frame.core
        part = (slice(*z), slice(*y), slice(*x))
        first = 0
        if self.in_layers:
            part = frame.inside(self.grid.shape_vox)
            first = frame.layer * (self.n_channels + 1)
            self.values[(first, *part)] = frame.number
            first += 1
        self.values[(slice(first, first + self.n_channels), *part)] = answer[(slice(None), *frame.within(part))]


def cut_frame(image: Image, frame: Frame) -> Image:
    """Return the box of a frame from an image (C, Z, Y, X), 0 beyond the image."""
    part = frame.inside((image.shape[1], image.shape[2], image.shape[3]))
    cut = np.zeros((len(image), *(b - a for a, b in frame.box)), np.float32)
    cut[(slice(None), *frame.within(part))] = image[(slice(None), *part)]
    return cut


def _one_frame(network: torch.nn.Module, family: NetworkFamily, image: Image, frame: Frame, plan: Plan) -> Image:
    batch = torch.from_numpy(cut_frame(image, frame))[None]
    if family.is_2d:
        batch = batch[:, :, 0]
    with autocast(plan):
        logits = network(batch.to(plan.device).contiguous(memory_format=memory_layout(plan, batch.ndim)))
    activated = family.activate(logits.float())[0, list(plan.channels)]
    answer: Image = activated.cpu().numpy()
    if not np.isfinite([answer.min(), answer.max()]).all():
        raise InputError(
            "The network gave NaN or infinite values: its weights are damaged, or the image was not normalised as its "
            "card says. If neither is so, predict with the precision float32."
        )
    return answer[:, None] if family.is_2d else answer
