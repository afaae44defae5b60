"""The tool that makes a cell of what a network finds alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np

from plantseg_app.proofread.layer_room import layer_free_at
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Assign, Change, Tissue
from plantseg_app.proofread.tool import Field, Points, Tool

_MOST = 0.5


class AddAlike(Tool):
    """Make a new cell of what is connected to a place and embedded like it, as the soft mask at the cursor shows.

    Works with the embedding of any network; other cells stay as they are.
    """

    id: ClassVar[str] = "add-alike"
    title: ClassVar[str] = "Add the object under the cursor"

    seed: Points = Field(description="One voxel inside the object; of several the first counts.", exclude=True)
    alike: Annotated[float, Field(ge=0.1, le=4.0)] = Field(
        1.0,
        description="How much belongs to the object: with 1 what is nearer to it than half of the way to others, with "
        "more also what is less alike.",
    )

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Take what is alike of the free voxels around the seed."""
        import cc3d

        if tissue.embedding is None:
            raise Refused("This needs an embedding, and none is open; run a network that makes one, or grow the cell.")
        seed = self.seed[:1]
        if ((seed < 0) | (seed >= tissue.shape_vox)).any():
            raise Refused("The seed lies outside the image.")
        layer = layer_free_at(tissue, seed)
        box, mask = tissue.embedding.object_at(seed[0].tolist(), self.alike)
        mask = mask & (tissue.planes[layer][box] == 0)
        here = tuple((seed[0] - [part.start for part in box]).tolist())
        pieces = np.asarray(cc3d.connected_components(mask, connectivity=26, out_dtype=np.uint32))
        mask = pieces == pieces[here]
        if mask.sum() > _MOST * np.prod(tissue.shape_vox):
            raise Refused("This is more than half of the image, so it is probably the background.")
        yield Assign(layer, box, mask, (0, tissue.new_ids(1)[0]))

    @property
    def words(self) -> str:
        """What was done."""
        return "Added an alike object"
