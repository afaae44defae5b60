"""Pictures of a segmentation: grey slices, coloured cells with outlines, a scale bar. Arrays in, RGB arrays out.

>>> grey = grey_levels(np.arange(6.0).reshape(2, 3))
>>> grey.dtype, int(grey.min()), int(grey.max())
(dtype('uint8'), 0, 255)
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Shape3, Volume

Rgb = NDArray[np.uint8]
Cut = Literal["xy", "xz"]

# The palette of Okabe and Ito without black: told apart with every common kind of colour vision.
PALETTE: Rgb = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)],
    dtype=np.uint8,
)
_BACKDROP = 24
_GAP_PX = 8
_SIDE_PX = 560
_TINT = 0.38


def overlay_picture(raw: Volume, labels: Volume) -> Rgb:
    """Return the image beside the image with its cells: the middle slice, and below it the middle cut in depth.

    Parameters
    ----------
    raw
        The image; of several channels the mean is shown.
    labels
        The cells; of planes that overlap the last is on top.

    Returns
    -------
    array
        (height, width, 3), uint8.
    """
    rows = []
    for cut in available_cuts(labels):
        left, right = grey_panel(raw, labels, cut), overlay_panel(raw, labels, cut)
        gap = np.full((left.shape[0], _GAP_PX, 3), _BACKDROP, np.uint8)
        rows += [np.hstack([left, gap, right]), np.full((_GAP_PX, 2 * left.shape[1] + _GAP_PX, 3), _BACKDROP, np.uint8)]
    return np.vstack(rows[:-1])


def available_cuts(volume: Volume) -> tuple[Cut, ...]:
    """Return the cuts that show something: a single slice has no depth."""
    return ("xy",) if volume.is_2d else ("xy", "xz")


def grey_panel(image: Volume, like: Volume, cut: Cut) -> Rgb:
    """Return a grey cut through `image` at the place and scale of `like`, with a scale bar.

    Returns
    -------
    array
        (height, width, 3), uint8; pixels are square in micrometres, the longer side of the slice is 560 pixels.
    """
    grey, _ = _enlarged(image, like, cut)
    return with_scale_bar(np.repeat(grey[..., None], 3, axis=2), _um_per_pixel(like))


def overlay_panel(image: Volume, labels: Volume, cut: Cut) -> Rgb:
    """Return a cut as `grey_panel` does, with each cell tinted and outlined in a colour that no neighbour has."""
    grey, cells = _enlarged(image, labels, cut)
    # Over all cuts at once, so that a cell has one colour in all of them.
    colours = colours_of(*(_cut(labels.data, labels.shape_vox, each) for each in available_cuts(labels)))
    known = np.array(sorted(colours), dtype=np.uint64)
    table = np.array([PALETTE[colours[int(label)]] for label in known], dtype=np.float32).reshape(-1, 3)
    picture = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    inside = cells > 0
    tint = table[np.searchsorted(known, cells[inside])]
    picture[inside] = (1 - _TINT) * picture[inside] + _TINT * tint
    edge = inside & outlines(cells)
    picture[edge] = table[np.searchsorted(known, cells[edge])]
    return with_scale_bar(picture.round().astype(np.uint8), _um_per_pixel(labels))


def grey_levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return (Y, X) values as 0 to 255, from the 0.5th to the 99.5th percentile."""
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    span = high - low if high > low else 1.0
    scaled = np.clip((values.astype(np.float32) - low) / span, 0, 1)
    levels: NDArray[np.uint8] = (scaled * 255).round().astype(np.uint8)
    return levels


def outlines(cells: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where a pixel of (Y, X) labels touches another label, two pixels wide inside each cell."""
    edge = np.zeros(cells.shape, dtype=bool)
    for axis in (0, 1):
        for shift in (1, 2):
            if cells.shape[axis] <= shift:
                continue
            first = np.moveaxis(cells, axis, 0)[:-shift]
            second = np.moveaxis(cells, axis, 0)[shift:]
            differs = first != second
            np.moveaxis(edge, axis, 0)[:-shift] |= differs
            np.moveaxis(edge, axis, 0)[shift:] |= differs
    return edge


def colours_of(*planes: NDArray[Any]) -> dict[int, int]:
    """Return an index into `PALETTE` for each label but 0, unlike that of its neighbours wherever seven suffice.

    Parameters
    ----------
    planes
        Label images, each with two axes.

    >>> colours = colours_of(np.array([[1, 2], [3, 4]]))
    >>> colours[1] != colours[2], colours[1] != colours[3]
    (True, True)
    """
    neighbours: dict[int, set[int]] = {int(label): set() for plane in planes for label in np.unique(plane) if label}
    sides = [pair for plane in planes for pair in ((plane[:-1], plane[1:]), (plane[:, :-1], plane[:, 1:]))]
    for first, second in sides:
        touching = (first != second) & (first > 0) & (second > 0)
        pairs = np.unique(np.stack([first[touching], second[touching]], axis=1), axis=0)
        for one, other in pairs.tolist():
            neighbours[one].add(other)
            neighbours[other].add(one)
    colours: dict[int, int] = {}
    used = [0] * len(PALETTE)
    for label in sorted(neighbours, key=lambda label: (-len(neighbours[label]), label)):
        taken = {colours[other] for other in neighbours[label] if other in colours}
        free = [index for index in range(len(PALETTE)) if index not in taken] or list(range(len(PALETTE)))
        # The least used colour keeps the picture from being mostly orange.
        colours[label] = min(free, key=lambda index: (used[index], index))
        used[colours[label]] += 1
    return colours


def with_scale_bar(picture: Rgb, um_per_pixel: float | None) -> Rgb:
    """Return the picture with a scale bar of a round length in its lower right corner; unchanged without a scale."""
    if um_per_pixel is None or min(picture.shape[:2]) < 60:
        return picture
    from PIL import Image, ImageDraw, ImageFont

    length_um = round_length(picture.shape[1] / 4 * um_per_pixel)
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    right, bottom = image.width - 12, image.height - 12
    left = right - round(length_um / um_per_pixel)
    font = ImageFont.load_default(size=15)
    text = f"{length_um:g} um"  # the font that Pillow brings has no Greek letters
    for offset, colour in ((1, (0, 0, 0)), (0, (255, 255, 255))):
        draw.rectangle((left + offset, bottom - 4 + offset, right + offset, bottom + offset), fill=colour)
        place = ((left + right) / 2 + offset, bottom - 8 + offset)
        draw.text(place, text, fill=colour, font=font, anchor="ms")
    return np.asarray(image)


def round_length(at_most: float) -> float:
    """Return the greatest of 1, 2, 5, 10, 20, ... (and smaller) that is not above `at_most`.

    >>> round_length(37.0), round_length(0.09)
    (20.0, 0.05)
    """
    power = 10.0 ** math.floor(math.log10(at_most))
    return next(factor * power for factor in (5.0, 2.0, 1.0) if factor * power <= at_most * (1 + 1e-9))


def png_bytes(picture: Rgb) -> bytes:
    """Return the picture as a PNG file."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def _enlarged(image: Volume, like: Volume, cut: Cut) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Return a cut through `image` as grey levels and through `like`, both enlarged to the size of a panel."""
    from PIL import Image

    shape = like.shape_vox
    cells = _cut(like.data, shape, cut)
    values = _cut(image.data.astype(np.float32).mean(axis=0) if image.data.ndim == 4 else image.data, shape, cut)
    height, width = _panel_size(like, cut)
    grey = np.asarray(Image.fromarray(grey_levels(values)).resize((width, height), Image.Resampling.BICUBIC))
    rows = np.minimum(((np.arange(height) + 0.5) * cells.shape[0] / height).astype(int), cells.shape[0] - 1)
    columns = np.minimum(((np.arange(width) + 0.5) * cells.shape[1] / width).astype(int), cells.shape[1] - 1)
    return grey, cells[rows[:, None], columns]


def _cut(data: NDArray[Any], shape: Shape3, cut: Cut) -> NDArray[Any]:
    """Return the middle (Y, X) or (Z, X) cut; an image of another shape is read at the same relative places."""
    if data.ndim == 4:
        data = data.max(axis=0)
    places = [
        np.minimum(((np.arange(wanted) + 0.5) * have / wanted).astype(int), have - 1)
        for wanted, have in zip(shape, data.shape, strict=True)
    ]
    if cut == "xy":
        plane = data[places[0][shape[0] // 2]][np.ix_(places[1], places[2])]
    else:
        plane = data[:, places[1][shape[1] // 2]][np.ix_(places[0], places[2])]
    return np.asarray(plane)


def _um_per_pixel(volume: Volume) -> float | None:
    return None if volume.voxel_size_um is None else _spacing_per_pixel(volume)


def _spacing_per_pixel(volume: Volume) -> float:
    _, height, width = volume.shape_vox
    spacing = volume.spacing
    return max(height * spacing.y, width * spacing.x) / _SIDE_PX


def _panel_size(volume: Volume, cut: Cut) -> tuple[int, int]:
    """Return (height, width) in pixels that are square in micrometres."""
    depth, height, width = volume.shape_vox
    spacing, pixel = volume.spacing, _spacing_per_pixel(volume)
    tall = height * spacing.y if cut == "xy" else depth * spacing.z
    return max(1, round(tall / pixel)), max(1, round(width * spacing.x / pixel))
