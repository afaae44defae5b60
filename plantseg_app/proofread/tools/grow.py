"""The tool that makes a cell from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np

from plantseg_app.algorithms.flooding import flood, scale_sigma, smooth
from plantseg_app.algorithms.nuclei import BOUNDARY_SIGMA
from plantseg_app.proofread.layer_room import layer_free_at
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Assign, Change, Tissue
from plantseg_app.proofread.tool import Field, Points, Tool


class Grow(Tool):
    """Make a new cell of the background around a seed, up to where the boundary map is high.

    The seed and what lies beyond the reach flood the map from both sides and meet on the strongest boundary between;
    other cells stay as they are.
    """

    id: ClassVar[str] = "grow"
    title: ClassVar[str] = "Grow a cell from a seed"

    seed: Points = Field(description="One voxel inside the cell, or more.", exclude=True)
    reach_vox: Annotated[int, Field(ge=2, le=2000, json_schema_extra={"unit": "voxel"})] = Field(
        50, description="How far the cell may reach from the seed, in voxels of the finest axis."
    )

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Flood from the seed against the surroundings, in the first layer that is free there."""
        if tissue.boundary is None:
            raise Refused("Growing needs a boundary map, and none is open; paint the cell instead.")
        seed = self.seed[((self.seed >= 0) & (self.seed < tissue.shape_vox)).all(1)]
        if not len(seed):
            raise Refused("The seed lies outside the image.")
        layer = layer_free_at(tissue, seed)
        steps = np.array(tissue.spacing) / min(tissue.spacing)
        reach = np.ceil(self.reach_vox / steps).astype(int) + 1
        low, high = np.maximum(seed.min(0) - reach, 0), np.minimum(seed.max(0) + reach + 1, tissue.shape_vox)
        z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        free = tissue.planes[layer][z, y, x] == 0
        seeds = np.zeros(free.shape, np.uint32)
        seeds[free & self._beyond(free.shape, seed - low, steps)] = 2
        seeds[tuple((seed - low).T)] = 1
        relief = smooth(tissue.boundary[z, y, x], scale_sigma(BOUNDARY_SIGMA, tissue.spacing))
        grown = flood(relief, seeds, free) == 1
        if not grown.any():
            raise Refused("Nothing grew from the seed.")
        yield Assign(layer, (z, y, x), grown, (0, tissue.new_ids(1)[0]))

    def _beyond(
        self,
        shape: tuple[int, ...],
        seed: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
        steps: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Return which voxels are farther from all seeds than the reach."""
        from bioimage_cpp.distance import distance_transform

        away = np.ones(shape, bool)
        away[tuple(seed.T)] = False
        return np.asarray(distance_transform(away, sampling=steps.tolist()) > self.reach_vox)

    @property
    def words(self) -> str:
        """What was done."""
        return "Grew a new cell from a seed"
