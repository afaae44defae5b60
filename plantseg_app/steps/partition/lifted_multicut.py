"""The step that joins superpixels by a lifted multicut, with the help of nuclei."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from numpy.typing import NDArray

from plantseg_app.algorithms import lifted
from plantseg_app.algorithms.chain import Oversegmentation
from plantseg_app.algorithms.probability import as_probability
from plantseg_app.core.context import Context
from plantseg_app.core.fields import Fraction, Seconds, VoxelCount
from plantseg_app.core.step import Cost, Field, Port
from plantseg_app.core.volume import Kind, Shape3, Volume
from plantseg_app.steps.partition.superpixel_partition import BOUNDARY, SUPERPIXELS, SuperpixelPartition


class LiftedMulticut(SuperpixelPartition):
    """Join superpixels into cells with the help of nuclei: one nucleus, one cell.

    Superpixels in the same nucleus are drawn together and those in different nuclei apart, however weak the boundary
    between them is. Without superpixels it makes them itself, with the default settings of dt-watershed.
    """

    id: ClassVar[str] = "lifted-multicut"
    title: ClassVar[str] = "Lifted multicut (with nuclei)"
    reads: ClassVar[dict[str, Port]] = {
        "boundary": BOUNDARY,
        "nuclei": Port(
            (Kind.NUCLEI, Kind.FOREGROUND, Kind.LABELS), "Nuclei: a probability map, or labels with 0 for none."
        ),
        "superpixels": SUPERPIXELS,
    }
    nuclei_threshold: Fraction = Field(
        0.5,
        description="Where the nuclei map is above this is nucleus; not used for nuclei labels.",
    )
    nuclei_min_size: VoxelCount = Field(
        50,
        description="Parts of the nuclei map with fewer voxels are ignored; not used for nuclei labels.",
        json_schema_extra={"advanced": True},
    )
    overlap_threshold: Fraction = Field(
        0.2,
        description="Share of a superpixel that has to lie in a nucleus for the nucleus to speak for it.",
        json_schema_extra={"advanced": True},
    )
    graph_depth: int = Field(
        4,
        ge=1,
        le=20,
        description="Nuclei speak for superpixels that are at most this many superpixels apart.",
        json_schema_extra={"advanced": True},
    )
    time_limit_s: Seconds | None = Field(
        60.0,
        description="The best cut found so far is taken after this time; empty for no limit.",
        json_schema_extra={"advanced": True, "empty": "no limit"},
    )

    prepared_by: ClassVar[tuple[str, ...]] = (
        "nuclei_threshold",
        "nuclei_min_size",
        "overlap_threshold",
        "graph_depth",
    )

    def prepare(self, inputs: Mapping[str, Volume], context: Context) -> lifted.LiftedOversegmentation:
        """Return the superpixels, their graph, and what the nuclei say about it."""
        over = super().prepare(inputs, context)
        nuclei = self._nuclei_labels(inputs["nuclei"])
        owners = lifted.nuclei_of_superpixels(over.labels, nuclei, over.graph.n_nodes, self.overlap_threshold)
        context.check()
        edges = lifted.find_lifted_edges(over.graph, owners, self.graph_depth)
        return lifted.LiftedOversegmentation(over.labels, over.graph, edges)

    def join(self, over: Oversegmentation, inputs: Mapping[str, Volume], context: Context) -> NDArray[Any]:
        """Return the cell of each superpixel."""
        edges = cast("lifted.LiftedOversegmentation", over).lifted
        if len(edges.pairs) == 0:
            context.message(
                "No two superpixels lie in nuclei, so the nuclei had no say and this is a plain multicut; "
                "lower nuclei_threshold or overlap_threshold."
            )
        return lifted.lifted_multicut(over.graph, edges, self.beta, self.time_limit_s, context.check)

    def _nuclei_labels(self, nuclei: Volume) -> NDArray[Any]:
        if nuclei.kind.is_labels:
            return nuclei.data
        return lifted.label_nuclei(
            as_probability(nuclei.data, "nuclei map"), self.nuclei_threshold, self.nuclei_min_size
        )

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the superpixels and the overlap with nuclei."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=20 * n_voxels, seconds=4e-7 * n_voxels)
