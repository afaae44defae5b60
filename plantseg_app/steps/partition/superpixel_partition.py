"""What all steps that join superpixels into cells share: inputs, the settings users know, and the way in and out."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray

from plantseg_app.algorithms.chain import Oversegmentation, finish, prepare
from plantseg_app.algorithms.probability import as_probability
from plantseg_app.core.context import Context
from plantseg_app.core.fields import DEFAULT_BETA, DEFAULT_MIN_SIZE, Beta, VoxelCount
from plantseg_app.core.step import Field, Port, SameAs
from plantseg_app.core.two_part import TwoPartStep
from plantseg_app.core.volume import Kind, Volume

BOUNDARY = Port((Kind.BOUNDARY,), "The boundary map, 0 inside cells and 1 on boundaries.")
SUPERPIXELS = Port((Kind.LABELS,), "Superpixels to join; label 0 stays background.", optional=True)


class SuperpixelPartition(TwoPartStep):
    """Join superpixels into cells; without any, the step makes them itself as dt-watershed does by default."""

    reads: ClassVar[dict[str, Port]] = {"boundary": BOUNDARY, "superpixels": SUPERPIXELS}
    makes: ClassVar[Kind | SameAs] = Kind.LABELS

    beta: Beta = Field(
        DEFAULT_BETA,
        description="Under-segmentation (0) against over-segmentation (1): a larger value gives more, smaller cells.",
    )
    min_size: VoxelCount = Field(
        DEFAULT_MIN_SIZE,
        description="Cells with fewer voxels join the neighbour behind their weakest boundary.",
    )

    @abc.abstractmethod
    def join(self, over: Oversegmentation, inputs: Mapping[str, Volume], context: Context) -> NDArray[Any]:
        """Return (N + 1,) the cell of each of N superpixels, dense from 1; 0 for label 0."""

    def prepare(self, inputs: Mapping[str, Volume], context: Context) -> Oversegmentation:
        """Return the superpixels and their graph."""
        boundary = inputs["boundary"]
        values = as_probability(boundary.data, "boundary map")
        given = inputs["superpixels"].data if "superpixels" in inputs else None
        return prepare(values, given, tuple(boundary.spacing), context.n_threads, context.check)

    def complete(self, prepared: Any, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Partition the superpixels."""
        cells = self.join(prepared, inputs, context)
        context.check()
        return self.paint(inputs["boundary"], prepared, cells, context)

    def paint(self, boundary: Volume, over: Oversegmentation, cells: NDArray[Any], context: Context) -> Volume:
        """Return the labels of a partition in the place of the boundary map."""
        return boundary.replace(data=finish(over, cells, self.min_size, context.n_threads), kind=Kind.LABELS)
