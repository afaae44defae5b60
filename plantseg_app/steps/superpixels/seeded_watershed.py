"""The step that grows given seeds into cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.probability import as_probability
from plantseg_app.algorithms.watershed import seeded_watershed
from plantseg_app.core.context import Context
from plantseg_app.core.fields import Fraction, SigmaVox
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class SeededWatershed(Step):
    """Grow seeds, one for each cell, until they meet on the crests of the boundary map.

    Seeds are labels of any origin, often segmented nuclei; each keeps its number. A seed in the background grows into
    the background, or give a mask of the tissue.
    """

    id: ClassVar[str] = "seeded-watershed"
    title: ClassVar[str] = "Watershed from seeds"
    reads: ClassVar[dict[str, Port]] = {
        "boundary": Port((Kind.BOUNDARY,), "The boundary map, 0 inside cells and 1 on boundaries."),
        "seeds": Port((Kind.LABELS,), "One label for each cell, 0 where there is no seed; for example nuclei."),
        "mask": Port(
            (Kind.FOREGROUND, Kind.LABELS), "Where cells may grow: a foreground map, or labels above 0.", optional=True
        ),
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    sigma: SigmaVox = Field(
        1.0,
        description="Smoothing of the boundary map before it is flooded.",
    )
    mask_threshold: Fraction = Field(
        0.5,
        description="Where the foreground map is above this, cells may grow; not used for a mask of labels.",
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Grow the seeds."""
        boundary = inputs["boundary"]
        values = as_probability(boundary.data, "boundary map")
        mask = None
        if "mask" in inputs:
            given = inputs["mask"]
            is_labels = given.kind.is_labels
            mask = given.data > 0 if is_labels else as_probability(given.data, "mask") > self.mask_threshold
        if not inputs["seeds"].data.any():
            context.message("There is no seed, so the result is empty.")
        labels = seeded_watershed(
            values,
            inputs["seeds"].data,
            self.sigma,
            mask,
            tuple(boundary.spacing),
            context.n_threads,
            context.check,
        )
        return boundary.replace(data=labels, kind=Kind.LABELS)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count about four float32 maps at once."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=18 * n_voxels, seconds=1.5e-7 * n_voxels)
