"""What is proofread: the labels, where each cell is, what a person has said of it, and the maps that help.

Plain labels (Z, Y, X) and layered ones (L, Z, Y, X) look alike here: `planes` is always (L, Z, Y, X), and a cell has a
layer and a box in it. Tools read this and say what should change (`Rename`, `Assign`). `Tissue.apply` does it; labels
are written here alone, so that the voxels of locked cells cannot change in any tool.

>>> tissue = Tissue(np.array([[[7, 7, 0, 9]]], np.uint32))
>>> deltas = list(tissue.apply(Rename(0, tissue.index.box(9), 9, 7)))
>>> tissue.planes.tolist(), tissue.index.size(7)
([[[[7, 7, 0, 7]]]], 3)
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import tile
from plantseg_app.algorithms.flooding import Spacing
from plantseg_app.algorithms.picking import Embedded
from plantseg_app.errors import InputError
from plantseg_app.proofread.cell_index import Box, CellIndex, Entry, slab_shape
from plantseg_app.proofread.delta import Delta
from plantseg_app.proofread.refusal import Refused

_SLAB_LIMITS_VOX = (2**15, 2**18)


class Mark(enum.StrEnum):
    """What a person has said of a cell."""

    CORRECT = "correct"
    """It is right and locked: no tool changes its voxels."""
    UNSURE = "unsure"
    """Nobody can tell; it teaches nothing."""


class Rename(NamedTuple):
    """All voxels of one id within a box become another."""

    layer: int
    box: Box
    old: int
    new: int


class Assign(NamedTuple):
    """Voxels of a box become other cells.

    Attributes
    ----------
    layer, box
        Where.
    parts
        Of the shape of the box, whole numbers or bool; where it is k > 0 the label becomes ``names[k]``, else it stays.
    names
        ``names[0]`` is not used.
    """

    layer: int
    box: Box
    parts: NDArray[Any]
    names: Sequence[int]


Change = Rename | Assign


class Tissue:
    """Labels that are proofread.

    Attributes
    ----------
    planes
        (L, Z, Y, X), a view of the labels, which are changed in place.
    is_layered
        Whether the labels have layers that overlap.
    index
        Where each cell is.
    marks
        What has been said of cells, by id.
    next_id
        The smallest id that no cell has had since these labels were opened.
    boundary
        (Z, Y, X), high between cells, or None.
    superpixels
        (Z, Y, X) labels, or None.
    nuclei
        (Z, Y, X) labels, or None.
    embedding
        Of every voxel, or None; see `take_embedding`.
    spacing
        Edge lengths of a voxel (z, y, x).
    touched, n_changed, n_kept
        Since `begin`: what the index knew before of cells that won or lost voxels, by id; the number of voxels that
        changed, and of those that a tool would have changed were they not of locked cells.

    Parameters
    ----------
    labels
        (Z, Y, X) or (L, Z, Y, X) uint32 or uint64 that may be written to.

    Raises
    ------
    InputError
        If labels or maps do not fit.
    """

    def __init__(
        self,
        labels: NDArray[Any],
        *,
        boundary: NDArray[Any] | None = None,
        superpixels: NDArray[Any] | None = None,
        nuclei: NDArray[Any] | None = None,
        spacing: Spacing = (1.0, 1.0, 1.0),
    ) -> None:
        if labels.ndim not in (3, 4) or labels.dtype not in (np.uint32, np.uint64) or not labels.flags.writeable:
            raise InputError(
                "Labels to proofread are (Z, Y, X) or (L, Z, Y, X), uint32 or uint64, and can be written to; these "
                f"are {labels.dtype} of shape {labels.shape}{'' if labels.flags.writeable else ', read only'}."
            )
        self.is_layered = labels.ndim == 4
        self.planes = labels if self.is_layered else labels[None]
        for noun, image in (("boundary map", boundary), ("superpixels", superpixels), ("nuclei", nuclei)):
            if image is not None:
                self._check_shape(f"{noun} has", image.shape)
        self.boundary, self.superpixels, self.nuclei = boundary, superpixels, nuclei
        self.embedding: Embedded | None = None
        self.spacing = spacing
        self.index = CellIndex(self.planes)
        self.marks: dict[int, Mark] = {}
        self.next_id = self.index.largest_id() + 1
        self.begin()

    def take_embedding(self, embedding: Embedded) -> None:
        """Let tools use the embedding of every voxel.

        Raises
        ------
        InputError
            If it is that of another image.
        """
        self._check_shape("embedding has", embedding.shape_vox)
        self.embedding = embedding

    def take_nuclei(self, nuclei: NDArray[Any] | None, index: CellIndex | None = None) -> None:
        """Let tools use other nuclei, or none.

        Parameters
        ----------
        nuclei
            (Z, Y, X) labels.
        index
            Where each of them is, if that was read already.

        Raises
        ------
        InputError
            If they are those of another image.
        """
        if nuclei is not None:
            self._check_shape("nuclei have", nuclei.shape)
        self.nuclei = nuclei
        self.__dict__.pop("nucleus_index", None)
        if index is not None:
            self.__dict__["nucleus_index"] = index

    def _check_shape(self, what_has: str, shape: tuple[int, ...]) -> None:
        if shape != self.shape_vox:
            raise InputError(
                f"The {what_has} {shape} voxels (Z, Y, X) but the labels have {self.shape_vox}; bring both to the same "
                "shape."
            )

    @property
    def shape_vox(self) -> tuple[int, int, int]:
        """(Z, Y, X) of one layer."""
        z, y, x = self.planes.shape[1:]
        return z, y, x

    # ------------------------------------------------------------------------------------------------ asking

    def is_locked(self, cell: int) -> bool:
        """Whether a cell is marked as correct."""
        return self.marks.get(cell) is Mark.CORRECT

    def cells_under(self, points: NDArray[Any], layer: int | None = None) -> list[int]:
        """Return the ids at points (N, 3), Z, Y, X, in the order in which they are met, without background.

        Parameters
        ----------
        points
            Those outside the image are passed over.
        layer
            The only layer to look at; all by default.
        """
        inside = points[((points >= 0) & (points < self.shape_vox)).all(1)]
        planes = self.planes if layer is None else self.planes[layer : layer + 1]
        met = planes[:, inside[:, 0], inside[:, 1], inside[:, 2]].T.ravel()
        return [int(cell) for cell in dict.fromkeys(met.tolist()) if cell]

    def check_editable(self, cells: Iterable[int]) -> None:
        """Check that cells are there and not locked.

        Raises
        ------
        Refused
            Saying which is not.
        """
        for cell in cells:
            self.check_present(cell)
            if self.is_locked(cell):
                raise Refused(f"Cell {cell} is locked as correct; unlock it first.")

    def check_present(self, cell: int) -> None:
        """Check that there is a cell of this id; Refused otherwise."""
        if cell not in self.index:
            raise Refused(f"There is no cell {cell}." if cell else "This is background; click on a cell.")

    def new_ids(self, count: int) -> list[int]:
        """Return ids that no cell has had, and reserve them.

        Raises
        ------
        Refused
            If the type of the labels cannot hold them.
        """
        first = self.next_id
        if count:
            self.reserve(first + count - 1)
        return list(range(first, first + count))

    def reserve(self, cell: int) -> int:
        """Return an id after making sure that no other cell gets it.

        Raises
        ------
        Refused
            If the type of the labels cannot hold it.
        """
        if cell > np.iinfo(self.planes.dtype).max:
            most = np.iinfo(self.planes.dtype).max
            raise Refused(f"These labels hold ids up to {most}, not {cell}; renumber them first.")
        self.next_id = max(self.next_id, cell + 1)
        return cell

    def box_around(self, cells: Iterable[int], margin_vox: int = 0) -> Box:
        """Return the smallest box around cells, grown by a margin within the image."""
        boxes = [self.index.box(cell) for cell in cells]
        z, y, x = (
            slice(
                max(min(box[axis].start for box in boxes) - margin_vox, 0),
                min(max(box[axis].stop for box in boxes) + margin_vox, self.shape_vox[axis]),
            )
            for axis in range(3)
        )
        return z, y, x

    def mask_of(self, cells: Iterable[int], box: Box) -> NDArray[np.bool_]:
        """Return where cells are within a box, whatever their layers."""
        mask = np.zeros([part.stop - part.start for part in box], bool)
        for cell in cells:
            mask |= self.planes[self.index.layer(cell)][box] == cell
        return mask

    @functools.cached_property
    def nucleus_index(self) -> CellIndex:
        """Where each nucleus is; read when first asked for."""
        if self.nuclei is None:
            raise Refused("There are no nuclei; open them first.")
        return CellIndex(self.nuclei[None])

    def nuclei_in(self, cell: int) -> dict[int, float]:
        """Return the nuclei that a cell meets, and the share of each that it holds; empty without nuclei."""
        if self.nuclei is None:
            return {}
        box = self.index.box(cell)
        return shares_held(self.nuclei[box][self.mask_of((cell,), box)], self.nucleus_index)

    def cells_of_nucleus(self, nucleus: int) -> dict[int, float]:
        """Return the cells that a nucleus lies in, and the share of it that each holds; of plain labels."""
        if self.nuclei is None:
            return {}
        box = self.nucleus_index.box(nucleus)
        names, counts = np.unique(self.planes[0][box][self.nuclei[box] == nucleus], return_counts=True)
        size = self.nucleus_index.size(nucleus)
        return {name: held / size for name, held in zip(names.tolist(), counts.tolist(), strict=True) if name}

    def is_at_border(self, cell: int) -> bool:
        """Return whether a cell touches the border of the image, where it may be cut off."""
        axes = range(3) if self.shape_vox[0] > 1 else range(1, 3)
        box = self.index.box(cell)
        return any(box[axis].start == 0 or box[axis].stop == self.shape_vox[axis] for axis in axes)

    # ------------------------------------------------------------------------------------------------ changing

    def begin(self) -> None:
        """Count anew what changes."""
        self.touched: dict[int, Entry | None] = {}
        self.n_changed = 0
        self.n_kept = 0

    def apply(self, change: Change) -> Iterator[Delta]:
        """Change the labels and yield what was done, slab by slab; voxels of locked cells stay.

        A locked cell gets no voxels either.
        """
        shape = tuple(part.stop - part.start for part in change.box)
        few, many = _SLAB_LIMITS_VOX
        for block in tile(shape, slab_shape(shape, min(max(math.prod(shape) // 4, few), many))):
            z, y, x = (outer.start + inner.start for outer, inner in zip(change.box, block.inner, strict=True))
            slab = tuple(slice(a, a + n) for a, n in zip((z, y, x), block.shape, strict=True))
            space = self.planes[change.layer][slab]
            if isinstance(change, Rename):
                moves = self._renamed(change, space)
            else:
                moves = self._assigned(change, block.inner, space)
            if moves is not None:
                delta = Delta.of((change.layer, z, y, x), space[None], moves.difference[None])
                space ^= moves.difference
                yield delta
                self._note(change.layer, (z, y, x), moves)

    def _renamed(self, change: Rename, space: NDArray[Any]) -> _Moves | None:
        where = space == change.old
        if change.old == change.new or not where.any():
            return None
        if self.is_locked(change.old) or self.is_locked(change.new):
            self.n_kept += int(np.count_nonzero(where))
            return None
        difference = np.multiply(where, space.dtype.type(change.old ^ change.new), dtype=space.dtype)
        return _Moves(difference, [(change.old, where)], [(change.new, where)])

    def _assigned(self, change: Assign, inner: tuple[slice, ...], space: NDArray[Any]) -> _Moves | None:
        parts = change.parts[inner]
        names = np.array(change.names, space.dtype)
        difference = np.where(parts > 0, names[parts.astype(np.uint8 if len(names) < 256 else np.intp)], space) ^ space
        changed = difference != 0
        if not changed.any():
            return None
        before, after = space[changed], space[changed] ^ difference[changed]
        lost, won = distinct(before), distinct(after)
        locked = [cell for cell in {*lost, *won} if self.is_locked(cell)]
        if locked:
            keep = np.isin(before, locked) | np.isin(after, locked)
            self.n_kept += int(np.count_nonzero(keep))
            difference[_spread(changed, keep)] = 0
            changed = difference != 0
            if not changed.any():
                return None
            before, after = before[~keep], after[~keep]
            lost, won = distinct(before), distinct(after)
        return _Moves(
            difference,
            [(cell, _spread(changed, before == cell)) for cell in lost],
            [(cell, _spread(changed, after == cell)) for cell in won],
        )

    def _note(self, layer: int, start: tuple[int, int, int], moves: _Moves) -> None:
        """Keep the index true after the labels were changed."""
        for cell, mask in moves.won:
            self.n_changed += int(np.count_nonzero(mask))
            if cell:
                self.touched.setdefault(cell, self.index.entry(cell))
                self.index.gain(cell, layer, start, mask)
        for cell, mask in moves.lost:
            if cell:
                self.touched.setdefault(cell, self.index.entry(cell))
                self.index.lose(cell, start, mask)

    def move(self, delta: Delta, forward: bool) -> None:
        """Apply a delta, or take it back; the index is the caller's to set.

        Raises
        ------
        InputError
            If the labels are not those that it was made on.
        """
        delta.apply(self.planes, forward)


class _Moves(NamedTuple):
    """What changes in a slab: the exclusive or, and the voxels that ids lose and win."""

    difference: NDArray[Any]
    lost: list[tuple[int, NDArray[np.bool_]]]
    won: list[tuple[int, NDArray[np.bool_]]]


def cell_under(tissue: Tissue, drawn: Sequence[NDArray[np.int64]], noun: str) -> int:
    """Return the cell that holds most of what was drawn, the smaller id of equals.

    Parameters
    ----------
    drawn
        Each (N, 3), Z, Y, X.
    noun
        What was drawn, for the message.

    Raises
    ------
    Refused
        If no cell is there.
    """
    points = np.concatenate(drawn)
    points = points[((points >= 0) & (points < tissue.shape_vox)).all(1)]
    ids, counts = np.unique(tissue.planes[:, points[:, 0], points[:, 1], points[:, 2]], return_counts=True)
    counts[ids == 0] = 0
    if not counts.any():
        raise Refused(f"The {noun} touches no cell; draw it inside the cell that is meant.")
    return int(ids[np.argmax(counts)])


def distinct(ids: NDArray[Any]) -> list[int]:
    """Return the different ids of a flat array, sorted; quick where there is one."""
    from fastremap import unique

    if ids.size and (ids == ids[0]).all():
        return [int(ids[0])]
    return [int(cell) for cell in unique(ids)]


def _spread(where: NDArray[np.bool_], values: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask that holds `values` at the voxels of `where`."""
    if values.all():
        return where
    mask = np.zeros(where.shape, bool)
    mask[where] = values
    return mask


def shares_held(nuclei: NDArray[Any], index: CellIndex) -> dict[int, float]:
    """Return the nuclei that occur in (N,) voxels, and the share of each that these are.

    Parameters
    ----------
    nuclei
        The nucleus of each voxel, 0 for none.
    index
        Of all nuclei.
    """
    names, counts = np.unique(nuclei, return_counts=True)
    pairs = zip(names.tolist(), counts.tolist(), strict=True)
    return {name: held / index.size(name) for name, held in pairs if name}
