"""What proofreading teaches: the cells that are marked as correct, and nothing said of the rest.

Positive and unlabelled: labels hold the locked cells alone, and a mask says where they are; everywhere else a training
learns nothing. One part can be held out, to see on cells that no training has seen whether it was of use. Written as
files that the settings of a training name: image and labels in one HDF5 file, the mask beside it.

>>> labels = np.array([[[1, 1, 2, 2, 5]]], np.uint32)
>>> annotation = annotate(labels, [2])
>>> annotation.labels.tolist(), annotation.known.astype(int).tolist(), annotation.cells
([[[0, 0, 2, 2, 0]]], [[[0, 0, 1, 1, 0]]], (2,))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Kind, Place, Volume
from plantseg_app.io.writer import write_volume
from plantseg_app.proofread.cell_index import Box, CellIndex
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Mark, Tissue

MARGIN_VOX = 32
"""Surroundings that go into a file with the cells, for the network to see."""

HELD_OUT = 0.25
"""Share of the cells that a training does not see."""

_LEAST_HELD_OUT, _LEAST_LEARNED = 2, 3


@dataclasses.dataclass(frozen=True, eq=False)
class Annotation:
    """Cells that are right, in a box of an image.

    Attributes
    ----------
    labels
        (Z, Y, X), or (L, Z, Y, X) where objects overlap; these cells alone.
    known
        (Z, Y, X) bool, where the labels say something.
    box
        Where in the image.
    cells
        Their ids.
    """

    labels: NDArray[Any]
    known: NDArray[np.bool_]
    box: Box
    cells: tuple[int, ...]


class AnnotationFiles(NamedTuple):
    """Where an annotation was written: image and labels in one HDF5 file, and the mask of what is unknown."""

    path: Path
    ignore: Path


def annotation_of(tissue: Tissue, margin_vox: int = MARGIN_VOX, rim_vox: int = 0) -> Annotation:
    """Return the cells that are marked as correct, with their surroundings.

    Parameters
    ----------
    tissue
        The cells and their marks.
    margin_vox
        How much of the image goes with them.
    rim_vox
        As for `annotate`.

    Raises
    ------
    Refused
        If there is none.
    """
    cells = [cell for cell, mark in tissue.marks.items() if mark is Mark.CORRECT and cell in tissue.index]
    if not cells:
        raise Refused("No cell is marked as correct yet; mark those that are right, and they can be learned from.")
    box = tissue.box_around(cells, margin_vox)
    labels = tissue.planes[(slice(None), *box)] if tissue.is_layered else tissue.planes[0][box]
    return annotate(labels, cells, box, rim_vox)


def annotate(labels: NDArray[Any], cells: Collection[int], box: Box | None = None, rim_vox: int = 0) -> Annotation:
    """Return the annotation of some cells of labels, [L,] Z, Y, X.

    Parameters
    ----------
    labels
        All cells, also those of which nobody has said anything.
    cells
        Those that are right.
    box
        Where in the image the labels lie.
    rim_vox
        How far around them, within each slice, background counts as known: who says that a cell is right says as well
        that it ends there. 0: nothing is said of background.
    """
    is_right = np.isin(labels, np.fromiter(cells, labels.dtype, len(cells)))
    planes: NDArray[np.bool_] = is_right.reshape(-1, *labels.shape[-3:])
    # Where another object crosses one that is right, only half of what is there is known.
    others = (labels.reshape(planes.shape) > 0) & ~planes
    known = np.asarray(planes.any(0) & ~others.any(0))
    if rim_vox:
        # Here, because the window imports this module at its start and scipy takes long.
        from scipy import ndimage

        near = ndimage.binary_dilation(planes.any(0), np.ones((1, 3, 3), bool), iterations=rim_vox)
        known |= near & ~(planes | others).any(0)
    if box is None:
        z, y, x = (slice(0, n) for n in labels.shape[-3:])
        box = (z, y, x)
    return Annotation(np.where(is_right, labels, 0).astype(labels.dtype), known, box, tuple(sorted(cells)))


def hold_out(annotation: Annotation, share: float = HELD_OUT) -> tuple[Annotation, Annotation]:
    """Cut an annotation in two at a plane: what is learned from, and about `share` of the cells that are held out.

    The plane is the one across the axis that crosses the fewest cells; these are in neither part.

    Raises
    ------
    Refused
        If too few cells would be left on either side.
    """
    planes = annotation.labels.reshape(-1, *annotation.known.shape)
    index = CellIndex(planes)
    boxes = [index.box(cell) for cell in index.ids()]
    too_few, _, axis, place = min(_best_cut(boxes, axis, share) for axis in range(3))
    if too_few:
        raise Refused(
            f"{len(boxes)} cells marked as correct are too few to learn from some and to be judged on others; mark "
            "ten or more, also some at a distance from the rest."
        )
    end = annotation.known.shape[axis]
    return _part(annotation, index, axis, slice(0, place)), _part(annotation, index, axis, slice(place, end))


def _best_cut(boxes: list[Box], axis: int, share: float) -> tuple[bool, int, int, int]:
    """Return the plane beyond which about a share of cells lie: too few on a side, how many crossed, axis, place."""
    starts = np.array([box[axis].start for box in boxes])
    stops = np.array([box[axis].stop for box in boxes])

    def sides(place: int) -> tuple[int, int]:
        return int(np.count_nonzero(stops <= place)), int(np.count_nonzero(starts >= place))

    wanted = max(_LEAST_HELD_OUT, round(share * len(boxes)))
    place = min(np.unique(starts).tolist(), key=lambda place: (abs(sides(place)[1] - wanted), -sides(place)[0]))
    before, after = sides(place)
    return before < _LEAST_LEARNED or after < _LEAST_HELD_OUT, len(boxes) - before - after, axis, int(place)


def _part(annotation: Annotation, index: CellIndex, axis: int, part: slice) -> Annotation:
    cells = [
        cell
        for cell in annotation.cells
        if part.start <= index.box(cell)[axis].start and index.box(cell)[axis].stop <= part.stop
    ]
    local: tuple[slice, ...] = tuple(part if a == axis else slice(None) for a in range(3))
    start = annotation.box[axis].start
    whole = [slice(start + part.start, start + part.stop) if a == axis else annotation.box[a] for a in range(3)]
    labels: NDArray[Any] = annotation.labels[(slice(None),) * (annotation.labels.ndim - 3) + local]
    made = annotate(labels, cells, (whole[0], whole[1], whole[2]))
    of_neither = (labels != made.labels).reshape(-1, *labels.shape[-3:]).any(0)
    return dataclasses.replace(made, known=annotation.known[local] & ~of_neither)


def write_annotation(annotation: Annotation, image: Volume, folder: Path, name: str) -> AnnotationFiles:
    """Write an annotation with its part of the image, ready to be named in the settings of a training.

    Parameters
    ----------
    annotation
        What is known.
    image
        The whole image, ([C,] Z, Y, X), on the grid of the labels.
    folder, name
        ``name.h5`` and ``name-unknown.tif`` are written there, in place of older ones.

    Raises
    ------
    Refused
        If the image is another one.
    ResourceError
        If the files cannot be written.
    """
    stops = [part.stop for part in annotation.box]
    if any(stop > n for stop, n in zip(stops, image.shape_vox, strict=True)):
        raise Refused(
            f"The image has {image.shape_vox} voxels and the cells reach to {tuple(stops)}; open the right image."
        )
    place = Place(
        (annotation.box[0].start, annotation.box[1].start, annotation.box[2].start),
        (annotation.box[0].stop, annotation.box[1].stop, annotation.box[2].stop),
        image.shape_vox,
        image.voxel_size_um,
    )
    cut = image.replace(data=np.ascontiguousarray(image.data[(..., *annotation.box)]), place=place, name=name)
    kind = Kind.LAYERED_LABELS if annotation.labels.ndim == 4 else Kind.LABELS
    path = folder / f"{name}.h5"
    files = AnnotationFiles(path, unknown_file(path))
    # An older file of that name may hold other data sets.
    write_volume(files.path, cut)
    write_volume(files.path, cut.replace(data=annotation.labels, kind=kind), dataset=_LABELS)
    write_volume(files.ignore, cut.replace(data=(~annotation.known).astype(np.uint8), kind=Kind.RAW))
    return files


def unknown_file(path: Path) -> Path:
    """Return the file of the mask that belongs to an annotation written to `path`.

    >>> unknown_file(Path("learn/leaf.h5")).name
    'leaf-unknown.tif'
    """
    return path.with_name(f"{path.stem}-unknown.tif")


_LABELS = "label"
