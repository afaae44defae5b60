"""The step that joins superpixels by a multicut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.chain import finish, prepare
from plantseg_app.algorithms.partition import Solver, multicut
from plantseg_app.algorithms.probability import as_probability
from plantseg_app.core.context import Context
from plantseg_app.core.fields import DEFAULT_BETA, DEFAULT_MIN_SIZE, Beta, Seconds, VoxelCount
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class Multicut(Step):
    """Join superpixels into cells so that the sum of all boundaries that are cut is as certain as possible.

    Looks at the whole image at once, where GASP decides pair by pair. Without superpixels it makes them itself, with
    the default settings of dt-watershed.
    """

    id: ClassVar[str] = "multicut"
    title: ClassVar[str] = "Multicut"
    reads: ClassVar[dict[str, Port]] = {
        "boundary": Port((Kind.BOUNDARY,), "The boundary map, 0 inside cells and 1 on boundaries."),
        "superpixels": Port((Kind.LABELS,), "Superpixels to join; label 0 stays background.", optional=True),
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    beta: Beta = Field(
        DEFAULT_BETA,
        description="Under-segmentation (0) against over-segmentation (1): a larger value gives more, smaller cells.",
    )
    solver: Solver = Field(
        Solver.KERNIGHAN_LIN,
        description="How the best cut is searched for; decomposition is quicker on large graphs, fusion moves search "
        "longest.",
        json_schema_extra={"advanced": True},
    )
    time_limit_s: Seconds | None = Field(
        60.0,
        description="The best cut found so far is taken after this time; empty for no limit.",
        json_schema_extra={"advanced": True},
    )
    min_size: VoxelCount = Field(
        DEFAULT_MIN_SIZE,
        description="Cells with fewer voxels join the neighbour behind their weakest boundary.",
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Partition the superpixels."""
        boundary = inputs["boundary"]
        values = as_probability(boundary.data, "boundary map")
        given = inputs["superpixels"].data if "superpixels" in inputs else None
        over = prepare(values, given, tuple(boundary.spacing), context.n_threads, context.check)
        cells = multicut(over.graph, self.beta, self.solver, self.time_limit_s, context.n_threads, context.check)
        context.check()
        return boundary.replace(data=finish(over, cells, self.min_size, context.n_threads), kind=Kind.LABELS)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the superpixels; a very large graph may take as long as the time limit."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=16 * n_voxels, seconds=3e-7 * n_voxels)
