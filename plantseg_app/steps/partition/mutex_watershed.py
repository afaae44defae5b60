"""The step that finds cells by a mutex watershed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from plantseg_app.algorithms import mutex
from plantseg_app.algorithms.chain import Oversegmentation, finish, prepare
from plantseg_app.algorithms.partition import Linkage, gasp
from plantseg_app.algorithms.probability import as_probability
from plantseg_app.core.context import Context
from plantseg_app.core.fields import DEFAULT_BETA, DEFAULT_MIN_SIZE, Beta, PerAxis, VoxelCount
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


def _split_offsets(value: object) -> object:
    """Let a command line write ``-1,0,0; 0,-1,0; 0,0,-1``."""
    if isinstance(value, str):
        return tuple(tuple(number.strip() for number in part.split(",")) for part in value.split(";") if part.strip())
    return value


Offsets = Annotated[tuple[tuple[int, int, int], ...], BeforeValidator(_split_offsets)]


class MutexWatershed(Step):
    """Find cells without seeds or superpixels: neighbours attract, voxels with a wall between them repel.

    Works on a network's long-range affinities, or derives repulsion from the boundary map alone. With superpixels it
    joins those instead of voxels, which is much faster.
    """

    id: ClassVar[str] = "mutex-watershed"
    title: ClassVar[str] = "Mutex watershed"
    reads: ClassVar[dict[str, Port]] = {
        "boundary": Port((Kind.BOUNDARY,), "The boundary map, 0 inside cells and 1 on boundaries."),
        "superpixels": Port((Kind.LABELS,), "Superpixels to join; label 0 stays background.", optional=True),
        "affinities": Port(
            (Kind.AFFINITIES,), "A network's affinities, 1 where two voxels belong together.", optional=True
        ),
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    beta: Beta = Field(
        DEFAULT_BETA,
        description="Under-segmentation (0) against over-segmentation (1): a larger value gives more, smaller cells.",
    )
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
    min_size: VoxelCount = Field(
        DEFAULT_MIN_SIZE,
        description="Cells with fewer voxels join the neighbour behind their weakest boundary.",
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Partition the voxels or the superpixels."""
        boundary = inputs["boundary"]
        values = as_probability(boundary.data, "boundary map")
        affinities = None
        if "affinities" in inputs:
            affinities = as_probability(inputs["affinities"].data, "affinities")
            offsets = mutex.check_offsets(self.offsets, len(affinities))
        if "superpixels" in inputs:
            over = prepare(values, inputs["superpixels"].data, None, context.n_threads, context.check)
            if affinities is None:
                cells = gasp(over.graph, self.beta, Linkage.ABS_MAX)
            else:
                cells = mutex.mutex_watershed_on_graph(over.labels, over.graph, affinities, offsets, self.beta)
        else:
            if affinities is not None and len(offsets) > len(mutex.NEIGHBOURS):
                labels = mutex.mutex_watershed_on_affinities(affinities, offsets, self.beta, self.stride)
            else:
                spacing = tuple(boundary.spacing)
                labels = mutex.mutex_watershed(values, self.beta, self.reach, self.stride, spacing, context.check)
            context.check()
            over = prepare(values, labels, None, context.n_threads, context.check)
            cells = np.arange(over.graph.n_nodes, dtype=np.uint32)
        return self._result(boundary, over, cells, context)

    def _result(self, boundary: Volume, over: Oversegmentation, cells: NDArray[Any], context: Context) -> Volume:
        return boundary.replace(data=finish(over, cells, self.min_size, context.n_threads), kind=Kind.LABELS)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count on sorting one attraction for each face and the strided repulsions; superpixels need far less."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        repulsions = 8 / int(np.prod(self.stride))
        return Cost(memory_bytes=int((90 + 40 * repulsions) * n_voxels), seconds=(8e-7 + 2e-7 * repulsions) * n_voxels)
