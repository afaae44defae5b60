"""What each tool does, by hand, by brute force, and what it says when it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from plantseg_app.algorithms.picking import Embedded
from plantseg_app.errors import InputError
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tool import TOOLS
from plantseg_app.proofread.tools.add_alike import AddAlike
from plantseg_app.proofread.tools.cut import Cut
from plantseg_app.proofread.tools.delete import Delete
from plantseg_app.proofread.tools.grow import Grow
from plantseg_app.proofread.tools.marks import Lock, MarkUnsure, Unmark
from plantseg_app.proofread.tools.merge import Merge
from plantseg_app.proofread.tools.paint import Erase, Paint
from plantseg_app.proofread.tools.relabel import Relabel
from plantseg_app.proofread.tools.shape import FillHoles, KeepLargest, Smooth
from plantseg_app.proofread.tools.split import Split
from plantseg_app.proofread.tools.superpixels import SplitIntoSuperpixels
from plantseg_app.proofread.tools.take_proposal import TakeProposal


def flat(*rows: str) -> np.ndarray:
    """A slice of labels, a digit a voxel; "." is background."""
    return np.array([[[0 if letter == "." else int(letter) for letter in row] for row in rows]], np.uint32)


def rows_of(labels: np.ndarray) -> list[str]:
    return ["".join("." if value == 0 else str(value) for value in row) for row in labels[0]]


def test_merge_keeps_the_first_id_and_the_last_slice() -> None:
    labels = np.zeros((4, 5, 6), np.uint32)
    labels[..., :3], labels[..., 3:] = 8, 2
    session = ProofreadSession(labels)
    edit = session.do(Merge(cells=(8, 2, 8)))
    assert (labels == 8).all()
    assert (edit.cells, edit.n_voxels, edit.box) == ((2, 8), 60, (slice(0, 4), slice(0, 5), slice(3, 6)))


def test_merge_by_a_stroke_takes_the_cells_in_the_order_they_are_met() -> None:
    labels = flat("1122.33")
    session = ProofreadSession(labels)
    stroke = np.array([[0, 0, x] for x in range(6, -3, -1)])
    session.do(Merge(cells=tuple(session.tissue.cells_under(stroke))))
    assert rows_of(labels) == ["3333.33"]


def test_two_scribbles_meet_on_the_strongest_wall() -> None:
    labels = np.full((1, 9, 12), 5, np.uint32)
    boundary = np.zeros(labels.shape, np.float32)
    boundary[..., 8] = 1.0
    session = ProofreadSession(labels, boundary=boundary)
    session.do(Split(scribbles=(np.array([[0, 1, 2], [0, 7, 2]]), (0, 4, 11))))
    left, right = labels[0, 4, 0], labels[0, 4, 11]
    assert (left, right) == (5, 6)
    assert (labels[..., :8] == 5).all()
    assert (labels[..., 9:] == 6).all()


def test_without_a_boundary_map_cells_part_at_the_neck() -> None:
    grid = np.indices((1, 21, 41))
    discs = [(grid[1] - 10) ** 2 + (grid[2] - x) ** 2 < 100 for x in (10, 30)]
    labels = (discs[0] | discs[1]).astype(np.uint32)
    labels[0, 8:13, 18:23] = 1
    session = ProofreadSession(labels)
    session.do(Split(scribbles=((0, 10, 4), (0, 10, 36))))
    left, right = np.unique(labels[..., :19]), np.unique(labels[..., 22:])
    assert sorted([*left, *right]) == [0, 0, 1, 2]


def test_scribbles_across_cells_divide_them_anew() -> None:
    labels = flat("111222", "111222")
    boundary = np.zeros((1, 2, 6), np.float32)
    boundary[..., 4] = 1.0
    session = ProofreadSession(labels, boundary=boundary)
    session.do(Split(scribbles=(np.array([[0, 0, 0], [0, 0, 3]]), (0, 0, 5))))
    assert sorted(np.unique(labels).tolist()) == [1, 2]
    assert set(labels[0, :, :4].ravel().tolist()) == {1}
    assert labels[0, 0, 5] == 2


def test_a_piece_that_no_scribble_reaches_stays() -> None:
    labels = flat("11111.11")
    session = ProofreadSession(labels)
    session.do(Split(scribbles=((0, 0, 0), (0, 0, 4))))
    assert rows_of(labels)[0].endswith(".11")
    assert labels[0, 0, 0] != labels[0, 0, 4]


@pytest.mark.parametrize("line", [[[0, 1, 3], [0, 5, 3]], [[0, 2, 3], [0, 4, 3]]])
def test_a_cut_goes_to_the_rim_even_if_the_line_ends_before(line: list[list[int]]) -> None:
    labels = np.zeros((3, 7, 9), np.uint32)
    labels[:, 1:6, 1:8] = 4
    session = ProofreadSession(labels)
    session.do(Cut(lines=(np.array(line),)))
    assert set(np.unique(labels[..., 1:3][labels[..., 1:3] > 0])) == {5}
    assert set(np.unique(labels[..., 4:8][labels[..., 4:8] > 0])) == {4}
    assert ((labels > 0).sum(axis=(1, 2)) == 35).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slanted_surface_parts_a_block_as_a_plane_does(axis: int) -> None:
    """A surface between a line at 6 on the first slice and one at 18 on the last one is a plane."""
    labels = np.ones((25, 25, 25), np.uint32)
    session = ProofreadSession(labels)
    lines = [np.insert([[0, place], [24, place]], axis, height, axis=1) for height, place in ((0, 6), (24, 18))]
    session.do(Cut(lines=tuple(lines), across="zyx"[axis]))
    along = np.moveaxis(labels, axis, 0)
    for place, plane in enumerate(along):
        edge = 6 + 0.5 * place
        assert len(np.unique(plane[:, : int(edge) - 1])) == 1
        assert len(np.unique(plane[:, int(edge) + 2 :])) == 1
        assert plane[0, 0] != plane[0, -1]


def test_a_cut_leaves_pieces_alone_that_it_does_not_touch() -> None:
    labels = flat("11111..11", "11111..11", "11111..11")
    ProofreadSession(labels).do(Cut(lines=(np.array([[0, 0, 2], [0, 2, 2]]),)))
    assert (labels[..., 7:] == 1).all()
    assert len(np.unique(labels)) == 3


def test_superpixels_come_back() -> None:
    labels = flat("1111", "2222")
    superpixels = flat("3345", "6666")
    ProofreadSession(labels, superpixels=superpixels).do(SplitIntoSuperpixels(cell=1))
    assert rows_of(labels) == ["1134", "2222"]


def test_painting_leaves_other_cells_and_locked_ones() -> None:
    labels = flat("11..22", "......")
    session = ProofreadSession(labels)
    brush = np.argwhere(labels[..., :] >= 0)
    session.do(Lock(cells=(1,)))
    assert session.do(Paint(voxels=brush, cell=2)).n_voxels == 8
    assert rows_of(labels) == ["112222", "222222"]
    edit = session.do(Paint(voxels=brush, over_cells=True))
    assert rows_of(labels) == ["113333", "333333"]
    assert edit.n_kept == 2


def test_between_painted_slices_a_disc_moves_and_grows_evenly() -> None:
    shape = (9, 60, 60)
    grid = np.indices(shape)

    def disc(z: int, y: float, x: float, r: float) -> np.ndarray:
        return (grid[0] == z) & ((grid[1] - y) ** 2 + (grid[2] - x) ** 2 <= r * r)

    labels = np.zeros(shape, np.uint32)
    drawn = disc(0, 15, 15, 8) | disc(8, 40, 40, 12)
    ProofreadSession(labels).do(Paint(voxels=np.argwhere(drawn), between="z"))
    for z in range(9):
        expected = disc(z, 15 + 25 * z / 8, 15 + 25 * z / 8, 8 + z / 2)
        both, either = (expected & (labels > 0)).sum(), (expected | (labels > 0))[z].sum()
        assert both / either > 0.8


def test_erase_takes_one_cell_or_all_that_are_not_locked() -> None:
    labels = flat("112233")
    session = ProofreadSession(labels)
    session.do(Erase(voxels=np.array([[0, 0, 1], [0, 0, 2]]), cell=2))
    assert rows_of(labels) == ["11.233"]
    session.do(Lock(cells=(3,)))
    session.do(Erase(voxels=np.argwhere(labels >= 0)))
    assert rows_of(labels) == ["....33"]
    session.do(Unmark(cells=(3,)))
    session.do(Delete(cells=(3,)))
    assert not labels.any()


def test_a_cell_grows_up_to_the_wall() -> None:
    grid = np.indices((21, 21, 21)) - 10
    radius = np.sqrt((grid**2).sum(0))
    boundary = np.exp(-((radius - 6) ** 2) / 2).astype(np.float32)
    labels = np.zeros(radius.shape, np.uint32)
    labels[0] = 9
    ProofreadSession(labels, boundary=boundary).do(Grow(seed=(10, 10, 10), reach_vox=9))
    grown = labels == 10
    assert grown[radius < 5].all()
    assert not grown[radius > 7].any()


def test_holes_rough_outlines_and_loose_pieces() -> None:
    labels = flat("11111..", "1...1.1", "1.2.1..", "1...1..", "11111..")
    session = ProofreadSession(labels)
    with pytest.raises(Refused):
        session.do(FillHoles(cells=(1,)))  # the hole is shared with cell 2
    session.do(Delete(cells=(2,)))
    session.do(FillHoles(cells=(1,)))
    assert (labels[0, :, :5] == 1).all()
    session.do(KeepLargest(cells=(1,), others="new cells"))
    assert labels[0, 1, 6] == 3
    with pytest.raises(Refused, match="in one piece"):
        session.do(KeepLargest(cells=(1,)))

    rng = np.random.default_rng(0)
    ball = ((np.indices((24, 24, 24)) - 12) ** 2).sum(0) < 64
    rough = np.where(ball ^ (rng.random(ball.shape) < 0.1) & ndimage.binary_dilation(ball, iterations=2), 7, 0)
    session = ProofreadSession(rough.astype(np.uint32))
    session.do(Smooth(cells=(7,), sigma=1.0))
    assert ((session.labels == 7) ^ ball).sum() < 0.3 * ((rough == 7) ^ ball).sum()


def test_relabel_never_takes_an_id_that_is_used() -> None:
    labels = flat("112")
    session = ProofreadSession(labels)
    session.do(Relabel(cell=1, to=40))
    session.do(Relabel(cell=2))
    assert np.unique(labels).tolist() == [40, 41]
    with pytest.raises(Refused, match="merge them"):
        session.do(Relabel(cell=41, to=40))


def test_ids_beyond_32_bits_and_the_end_of_the_type() -> None:
    big = np.array([[[2**40, 2**40, 3]]], np.uint64)
    session = ProofreadSession(big)
    session.do(Split(scribbles=((0, 0, 0), (0, 0, 1))))
    assert np.unique(big).tolist() == [3, 2**40, 2**40 + 1]
    full = np.array([[[2**32 - 1, 2**32 - 1]]], np.uint32)
    with pytest.raises(Refused, match="renumber"):
        ProofreadSession(full).do(Split(scribbles=((0, 0, 0), (0, 0, 1))))


def test_objects_of_other_layers_move_to_one_with_room() -> None:
    labels = np.zeros((3, 1, 1, 6), np.uint32)
    labels[0, 0, 0, :3] = 1
    labels[1, 0, 0, 2:5] = 2
    labels[0, 0, 0, 4:] = 3
    session = ProofreadSession(labels)
    session.do(Merge(cells=(1, 2)))
    # Layer 0 has cell 3 in the way, layer 1 has room for both.
    assert labels[:, 0, 0].tolist() == [[0, 0, 0, 0, 3, 3], [1, 1, 1, 1, 1, 0], [0] * 6]
    session.do(Paint(voxels=np.array([[0, 0, x] for x in range(6)])))
    assert (labels[2] == 4).all()
    session.undo()
    session.undo()
    assert labels[:, 0, 0].tolist() == [[1, 1, 1, 0, 3, 3], [0, 0, 2, 2, 2, 0], [0] * 6]


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        (Merge(cells=(1,)), "two cells"),
        (Merge(cells=(1, 77)), "no cell 77"),
        (Merge(cells=(1, 3)), "locked"),
        (Split(scribbles=((0, 0, 0),)), "two scribbles"),
        (Split(scribbles=((0, 2, 0), (0, 2, 1))), "touch no cell"),
        (Split(scribbles=((0, 0, 5), (0, 1, 5))), "locked"),
        (Cut(lines=(np.array([[0, 0, 0], [0, 0, 1]]),)), "does not part"),
        (Delete(cells=(3,)), "unlock"),
        (Paint(voxels=(0, 0, 0)), "no free background"),
        (Paint(voxels=(9, 9, 9)), "inside the image"),
        (Erase(voxels=(0, 0, 5)), "locked as correct"),
        (Erase(voxels=(0, 2, 0)), "nothing"),
        (Grow(seed=(0, 0, 0)), "boundary map"),
        (SplitIntoSuperpixels(cell=1), "no superpixels"),
        (Lock(cells=(3,)), "already"),
        (Unmark(cells=(1,)), "already"),
        (MarkUnsure(cells=(8,)), "no cell 8"),
        (FillHoles(cells=(1,)), "change nothing"),
    ],
)
def test_refusals_say_why_in_one_sentence(tool: object, reason: str) -> None:
    labels = flat("1122.33", "1122.33", ".......")
    session = ProofreadSession(labels)
    session.do(Lock(cells=(3,)))
    before = labels.copy()
    with pytest.raises(Refused, match=reason) as refusal:
        session.do(tool)  # type: ignore[arg-type]
    assert str(refusal.value).count(". ") == 0
    assert str(refusal.value).endswith(".")
    np.testing.assert_array_equal(labels, before)
    assert len(session.edits) == 1


def test_marks_follow_the_cells() -> None:
    labels = flat("1122")
    session = ProofreadSession(labels)
    session.do(MarkUnsure(cells=(1, 2)))
    session.do(Merge(cells=(1, 2)))
    assert dict(session.marks) == {1: "unsure"}
    session.undo()
    assert dict(session.marks) == {1: "unsure", 2: "unsure"}


def test_every_tool_has_a_title_a_help_and_described_fields() -> None:
    for tool in TOOLS:
        assert tool.title
        assert tool.__doc__
        for name, field in tool.model_fields.items():
            assert field.description, (tool.id, name)


def alike_scene() -> tuple[np.ndarray, Embedded]:
    """Two objects beside each other on background, in an embedding."""
    names = flat("......................", ".1111122222...........", ".1111122222...........", "......................")
    values = np.array([[0, 0], [4, 0], [0, 4]], np.float32)
    return names, Embedded(np.moveaxis(values[names], -1, 0), 0.5, 4.0)


def test_what_is_alike_becomes_a_cell_and_other_cells_stay() -> None:
    names, embedded = alike_scene()
    labels = np.zeros_like(names)
    labels[0, 1, 3] = 7
    session = ProofreadSession(labels)
    session.tissue.take_embedding(embedded)
    edit = session.do(AddAlike(seed=(0, 2, 2)))
    assert (edit.cells, edit.settings) == ((8,), {"alike": 1.0})
    assert rows_of(labels)[1:3] == [".88788................", ".88888................"]
    session.do(AddAlike(seed=(0, 1, 8)))
    assert ((labels == 9) == (names == 2)).all()
    session.undo()
    assert not (labels == 9).any()
    assert labels[0, 1, 3] == 7


def test_adding_what_is_alike_refuses_cells_background_and_blindness() -> None:
    names, embedded = alike_scene()
    session = ProofreadSession(np.zeros_like(names))
    with pytest.raises(Refused, match="needs an embedding"):
        session.do(AddAlike(seed=(0, 2, 2)))
    session.tissue.take_embedding(embedded)
    with pytest.raises(Refused, match="background"):
        session.do(AddAlike(seed=(0, 0, 0)))
    with pytest.raises(Refused, match="outside"):
        session.do(AddAlike(seed=(0, 9, 0)))
    session.do(AddAlike(seed=(0, 2, 2)))
    with pytest.raises(Refused, match="lies in cell 1"):
        session.do(AddAlike(seed=(0, 2, 2)))
    with pytest.raises(InputError, match="same shape"):
        session.tissue.take_embedding(Embedded(np.zeros((2, 1, 3, 3), np.float32), 0.5, 4.0))
    with pytest.raises(Refused, match="more than half"):
        # Everything is alike now.
        session.do(AddAlike(seed=(0, 1, 8), alike=4.0))


def test_a_proposal_takes_the_place_of_all_that_is_not_locked() -> None:
    labels = flat("11.22.33", "11.22.33")
    session = ProofreadSession(labels)
    session.do(Lock(cells=(2,)))
    proposal = flat("55566.88", "55566777")
    edit = session.do(TakeProposal(proposal=proposal))
    assert edit.settings == {}
    assert (labels[0, :, 3:5] == 2).all()
    new = [labels[0, 0, 0], labels[0, 0, 6], labels[0, 1, 5]]
    # 6 was the locked cell, so it is none; 5 is a new cell, also where nothing was.
    assert len({*new, 2}) == 4
    assert (labels[0, :, :3] == new[0]).all()
    assert labels[0, 0, 5] == 0
    assert min(new) > 3
    assert session.tissue.is_locked(2)
    session.undo()
    assert rows_of(labels) == ["11.22.33", "11.22.33"]
    with pytest.raises(Refused, match="the labels"):
        session.do(TakeProposal(proposal=proposal[:, :1]))
    with pytest.raises(Refused, match="do not overlap"):
        ProofreadSession(np.stack([labels, labels * 0])).do(TakeProposal(proposal=proposal))


def test_a_proposal_of_nothing_clears_what_is_not_locked() -> None:
    labels = flat("11.22")
    session = ProofreadSession(labels)
    session.do(Lock(cells=(1,)))
    session.do(TakeProposal(proposal=np.zeros_like(labels)))
    assert rows_of(labels) == ["11..."]
