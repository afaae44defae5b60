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
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.filters import Track, gaussian
from plantseg_app.algorithms.normalise import unit_range
from plantseg_app.algorithms.resample import LINEAR, resample
from plantseg_app.errors import RequestError

Operation = Literal["add", "subtract", "multiply", "divide", "maximum", "minimum", "mean", "absolute-difference"]
InvertRange = Literal["auto", "type", "image", "one"]

_N_BINS = 256
_BALL_RADIUS = 6.0  # Voxels of the shrunken image in which the ball rolls: more makes no visible difference.


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
    from skimage import util

    kind = image.dtype.kind
    if within == "auto":
        within = _usual_range(image)
    if within == "image" and kind != "b":
        # Whole numbers may wrap in the first line and wrap back in the second: the result itself always fits.
        result: NDArray[Any] = np.subtract(image.max(), image)
        result += image.min()
        return result
    if within == "type" and kind == "f":
        raise RequestError("Floating-point images have no largest value to invert within; choose image or one.")
    if within == "one" and kind in "iu":
        raise RequestError(f"1 minus the image needs fractions; this image holds {image.dtype}: choose type or image.")
    opposite: NDArray[Any] = util.invert(image)
    return opposite


def _usual_range(image: NDArray[Any]) -> InvertRange:
    if image.dtype.kind in "bu":
        return "type"
    if image.dtype.kind == "f" and image.min() >= 0 and image.max() <= 1:
        return "one"
    return "image"


def clahe(
    image: NDArray[Any], region_vox: Sequence[int], max_slope: float, *, track: Track = iter
) -> NDArray[np.float32]:
    """Return `image` with its contrast equalised region by region (CLAHE), as float32 in 0 .. 1.

    Each region gives a grey-value curve from its clipped histogram, and each voxel takes a blend of the curves of the
    regions around it. How much contrast may be raised is relative to the grey range of the whole image, so that the
    noise of empty slices stays noise.

    Parameters
    ----------
    image
        (Z, Y, X), any real numbers. A constant image becomes 0, and so does a constant slice that is treated alone.
    region_vox
        How large the regions are along each axis; 1 along Z treats each slice alone. Along Y and X they get 8 voxels
        at least, because a histogram of fewer says nothing.
    max_slope
        The most by which contrast is raised anywhere, 1 or more (the "maximum slope" of ImageJ; scikit-image's
        ``clip_limit`` times its number of bins). 1 leaves the contrast as it is, large values amplify noise.
    track
        Receives the slices that are treated alone, or the whole image; see `Track`.

    References
    ----------
    Zuiderveld (1994), Contrast limited adaptive histogram equalization, Graphics Gems IV,
    doi:10.1016/B978-0-12-336156-1.50061-6.
    """
    grey = unit_range(image)
    region = [min(n, max(k, least)) for n, k, least in zip(image.shape, region_vox, (1, 8, 8), strict=True)]
    # Given regions of one slice, scikit-image would use the curve of the slice before, so slices go in one by one.
    parts, region = (grey, region[1:]) if region[0] == 1 else (grey[None], region)
    for part in track(parts):
        part[...] = _equalised(part, region, max_slope)
    return grey


def _equalised(image: NDArray[np.float32], region: list[int], max_slope: float) -> NDArray[np.float32] | float:
    """Return a slice or stack from a grey range of 0 .. 1, of which it may use a part, after CLAHE."""
    from skimage.exposure import equalize_adapthist

    # scikit-image stretches what it is given, and its result, to 0 .. 1.
    slope = max_slope * float(np.ptp(image))
    if slope == 0.0:
        return 0.0
    shape = image.shape
    if len(shape) == 3 and shape[2] in (3, 4):  # Without another axis it would be taken for a picture in colour.
        image, region = image[..., None], [*region, 1]
    result: NDArray[np.float32] = equalize_adapthist(image, region, max(1.0, slope) / _N_BINS, _N_BINS).reshape(shape)
    return result * np.float32(min(1.0, slope))


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
    from skimage.measure import block_reduce
    from skimage.restoration import ellipsoid_kernel, rolling_ball

    low, high = float(image.min()), float(image.max())
    radius = [value if n > 1 else 0.0 for n, value in zip(image.shape, radius_vox, strict=True)]
    if low == high or max(radius) < 1.0:
        return image.astype(np.float32)
    shrink = [min(n, max(1, math.ceil(value / _BALL_RADIUS))) for n, value in zip(image.shape, radius, strict=True)]
    small = block_reduce(image, tuple(shrink), np.min, cval=image.max()).astype(np.float32)
    semi_axes = [round(value / k) for value, k in zip(radius, shrink, strict=True)]
    crossed = [2 * n + 1 for n in semi_axes if n]
    kernel = ellipsoid_kernel(crossed, max(radius) * (high - low) / 255.0)
    kernel = np.expand_dims(kernel, [axis for axis, n in enumerate(semi_axes) if not n])
    background = rolling_ball(small, kernel=kernel).astype(np.float32)
    full_shape = [n * k for n, k in zip(small.shape, shrink, strict=True)]
    smooth = resample(background, full_shape, LINEAR)[tuple(slice(n) for n in image.shape)]
    result: NDArray[np.float32] = np.minimum(smooth, image, dtype=np.float32)
    return result


def subtract_background(image: NDArray[Any], background: NDArray[np.float32]) -> NDArray[Any]:
    """Return `image` minus `background`, 0 where that is negative, of the dtype of `image`."""
    result: NDArray[Any] = np.subtract(image, background, dtype=np.float32)
    np.maximum(result, 0.0, out=result)
    if image.dtype.kind in "iu":
        np.rint(result, out=result)
    return result.astype(image.dtype, copy=False)
