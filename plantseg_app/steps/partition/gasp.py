"""The step that joins superpixels by GASP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray

from plantseg_app.algorithms.chain import Oversegmentation
from plantseg_app.algorithms.partition import Linkage, gasp
from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field
from plantseg_app.core.volume import Shape3, Volume
from plantseg_app.steps.partition.superpixel_partition import SuperpixelPartition


class Gasp(SuperpixelPartition):
    """Join superpixels into cells, the pair with the weakest boundary first, until all that is left is boundary.

    The quickest partition and a good default. Without superpixels it makes them itself, with the default settings of
    dt-watershed.
    """

    id: ClassVar[str] = "gasp"
    title: ClassVar[str] = "GASP"

    linkage: Linkage = Field(
        Linkage.AVERAGE,
        description="How the boundary between two groups of superpixels is weighed: by its average, or by an extreme.",
        json_schema_extra={"advanced": True},
    )

    def join(self, over: Oversegmentation, inputs: Mapping[str, Volume], context: Context) -> NDArray[Any]:
        """Return the cell of each superpixel."""
        return gasp(over.graph, self.beta, self.linkage)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the superpixels; the partition itself is nearly free."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=16 * n_voxels, seconds=2.5e-7 * n_voxels)
