"""The step that joins superpixels by GASP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.chain import finish, prepare
from plantseg_app.algorithms.partition import Linkage, gasp
from plantseg_app.algorithms.probability import as_probability
from plantseg_app.core.context import Context
from plantseg_app.core.fields import DEFAULT_BETA, DEFAULT_MIN_SIZE, Beta, VoxelCount
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class Gasp(Step):
    """Join superpixels into cells, the pair with the weakest boundary first, until all that is left is boundary.

    The quickest partition and a good default. Without superpixels it makes them itself, with the default settings of
    dt-watershed.
    """

    id: ClassVar[str] = "gasp"
    title: ClassVar[str] = "GASP"
    reads: ClassVar[dict[str, Port]] = {
        "boundary": Port((Kind.BOUNDARY,), "The boundary map, 0 inside cells and 1 on boundaries."),
        "superpixels": Port((Kind.LABELS,), "Superpixels to join; label 0 stays background.", optional=True),
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    beta: Beta = Field(
        DEFAULT_BETA,
        description="Under-segmentation (0) against over-segmentation (1): a larger value gives more, smaller cells.",
    )
    linkage: Linkage = Field(
        Linkage.AVERAGE,
        description="How the boundary between two groups of superpixels is weighed: by its average, or by an extreme.",
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
        cells = gasp(over.graph, self.beta, self.linkage)
        context.check()
        return boundary.replace(data=finish(over, cells, self.min_size, context.n_threads), kind=Kind.LABELS)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the superpixels; the partition itself is nearly free."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=16 * n_voxels, seconds=2.5e-7 * n_voxels)
