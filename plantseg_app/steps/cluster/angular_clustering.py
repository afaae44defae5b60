"""The step that grows objects from the peaks of a distance map over an embedding of directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from plantseg_app.core.context import Context
from plantseg_app.core.fields import Fraction, SigmaVox
from plantseg_app.core.step import Cost, Field, Port
from plantseg_app.core.volume import Kind, Shape3, Volume
from plantseg_app.steps.cluster.embedding_clustering import EMBEDDING, FOREGROUND, EmbeddingClustering
from plantseg_app.steps.cluster.embedding_model import EmbeddingModel

if TYPE_CHECKING:
    from plantseg_app.algorithms.instances import Clustering


class AngularClustering(EmbeddingClustering):
    """Grow an object from each peak of a distance map, over pixels whose embedding points the same way as the peak's.

    For networks that say how far each pixel is from the border of its object, such as W-Net. What no seed reaches is
    background, so a foreground is not needed.
    """

    id: ClassVar[str] = "angular-clustering"
    title: ClassVar[str] = "Objects from an embedding and a distance map (angles)"
    reads: ClassVar[dict[str, Port]] = {
        "embedding": EMBEDDING,
        "distance": Port((Kind.DISTANCE,), "The distance to the nearest border of an object, highest in its middle."),
        "foreground": FOREGROUND,
    }

    background: Literal["largest", "none"] = Field(
        "none",
        description="What is background beside what no seed reaches, where no foreground is given: nothing, or the "
        "largest object, for networks that find seeds in the background.",
    )
    join_distance: float = Field(
        0.4,
        ge=0,
        le=1000,
        description="Join objects that touch each other and whose mean embeddings lie closer than this: mends objects "
        "with two seeds. 0: none are joined.",
    )
    angle_deg: float = Field(
        45.0,
        gt=0,
        le=180,
        title="Angle",
        description="Largest angle between the embedding of a pixel and that of its seed: larger joins, smaller cuts.",
        json_schema_extra={"unit": "degree"},
    )
    seed_threshold: Fraction = Field(
        0.7, description="Least distance at a seed, as a share of the largest in the image; lower gives more seeds."
    )
    seed_distance: int = Field(
        10,
        ge=1,
        le=1000,
        description="Least distance between two seeds; about the radius of the smallest objects.",
        json_schema_extra={"unit": "voxel"},
    )
    seed_sigma: SigmaVox = Field(
        3.0,
        description="Smoothing of the distance map before its peaks are taken.",
        json_schema_extra={"advanced": True},
    )
    smoothing: float = Field(
        3.0,
        ge=0,
        le=100,
        description="Radius within which embeddings are averaged first.",
        json_schema_extra={"unit": "voxel", "advanced": True},
    )
    min_distance: Fraction = Field(
        0.1,
        description="Objects whose mean distance is below this share of the largest vanish.",
        json_schema_extra={"advanced": True},
    )

    rim_distance: Fraction = Field(
        0.0,
        description="Pixels whose distance is below this share of the largest are background: keeps objects from "
        "growing into what shines around them.",
        json_schema_extra={"advanced": True},
    )

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count the embedding three times, of some sixteen channels, and a few visits of each voxel."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=250 * n_voxels, seconds=4e-6 * n_voxels)

    def clustering(self, inputs: Mapping[str, Volume], model: EmbeddingModel, context: Context) -> Clustering:
        """Return growth from seeds with these settings."""
        from plantseg_app.algorithms.angular_clustering import AngleRules, ByAngle

        rules = AngleRules(
            angle_deg=self.angle_deg,
            seed_threshold=self.seed_threshold,
            seed_distance=self.seed_distance,
            seed_sigma=self.seed_sigma,
            smoothing=self.smoothing,
            min_distance=self.min_distance,
            rim_distance=self.rim_distance,
        )
        return ByAngle(inputs["distance"].data, rules, tuple(inputs["embedding"].spacing))
