"""The step that makes plain labels of objects that overlap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.layers import FlattenRule
from plantseg_app.core.context import Context
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class FlattenLayers(Step):
    """Make plain labels of layers of objects, for programs that know no overlaps; each object keeps its number.

    Where objects overlap, a rule says whose the voxels are.
    """

    id: ClassVar[str] = "flatten-layers"
    title: ClassVar[str] = "Flatten layers"
    reads: ClassVar[dict[str, Port]] = {
        "layers": Port((Kind.LAYERED_LABELS,), "Objects that may overlap, or one mask a layer.")
    }
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    rule: FlattenRule = Field(
        "nearest",
        description="Whose an overlap is. nearest: of the object whose part without overlap is nearest; larger, "
        "smaller: of the object with more or fewer voxels; last: of the one in the highest layer; background: of none.",
    )

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count a few layers and the distances within one object."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=60 * n_voxels, seconds=3e-7 * n_voxels)

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Flatten them."""
        from plantseg_app.algorithms.layers import flatten_by_rule, number_masks

        volume = inputs["layers"]
        context.check()
        return volume.replace(data=flatten_by_rule(number_masks(volume.data), self.rule), kind=Kind.LABELS)
