"""The step that finds objects in an embedding by mean shift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field
from plantseg_app.core.volume import Shape3, Volume
from plantseg_app.steps.cluster.embedding_clustering import Bandwidth, EmbeddingClustering, bandwidth_of
from plantseg_app.steps.cluster.embedding_model import EmbeddingModel

if TYPE_CHECKING:
    from plantseg_app.algorithms.instances import Clustering


class MeanShift(EmbeddingClustering):
    """Label objects whose pixels a network has embedded close together, and apart from those of other objects.

    Pixels that lie within the bandwidth of a common centre become one object (mean shift with a flat kernel). Only the
    foreground is clustered where it is given; otherwise the largest cluster is taken for the background. Where a large
    image was predicted in overlapping frames, their objects are joined.
    """

    id: ClassVar[str] = "mean-shift"
    title: ClassVar[str] = "Objects from an embedding (mean shift)"

    bandwidth: Bandwidth = None
    seeding: Literal["points", "bins"] = Field(
        "points",
        description="Where the search starts: at pixels, which keeps close objects apart best, or in the middle of "
        "cells of embedding space, as scikit-learn does.",
        json_schema_extra={"advanced": True},
    )
    min_seed_pixels: int = Field(
        1,
        ge=1,
        le=10**9,
        description="Cells of embedding space with fewer pixels start no search; more is faster in noisy images.",
        json_schema_extra={"advanced": True},
    )

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Points as float64 with their order, of which a third are foreground; noisy images take longer than this."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=300 * n_voxels, seconds=1e-5 * n_voxels)

    def clustering(self, inputs: Mapping[str, Volume], model: EmbeddingModel, context: Context) -> Clustering:
        """Return mean shift with these settings."""
        from plantseg_app.algorithms.instances import ByMeanShift

        return ByMeanShift(bandwidth_of(self.bandwidth, model), self.seeding, self.min_seed_pixels)
