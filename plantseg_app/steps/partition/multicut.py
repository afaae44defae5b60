"""The step that joins superpixels by a multicut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray

from plantseg_app.algorithms.chain import Oversegmentation
from plantseg_app.algorithms.partition import Solver, multicut
from plantseg_app.core.context import Context
from plantseg_app.core.fields import Seconds
from plantseg_app.core.step import Cost, Field
from plantseg_app.core.volume import Shape3, Volume
from plantseg_app.steps.partition.superpixel_partition import SuperpixelPartition


class Multicut(SuperpixelPartition):
    """Join superpixels into cells so that the sum of all boundaries that are cut is as certain as possible.

    Looks at the whole image at once, where GASP decides pair by pair. Without superpixels it makes them itself, with
    the default settings of dt-watershed.
    """

    id: ClassVar[str] = "multicut"
    title: ClassVar[str] = "Multicut"

    solver: Solver = Field(
        Solver.KERNIGHAN_LIN,
        description="How the best cut is searched for; decomposition is quicker on large graphs, fusion moves search "
        "longest.",
        json_schema_extra={"advanced": True},
    )
    time_limit_s: Seconds | None = Field(
        60.0,
        description="The best cut found so far is taken after this time; empty for no limit.",
        json_schema_extra={"advanced": True, "empty": "no limit"},
    )

    def join(self, over: Oversegmentation, inputs: Mapping[str, Volume], context: Context) -> NDArray[Any]:
        """Return the cell of each superpixel."""
        return multicut(over.graph, self.beta, self.solver, self.time_limit_s, context.n_threads, context.check)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the superpixels; a very large graph may take as long as the time limit."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=16 * n_voxels, seconds=3e-7 * n_voxels)
