"""The step that says how sure each object of a clustered embedding is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs
from plantseg_app.core.volume import Kind, Shape3, Volume
from plantseg_app.steps.cluster.embedding_clustering import EmbeddingStep
from plantseg_app.steps.cluster.embedding_model import embedding_model


class InstanceConfidence(EmbeddingStep):
    """Map how sure each object is: how closely the embeddings of its pixels lie together, 1 when they are all the same.

    Every pixel of an object has the object's confidence, the background 0. Ranking objects by it makes the average
    precision of the COCO evaluation defined.
    """

    id: ClassVar[str] = "instance-confidence"
    title: ClassVar[str] = "Confidence of objects"
    reads: ClassVar[dict[str, Port]] = {
        "embedding": Port((Kind.EMBEDDING,), "The embedding in which the objects were found."),
        "labels": Port((Kind.LABELS,), "The objects."),
    }
    makes: ClassVar[Kind | SameAs] = Kind.FOREGROUND

    bandwidth: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Distance from an object's centre at which a pixel is not sure at all; by itself that of the "
        "model, 0.5 without a model.",
    )

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the points of the objects as float64."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=200 * n_voxels, seconds=1e-6 * n_voxels)

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Measure every object."""
        from plantseg_app.algorithms.instances import DEFAULT_BANDWIDTH, confidence_map, instance_confidence
        from plantseg_app.algorithms.region_graph import make_dense

        embedding, model = inputs["embedding"], embedding_model(self.model)
        dense, _ = make_dense(inputs["labels"].data)
        context.check()
        bandwidth = self.bandwidth or model.bandwidth or DEFAULT_BANDWIDTH
        confidence = instance_confidence(embedding.data, dense, bandwidth, model.n_channels)
        return embedding.replace(data=confidence_map(dense, confidence), kind=Kind.FOREGROUND)
