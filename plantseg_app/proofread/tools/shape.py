"""The tools that mend the shape of cells: holes, rough outlines, loose pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from plantseg_app.algorithms.flooding import reach, scale_sigma
from plantseg_app.algorithms.label_shapes import smooth_labels
from plantseg_app.algorithms.labels import fill_holes
from plantseg_app.core.fields import SigmaVox, VoxelCount
from plantseg_app.proofread.parting import name_parts
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Assign, Change, Tissue
from plantseg_app.proofread.tool import Cells, Field, Tool, field_of, listed
from plantseg_app.steps.postprocess.fill_holes import FillHoles as FillHolesStep
from plantseg_app.steps.postprocess.smooth_labels import SmoothLabels


class FillHoles(Tool):
    """Give background that a cell encloses to that cell. What other cells help to enclose stays."""

    id: ClassVar[str] = "fill-holes"
    title: ClassVar[str] = "Fill holes"

    cells: Cells = Field(description="The cells.")
    max_size: VoxelCount | None = field_of(FillHolesStep, "max_size")
    by_slice: bool = field_of(FillHolesStep, "by_slice")

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Fill in the box of each cell."""
        tissue.check_editable(self.cells)
        for cell in dict.fromkeys(self.cells):
            layer, box = tissue.index.layer(cell), tissue.box_around((cell,), margin_vox=1)
            space = tissue.planes[layer][box]
            filled = fill_holes(space, self.max_size, self.by_slice) == cell
            yield Assign(layer, box, filled & (space == 0), (0, cell))

    @property
    def words(self) -> str:
        """What was done."""
        return f"Filled holes of {listed(self.cells)}"


class Smooth(Tool):
    """Smooth the outlines of cells: each voxel goes to whom the largest share of its surroundings belongs.

    What a cell gives up goes to its neighbours or to background, so that no gaps open between cells.
    """

    id: ClassVar[str] = "smooth"
    title: ClassVar[str] = "Smooth outlines"

    cells: Cells = Field(description="The cells.")
    sigma: SigmaVox = field_of(SmoothLabels, "sigma")

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Smooth in a box around each cell, and take over what concerns the cell."""
        tissue.check_editable(self.cells)
        margin = 2 * max(reach(scale_sigma(self.sigma, tissue.spacing)))
        for cell in dict.fromkeys(self.cells):
            layer, box = tissue.index.layer(cell), tissue.box_around((cell,), margin)
            space = tissue.planes[layer][box]
            smoothed = smooth_labels(space, self.sigma, tissue.spacing)
            wins = (smoothed == cell) | (space == cell)
            names = [0, *np.unique(smoothed[wins]).tolist()]
            parts = np.where(wins, np.searchsorted(names[1:], smoothed) + 1, 0)
            yield Assign(layer, box, parts, names)

    @property
    def words(self) -> str:
        """What was done."""
        return f"Smoothed {listed(self.cells)}"


class KeepLargest(Tool):
    """Keep only the largest piece of cells that are in several; pieces are connected over faces."""

    id: ClassVar[str] = "keep-largest"
    title: ClassVar[str] = "Keep the largest piece"

    cells: Cells = Field(description="The cells.")
    others: Literal["background", "new cells"] = Field("background", description="What the other pieces become.")

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Take the others away, or give them ids."""
        import cc3d

        tissue.check_editable(self.cells)
        in_one = 0
        for cell in dict.fromkeys(self.cells):
            layer, box = tissue.index.layer(cell), tissue.index.box(cell)
            body = tissue.planes[layer][box] == cell
            pieces = np.asarray(cc3d.connected_components(body, connectivity=6, out_dtype=np.uint32), np.uint32)
            sizes = np.bincount(pieces.ravel())[1:]
            if len(sizes) < 2:
                in_one += 1
            elif self.others == "background":
                yield Assign(layer, box, (pieces > 0) & (pieces != 1 + int(np.argmax(sizes))), (0, 0))
            else:
                yield name_parts(tissue, layer, box, pieces, (cell,))
        if in_one == len(set(self.cells)):
            raise Refused(f"{listed(self.cells).capitalize()} {'is' if in_one == 1 else 'are'} in one piece already.")

    @property
    def words(self) -> str:
        """What was done."""
        return f"Kept the largest piece of {listed(self.cells)}"
