"""What is marked as correct becomes training data, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import read_volume
from plantseg_app.proofread.annotation import annotation_of, hold_out, write_annotation
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tools.marks import Lock, MarkUnsure
from plantseg_app.train.data import read_stack
from plantseg_app.train.settings import DataSettings, StackFiles


def grid_of_cells(shape: tuple[int, int, int] = (4, 40, 60), edge: int = 10) -> np.ndarray:
    _, y, x = np.indices(shape) // edge
    return (1 + y * (shape[2] // edge) + x).astype(np.uint32)


def test_only_locked_cells_are_known() -> None:
    labels = grid_of_cells()
    session = ProofreadSession(labels)
    with pytest.raises(Refused, match="No cell is marked"):
        annotation_of(session.tissue)
    session.do(Lock(cells=(8, 9)))
    session.do(MarkUnsure(cells=(10,)))
    annotation = annotation_of(session.tissue, margin_vox=5)
    assert annotation.box == (slice(0, 4), slice(5, 25), slice(5, 35))
    expected = np.where(np.isin(labels, (8, 9)), labels, 0)[annotation.box]
    np.testing.assert_array_equal(annotation.labels, expected)
    np.testing.assert_array_equal(annotation.known, expected > 0)


def test_where_an_unlabelled_object_crosses_nothing_is_known() -> None:
    labels = np.zeros((2, 1, 4, 8), np.uint32)
    labels[0, :, :, :5], labels[1, :, :, 3:] = 1, 2
    session = ProofreadSession(labels)
    session.do(Lock(cells=(1,)))
    annotation = annotation_of(session.tissue)
    assert annotation.labels.shape == (2, 1, 4, 8)
    assert annotation.known[0, 0].tolist() == [True] * 3 + [False] * 5


def test_background_beside_a_correct_cell_can_be_known_but_no_other_cell() -> None:
    labels = np.zeros((1, 9, 20), np.uint32)
    labels[0, 3:6, 4:8], labels[0, 3:6, 8:12] = 1, 2
    session = ProofreadSession(labels)
    session.do(Lock(cells=(1,)))
    annotation = annotation_of(session.tissue, rim_vox=2)
    assert set(np.unique(annotation.labels)) == {0, 1}
    known = np.zeros(labels.shape, bool)
    known[0, 1:8, 2:10] = True
    known[labels == 2] = False
    np.testing.assert_array_equal(annotation.known, known[annotation.box])


def test_the_held_out_part_shares_no_voxel_with_what_is_learned() -> None:
    labels = grid_of_cells()
    session = ProofreadSession(labels)
    chosen = (1, 2, 3, 8, 9, 10, 13, 14, 16, 18, 24)
    session.do(Lock(cells=chosen))
    annotation = annotation_of(session.tissue)
    learned, held = hold_out(annotation)
    assert set(learned.cells).isdisjoint(held.cells)
    assert set(learned.cells) | set(held.cells) == set(chosen)
    assert 2 <= len(held.cells) <= 4
    overlap = [range(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(learned.box, held.box, strict=True)]
    assert any(len(part) == 0 for part in overlap)
    for part in (learned, held):
        np.testing.assert_array_equal(part.labels, np.where(np.isin(labels, part.cells), labels, 0)[part.box])
        np.testing.assert_array_equal(part.known, part.labels > 0)


def test_cells_across_the_cut_are_in_neither_part() -> None:
    labels = np.zeros((1, 8, 80), np.uint32)
    for number in range(8):
        labels[0, :, 10 * number : 10 * number + 9] = number + 1
    labels[0, :4][labels[0, :4] > 0] = 99  # one cell along all the others
    session = ProofreadSession(labels)
    session.do(Lock(cells=tuple(session.tissue.index.ids())))
    learned, held = hold_out(annotation_of(session.tissue))
    assert 99 not in (*learned.cells, *held.cells)
    assert not learned.known[0, :4].any()
    assert len(learned.cells) + len(held.cells) == 8


def test_too_few_cells_to_hold_some_out() -> None:
    session = ProofreadSession(grid_of_cells())
    session.do(Lock(cells=(1, 2, 3)))
    with pytest.raises(Refused, match="too few"):
        hold_out(annotation_of(session.tissue))


@pytest.mark.parametrize("layered", [False, True])
def test_a_training_reads_what_was_written(tmp_path: Path, layered: bool) -> None:
    labels = grid_of_cells()
    if layered:
        labels = np.stack([np.where(labels % 2, labels, 0), np.where(labels % 2, 0, labels)])
    image = Volume((np.indices((4, 40, 60))[2] * 3).astype(np.uint8), Kind.RAW, (0.5, 0.2, 0.2))
    session = ProofreadSession(labels)
    session.do(Lock(cells=(8, 9)))
    annotation = annotation_of(session.tissue, margin_vox=4)
    files = write_annotation(annotation, image, tmp_path, "leaf")
    stack = read_stack(StackFiles(path=str(files.path), ignore=str(files.ignore)), DataSettings())
    np.testing.assert_array_equal(stack.image[0], image.data[annotation.box])
    np.testing.assert_array_equal(stack.known, annotation.known)
    shown = stack.objects(stack.labels)
    assert sorted(np.unique(shown[..., stack.known]).tolist()) == [8, 9]
    assert tuple(stack.voxel_size_um or ()) == (0.5, 0.2, 0.2)
    place = read_volume(files.path, dataset="raw").place
    assert place is not None
    assert place.start_vox == (0, 6, 6)
    # Written again it replaces the older one.
    write_annotation(annotation, image, tmp_path, "leaf")
    with pytest.raises(Refused, match="right image"):
        write_annotation(annotation, image.replace(data=image.data[:, :20]), tmp_path, "other")
