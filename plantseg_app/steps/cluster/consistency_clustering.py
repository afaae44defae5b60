"""The step that finds objects in an embedding and keeps those that a second embedding confirms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from plantseg_app.core.context import Context
from plantseg_app.core.fields import Seed
from plantseg_app.core.step import Cost, Field, Port
from plantseg_app.core.volume import Kind, Shape3, Volume
from plantseg_app.errors import InputError
from plantseg_app.steps.cluster.embedding_clustering import (
    EMBEDDING,
    FOREGROUND,
    Bandwidth,
    EmbeddingClustering,
    bandwidth_of,
)
from plantseg_app.steps.cluster.embedding_model import EmbeddingModel

if TYPE_CHECKING:
    from plantseg_app.algorithms.instances import Clustering


class ConsistencyClustering(EmbeddingClustering):
    """Label objects by mean shift and keep those that come out again in the embedding of a second network.

    Made for networks that learnt from a few objects: what they invent in unknown background differs between the network
    and its slow average, while real objects do not.
    """

    id: ClassVar[str] = "consistency-clustering"
    title: ClassVar[str] = "Objects from two embeddings (consistency)"
    reads: ClassVar[dict[str, Port]] = {
        "embedding": EMBEDDING,
        "second": Port((Kind.EMBEDDING,), "The embedding by the network's slow average, best of a changed image."),
        "foreground": FOREGROUND,
    }

    fill_foreground: bool = Field(
        False, description="Give the foreground of vanished objects to the nearest objects that touch it."
    )
    bandwidth: Bandwidth = None
    confirmation: float = Field(
        0.6,
        ge=0,
        lt=1,
        description="Share by which an object must be found again (intersection over union, median over its pixels).",
    )
    n_anchors: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Pixels of each object around which it is searched for again.",
        json_schema_extra={"advanced": True},
    )
    seed: Seed = Field(0, description="Decides which pixels these are.", json_schema_extra={"advanced": True})

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count mean shift, and all distances from the anchors of some twenty objects."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=400 * n_voxels, seconds=(1e-5 + 3e-7 * self.n_anchors) * n_voxels)

    def clustering(self, inputs: Mapping[str, Volume], model: EmbeddingModel, context: Context) -> Clustering:
        """Return mean shift with confirmation.

        Raises
        ------
        InputError
            If the two embeddings differ in their channels.
        """
        from plantseg_app.algorithms.consistency_clustering import ByConsistency
        from plantseg_app.algorithms.instances import ByMeanShift

        first, second = inputs["embedding"].data, inputs["second"].data
        if len(first) != len(second) or (model.n_channels or len(first)) != len(first):
            raise InputError(
                f"The embedding has {len(first)} channels and the second one {len(second)}; both have to come from "
                "networks of one sort, without overlapping frames."
            )
        bandwidth = bandwidth_of(self.bandwidth, model)
        return ByConsistency(second, ByMeanShift(bandwidth), bandwidth, self.confirmation, self.n_anchors, self.seed)
