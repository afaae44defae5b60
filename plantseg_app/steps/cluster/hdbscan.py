"""The step that finds objects in an embedding as its dense regions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from plantseg_app.core.context import Context
from plantseg_app.core.fields import Seed
from plantseg_app.core.step import Cost, Field, Port
from plantseg_app.core.volume import Kind, Shape3, Volume
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


class Hdbscan(EmbeddingClustering):
    """Label objects whose pixels lie densely together in an embedding, whatever the shape of the crowd (HDBSCAN).

    Clusters have at least the given number of pixels and are at least a bandwidth apart. Pixels that belong to none are
    given to the clusters around them by a watershed, over the image where there is one. Large images are clustered by a
    random part of their pixels, which the others follow.
    """

    id: ClassVar[str] = "hdbscan"
    title: ClassVar[str] = "Objects from an embedding (HDBSCAN)"
    reads: ClassVar[dict[str, Port]] = {
        "embedding": EMBEDDING,
        "foreground": FOREGROUND,
        "image": Port(
            (Kind.BOUNDARY, Kind.RAW),
            "An image with bright lines between the objects, over which the watershed runs.",
            optional=True,
        ),
    }

    bandwidth: Bandwidth = None
    fill_noise: bool = Field(True, description="Give pixels that belong to no cluster to the clusters around them.")
    max_points: int = Field(
        10_000,
        ge=0,
        le=10**9,
        description="Most pixels that are clustered by themselves; the time grows with the square of it. 0: all.",
        json_schema_extra={"advanced": True},
    )
    seed: Seed = Field(
        0, description="Decides which pixels are clustered where there are more.", json_schema_extra={"advanced": True}
    )

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the pairs of the points that are clustered, and the way of all others to the nearest of them."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        n_points = min(n_voxels, self.max_points or n_voxels)
        return Cost(memory_bytes=200 * n_voxels + 1000 * n_points, seconds=2e-8 * n_points**2 + 2e-5 * n_voxels)

    def clustering(self, inputs: Mapping[str, Volume], model: EmbeddingModel, context: Context) -> Clustering:
        """Return HDBSCAN with these settings."""
        from plantseg_app.algorithms.density_clustering import ByDensity

        relief = None
        if "image" in inputs:
            data = inputs["image"].data
            relief = data[0] if data.ndim == 4 else data
        epsilon = bandwidth_of(self.bandwidth, model)
        return ByDensity(self.min_size, epsilon, self.max_points, self.fill_noise, relief, self.seed)
