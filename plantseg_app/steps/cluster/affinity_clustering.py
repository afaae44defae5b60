"""The step that finds objects in an embedding by affinities."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from plantseg_app.algorithms.affinity_clustering import DEFAULT_REACH, DEFAULT_SEPARATION, DEFAULT_STRIDE, Partition
from plantseg_app.core.context import Context
from plantseg_app.core.fields import Beta, PerAxis, TextList
from plantseg_app.core.step import Cost, Field
from plantseg_app.core.volume import Shape3, Volume
from plantseg_app.steps.cluster.embedding_clustering import EmbeddingClustering
from plantseg_app.steps.cluster.embedding_model import EmbeddingModel

if TYPE_CHECKING:
    from plantseg_app.algorithms.instances import Clustering, InstanceRules


class AffinityClustering(EmbeddingClustering):
    """Label objects by a graph: pixels attract their neighbours, and repel distant pixels whose embeddings differ.

    Much faster than clusterings of all pixels, and without a bandwidth. Each object is connected: what others cut in
    two is two objects, and equal embeddings far apart do no harm. Without a foreground, the largest object is taken for
    the background, with those whose embedding is like its own.
    """

    id: ClassVar[str] = "affinity-clustering"
    title: ClassVar[str] = "Objects from an embedding (affinities)"

    beta: Beta = Field(
        0.5, description="Under-segmentation (0) against over-segmentation (1): a larger value gives more objects."
    )
    separation: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="How far apart the embeddings of different objects lie. By itself that of the model, 4 without a "
        "model.",
    )
    partition: Partition = Field(
        Partition.MUTEX_WATERSHED,
        description="How the graph is cut: pixel by pixel with the strongest pair first, or by joining superpixels.",
    )
    min_thickness: float = Field(
        3.0,
        ge=0,
        le=1000,
        description="Objects into which no ball of this diameter fits go to those around them: lines where the "
        "embedding changes from one object to the next.",
        json_schema_extra={"unit": "voxel"},
    )
    reach: TextList[Annotated[int, Field(ge=1, le=10_000)]] = Field(
        DEFAULT_REACH,
        min_length=1,
        description="How far apart the distant pixels are that are compared, along each axis.",
        json_schema_extra={"unit": "voxel", "advanced": True},
    )
    stride: PerAxis[Annotated[int, Field(ge=1, le=64)]] = Field(
        DEFAULT_STRIDE,
        description="Beyond the first reach, pixels are compared from every n-th one along Z, Y and X; more is faster "
        "and less exact.",
        json_schema_extra={"unit": "voxel", "advanced": True, "when": {"partition": ["mutex-watershed"]}},
    )

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count an affinity for each offset, and the sorted edges of the graph."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        n_offsets = 3 + 3 * len(self.reach)
        return Cost(memory_bytes=30 * n_offsets * n_voxels, seconds=2.5e-7 * n_offsets * n_voxels)

    def rules(self, model: EmbeddingModel) -> InstanceRules:
        """Return what becomes of the clusters; the background is connected no more than the objects are."""
        return dataclasses.replace(super().rules(model), background_distance=self._separation(model) / 2)

    def _separation(self, model: EmbeddingModel) -> float:
        return self.separation or model.separation or DEFAULT_SEPARATION

    def clustering(self, inputs: Mapping[str, Volume], model: EmbeddingModel, context: Context) -> Clustering:
        """Return the cut of the graph with these settings."""
        from plantseg_app.algorithms.affinity_clustering import ByAffinities

        return ByAffinities(
            separation=self._separation(model),
            beta=self.beta,
            partition=self.partition,
            reach=self.reach,
            stride=self.stride,
            min_thickness=self.min_thickness,
            spacing=tuple(inputs["embedding"].spacing),
            n_threads=context.n_threads,
        )
