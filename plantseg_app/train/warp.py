"""Geometric augmentation: one random map from patch to stack, applied in a single resampling.

Mirroring, turning, scaling and bending are composed into one table of source positions, so that an image is
interpolated once however much happens to it. Image (linear), labels and mask (nearest) share the positions. Maps that
only mirror and swap axes copy voxels exactly.

>>> import numpy as np
>>> image = np.arange(16).reshape(1, 4, 4)
>>> turned = Warp(np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float))
>>> nearest(image, turned, np.array([0, 1.5, 1.5]), (1, 4, 4))[0, 0]
array([12,  8,  4,  0])
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.train.settings import AugmentSettings

Shape3 = tuple[int, int, int]
Spacing = tuple[float, float, float]
Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Warp:
    """Where in the stack each voxel of a patch comes from.

    Attributes
    ----------
    matrix
        (3, 3): offset from the patch's centre to offset from the centre's place in the stack, in voxels.
    displacement
        (3, Z, Y, X) float32 or broadcastable to it: added to the positions, in voxels; None: nothing.
    """

    matrix: Floats
    displacement: NDArray[np.float32] | None = None

    @property
    def copies_voxels(self) -> bool:
        """Whether the map only mirrors and swaps axes, so that nothing is interpolated."""
        return self.displacement is None and bool(
            np.isin(self.matrix, (-1, 0, 1)).all() and (np.abs(self.matrix).sum(0) == 1).all()
        )


IDENTITY = Warp(np.eye(3))


def draw_warp(rng: np.random.Generator, settings: AugmentSettings, shape: Shape3, spacing: Spacing) -> Warp:
    """Return a random map for patches of `shape`; 2D patches (Z = 1) stay in their plane.

    Parameters
    ----------
    rng
        All randomness comes from it.
    settings
        What may happen, how often and how strongly.
    shape
        (Z, Y, X) of the patch.
    spacing
        Voxel size, any unit: rotations and bends are those of the object, not of the grid.
    """
    flat = shape[0] == 1
    matrix = mirroring(rng, settings.flip, settings.flip_z and not flat)
    if settings.rot90:
        matrix = quarter_turn(int(rng.integers(4))) @ matrix
    ratio = np.diag(np.asarray(spacing) / min(spacing))
    if rng.random() < settings.rotate:
        turn = rotation(rng, settings.rotate_deg, 0.0 if flat else settings.tilt_deg)
        matrix = np.linalg.inv(ratio) @ turn @ ratio @ matrix
    if rng.random() < settings.scale:
        matrix = scaling(rng, settings.scale_factor, settings.stretch_factor, flat) @ matrix
    displacement = None
    if rng.random() < settings.elastic:
        displacement = elastic(rng, shape, spacing, settings.elastic_amplitude_vox, settings.elastic_spacing_vox)
    if not flat and rng.random() < settings.misaligned_slices:
        shift = slice_shifts(rng, shape[0], settings.misaligned_vox)
        displacement = shift if displacement is None else displacement + shift
    return Warp(matrix, displacement)


def mirroring(rng: np.random.Generator, probability: float, with_z: bool) -> Floats:
    """Return a matrix that mirrors each axis with `probability`."""
    signs = np.where(rng.random(3) < probability, -1.0, 1.0)
    if not with_z:
        signs[0] = 1.0
    return np.diag(signs)


def quarter_turn(times: int) -> Floats:
    """Return a rotation in the plane by a multiple of 90 degrees, in whole numbers."""
    turn = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    return np.linalg.matrix_power(turn, times % 4).astype(float)


def rotation(rng: np.random.Generator, in_plane_deg: float, tilt_deg: float) -> Floats:
    """Return a rotation by random angles about Z, then Y and X."""
    matrix = np.eye(3)
    for axes, limit in (((1, 2), in_plane_deg), ((0, 1), tilt_deg), ((0, 2), tilt_deg)):
        angle = np.deg2rad(rng.uniform(-limit, limit)) if limit else 0.0
        turn = np.eye(3)
        a, b = axes
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def scaling(rng: np.random.Generator, common: float, single: float, flat: bool) -> Floats:
    """Return a matrix that magnifies by up to `common` or its inverse, and each axis by up to `single` more."""
    exponents = rng.uniform(-1, 1) * np.log(common) + rng.uniform(-1, 1, 3) * np.log(single)
    if flat:
        exponents[0] = 0.0
    # A magnified object is read from a smaller piece of the stack.
    return np.diag(np.exp(-exponents))


def elastic(
    rng: np.random.Generator, shape: Shape3, spacing: Spacing, amplitude: float, distance: float
) -> NDArray[np.float32]:
    """Return smooth random displacements (3, Z, Y, X): normal at the points of a coarse grid, cubic splines between.

    `amplitude` (standard deviation) and `distance` (of the grid points) are in voxels of the finest axis.

    References
    ----------
    Ronneberger et al., U-Net, MICCAI 2015, doi:10.1007/978-3-319-24574-4_28, section 3.1.
    """
    ratio = np.asarray(spacing) / min(spacing)
    coarse = [1 if n == 1 else 1 + max(1, round(n * r / distance)) for n, r in zip(shape, ratio, strict=True)]
    field = rng.normal(0, amplitude, (3, *coarse)).astype(np.float32)
    field /= ratio.astype(np.float32)[:, None, None, None]
    if shape[0] == 1:
        field[0] = 0
    bases = [_spline_basis(n, m) for n, m in zip(coarse, shape, strict=True)]
    return np.asarray(np.einsum("cijk,zi,yj,xk->czyx", field, *bases, optimize=True))


def _spline_basis(n_points: int, n_voxels: int) -> NDArray[np.float32]:
    """Return the weights (voxels, points) of the cubic spline through `n_points` points, the outer ones at the ends."""
    from scipy.interpolate import make_interp_spline

    if n_points == 1:
        return np.ones((n_voxels, 1), np.float32)
    spline = make_interp_spline(np.linspace(0, 1, n_points), np.eye(n_points), k=min(3, n_points - 1))
    return np.asarray(spline(np.linspace(0, 1, n_voxels)), np.float32)


def slice_shifts(rng: np.random.Generator, n_slices: int, largest: float) -> NDArray[np.float32]:
    """Return displacements (3, Z, 1, 1) that shift about one slice in eight within its plane."""
    shifts = np.zeros((3, n_slices, 1, 1), np.float32)
    moved = rng.random(n_slices) < 0.125
    shifts[1:, moved, 0, 0] = rng.uniform(-largest, largest, (2, int(moved.sum())))
    return shifts


# ---------------------------------------------------------------------------------------------- sampling


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """The source positions of one patch: the box they lie in, and where in the box.

    Attributes
    ----------
    start, stop
        Corners of the box in the stack; it may reach beyond the stack, which is continued as in a mirror.
    positions
        Three (Z, Y, X) float32 arrays relative to `start`; None when the box is copied by `axes` and `signs`.
    axes, signs
        Order of the box's axes in the patch and which patch axes run backwards.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    positions: tuple[NDArray[np.float32], ...] | None
    axes: tuple[int, ...] = (0, 1, 2)
    signs: tuple[int, ...] = (1, 1, 1)


def find_places(warp: Warp, centre: Floats, shape: Shape3) -> Places:
    """Return where the voxels of a patch of `shape` around `centre` (in stack voxels) come from."""
    if warp.copies_voxels:
        # Row a of the matrix names the patch axis that runs along axis a of the stack.
        partner = np.abs(warp.matrix).argmax(axis=1)
        size = np.array([shape[p] for p in partner])
        start = np.floor(centre - (size - 1) / 2 + 0.5).astype(np.int64)
        axes = tuple(int(a) for a in np.abs(warp.matrix).argmax(axis=0))
        signs = tuple(int(warp.matrix[a, p]) for p, a in enumerate(axes))
        return Places(start, start + size, None, axes, signs)
    grids = [np.arange(n, dtype=np.float32) - np.float32((n - 1) / 2) for n in shape]
    z, y, x = grids[0][:, None, None], grids[1][:, None], grids[2]
    matrix = warp.matrix.astype(np.float32)
    positions, start, stop = [], np.zeros(3, np.int64), np.zeros(3, np.int64)
    for axis in range(3):
        place = matrix[axis, 0] * z + matrix[axis, 1] * y + (matrix[axis, 2] * x + np.float32(centre[axis]))
        if warp.displacement is not None:
            place = place + warp.displacement[axis]
        place = np.broadcast_to(place, shape)
        # One voxel to spare, because interpolation looks at the next one.
        start[axis] = int(np.floor(place.min()))
        stop[axis] = int(np.floor(place.max())) + 2
        positions.append(place - np.float32(start[axis]))
    return Places(start, stop, tuple(positions))


def inside_stack(places: Places, shape: Shape3) -> NDArray[np.bool_]:
    """Return which voxels of a patch (Z, Y, X) lie in the stack of `shape`, not in its continuation."""
    if places.positions is None:
        z, y, x = (
            (np.arange(a, b) >= 0) & (np.arange(a, b) < n)
            for a, b, n in zip(places.start, places.stop, shape, strict=True)
        )
        return _reordered(z[:, None, None] & y[:, None] & x, places)
    inside = np.ones(places.positions[0].shape, bool)
    for place, start, size in zip(places.positions, places.start, shape, strict=True):
        inside &= (place >= np.float32(-0.5 - start)) & (place <= np.float32(size - 0.5 - start))
    return inside


def take_box(array: NDArray[Any], start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[Any]:
    """Return the box of `array` (..., Z, Y, X); beyond its borders it is continued as in a mirror."""
    shape = array.shape[-3:]
    if (start >= 0).all() and all(b <= n for b, n in zip(stop, shape, strict=True)):
        z, y, x = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        return np.asarray(array[..., z, y, x])
    i, j, k = np.ix_(*[_mirrored(int(a), int(b), n) for a, b, n in zip(start, stop, shape, strict=True)])
    return np.asarray(array[..., i, j, k])


def _mirrored(start: int, stop: int, n: int) -> NDArray[np.int64]:
    """Return which of `n` voxels stand at start .. stop - 1 when the stack is continued as in a mirror."""
    before, after = max(0, -start), max(0, stop - n)
    return np.pad(np.arange(n), (before, after), mode="symmetric")[start + before : stop + before]


def nearest(array: NDArray[Any], warp: Warp, centre: Floats, shape: Shape3) -> NDArray[Any]:
    """Return a patch of labels (Z, Y, X), no new values."""
    return take_nearest(array, find_places(warp, centre, shape))


def take_nearest(array: NDArray[Any], places: Places) -> NDArray[Any]:
    """Return a patch of labels or of a mask at known places."""
    box = take_box(array, places.start, places.stop)
    if places.positions is None:
        return _reordered(box, places)
    index = [np.rint(place).astype(np.int32) for place in places.positions]
    return np.asarray(box[index[0], index[1], index[2]])


def take_linear(array: NDArray[Any], places: Places) -> NDArray[Any]:
    """Return a patch of an image (C, Z, Y, X) at known places, float32 where it is interpolated."""
    box = take_box(array, places.start, places.stop)
    if places.positions is None:
        return _reordered(box, places)
    from scipy import ndimage

    shape = places.positions[0].shape
    flat = shape[0] == 1
    positions = [place[0] for place in places.positions[1:]] if flat else list(places.positions)
    result = np.empty((len(box), *shape), np.float32)
    for channel, out in zip(box, result, strict=True):
        plane = channel[round(float(places.positions[0].flat[0]))] if flat else channel
        ndimage.map_coordinates(
            plane.astype(np.float32), positions, out[0] if flat else out, order=1, mode="nearest", prefilter=False
        )
    return result


def _reordered(box: NDArray[Any], places: Places) -> NDArray[Any]:
    leading = box.ndim - 3
    order = (*range(leading), *(leading + axis for axis in places.axes))
    steps = (slice(None),) * leading + tuple(slice(None, None, sign) for sign in places.signs)
    return np.ascontiguousarray(box.transpose(order)[steps])
