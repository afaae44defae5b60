"""What is seen of cells against brute force; errors come to the top; the list follows the corrections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from plantseg_app.proofread.doubt import ReasonKind, examine_all, rank
from plantseg_app.proofread.findings import examine
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tissue import Tissue
from plantseg_app.proofread.tools.delete import Delete
from plantseg_app.proofread.tools.marks import MarkUnsure, Unmark
from plantseg_app.proofread.tools.merge import Merge
from plantseg_app.proofread.tools.split import Split
from plantseg_app.proofread.work_list import WorkList


@pytest.mark.parametrize("shape", [(5, 9, 10), (1, 14, 15)])
@pytest.mark.parametrize("seed", range(3))
def test_findings_are_what_counting_voxel_by_voxel_gives(shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = ndimage.zoom(rng.integers(0, 4, [-(-n // 2) for n in shape]), 2, order=0)[tuple(map(slice, shape))]
    labels = labels.astype(np.uint32)
    boundary = rng.random(shape).astype(np.float32)
    spacing = (2.0, 0.5, 1.0)
    tissue = Tissue(labels, boundary=boundary, spacing=spacing)
    for cell in tissue.index.ids():
        found = examine(tissue, cell)
        inside = labels == cell
        pieces, n_pieces = ndimage.label(inside)
        assert found.n_pieces == n_pieces
        assert found.loose_vox == inside.sum() - np.bincount(pieces.ravel())[1:].max()
        # In 2D the slice is the whole space.
        filled = ndimage.binary_fill_holes(inside[0])[None] if shape[0] == 1 else ndimage.binary_fill_holes(inside)
        assert found.hole_vox == (filled & ~inside).sum()
        surface, values = 0.0, dict[int, list[float]]()
        for place in np.argwhere(inside):
            for axis in range(3):
                for step in (-1, 1):
                    other = place.copy()
                    other[axis] += step
                    if 0 <= other[axis] < shape[axis] and labels[tuple(other)] != cell:
                        surface += np.prod(spacing) / spacing[axis]
                        mean = (boundary[tuple(place)] + boundary[tuple(other)]) / 2
                        values.setdefault(int(labels[tuple(other)]), []).append(float(mean))
        assert found.surface == pytest.approx(surface)
        everything = [value for some in values.values() for value in some]
        assert found.rim_evidence == pytest.approx(np.mean(everything), rel=1e-5)
        for face in found.faces:
            some = sorted(values[face.neighbour])
            assert face.evidence == pytest.approx(some[int(0.3 * (len(some) - 1))], rel=1e-5)


@pytest.fixture
def spoiled(make_tissue: Callable[..., Any]) -> tuple[ProofreadSession, dict[ReasonKind, int]]:
    """Tissue with one error of each kind."""
    labels, boundary = make_tissue((24, 72, 72), 18.0, noise=0.02, faint=0.1, seed=3)
    labels = labels.copy()
    session = ProofreadSession(labels, boundary=boundary)
    inner = sorted(session.tissue.index.ids(), key=lambda cell: -session.tissue.index.size(cell))
    first, second, third, fourth = inner[0], inner[4], inner[8], inner[12]
    neighbour = next(
        other for other in np.unique(labels[session.tissue.box_around((first,), 1)]).tolist() if other not in inner[:13]
    )
    session.do(Merge(cells=(first, int(neighbour))))
    z, y, x = session.tissue.index.box(second)
    half = (labels == second) & (np.indices(labels.shape)[1] < (y.start + y.stop) // 2)
    new = int(labels.max()) + 1
    labels[half] = new
    z, y, x = np.rint(np.argwhere(labels == third).mean(0)).astype(int)
    labels[z - 2 : z + 2, y - 2 : y + 2, x - 2 : x + 2] = 0
    z, y, x = np.rint(np.argwhere(labels == inner[14]).mean(0)).astype(int)
    labels[z - 2 : z + 2, y - 2 : y + 2, x - 2 : x + 2] = fourth
    smaller = min((second, new), key=lambda cell: int((labels == cell).sum()))
    kinds = {
        ReasonKind.WALL_INSIDE: first,
        ReasonKind.WEAK_FACE: smaller,
        ReasonKind.HOLES: third,
        ReasonKind.PIECES: fourth,
    }
    return ProofreadSession(labels, boundary=boundary), kinds


def test_errors_come_to_the_top_with_their_reason(
    spoiled: tuple[ProofreadSession, dict[ReasonKind, int]],
) -> None:
    session, kinds = spoiled
    doubts = rank(examine_all(session.tissue))
    assert [doubt.score for doubt in doubts] == sorted((doubt.score for doubt in doubts), reverse=True)
    top = {doubt.cell: doubt for doubt in doubts[: len(kinds) + 4]}
    for kind, cell in kinds.items():
        assert cell in top, kind
        assert kind in [reason.kind for reason in top[cell].reasons], kind
    weak = top[kinds[ReasonKind.WEAK_FACE]]
    assert weak.neighbour
    assert f"Weak boundary to cell {weak.neighbour}" in [reason.words for reason in weak.reasons]


def test_nuclei_that_are_missing_or_too_many() -> None:
    labels = np.zeros((1, 12, 40), np.uint32)
    for number in range(3):
        labels[:, 2:10, 2 + 12 * number : 12 + 12 * number] = number + 1
    nuclei = np.zeros_like(labels)
    nuclei[0, 4:6, 4:6], nuclei[0, 4:6, 17:19], nuclei[0, 7:9, 20:22] = 70_001, 70_002, 70_003
    doubts = {doubt.cell: doubt for doubt in rank(examine_all(Tissue(labels, nuclei=nuclei)), is_2d=True)}
    assert [[reason.words for reason in doubts[cell].reasons if "nucle" in reason.words] for cell in (1, 2, 3)] == [
        [],
        ["Holds 2 nuclei"],
        ["Holds no nucleus"],
    ]
    assert doubts[2].score > doubts[3].score > doubts[1].score


def test_the_list_goes_on_back_and_on_again_and_leaves_out_what_is_done(
    spoiled: tuple[ProofreadSession, dict[ReasonKind, int]],
) -> None:
    session, _ = spoiled
    work = WorkList(session)
    order = [doubt.cell for doubt in work.doubts]
    with pytest.raises(Refused):
        work.accept()
    assert [work.next().cell for _ in range(3)] == order[:3]  # type: ignore[union-attr]
    assert work.previous().cell == order[1]  # type: ignore[union-attr]
    assert work.previous().cell == order[0]  # type: ignore[union-attr]
    work.accept()
    assert work.next().cell == order[3]  # type: ignore[union-attr]
    session.do(MarkUnsure(cells=(order[4],)))
    assert work.next().cell == order[5]  # type: ignore[union-attr]
    assert work.n_left == len(order) - 2
    session.do(Unmark(cells=(order[4],)))
    assert work.next().cell == order[4]  # type: ignore[union-attr]
    while work.n_left:
        work.next()
        work.accept()
    assert work.next() is None
    work.close()


def test_the_list_follows_corrections_and_undo(spoiled: tuple[ProofreadSession, dict[ReasonKind, int]]) -> None:
    session, kinds = spoiled
    work = WorkList(session)
    cell = kinds[ReasonKind.WEAK_FACE]
    before = work.doubt(cell)
    assert before is not None
    session.do(Merge(cells=(before.neighbour, cell)))
    assert work.doubt(cell) is None
    after = work.doubt(before.neighbour)
    assert after is not None
    assert after.score < 0.5 < before.score
    session.undo()
    assert work.doubt(cell) == before

    big = kinds[ReasonKind.WALL_INSIDE]
    voxels = np.argwhere(session.labels == big)
    session.do(Split(cells=(big,), scribbles=(voxels[:5], voxels[-5:])))
    (new,) = set(session.edits[-1].cells) - {big}
    assert new in {doubt.cell for doubt in [work.next() for _ in range(len(session.tissue.index))] if doubt}
    session.do(Delete(cells=(new,)))
    assert new not in {doubt.cell for doubt in work.doubts}
    work.refresh()
    fresh = WorkList(session)
    assert {doubt.cell for doubt in fresh.doubts} == {doubt.cell for doubt in work.doubts}
