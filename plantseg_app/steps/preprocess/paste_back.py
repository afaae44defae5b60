"""Put a crop, or a result made on it, back where it was cut out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.context import Context
from plantseg_app.core.step import Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Place, Shape3, Volume, VoxelSize
from plantseg_app.errors import InputError, RequestError


class PasteBack(Step):
    """Put a crop, or a result made on a crop, back at its place: into an empty image of full size or into a given one.

    It may have been rescaled in between. An image that was never cropped covers everything.
    """

    id = "paste-back"
    title = "Paste crop back"
    reads = {
        "image": Port(tuple(Kind), "The crop or a result made on it."),
        "into": Port(
            tuple(Kind),
            "The full image to paste into, of the same kind; without it, 0 surrounds the crop.",
            True,
            False,
        ),
    }
    makes = SameAs("image")
    keeps_grid = False

    label_ids: Literal["new", "keep"] = Field(
        "new",
        description="For labels pasted into others: new gives them ids that are not in use; keep leaves them, so that "
        "a cell with the same id on both sides of the border stays one cell.",
    )
    keep_where_empty: bool = Field(
        False, description="For labels: where the pasted ones are 0, keep what the full image holds."
    )

    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Return an image of full size; the given one is left as it is."""
        context.check()
        image, into = inputs["image"], inputs.get("into")
        shape = image.shape_vox
        place = image.place or Place((0, 0, 0), shape, shape, image.voxel_size_um)
        if into is None:
            corner: tuple[int, ...] = place.start_vox
            full_shape, outer_place = place.full_shape_vox, None
            voxel_size = place.full_voxel_size_um
        else:
            corner = _corner_in(into, image, place)
            full_shape, outer_place = into.shape_vox, into.place
            voxel_size = into.voxel_size_um
        piece = _at_full_resolution(image, place)
        box: tuple[Any, ...] = (..., *(slice(a, a + n) for a, n in zip(corner, piece.shape[-3:], strict=True)))
        if into is None:
            data: NDArray[Any] = np.zeros((*piece.shape[:-3], *full_shape), piece.dtype)
            data[box] = piece
        else:
            data = self._pasted(into, image.kind, piece, box)
        return image.replace(data=data, place=outer_place, voxel_size_um=voxel_size or _full_voxel_size(image, place))

    def _pasted(self, into: Volume, kind: Kind, piece: NDArray[Any], box: tuple[Any, ...]) -> NDArray[Any]:
        """Return a copy of `into` with `piece` in it."""
        if not kind.is_labels:
            data = into.data.astype(np.result_type(into.data, piece))
            data[box] = piece
            return data
        shift = int(into.data.max()) if self.label_ids == "new" else 0
        largest = max(int(into.data.max()), shift + int(piece.max()))
        data = into.data.astype(np.uint64 if largest > np.iinfo(np.uint32).max else into.data.dtype)
        shifted = piece.astype(data.dtype)
        np.add(shifted, data.dtype.type(shift), out=shifted, where=shifted > 0)
        np.copyto(data[box], shifted, where=(shifted > 0) if self.keep_where_empty else True)
        return data


def _corner_in(into: Volume, image: Volume, place: Place) -> tuple[int, ...]:
    """Return where the box begins in `into`, the full image or a larger crop of it.

    Raises
    ------
    RequestError
        If `into` is of another kind.
    InputError
        If `into` is not what the crop was cut from.
    """
    if into.kind is not image.kind:
        raise RequestError(
            f"paste-back: {image.kind.value} can only be pasted into {image.kind.value}; {into.kind.value} was given."
        )
    if into.data.shape[:-3] != image.data.shape[:-3]:
        raise InputError(
            f"paste-back: the two images differ in channels: {image.data.shape[:-3]} and {into.data.shape[:-3]}."
        )
    outer = into.place or Place((0, 0, 0), into.shape_vox, into.shape_vox)
    fits = (
        outer.full_shape_vox == place.full_shape_vox
        and _extent(outer) == into.shape_vox
        and all(a <= b for a, b in zip(outer.start_vox, place.start_vox, strict=True))
        and all(a >= b for a, b in zip(outer.stop_vox, place.stop_vox, strict=True))
    )
    if not fits:
        raise InputError(
            f"paste-back: the crop was cut at {place.start_vox} from an image of {place.full_shape_vox} voxels "
            f"(Z, Y, X); an image of {into.shape_vox} voxels was given to paste into. Give the one it was cut from."
        )
    return tuple(b - a for a, b in zip(outer.start_vox, place.start_vox, strict=True))


def _extent(place: Place) -> Shape3:
    z, y, x = (b - a for a, b in zip(place.start_vox, place.stop_vox, strict=True))
    return z, y, x


def _at_full_resolution(image: Volume, place: Place) -> NDArray[Any]:
    from plantseg_app.algorithms.resample import LINEAR, NEAREST, resample

    return resample(image.data, _extent(place), NEAREST if image.kind.is_labels else LINEAR)


def _full_voxel_size(image: Volume, place: Place) -> VoxelSize | None:
    """Return the voxel size of the full image as the crop's own implies it."""
    from plantseg_app.algorithms.resample import spacing_for_shape

    if image.voxel_size_um is None:
        return None
    return VoxelSize(*spacing_for_shape(image.shape_vox, image.voxel_size_um, _extent(place)))
