"""The step that corrects cells by their nuclei."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.nuclei import NucleiRules, correct_by_nuclei
from plantseg_app.core.context import Context
from plantseg_app.core.fields import Fraction
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume

_RULES = NucleiRules()


class SplitMergeByNuclei(Step):
    """Merge cells that share a nucleus and split cells that hold several: one nucleus, one cell.

    Cells without a nucleus are left as they are.
    """

    id: ClassVar[str] = "split-merge-by-nuclei"
    title: ClassVar[str] = "Split and merge by nuclei"
    reads: ClassVar[dict[str, Port]] = {
        "labels": Port((Kind.LABELS,), "The cells."),
        "nuclei": Port((Kind.LABELS,), "The nuclei, each with a label of its own."),
        "boundary": Port((Kind.BOUNDARY,), "The boundary map along which cells are split.", optional=True),
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    merge_threshold: Fraction = Field(
        _RULES.merge_threshold,
        description="Cells that each hold at least this share of one nucleus are merged.",
    )
    split_threshold: Fraction = Field(
        _RULES.split_threshold,
        description="A cell that holds at least this share of each of several nuclei is split between them.",
    )
    ignore_smallest: Fraction = Field(
        _RULES.ignore_smallest,
        description="Share of all nuclei, the smallest ones, that is taken for debris: 0.003 means 3 in a thousand.",
        json_schema_extra={"advanced": True},
    )
    ignore_largest: Fraction = Field(
        _RULES.ignore_largest,
        description="Share of all nuclei, the largest ones, that is taken for clumps: 0.001 means 1 in a thousand.",
        json_schema_extra={"advanced": True},
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Correct the cells."""
        labels = inputs["labels"]
        boundary = inputs["boundary"].data if "boundary" in inputs else None
        corrected = correct_by_nuclei(
            labels.data,
            inputs["nuclei"].data,
            NucleiRules(**self.model_dump()),
            boundary,
            tuple(labels.spacing),
            context.check,
        )
        return labels.replace(data=corrected)

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count six copies of the labels."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=24 * n_voxels, seconds=1e-7 * n_voxels)
