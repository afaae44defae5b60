"""What all steps that cluster an embedding share: inputs, settings, and the way from clusters to objects."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np

from plantseg_app.algorithms.probability import as_probability
from plantseg_app.core.context import Context
from plantseg_app.core.fields import DEFAULT_MIN_SIZE, Fraction, VoxelCount
from plantseg_app.core.step import Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.steps.cluster.embedding_model import EmbeddingModel, decisive_card, embedding_model

if TYPE_CHECKING:
    from plantseg_app.algorithms.instances import Clustering, InstanceRules

EMBEDDING = Port((Kind.EMBEDDING,), "The embedding of every pixel.")
FOREGROUND = Port(
    (Kind.FOREGROUND, Kind.NUCLEI), "The map or mask of the objects, 1 in them and 0 outside.", optional=True
)

Bandwidth = Annotated[
    float | None,
    Field(
        gt=0,
        le=1000,
        description="How far apart the embeddings of one object may lie: larger joins, smaller cuts. By itself that of "
        "the model, 0.5 without a model.",
    ),
]


class EmbeddingStep(Step):
    """A step that reads an embedding, and what the card of its model says about it."""

    model: str = Field(
        "",
        description="The model that made the embedding: says how far apart its objects lie and how overlapping frames "
        "are stored.",
        json_schema_extra={"choices": "zoo.models"},
    )

    def depends_on(self) -> str:
        """Return what of the model's card decides the result."""
        return decisive_card(self.model)


class EmbeddingClustering(EmbeddingStep):
    """Label objects whose pixels a network has embedded close together, and apart from those of other objects."""

    reads: ClassVar[dict[str, Port]] = {"embedding": EMBEDDING, "foreground": FOREGROUND}
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    foreground_threshold: Fraction = Field(
        0.5, description="Pixels whose foreground is above this are clustered, the others are background."
    )
    background: Literal["largest", "none"] = Field(
        "largest",
        description="What is background where no foreground is given: the largest cluster, or nothing, for tissue "
        "without gaps.",
    )
    join_distance: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Join objects that touch each other and whose mean embeddings lie closer than this; mends objects "
        "that come out in pieces. 0: none are joined.",
    )
    min_size: VoxelCount = Field(DEFAULT_MIN_SIZE, description="Objects with fewer pixels vanish.")
    fill_foreground: bool = Field(
        True, description="Give the foreground of vanished objects to the nearest objects that touch it."
    )
    split_pieces: bool = Field(
        False,
        description="Make objects of their own of pieces that do not touch each other; wrong for objects that cross.",
    )
    by_slice: bool = Field(
        False,
        description="Cluster each slice by itself, where the embedding is one for all; that of a 2D model is by slice.",
        json_schema_extra={"advanced": True},
    )
    link_slices: bool = Field(
        False, description="Join objects of slices that were clustered by themselves, where they overlap well."
    )
    agreement: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Intersection over union from which objects of two frames, or of two slices, are one.",
        json_schema_extra={"advanced": True},
    )

    @abc.abstractmethod
    def clustering(self, inputs: Mapping[str, Volume], model: EmbeddingModel, context: Context) -> Clustering:
        """Return how the voxels of one view become objects."""

    def rules(self, model: EmbeddingModel) -> InstanceRules:
        """Return what becomes of the clusters."""
        from plantseg_app.algorithms.instances import InstanceRules

        return InstanceRules(
            min_size=self.min_size,
            join_distance=self.join_distance,
            fills_foreground=self.fill_foreground,
            splits=self.split_pieces,
            by_slice=self.by_slice,
            stitch_iou=self.agreement,
            links_slices=self.link_slices,
            largest_is_background=self.background == "largest",
        )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Label the objects."""
        from plantseg_app.algorithms.instances import find_instances

        embedding, model = inputs["embedding"], embedding_model(self.model)
        inside = None
        if "foreground" in inputs:
            inside = as_probability(inputs["foreground"].data, "foreground") > self.foreground_threshold
        clustering = self.clustering(inputs, model, context)
        labels = find_instances(embedding.data, inside, clustering, self.rules(model), model.n_channels, context.check)
        return embedding.replace(data=np.asarray(labels), kind=Kind.LABELS)


def bandwidth_of(bandwidth: float | None, model: EmbeddingModel) -> float:
    """Return the bandwidth a person set, else that of the model, else the usual one."""
    from plantseg_app.algorithms.instances import DEFAULT_BANDWIDTH

    return bandwidth or model.bandwidth or DEFAULT_BANDWIDTH
