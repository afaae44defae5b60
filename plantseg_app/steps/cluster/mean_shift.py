"""The step that finds objects in an embedding by mean shift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from plantseg_app.algorithms.probability import as_probability
from plantseg_app.core.context import Context
from plantseg_app.core.fields import DEFAULT_MIN_SIZE, Fraction, VoxelCount
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume
from plantseg_app.steps.cluster.embedding_model import decisive_card, embedding_model


class MeanShift(Step):
    """Label objects whose pixels a network has embedded close together, and apart from those of other objects.

    Pixels that lie within the bandwidth of a common centre become one object (mean shift with a flat kernel). Only the
    foreground is clustered where it is given; otherwise the largest cluster is taken for the background. Where a large
    image was predicted in overlapping frames, their objects are joined.
    """

    id: ClassVar[str] = "mean-shift"
    title: ClassVar[str] = "Objects from an embedding (mean shift)"
    reads: ClassVar[dict[str, Port]] = {
        "embedding": Port((Kind.EMBEDDING,), "The embedding of every pixel."),
        "foreground": Port(
            (Kind.FOREGROUND, Kind.NUCLEI), "The map or mask of the objects, 1 in them and 0 outside.", optional=True
        ),
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    model: str = Field(
        "",
        description="The model that made the embedding: says the bandwidth and how overlapping frames are stored.",
        json_schema_extra={"choices": "zoo.models"},
    )
    bandwidth: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="How far apart the embeddings of one object may lie: larger joins, smaller cuts. By itself that of "
        "the model, 0.5 without a model.",
    )
    foreground_threshold: Fraction = Field(
        0.5, description="Pixels whose foreground is above this are clustered, the others are background."
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

    def depends_on(self) -> str:
        """Return what of the model's card decides the result."""
        return decisive_card(self.model)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Points as float64 with their order, of which a third are foreground; noisy images take longer than this."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=300 * n_voxels, seconds=1e-5 * n_voxels)

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Label the objects."""
        from plantseg_app.algorithms.instances import DEFAULT_BANDWIDTH, InstanceRules, find_instances

        embedding, model = inputs["embedding"], embedding_model(self.model)
        inside = None
        if "foreground" in inputs:
            inside = as_probability(inputs["foreground"].data, "foreground") > self.foreground_threshold
        rules = InstanceRules(
            bandwidth=self.bandwidth or model.bandwidth or DEFAULT_BANDWIDTH,
            min_size=self.min_size,
            seeding=self.seeding,
            min_seed_points=self.min_seed_pixels,
            join_distance=self.join_distance,
            fills_foreground=self.fill_foreground,
            splits=self.split_pieces,
            by_slice=self.by_slice,
            stitch_iou=self.agreement,
            links_slices=self.link_slices,
        )
        labels = find_instances(embedding.data, inside, rules, model.n_channels, context.check)
        return embedding.replace(data=np.asarray(labels), kind=Kind.LABELS)
