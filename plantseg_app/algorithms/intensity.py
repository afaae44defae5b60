"""Grey values: local contrast, background, arithmetic of two images, inversion.

Nothing here moves a voxel. Whole numbers never overflow: arithmetic is done in float32.

>>> import numpy as np
>>> combine(np.uint8([200]), np.uint8([100]), "add")
array([300.], dtype=float32)
>>> invert(np.uint8([0, 10]))
array([255, 245], dtype=uint8)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.filters import Track, gaussian
from plantseg_app.algorithms.resample import LINEAR, resample
from plantseg_app.errors import RequestError

Operation = Literal["add", "subtract", "multiply", "divide", "maximum", "minimum", "mean", "absolute-difference"]
InvertRange = Literal["auto", "type", "image", "one"]

_N_BINS = 256
_BALL_RADIUS = 6.0  # Voxels of the shrunken image in which the ball rolls: more makes no visible difference.


def unit_range(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return `image` as float32 stretched to 0 .. 1; a constant image becomes 0.

    >>> unit_range(np.uint8([10, 20, 30]))
    array([0. , 0.5, 1. ], dtype=float32)
    """
    low, high = float(image.min()), float(image.max())
    result = np.zeros(image.shape, np.float32)
    if high > low:
        for plane, out in zip(np.atleast_2d(image), np.atleast_2d(result), strict=True):
            # In float64, because a small contrast on a large offset does not survive float32.
            np.divide(plane.astype(np.float64) - low, high - low, out=out, casting="unsafe")
    return result


def combine(first: NDArray[Any], second: NDArray[Any], operation: Operation) -> NDArray[np.float32]:
    """Return two images of the same shape combined voxel by voxel, as float32.

    Parameters
    ----------
    first, second
        Any real numbers, of one shape.
    operation
        ``divide`` gives 0 where `second` is 0. Results too large for float32 become its largest number.

    Raises
    ------
    RequestError
        If the shapes differ or the operation is unknown.
    """
    if first.shape != second.shape:
        raise RequestError(f"Only images of one shape can be combined; these have {first.shape} and {second.shape}.")
    if operation not in get_args(Operation):
        raise RequestError(f'Images cannot be combined with "{operation}"; allowed: {", ".join(get_args(Operation))}.')
    result = np.array(first, dtype=np.float32)
    other = second.astype(np.float32, copy=False)
    function = {
        "divide": np.divide,
        "add": np.add,
        "mean": np.add,
        "subtract": np.subtract,
        "absolute-difference": np.subtract,
        "multiply": np.multiply,
        "maximum": np.maximum,
        "minimum": np.minimum,
    }[operation]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        function(result, other, out=result)
    if operation == "divide":
        result[other == 0] = 0.0
    elif operation == "mean":
        result *= np.float32(0.5)
    elif operation == "absolute-difference":
        np.abs(result, out=result)
    limit = np.finfo(np.float32).max
    np.clip(result, -limit, limit, out=result)
    return result


def invert(image: NDArray[Any], within: InvertRange = "auto") -> NDArray[Any]:
    """Return `image` with bright and dark exchanged, of the same dtype.

    Parameters
    ----------
    image
        Any real numbers.
    within
        ``type`` reflects in the middle of what the dtype can hold (0 .. 255 for uint8), ``image`` in the middle of the
        smallest and largest value present, ``one`` gives 1 minus the image. ``auto`` is ``type`` for unsigned whole
        numbers and truth values, ``one`` for floating-point images within 0 .. 1, ``image`` for all others.

    Raises
    ------
    RequestError
        If ``type`` is asked of floating-point numbers, or ``one`` of whole numbers.
    """
    kind = image.dtype.kind
    if kind == "b":
        opposite: NDArray[np.bool_] = np.logical_not(image)
        return opposite
    if within == "auto":
        within = _usual_range(image)
    if within == "type":
        if kind == "f":
            raise RequestError("Floating-point images have no largest value to invert within; choose image or one.")
        # For whole numbers, signed or not, this is exactly min + max - value.
        complement: NDArray[Any] = np.invert(image)
        return complement
    if within == "one" and kind != "f":
        raise RequestError(f"1 minus the image needs fractions; this image holds {image.dtype}: choose type or image.")
    # Whole numbers may wrap in the first line and wrap back in the second: the result itself always fits.
    low, high = (0, 1) if within == "one" else (image.min(), image.max())
    result: NDArray[Any] = np.subtract(np.asarray(high, image.dtype), image)
    result += np.asarray(low, image.dtype)
    return result


def _usual_range(image: NDArray[Any]) -> InvertRange:
    if image.dtype.kind == "u":
        return "type"
    if image.dtype.kind == "f" and image.min() >= 0 and image.max() <= 1:
        return "one"
    return "image"


def clahe(
    image: NDArray[Any], region_vox: Sequence[int], max_slope: float, *, track: Track = iter
) -> NDArray[np.float32]:
    """Return `image` with its contrast equalised region by region (CLAHE), as float32 in 0 .. 1.

    The image is cut into about equal boxes; each gives a grey-value curve from its clipped histogram, and each voxel
    takes a blend of the curves of the nearest boxes. All boxes share the grey range of the whole image, so slices
    stay comparable. Beside input and result it needs one slice.

    Parameters
    ----------
    image
        (Z, Y, X), any real numbers. A constant image becomes 0.
    region_vox
        About how large the boxes are along each axis; 1 along Z treats each slice alone.
    max_slope
        The most by which contrast is raised anywhere, 1 or more (the "maximum slope" of ImageJ; scikit-image's
        ``clip_limit`` times its number of bins). 1 leaves the contrast as it is, large values amplify noise.
    track
        Receives the slices; see `Track`.

    References
    ----------
    Zuiderveld (1994), Contrast limited adaptive histogram equalization, Graphics Gems IV,
    doi:10.1016/B978-0-12-336156-1.50061-6.
    """
    low, high = float(image.min()), float(image.max())
    result = np.zeros(image.shape, np.float32)
    if high <= low:
        return result
    scale = _N_BINS / (high - low)
    edges = [_box_edges(n, size) for n, size in zip(image.shape, region_vox, strict=True)]
    curves = _grey_curves(lambda box: _grey_positions(image[box], low, scale), edges, max_slope)
    (below_z, above_z, t_z), y_axis, x_axis = [_between_centres(edge) for edge in edges]
    for z in track(range(image.shape[0])):
        curve = curves[below_z[z]] + np.float32(t_z[z]) * (curves[above_z[z]] - curves[below_z[z]])
        result[z] = _blend_curves(_grey_positions(image[z], low, scale), curve, y_axis, x_axis)
    return result


def _box_edges(n: int, size: int) -> NDArray[np.int64]:
    """Return the edges of about equal boxes of about `size` voxels; at least one box."""
    n_boxes = max(1, round(n / max(1, size)))
    return np.arange(n_boxes + 1, dtype=np.int64) * n // n_boxes


def _grey_positions(part: NDArray[Any], low: float, scale: float) -> NDArray[np.float64]:
    """Return where each value lies between the edges of the grey levels, 0 up to just below their number."""
    position = (part.astype(np.float64) - low) * scale
    return np.clip(position, 0.0, np.nextafter(_N_BINS, 0.0), out=position)


def _grey_curves(
    positions: Callable[[tuple[slice, ...]], NDArray[np.float64]], edges: Sequence[NDArray[np.int64]], max_slope: float
) -> NDArray[np.float32]:
    """Return the curve of each box at the edges of the grey levels, (boxes Z, boxes Y, boxes X, levels + 1)."""
    n_boxes = [len(edge) - 1 for edge in edges]
    curves = np.zeros([*n_boxes, _N_BINS + 1], np.float32)
    for box in np.ndindex(*n_boxes):
        part = positions(tuple(slice(edge[i], edge[i + 1]) for edge, i in zip(edges, box, strict=True)))
        histogram = np.bincount(part.ravel().astype(np.int64), minlength=_N_BINS).astype(np.float64)
        limit = max_slope * part.size / _N_BINS
        for _ in range(8):  # What is cut off is spread evenly, which may lift levels over the limit again.
            excess = float((histogram - np.minimum(histogram, limit)).sum())
            if excess <= 1e-3 * part.size:
                break
            histogram = np.minimum(histogram, limit) + excess / _N_BINS
        curves[box][1:] = np.cumsum(histogram) / part.size
    return curves


def _between_centres(
    edges: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return for each voxel the boxes whose centres lie below and above it, and how far it is on the way."""
    centres = (edges[:-1] + edges[1:] - 1) / 2.0
    voxels = np.arange(edges[-1])
    position = np.interp(voxels, centres, np.arange(len(centres)))
    below = np.floor(position).astype(np.int64)
    return below, np.minimum(below + 1, len(centres) - 1), position - below


def _blend_curves(
    positions: NDArray[np.float64],
    curves: NDArray[np.float32],
    y_axis: tuple[NDArray[Any], ...],
    x_axis: tuple[NDArray[Any], ...],
) -> NDArray[np.float32]:
    """Look a slice of grey positions (Y, X) up in the curves (boxes Y, boxes X, levels + 1) around each pixel."""
    level = positions.astype(np.int64)
    fraction = (positions - level).astype(np.float32)
    length = curves.shape[2]
    start, rise = curves.ravel(), np.diff(curves, axis=2, append=0).ravel()
    rows = []
    for boxes_y in y_axis[:2]:
        row = level + (boxes_y * curves.shape[1] * length)[:, None]
        left, right = (row + boxes_x * length for boxes_x in x_axis[:2])
        left_value, right_value = (start[at] + fraction * rise[at] for at in (left, right))
        rows.append(left_value + x_axis[2].astype(np.float32) * (right_value - left_value))
    blended: NDArray[np.float32] = rows[0] + y_axis[2].astype(np.float32)[:, None] * (rows[1] - rows[0])
    return blended


def gaussian_background(image: NDArray[Any], radius_vox: Sequence[float]) -> NDArray[np.float32]:
    """Return the mean around each voxel, weighted with a Gaussian of sigma `radius_vox`, as float32."""
    return gaussian(image, radius_vox).astype(np.float32, copy=False)


def opening_background(image: NDArray[Any], radius_vox: Sequence[float]) -> NDArray[np.float32]:
    """Return the grey opening of `image` (Z, Y, X) with a box of half width `radius_vox`, as float32.

    Nothing bright that is narrower than the box survives in it, and it is nowhere brighter than the image.
    """
    from scipy.ndimage import grey_opening

    if image.dtype == np.float16:  # scipy has no opening for it.
        image = image.astype(np.float32)
    size = [2 * round(radius) + 1 for radius in radius_vox]
    return np.asarray(grey_opening(image, size=size, mode="nearest"), dtype=np.float32)


def ball_background(image: NDArray[Any], radius_vox: Sequence[float]) -> NDArray[np.float32]:
    """Return how high a ball reaches that rolls under the grey-value landscape of `image` (Z, Y, X), as float32.

    As in ImageJ the ball is as high as it is wide when the grey range of the image is 255, and large balls roll under
    an image shrunken by its local minima. Axes with a radius of 0 are not crossed.

    References
    ----------
    Sternberg (1983), Biomedical image processing, doi:10.1109/MC.1983.1654163.
    """
    from skimage.restoration import rolling_ball

    value_range = float(image.max()) - float(image.min())
    radius = [value if n > 1 else 0.0 for n, value in zip(image.shape, radius_vox, strict=True)]
    if value_range == 0.0 or max(radius) < 1.0:
        return image.astype(np.float32)
    shrink = [min(n, max(1, math.ceil(value / _BALL_RADIUS))) for n, value in zip(image.shape, radius, strict=True)]
    padding = [(0, -n % factor) for n, factor in zip(image.shape, shrink, strict=True)]
    padded = np.pad(image, padding, mode="edge") if any(after for _, after in padding) else image
    blocks = padded.reshape([n for size, k in zip(padded.shape, shrink, strict=True) for n in (size // k, k)])
    small = blocks.min(axis=(1, 3, 5)).astype(np.float32)
    kernel = _ball_cap([r / k for r, k in zip(radius, shrink, strict=True)], max(radius) * value_range / 255.0)
    background = rolling_ball(small, kernel=kernel).astype(np.float32)
    smooth = resample(background, padded.shape, LINEAR)[tuple(slice(n) for n in image.shape)]
    result: NDArray[np.float32] = np.minimum(smooth, image, dtype=np.float32)
    return result


def _ball_cap(radius_vox: Sequence[float], height: float) -> NDArray[np.float32]:
    """Return how high the surface of the ball is above its rim, infinitely low outside: scikit-image's kernel."""
    grids = np.meshgrid(*[np.arange(-int(r), int(r) + 1) for r in radius_vox], indexing="ij")
    squared = sum((grid / r) ** 2 for grid, r in zip(grids, radius_vox, strict=True) if r > 0)
    inside = 1.0 - np.asarray(squared)
    return np.where(inside >= 0, height * np.sqrt(np.maximum(inside, 0)), np.inf).astype(np.float32)


def subtract_background(image: NDArray[Any], background: NDArray[np.float32]) -> NDArray[Any]:
    """Return `image` minus `background`, 0 where that is negative, of the dtype of `image`."""
    result: NDArray[Any] = np.subtract(image, background, dtype=np.float32)
    np.maximum(result, 0.0, out=result)
    if image.dtype.kind in "iu":
        np.rint(result, out=result)
    return result.astype(image.dtype, copy=False)
