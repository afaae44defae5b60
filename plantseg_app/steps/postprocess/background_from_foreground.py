"""The step that removes objects outside the tissue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.labels import keep_foreground
from plantseg_app.algorithms.probability import as_probability
from plantseg_app.core.context import Context
from plantseg_app.core.fields import Fraction
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class BackgroundFromForeground(Step):
    """Make objects background that lie mostly outside a foreground map.

    Keeps an object when the mean of the map over all its voxels reaches the threshold. A nuclei map works as well, to
    keep only cells with a nucleus; the threshold is then lower.
    """

    id: ClassVar[str] = "background-from-foreground"
    title: ClassVar[str] = "Keep objects in the foreground"
    reads: ClassVar[dict[str, Port]] = {
        "labels": Port((Kind.LABELS,), "The segmentation."),
        "foreground": Port((Kind.FOREGROUND, Kind.NUCLEI), "The foreground map, 1 inside the tissue."),
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    threshold: Fraction = Field(
        0.5,
        description="Objects with a mean foreground value below this become background.",
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Remove them."""
        labels = inputs["labels"]
        foreground = as_probability(inputs["foreground"].data, "foreground map")
        context.check()
        return labels.replace(data=keep_foreground(labels.data, foreground, self.threshold))

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count three copies of the labels."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=12 * n_voxels, seconds=3e-8 * n_voxels)
