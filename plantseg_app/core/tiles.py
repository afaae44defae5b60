"""Cut a volume into tiles that a pooling network predicts as if it saw the whole: pure geometry, no images.

A network with pooling treats its input in cells of a grid. The volume is thought to be padded to whole cells (and,
if wished, a margin of more), half before it and half behind. Every tile starts and ends on cell borders of that
padded volume, so it is pooled as the whole would be; with a halo of the receptive radius its core then equals the
untiled prediction.

::

    padded      |p . . .|. . . .|. . . .|. . . .|. . p p|     cells of 4 voxels, an image of 17, p is padding
    cores         0 0 0  1 1 1 1 1 1 1 1 2 2 2 2 2 2         near-equal, whole cells, clipped to the image
    outer of 0  |---------------|                             what the network sees: core and halo

>>> tiling = Tiling((1, 17, 17), grid_vox=(1, 4, 4), halo_vox=(0, 3, 3), tile_vox=(1, 8, 8))
>>> [tile.core[2] for tile in tiling][:3]
[(0, 3), (3, 11), (11, 17)]
>>> next(iter(tiling)).outer[2]
(-1, 7)
>>> tiling.halo_vox
(0, 4, 4)
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Shape3
from plantseg_app.errors import RequestError

Span = tuple[int, int]
"""First voxel and the voxel after the last one, counted in the image; outside it where padding is meant."""


class Tile(NamedTuple):
    """One tile, in voxels of the image, a span per axis (Z, Y, X).

    Attributes
    ----------
    core
        The voxels that are this tile's own; the cores of all tiles cover each voxel exactly once.
    outer
        What the network sees: the core and its halo, cut at the padded volume; may reach beyond the image.
    """

    core: tuple[Span, Span, Span]
    outer: tuple[Span, Span, Span]

    @property
    def core_slices(self) -> tuple[slice, slice, slice]:
        """The core as an index into the image."""
        z, y, x = (slice(*span) for span in self.core)
        return z, y, x

    @property
    def core_in_outer(self) -> tuple[slice, slice, slice]:
        """The core as an index into what the network returns for `outer`."""
        z, y, x = (slice(a - o, b - o) for (a, b), (o, _) in zip(self.core, self.outer, strict=True))
        return z, y, x

    @property
    def outer_shape_vox(self) -> Shape3:
        """(Z, Y, X) of what the network sees."""
        z, y, x = (stop - start for start, stop in self.outer)
        return z, y, x


@dataclasses.dataclass(frozen=True)
class Tiling:
    """All tiles of one volume, near-equal in size.

    Parameters
    ----------
    shape_vox
        (Z, Y, X) of the image, each at least 1.
    grid_vox
        Pooling grid of the network; 1 along an axis it does not pool.
    halo_vox
        Context around a core; rounded up to the grid.
    tile_vox
        Largest core; rounded up to the grid, and cut to the image. None: the whole image.
    margin_vox
        Padding beyond the image on each side, besides that to whole cells; rounded up to the grid.
    largest_input_vox
        No tile with its halo is larger than this, whatever `tile_vox` says; None: any.

    Raises
    ------
    RequestError
        If a shape, grid or tile is below 1, or a halo or margin below 0, or a halo leaves nothing of the largest input.
    """

    shape_vox: Shape3
    grid_vox: Shape3 = (1, 1, 1)
    halo_vox: Shape3 = (0, 0, 0)
    tile_vox: Shape3 | None = None
    margin_vox: Shape3 = (0, 0, 0)
    largest_input_vox: Shape3 | None = None

    def __post_init__(self) -> None:
        for what, values, least in (
            ("shape", self.shape_vox, 1),
            ("grid", self.grid_vox, 1),
            ("halo", self.halo_vox, 0),
            ("tile", self.tile_vox or self.shape_vox, 1),
            ("largest input", self.largest_input_vox or self.shape_vox, 1),
            ("margin", self.margin_vox, 0),
        ):
            if len(values) != 3 or any(value < least for value in values):
                raise RequestError(f"A {what} of tiles is three numbers of at least {least}, not {values}.")
        for field in ("halo_vox", "margin_vox"):
            snapped = tuple(round_up(v, g) for v, g in zip(getattr(self, field), self.grid_vox, strict=True))
            object.__setattr__(self, field, snapped)
        if self.largest_input_vox is not None:
            tile = self.tile_vox or self.shape_vox
            z, y, x = (
                _fitting_tile(axis._replace(tile=wanted), most)
                for axis, wanted, most in zip(self._axes(), tile, self.largest_input_vox, strict=True)
            )
            object.__setattr__(self, "tile_vox", (z, y, x))

    @property
    def padded_shape_vox(self) -> Shape3:
        """(Z, Y, X) of the padded volume: whole cells of the grid."""
        z, y, x = (axis.padded for axis in self._axes())
        return z, y, x

    @property
    def pad_before_vox(self) -> Shape3:
        """How many voxels of padding lie before the image."""
        z, y, x = (axis.before for axis in self._axes())
        return z, y, x

    @property
    def largest_outer_vox(self) -> int:
        """Number of voxels of the largest tile with its halo: what decides the memory."""
        return math.prod(max(stop - start for _, (start, stop) in axis.spans()) for axis in self._axes())

    @property
    def computed_vox(self) -> int:
        """Number of voxels the network computes over all tiles, halos included: what decides the time."""
        return math.prod(sum(stop - start for _, (start, stop) in axis.spans()) for axis in self._axes())

    def __len__(self) -> int:
        return math.prod(len(axis.spans()) for axis in self._axes())

    def __iter__(self) -> Iterator[Tile]:
        for z, y, x in itertools.product(*(axis.spans() for axis in self._axes())):
            yield Tile((z[0], y[0], x[0]), (z[1], y[1], x[1]))

    def _axes(self) -> list[_Axis]:
        tile = self.tile_vox or self.shape_vox
        return [
            _Axis(*numbers)
            for numbers in zip(self.shape_vox, self.grid_vox, self.halo_vox, tile, self.margin_vox, strict=True)
        ]


class _Axis(NamedTuple):
    """The geometry along one axis; halo and margin are multiples of the grid."""

    size: int
    grid: int
    halo: int
    tile: int
    margin: int

    @property
    def padded(self) -> int:
        return round_up(self.size, self.grid) + 2 * self.margin

    @property
    def before(self) -> int:
        return (self.padded - self.size) // 2

    def spans(self) -> list[tuple[Span, Span]]:
        """Return (core, outer) of each tile along this axis, in voxels of the image."""
        before, grid = self.before, self.grid
        # Only cells that hold a voxel of the image are shared out; margins belong to the halo alone.
        first, last = before // grid, (before + self.size - 1) // grid + 1
        n_tiles = -(-(last - first) // -(-self.tile // grid))
        cuts = [first + (last - first) * i // n_tiles for i in range(n_tiles + 1)]
        spans = []
        for start, stop in itertools.pairwise(cuts):
            outer = (max(0, start * grid - self.halo), min(self.padded, stop * grid + self.halo))
            core = (max(0, start * grid - before), min(self.size, stop * grid - before))
            spans.append((core, (outer[0] - before, outer[1] - before)))
        return spans


def round_up(value: int, grid: int) -> int:
    """Return the smallest multiple of `grid` that is at least `value`."""
    return -(-value // grid) * grid


def best_tiling(tiling: Tiling, max_outer_vox: int) -> Tiling:
    """Return the tiling that computes the fewest voxels while no tile with its halo exceeds `max_outer_vox`.

    Parameters
    ----------
    tiling
        Shape, grid, halo, margin and largest input; its tile size is ignored.
    max_outer_vox
        How many voxels fit into the memory at once.

    Returns
    -------
    Tiling
        Where even single cells with their halo are too large, these: the caller must try or give up.
    """
    limits = tiling.largest_input_vox or (None, None, None)
    cuts = [_possible_cuts(axis, most) for axis, most in zip(tiling._axes(), limits, strict=True)]
    largest = _outer_product([[cut.largest for cut in axis] for axis in cuts])
    computed = _outer_product([[cut.computed for cut in axis] for axis in cuts])
    fits = largest <= max_outer_vox
    if not fits.any():
        z, y, x = (min(cut.tile for cut in axis) for axis in cuts)
        return dataclasses.replace(tiling, tile_vox=(z, y, x))
    chosen = np.unravel_index(np.argmin(np.where(fits, computed, np.inf)), computed.shape)
    z, y, x = (axis[int(index)].tile for axis, index in zip(cuts, chosen, strict=True))
    return dataclasses.replace(tiling, tile_vox=(z, y, x))


class _Cut(NamedTuple):
    tile: int
    largest: int
    computed: int


def _fitting_tile(axis: _Axis, largest_input: int) -> int:
    """Return the tile size of the axis, or the largest below it with which no tile and its halo exceed the limit.

    Raises
    ------
    RequestError
        If there is none.
    """
    fitting = [cut.tile for cut in _possible_cuts(axis, largest_input) if cut.tile <= round_up(axis.tile, axis.grid)]
    if not fitting:
        raise RequestError(f"A halo of {axis.halo} voxels leaves nothing of the {largest_input} that are seen at once.")
    return max(fitting)


def _possible_cuts(axis: _Axis, largest_input: int | None = None) -> list[_Cut]:
    """Return each way to cut an axis into near-equal tiles: tile size, largest outer span, sum of outer spans."""
    n_cells = -(-axis.size // axis.grid)
    # Some 2 sqrt(n) tile sizes give all different numbers of tiles; fewer, larger tiles come first.
    sizes = sorted({-(-n_cells // n) for n in range(1, n_cells + 1)}, reverse=True)
    cuts = []
    for size in sizes:
        tile = size * axis.grid
        widths = [stop - start for _, (start, stop) in axis._replace(tile=tile).spans()]
        if largest_input is None or max(widths) <= largest_input:
            cuts.append(_Cut(tile, max(widths), sum(widths)))
    return cuts


def _outer_product(axes: list[list[int]]) -> NDArray[np.float64]:
    z, y, x = (np.asarray(axis, np.float64) for axis in axes)
    product: NDArray[np.float64] = z[:, None, None] * y[None, :, None] * x[None, None, :]
    return product


def mirror_indices(span: Span, size: int) -> NDArray[np.intp]:
    """Return for each position of `span` the voxel of 0 .. size - 1 that reflection at the borders puts there.

    The border voxel itself is not repeated, as in numpy's mode "reflect"; a single voxel is repeated for ever.

    >>> mirror_indices((-2, 5), 3)
    array([2, 1, 0, 1, 2, 1, 0])
    """
    if size == 1:
        return np.zeros(span[1] - span[0], np.intp)
    period = 2 * (size - 1)
    folded = np.arange(*span, dtype=np.intp) % period
    mirrored: NDArray[np.intp] = np.minimum(folded, period - folded)
    return mirrored


class Window(NamedTuple):
    """How one tile is laid over its neighbours: where, and with what weight along each axis (Z, Y, X)."""

    spans: tuple[Span, Span, Span]
    weights: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def blend_windows(tiling: Tiling, ramp_vox: Shape3) -> Iterator[tuple[Tile, Window]]:
    """Yield each tile with a smooth window; the windows of all tiles add up to one at every voxel.

    Between two neighbours the weight passes from one to the other along half a cosine.

    Parameters
    ----------
    tiling
        The tiles; its halo must be at least `ramp_vox`.
    ramp_vox
        How far a window reaches beyond the core; shortened to half a core where cores are small.

    Raises
    ------
    RequestError
        If the windows would reach beyond the halo.
    """
    if any(ramp > halo for ramp, halo in zip(ramp_vox, tiling.halo_vox, strict=True)):
        raise RequestError(f"Windows reach at most as far as the halo {tiling.halo_vox}; {ramp_vox} was given.")
    per_axis = [_axis_windows(axis, ramp) for axis, ramp in zip(tiling._axes(), ramp_vox, strict=True)]
    windows = itertools.product(*per_axis)
    for tile, (z, y, x) in zip(tiling, windows, strict=True):
        yield tile, Window((z[0], y[0], x[0]), (z[1], y[1], x[1]))


def _axis_windows(axis: _Axis, ramp: int) -> list[tuple[Span, NDArray[np.float32]]]:
    cores = [core for core, _ in axis.spans()]
    ramp = min([ramp, *((stop - start) // 2 for start, stop in cores)])
    windows = []
    for number, (start, stop) in enumerate(cores):
        low = start - ramp if number > 0 else start
        high = stop + ramp if number < len(cores) - 1 else stop
        at = np.arange(low, high) + 0.5
        weight = np.ones(high - low)
        if ramp and number > 0:
            weight *= _half_cosine((at - start) / ramp)
        if ramp and number < len(cores) - 1:
            weight *= 1 - _half_cosine((at - stop) / ramp)
        windows.append(((low, high), weight.astype(np.float32)))
    return windows


def _half_cosine(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rise from 0 at -1 to 1 at 1."""
    risen: NDArray[np.float64] = 0.5 + 0.5 * np.sin(0.5 * np.pi * np.clip(position, -1, 1))
    return risen
