"""A graph of another program as a network of this one: one image in, one image out, any size.

Such a graph may want several tensors, with their axes in another order, and images of certain sizes alone. Here images
are mirrored up to a size it takes and the answer is cut back, channels are dealt out to its tensors, and the channels
of all its answers are put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from plantseg_app.core.tiles import mirror_indices
from plantseg_app.errors import InputError
from plantseg_app.networks.graph.layout import GraphLayout, TensorLayout

_DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "uint8": torch.uint8,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "bool": torch.bool,
}


class Runtime(Protocol):
    """What runs a graph."""

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the output tensors, on the device of the input."""


def load_runtime(layout: GraphLayout, path: Path) -> Runtime:
    """Return what runs the graph in the file `path`.

    Raises
    ------
    InputError
        If the file is damaged, or could do more than compute.
    ResourceError
        If the package that runs it is missing.
    """
    if layout.runtime == "onnx":
        from plantseg_app.networks.graph.onnx_graph import OnnxRuntime

        return OnnxRuntime(path)
    from plantseg_app.networks.graph.torchscript import TorchScriptRuntime

    return TorchScriptRuntime(path)


class GraphNetwork(nn.Module):
    """The network; it has no parameters of its own, and moves the graph to where its images are.

    Parameters
    ----------
    layout
        What the graph reads and returns.
    runtime
        What runs it.
    """

    def __init__(self, layout: GraphLayout, runtime: Runtime) -> None:
        super().__init__()
        self.layout = layout
        self.runtime = runtime
        self.sees_slices = layout.is_2d

    def forward(self, image: Tensor) -> Tensor:
        """Return (N, C', [Z,] Y, X) for (N, C, [Z,] Y, X); what the graph says, before its post-processing."""
        size = (1, *image.shape[2:]) if self.layout.is_2d else tuple(image.shape[2:])
        margins = self.layout.margins_vox((size[0], size[1], size[2]))
        padded = image
        for axis, (before, after), length in zip((-3, -2, -1), margins, size, strict=True):
            if before or after:
                place = mirror_indices((-before, length + after), length)
                padded = padded.index_select(axis, torch.from_numpy(place).to(image.device))
        answer = torch.cat([self._one(sample) for sample in padded])
        return self._cut(answer, margins, size)

    def _one(self, sample: Tensor) -> Tensor:
        """Return (1, C', [Z,] Y, X) for one sample (C, [Z,] Y, X)."""
        tensors, first = [], 0
        for tensor in self.layout.inputs:
            part = sample[first : first + tensor.n_channels]
            first += tensor.n_channels
            tensors.append(to_axes(part[None], tensor, is_2d=self.layout.is_2d))
        made = self.runtime.run(tensors)
        if len(made) < len(self.layout.outputs):
            raise InputError(f"The graph returns {len(made)} tensors; its description says {len(self.layout.outputs)}.")
        answers = [from_axes(made[out.position], out, is_2d=self.layout.is_2d) for out in self.layout.outputs]
        sizes = {tuple(answer.shape[2:]) for answer in answers}
        if len(sizes) > 1:
            raise InputError(f"The outputs of the graph are of different sizes: {sorted(sizes)}.")
        return torch.cat(answers, 1).float()

    def _cut(self, answer: Tensor, margins: Sequence[tuple[int, int]], size: tuple[int, ...]) -> Tensor:
        """Return the middle of the answer that belongs to the image."""
        lost = self.layout.lost_vox
        axes = range(1, 3) if self.layout.is_2d else range(3)
        for axis in axes:
            # A graph that returns less than it reads has lost it at both ends.
            start = margins[axis][0] - lost[axis]
            if answer.shape[axis - 3] < start + size[axis]:
                raise InputError(
                    f"The graph makes {answer.shape[axis - 3]} voxels where {start + size[axis]} were expected; its "
                    "description does not fit it."
                )
            answer = answer.narrow(axis - 3, start, size[axis])
        return answer


def to_axes(batch: Tensor, tensor: TensorLayout, *, is_2d: bool) -> Tensor:
    """Return a batch of one, (1, C, [Z,] Y, X), with the axes and the type that a tensor of a graph has."""
    have = "bcyx" if is_2d else "bczyx"
    kept = [axis for axis in tensor.axes if axis in have]
    # Of an axis that the tensor lacks (batch or channel) there is but one.
    index = tuple(slice(None) if axis in kept else 0 for axis in have)
    left = [axis for axis in have if axis in kept]
    arranged = batch[index].permute([left.index(axis) for axis in kept])
    shape = [arranged.shape[kept.index(axis)] if axis in kept else 1 for axis in tensor.axes]
    return arranged.reshape(shape).to(_DTYPES[tensor.dtype]).contiguous()


def from_axes(made: Tensor, tensor: TensorLayout, *, is_2d: bool) -> Tensor:
    """Return what a graph made as (1, C, [Z,] Y, X).

    Raises
    ------
    InputError
        If it has other axes or channels than described.
    """
    if made.ndim != len(tensor.axes):
        raise InputError(
            f'The output "{tensor.name}" has shape {tuple(made.shape)}; axes {tensor.axes} were described.'
        )
    have = "bcyx" if is_2d else "bczyx"
    sizes = dict(zip(tensor.axes, made.shape, strict=True))
    kept = [axis for axis in have if axis in tensor.axes]
    singles = [i for i, axis in enumerate(tensor.axes) if axis not in have]
    order = [tensor.axes.index(axis) for axis in kept] + singles
    if any(made.shape[i] != 1 for i in singles) or sizes.get("c", 1) != tensor.n_channels:
        raise InputError(
            f'The output "{tensor.name}" has shape {tuple(made.shape)}; {tensor.n_channels} channel(s) were described.'
        )
    return made.permute(order).reshape([sizes.get(axis, 1) for axis in have])
