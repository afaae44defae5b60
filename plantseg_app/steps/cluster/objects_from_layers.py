"""The step that finds objects in the layers of a layering network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from plantseg_app.algorithms.layering import DEFAULT_MIN_SIZE, DEFAULT_THRESHOLD
from plantseg_app.algorithms.probability import as_probability
from plantseg_app.core.context import Context
from plantseg_app.core.fields import Fraction, VoxelCount
from plantseg_app.core.step import Cost, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Shape3, Volume


class ObjectsFromLayers(Step):
    """Make objects of the connected pieces of each layer that a layering network has sorted them into.

    A pixel lies in its strongest layer and, where objects may overlap, in every other layer above the threshold, so
    that objects that cross are both complete. Each slice is done by itself (Chen et al., BMVC 2022, algorithm 1).
    """

    id: ClassVar[str] = "objects-from-layers"
    title: ClassVar[str] = "Objects from layers"
    reads: ClassVar[dict[str, Port]] = {
        "layers": Port((Kind.LAYERS,), "How surely each pixel lies in each layer, 0 to 1."),
        "foreground": Port(
            (Kind.FOREGROUND, Kind.NUCLEI), "The map or mask of the objects, 1 in them and 0 outside.", optional=True
        ),
    }
    makes: ClassVar[Kind | SameAs] = Kind.LAYERED_LABELS

    threshold: Fraction = Field(
        DEFAULT_THRESHOLD, description="Foreground and layers are where their map is above this."
    )
    min_size: VoxelCount = Field(
        DEFAULT_MIN_SIZE, description="Objects, and pieces of foreground, with fewer pixels vanish."
    )
    overlap: bool = Field(
        True, description="A pixel may lie in several objects; otherwise each one lies in its strongest layer alone."
    )

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Count a plane of labels for each of eight layers, and the pieces of one."""
        n_voxels = shape_vox[0] * shape_vox[1] * shape_vox[2]
        return Cost(memory_bytes=80 * n_voxels, seconds=4e-7 * n_voxels)

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Find them."""
        from plantseg_app.algorithms.layering import LayerRules, decode_layers

        volume = inputs["layers"]
        layers = as_probability(volume.data, "layers")
        # Without a map of the foreground, objects are where any layer is.
        foreground = layers.max(0)
        if "foreground" in inputs:
            foreground = as_probability(inputs["foreground"].data, "foreground")
        rules = LayerRules(self.threshold, self.min_size, self.overlap)
        objects = decode_layers(layers, foreground, rules, context.check)
        return volume.replace(data=objects, kind=Kind.LAYERED_LABELS)
