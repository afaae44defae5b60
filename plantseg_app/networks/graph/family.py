"""The graph family as settings: what a graph of another program reads, returns and means.

It runs its own graph: this program knows neither its layers nor how it was trained, and cannot train it further.

>>> tensor = TensorLayout(name="raw", axes="bcyx")
>>> layout = GraphLayout(runtime="torchscript", dimensions="2D", inputs=[tensor], outputs=[tensor],
...     least_vox=(1, 512, 512), step_vox=(1, 0, 0))
>>> family = GraphFamily(layout=layout, maps=[GraphMap(name="nuclei", kind="foreground")], halo_vox=(0, 32, 32))
>>> family.largest_input_vox, family.default_workflow
((1000000, 512, 512), 'nuclei-mask')
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated, Any, ClassVar, NoReturn, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from plantseg_app.algorithms.operations import Operations, apply_operations, split_at_whole_image
from plantseg_app.core.volume import Kind, Shape3, VoxelSize
from plantseg_app.errors import RequestError
from plantseg_app.networks.device import speed_of
from plantseg_app.networks.family import NetworkFamily, Output, workflow_for_maps
from plantseg_app.networks.graph.layout import GraphLayout, TensorLayout
from plantseg_app.networks.graph.network import GraphNetwork, load_runtime
from plantseg_app.networks.memory import NetworkCost, metered

NOT_TRAINABLE = (
    "This model is a finished graph of another program (TorchScript or ONNX): it predicts, but it cannot be trained. "
    "Start from another model."
)
"""What to tell who wants to train one."""

_ANY_SIZE = 10**6
_Halo = Annotated[int, Field(ge=0, le=10**6)]


class GraphMap(BaseModel):
    """What one channel of the answer means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Its name in the predict step.")
    kind: Kind = Field(description="The kind of volume that it becomes.")


class GraphFamily(NetworkFamily):
    """A network that comes as TorchScript or ONNX and is run by that runtime."""

    kind: ClassVar[str] = "graph"
    title: ClassVar[str] = "Graph of another program"
    is_trainable: ClassVar[bool] = False

    layout: GraphLayout = Field(description="What the graph reads and returns.")
    maps: tuple[GraphMap, ...] = Field(min_length=1, description="What the channels of the answer mean, in order.")
    operations: Operations = Field((), description="What is done to the answer, in order.")
    halo_vox: tuple[_Halo, _Halo, _Halo] = Field((0, 0, 0), description="How much of its answer, Z, Y, X, is not used.")
    bytes_per_voxel: float = Field(1000.0, gt=0, description="Memory that it takes for each voxel, as measured once.")
    flop_per_voxel: float = Field(1e5, gt=0, description="Arithmetic that it does for each voxel, as measured once.")

    @model_validator(mode="after")
    def _check_maps(self) -> Self:
        names = [map_.name for map_ in self.maps]
        if len(names) != self.layout.out_channels:
            raise ValueError(f"maps must name {self.layout.out_channels} channels")
        if len(set(names)) != len(names):
            raise ValueError("maps must not name a channel twice")
        sizes = zip(self.layout.least_vox, self.layout.step_vox, self.halo_vox, strict=True)
        if any(step == 0 and least <= 2 * halo for least, step, halo in sizes):
            raise ValueError("the halo leaves nothing of the images that the graph takes")
        return self

    @property
    def in_channels(self) -> int:
        """Number of image channels the network reads."""
        return self.layout.in_channels

    @property
    def is_2d(self) -> bool:
        """Whether the network sees single slices."""
        return self.layout.is_2d

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What it predicts: one output for each channel, those first that steps look for."""
        found = [Output(map_.name, map_.kind, (i,)) for i, map_ in enumerate(self.maps)]
        return tuple(sorted(found, key=lambda output: output.kind is Kind.RAW))

    @property
    def default_workflow(self) -> str:
        """Name of the ready-made workflow that fits its main map."""
        return workflow_for_maps(self.outputs)

    @property
    def grid_vox(self) -> Shape3:
        """The steps in which images may grow, Z, Y, X; 1 where they may not."""
        z, y, x = (max(1, step) for step in self.layout.step_vox)
        return (1 if self.is_2d else z), y, x

    @property
    def receptive_radius_vox(self) -> Shape3:
        """Twice the halo, because half of this is taken for the context of a tile."""
        z, y, x = (2 * halo for halo in self.halo_vox)
        return z, y, x

    @property
    def tiles_exactly(self) -> bool:
        """False: nobody knows."""
        return False

    @property
    def largest_input_vox(self) -> Shape3:
        """The largest piece, where the graph takes images of one size alone."""
        sizes = zip(self.layout.least_vox, self.layout.step_vox, self.layout.lost_vox, strict=True)
        z, y, x = (_ANY_SIZE if step else least - 2 * lost for least, step, lost in sizes)
        return (_ANY_SIZE if self.is_2d else z), y, x

    @property
    def only_float32(self) -> bool:
        """True: a graph computes in what it was saved in."""
        return True

    def build(self) -> NoReturn:
        """Refuse: there is no untrained graph.

        Raises
        ------
        RequestError
            Always.
        """
        self._refuse()

    def load(self, path: Path) -> GraphNetwork:
        """Return the network that runs the graph in the file `path`.

        Raises
        ------
        InputError
            If the file is damaged, or could do more than compute.
        ResourceError
            If the package that runs it is missing.
        """
        return GraphNetwork(self.layout, load_runtime(self.layout, path))

    def cost(self, dtype: torch.dtype, network: torch.nn.Module | None = None) -> NetworkCost:
        """Return what was measured when the model was added."""
        del dtype, network
        return NetworkCost(
            bytes_per_voxel=self.bytes_per_voxel,
            flop_per_voxel=self.flop_per_voxel,
            elements_per_voxel=self.bytes_per_voxel / 4,
            weight_bytes=0,
            channels_out=self.layout.out_channels,
        )

    def activate(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the answer after the operations that look at single voxels."""
        now, _ = split_at_whole_image(self.operations)
        if not now:
            return logits
        done = [apply_operations(sample.cpu().numpy(), now) for sample in logits]
        return torch.from_numpy(np.stack(done))

    @property
    def finishes(self) -> bool:
        """Whether an operation looks at the whole map."""
        return bool(split_at_whole_image(self.operations)[1])

    def finish(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the maps after the operations that look at all of them."""
        return apply_operations(maps, split_at_whole_image(self.operations)[1])

    def targets(self, labels: NDArray[Any], voxel_size_um: VoxelSize | None) -> NoReturn:
        """Refuse, as `build`."""
        del labels, voxel_size_um
        self._refuse()

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> NoReturn:
        """Refuse, as `build`."""
        del logits, target
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RequestError(NOT_TRAINABLE)


def measured(family: GraphFamily, network: GraphNetwork) -> GraphFamily:
    """Return the family with the memory and the arithmetic that its graph takes, seen on a small image.

    Raises
    ------
    InputError
        If the graph fails.
    """
    shape = family.layout.trial_shape_vox
    size = shape[1:] if family.is_2d else shape
    image = torch.zeros((1, family.in_channels, *size))
    if family.layout.runtime == "torchscript":
        cost = metered(network, image)
        return family.model_copy(
            update={"bytes_per_voxel": cost.bytes_per_voxel, "flop_per_voxel": max(cost.flop_per_voxel, 1.0)}
        )
    # onnxruntime does not tell what it does: the clock says how much, and U-Nets that do so much live in this memory.
    network(image)
    start = time.perf_counter()
    network(image)
    speed = speed_of(torch.device("cpu"), torch.float32, torch.get_num_threads())
    flop = max(1.0, (time.perf_counter() - start) * speed / math.prod(shape))
    return family.model_copy(update={"bytes_per_voxel": max(64.0, math.sqrt(flop)), "flop_per_voxel": flop})


__all__ = ["GraphFamily", "GraphLayout", "GraphMap", "TensorLayout", "measured"]
