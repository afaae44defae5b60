"""The box of an image that a preview works on: what is in view, and where it lies in images of which parts are at hand.

>>> box_in_view((3, -50, 100), (4, 2000, 1000), (20, 1000, 1000)).text
'3:4, 244:756, 294:806'
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plantseg_app.algorithms.boxes import box_in_full_image, checked_box, parse_box
from plantseg_app.core.volume import Place, Shape3, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError
from plantseg_app.run.workflow_crop import crop_of

SLICE_LIMIT_VOX: Shape3 = (1, 512, 512)
STACK_LIMIT_VOX: Shape3 = (32, 256, 256)


@dataclasses.dataclass(frozen=True)
class PreviewBox:
    """The box to look at, in voxels of the full image, (Z, Y, X), stop exclusive."""

    start_vox: Shape3
    stop_vox: Shape3

    @property
    def text(self) -> str:
        """The box as the step crop takes it."""
        return ", ".join(f"{a}:{b}" for a, b in zip(self.start_vox, self.stop_vox, strict=True))

    def within(self, place: PreviewBox) -> PreviewBox:
        """Return the part of the box that lies in another.

        Raises
        ------
        RequestError
            If there is none.
        """
        start = tuple(max(a, b) for a, b in zip(self.start_vox, place.start_vox, strict=True))
        stop = tuple(min(a, b) for a, b in zip(self.stop_vox, place.stop_vox, strict=True))
        if any(a >= b for a, b in zip(start, stop, strict=True)):
            raise RequestError(
                f"Nothing of the part in view ({self.text}) lies in {place.text}, which is all there is to work on; "
                "move the view there."
            )
        return PreviewBox((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def box_in_view(start_vox: Sequence[float], stop_vox: Sequence[float], shape_vox: Shape3) -> PreviewBox:
    """Return the box of a size that a preview takes in the middle of what is in view.

    Parameters
    ----------
    start_vox, stop_vox
        What is in view, (Z, Y, X), in voxels of the full image; may reach beyond it. A single slice is taken up to
        512 x 512, more up to 32 x 256 x 256.
    shape_vox
        (Z, Y, X) of the full image.

    >>> box_in_view((3, -50, 100), (4, 2000, 1000), (20, 1000, 1000)).text
    '3:4, 244:756, 294:806'
    """
    first = [min(max(0, int(np.floor(a))), n - 1) for a, n in zip(start_vox, shape_vox, strict=True)]
    last = [max(min(n, int(np.ceil(b))), a + 1) for a, b, n in zip(first, stop_vox, shape_vox, strict=True)]
    most = SLICE_LIMIT_VOX if last[0] - first[0] == 1 else STACK_LIMIT_VOX
    sizes = [min(b - a, limit) for a, b, limit in zip(first, last, most, strict=True)]
    z, y, x = (a + (b - a - size) // 2 for a, b, size in zip(first, last, sizes, strict=True))
    return PreviewBox((z, y, x), (z + sizes[0], y + sizes[1], x + sizes[2]))


def box_within(box: PreviewBox, workflow: Workflow, volumes: Mapping[str, Volume], frame: Shape3) -> PreviewBox:
    """Return the part of a box that lies in the workflow's crop and in all volumes."""
    inside = box.within(PreviewBox((0, 0, 0), frame))
    for volume in volumes.values():
        place = place_of(volume, frame)
        inside = inside.within(PreviewBox(place.start_vox, place.stop_vox))
    cropped = crop_of(workflow)
    if cropped is not None:
        source = next((volumes[name] for name in workflow.sources if name in volumes), None)
        shape = frame if source is None else source.shape_vox
        place = Place((0, 0, 0), frame, frame) if source is None else place_of(source, frame)
        slices = checked_box(parse_box(cropped), shape)
        corners = [s.start for s in slices], [s.stop for s in slices]
        start, stop, _ = box_in_full_image(*corners, shape, place.start_vox, place.stop_vox)
        inside = inside.within(PreviewBox(start, stop))
    return inside


def frame_of(workflow: Workflow, volumes: Mapping[str, Volume]) -> Shape3:
    """Return (Z, Y, X) of the full image, in whose voxels boxes are: that of the first source."""
    if not volumes:
        raise RequestError(f"The preview of {workflow.name} needs an image to work on.")
    first = next((volumes[name] for name in workflow.sources if name in volumes), next(iter(volumes.values())))
    return first.place.full_shape_vox if first.place else first.shape_vox


def place_of(volume: Volume, frame: Shape3) -> Place:
    """Return where a volume lies in the full image; one that was never cropped shows all of it."""
    return volume.place or Place((0, 0, 0), frame, frame)


def cut_out(volume: Volume, box: PreviewBox, frame: Shape3) -> Volume:
    """Return a copy of what a volume shows in a box of the full image, knowing its place there.

    Parameters
    ----------
    volume
        The full image, or a crop of it that knows its place, at any scale.
    box
        In voxels of the full image; inside what the volume shows.
    frame
        (Z, Y, X) of the full image.
    """
    place, slices = place_of(volume, frame), []
    for axis, n in enumerate(volume.shape_vox):
        extent, corner = place.stop_vox[axis] - place.start_vox[axis], place.start_vox[axis]
        first = min(round((box.start_vox[axis] - corner) * n / extent), n - 1)
        last = max(round((box.stop_vox[axis] - corner) * n / extent), first + 1)
        slices.append(slice(first, last))
    # Of its own, because a view would keep a file open and the whole image in memory.
    index: tuple[Any, ...] = (..., *slices)
    data = np.array(volume.data[index])
    full_voxel_size = place.full_voxel_size_um or (volume.voxel_size_um if volume.shape_vox == frame else None)
    return volume.replace(data=data, place=Place(box.start_vox, box.stop_vox, frame, full_voxel_size))
