"""The step that tells apart objects with gaps between them, such as nuclei, from a mask and their outlines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from plantseg_app.algorithms.chain import Oversegmentation
from plantseg_app.algorithms.mask_outline import DEFAULTS, ObjectSettings, find_pieces, join_pieces
from plantseg_app.algorithms.probability import as_probability
from plantseg_app.core.context import Context
from plantseg_app.core.fields import Beta, Fraction, SigmaVox, VoxelCount
from plantseg_app.core.step import Cost, Field, Port, SameAs
from plantseg_app.core.two_part import TwoPartStep
from plantseg_app.core.volume import Kind, Shape3, Volume


class NucleiWatershed(TwoPartStep):
    """Label nuclei, or other objects with background between them, from a map of their insides.

    The mask says where objects are, the outlines where touching ones part. Seeds far from outlines and background are
    flooded within the mask, and pieces without an outline between them are joined again. Without outlines, objects that
    touch are told apart by their shape alone, and less surely.
    """

    id: ClassVar[str] = "nuclei-watershed"
    title: ClassVar[str] = "Nuclei from mask and outlines"
    reads: ClassVar[dict[str, Port]] = {
        "mask": Port((Kind.FOREGROUND, Kind.NUCLEI), "The map of the insides, 1 in objects and 0 outside."),
        "outline": Port((Kind.BOUNDARY,), "The map of the outlines, 1 on them.", optional=True),
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    mask_threshold: Fraction = Field(
        DEFAULTS.mask_threshold,
        description="Voxels of the mask above this are inside an object; lower it where objects come out too small.",
    )
    outline_threshold: Fraction = Field(
        DEFAULTS.outline_threshold,
        description="Voxels of the outlines above this hold no seed; lower it where objects are joined.",
    )
    sigma_seeds: SigmaVox = Field(
        DEFAULTS.sigma_seeds,
        description="Smoothing of the distance map before seeds are taken from it; larger cuts less.",
    )
    beta: Beta = Field(
        DEFAULTS.beta,
        description="How weak an outline may be and still part two objects: a larger value gives more, smaller ones.",
    )
    min_size: VoxelCount = Field(DEFAULTS.min_size, description="Objects with fewer voxels vanish.")
    min_share: Fraction = Field(
        DEFAULTS.min_share,
        description="Objects smaller than this share of the usual (median) size vanish; 0 keeps them.",
    )

    prepared_by: ClassVar[tuple[str, ...]] = ("mask_threshold", "outline_threshold", "sigma_seeds")

    def prepare(self, inputs: Mapping[str, Volume], context: Context) -> Oversegmentation:
        """Return pieces of objects with the outlines between them."""
        mask = inputs["mask"]
        inside = as_probability(mask.data, "mask")
        outline = np.zeros_like(inside)
        if "outline" in inputs:
            outline = as_probability(inputs["outline"].data, "outline map")
        spacing, joins = tuple(mask.spacing), "outline" in inputs
        return find_pieces(inside, outline, self._settings, spacing, context.n_threads, context.check, joins=joins)

    def complete(self, prepared: Any, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Join pieces to objects."""
        context.check()
        labels = join_pieces(prepared, self._settings, joins="outline" in inputs)
        return inputs["mask"].replace(data=labels, kind=Kind.LABELS)

    @property
    def _settings(self) -> ObjectSettings:
        return ObjectSettings(**self.model_dump())

    def estimate(self, shape_vox: Shape3) -> Cost:
        """About five float32 maps at once; one core does four million voxels a second."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=20 * n_voxels, seconds=2.5e-7 * n_voxels)
