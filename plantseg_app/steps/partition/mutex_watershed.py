"""The step that finds cells by a mutex watershed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from plantseg_app.algorithms import mutex
from plantseg_app.algorithms.chain import Oversegmentation, prepare
from plantseg_app.algorithms.partition import Linkage, gasp
from plantseg_app.algorithms.probability import as_probability
from plantseg_app.core.context import Context
from plantseg_app.core.fields import PerAxis
from plantseg_app.core.step import Cost, Field, Port
from plantseg_app.core.volume import Kind, Shape3, Volume
from plantseg_app.steps.partition.superpixel_partition import BOUNDARY, SUPERPIXELS, SuperpixelPartition


def _split_offsets(value: object) -> object:
    """Let a command line write ``-1,0,0; 0,-1,0; 0,0,-1``."""
    if isinstance(value, str):
        return tuple(tuple(number.strip() for number in part.split(",")) for part in value.split(";") if part.strip())
    return value


Offsets = Annotated[tuple[tuple[int, int, int], ...], BeforeValidator(_split_offsets)]


class MutexWatershed(SuperpixelPartition):
    """Find cells without seeds or superpixels: neighbours attract, voxels with a wall between them repel.

    Works on a network's long-range affinities, or derives repulsion from the boundary map alone. With superpixels it
    joins those instead of voxels, which is much faster.
    """

    id: ClassVar[str] = "mutex-watershed"
    title: ClassVar[str] = "Mutex watershed"
    reads: ClassVar[dict[str, Port]] = {
        "boundary": BOUNDARY,
        "superpixels": SUPERPIXELS,
        "affinities": Port(
            (Kind.AFFINITIES,), "A network's affinities, 1 where two voxels belong together.", optional=True
        ),
    }
    reach: int = Field(
        15,
        ge=2,
        le=500,
        description="How far apart voxels may repel each other when the boundary map alone decides; about the radius "
        "of a cell.",
        json_schema_extra={"unit": "voxel"},
    )
    stride: PerAxis[Annotated[int, Field(ge=1, le=64)]] = Field(
        (2, 2, 2),
        description="Repulsion is taken from every n-th voxel along Z, Y and X; 1 is slowest and most exact.",
        json_schema_extra={"unit": "voxel", "advanced": True},
    )
    offsets: Offsets = Field(
        (),
        description="The Z,Y,X step of each affinity channel, nearest neighbours first, separated by semicolons.",
        json_schema_extra={"unit": "voxel", "advanced": True},
    )

    prepared_by: ClassVar[tuple[str, ...]] = ("reach", "stride", "offsets")

    def prepare(self, inputs: Mapping[str, Volume], context: Context) -> Any:
        """Return the superpixels with their graph where there are any, else what attracts and repels voxels."""
        if "superpixels" in inputs:
            return super().prepare(inputs, context)
        affinities = self._affinities(inputs)
        if affinities is not None and len(affinities) > len(mutex.NEIGHBOURS):
            return affinities
        boundary = inputs["boundary"]
        values = as_probability(boundary.data, "boundary map")
        return mutex.find_forces(values, self.reach, self.stride, tuple(boundary.spacing), context.check)

    def complete(self, prepared: Any, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Partition the superpixels where there are any, else the voxels."""
        if "superpixels" in inputs:
            return super().complete(prepared, inputs, context)
        if isinstance(prepared, mutex.VoxelForces):
            labels = mutex.join_voxels(prepared, self.beta)
        else:
            offsets = self._offsets(prepared)
            labels = mutex.mutex_watershed_on_affinities(prepared, offsets, self.beta, self.stride)
        context.check()
        boundary = inputs["boundary"]
        values = as_probability(boundary.data, "boundary map")
        over = prepare(values, labels, None, context.n_threads, context.check)
        return self.paint(boundary, over, np.arange(over.graph.n_nodes, dtype=np.uint32), context)

    def join(self, over: Oversegmentation, inputs: Mapping[str, Volume], context: Context) -> NDArray[Any]:
        """Return the cell of each superpixel."""
        affinities = self._affinities(inputs)
        if affinities is None:
            return gasp(over.graph, self.beta, Linkage.ABS_MAX)
        return mutex.mutex_watershed_on_graph(over.labels, over.graph, affinities, self._offsets(affinities), self.beta)

    def _affinities(self, inputs: Mapping[str, Volume]) -> NDArray[np.float32] | None:
        """Return the affinities, checked against the offsets, if there are any."""
        if "affinities" not in inputs:
            return None
        affinities = as_probability(inputs["affinities"].data, "affinities")
        self._offsets(affinities)
        return affinities

    def _offsets(self, affinities: NDArray[np.float32]) -> Any:
        return mutex.check_offsets(self.offsets, len(affinities))

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count on sorting one attraction for each face and the strided repulsions; superpixels need far less."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        repulsions = 8 / int(np.prod(self.stride))
        return Cost(memory_bytes=int((90 + 40 * repulsions) * n_voxels), seconds=(8e-7 + 2e-7 * repulsions) * n_voxels)
