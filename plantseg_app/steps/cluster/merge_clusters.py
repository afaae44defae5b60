"""The step that joins objects whose embeddings are alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs
from plantseg_app.core.volume import Kind, Shape3, Volume
from plantseg_app.errors import InputError
from plantseg_app.steps.cluster.embedding_clustering import EMBEDDING, EmbeddingStep
from plantseg_app.steps.cluster.embedding_model import embedding_model


class MergeClusters(EmbeddingStep):
    """Join objects whose mean embeddings lie close together: those that touch, or all, also parts of a hidden object.

    Mends what a clustering has left in pieces. Objects keep the name of the first of their parts, or of the largest.
    """

    id: ClassVar[str] = "merge-clusters"
    title: ClassVar[str] = "Join alike objects"
    reads: ClassVar[dict[str, Port]] = {
        "labels": Port((Kind.LABELS,), "The objects."),
        "embedding": EMBEDDING,
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    distance: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Objects whose mean embeddings lie closer than this are joined. By itself half of how far apart "
        "the model keeps objects, 2 without a model.",
    )
    which: Literal["touching", "all"] = Field(
        "touching",
        description="Which objects are joined: those that touch, or all, for networks that tell all objects apart.",
    )

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the embedding once more, and the search for touching objects."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=150 * n_voxels, seconds=5e-7 * n_voxels)

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Join them.

        Raises
        ------
        InputError
            If the embedding is that of overlapping frames, in which an object has several.
        """
        from plantseg_app.algorithms.affinity_clustering import DEFAULT_SEPARATION
        from plantseg_app.algorithms.merging import join_alike, join_touching
        from plantseg_app.algorithms.region_graph import make_dense

        labels, embedding, model = inputs["labels"], inputs["embedding"].data, embedding_model(self.model)
        if model.n_channels not in (None, len(embedding)):
            raise InputError(
                f"The embedding has {len(embedding)} channels where the model makes {model.n_channels}: it is that of "
                "overlapping frames, whose objects cannot be compared; set join_distance where they are clustered."
            )
        distance = self.distance or (model.separation or DEFAULT_SEPARATION) / 2
        dense, names = make_dense(labels.data)
        context.check()
        join = join_touching if self.which == "touching" else join_alike
        return labels.replace(data=names[join(dense, embedding, distance)])
