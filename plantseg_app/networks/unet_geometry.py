"""What one or several U-Nets in a row see: pooling grid, reach and halo. Knows shapes alone.

>>> import torch
>>> from plantseg_app.networks.unet import UNet2D
>>> with torch.device("meta"):
...     geometry = Geometry([UNet2D(4, 4, f_maps=(4, 8), layer_order="bcr")], stride=2, is_2d=True)
>>> geometry.grid_vox, geometry.radius_vox, geometry.halo_vox
((1, 4, 4), (0, 19, 19), (0, 16, 16))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from plantseg_app.core.volume import Shape3
from plantseg_app.networks.unet import UNet


@dataclasses.dataclass(frozen=True)
class Geometry:
    """The geometry of U-Nets of the same depth, each of which reads what the one before has made.

    Attributes
    ----------
    networks
        In the order in which they are run.
    stride
        How much coarser along Y and X the grid is on which they work.
    is_2d
        Whether they see single slices.
    """

    networks: Sequence[UNet]
    stride: int
    is_2d: bool

    def _interval(self, first: int, last: int) -> tuple[int, int]:
        for network in reversed(self.networks):
            first, last = network.input_interval(first, last)
        return first, last

    def _per_axis(self, size: int) -> Shape3:
        wide = self.stride * (size + 1) - 1 if size else 0
        return (0 if self.is_2d else size, wide, wide)

    @property
    def grid_vox(self) -> Shape3:
        """Pooling grid (Z, Y, X) in voxels, the stride included."""
        cell = self.networks[0].pooling_factor
        return (1 if self.is_2d else cell, cell * self.stride, cell * self.stride)

    @property
    def radius_vox(self) -> Shape3:
        """How far (Z, Y, X) in voxels an output voxel sees at most."""
        cell = self.networks[0].pooling_factor
        intervals = [(at, *self._interval(at, at)) for at in range(cell)]
        return self._per_axis(max(max(at - low, high - at) for at, low, high in intervals))

    @property
    def halo_vox(self) -> Shape3:
        """Context (Z, Y, X) in voxels, on the pooling grid, with which aligned tiles lose nothing."""
        cell = self.networks[0].pooling_factor
        low, high = self._interval(0, cell - 1)
        z, y, x = (-(-max(-low, high - cell + 1) // cell) * grid for grid in self.grid_vox)
        return (0 if self.is_2d else z, y, x)
