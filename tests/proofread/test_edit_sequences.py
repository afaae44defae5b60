"""Whatever is done: as many undos bring all voxels back, redo repeats it, locked voxels stay, the index is true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tool import Tool
from plantseg_app.proofread.tools.cut import Cut
from plantseg_app.proofread.tools.delete import Delete
from plantseg_app.proofread.tools.grow import Grow
from plantseg_app.proofread.tools.marks import Lock, MarkUnsure, Unmark
from plantseg_app.proofread.tools.merge import Merge
from plantseg_app.proofread.tools.nuclei import SplitByNuclei
from plantseg_app.proofread.tools.paint import Erase, Paint
from plantseg_app.proofread.tools.relabel import Relabel
from plantseg_app.proofread.tools.shape import FillHoles, KeepLargest, Smooth
from plantseg_app.proofread.tools.split import Split
from plantseg_app.proofread.tools.superpixels import SplitIntoSuperpixels

SHAPE = (3, 6, 7)

ids = st.integers(1, 9)
cells = st.lists(ids, min_size=1, max_size=3).map(tuple)
point = st.tuples(*(st.integers(-1, n) for n in SHAPE))
points = st.lists(point, min_size=1, max_size=12).map(np.array)
tools = st.one_of(
    st.builds(Merge, cells=cells),
    st.builds(Split, scribbles=st.lists(points, min_size=1, max_size=3).map(tuple), cells=cells | st.just(())),
    st.builds(Delete, cells=cells),
    st.builds(
        Paint,
        voxels=points,
        cell=st.none() | ids,
        over_cells=st.booleans(),
        between=st.none() | st.sampled_from("zyx"),
    ),
    st.builds(Erase, voxels=points, cell=st.none() | ids),
    st.builds(
        Cut,
        lines=st.lists(st.lists(point, min_size=1, max_size=3).map(np.array), min_size=1, max_size=2).map(tuple),
        across=st.sampled_from("zyx"),
        cell=st.none() | ids,
    ),
    st.builds(SplitIntoSuperpixels, cell=ids),
    st.builds(SplitByNuclei, cell=ids, split_threshold=st.sampled_from([0.05, 0.5])),
    st.builds(Grow, seed=points, reach_vox=st.integers(2, 5)),
    st.builds(FillHoles, cells=cells, by_slice=st.booleans(), max_size=st.none() | st.integers(0, 3)),
    st.builds(Smooth, cells=cells, sigma=st.sampled_from([0.5, 1.0])),
    st.builds(KeepLargest, cells=cells, others=st.sampled_from(["background", "new cells"])),
    st.builds(Relabel, cell=ids, to=st.none() | st.integers(1, 30)),
    st.builds(Lock, cells=cells),
    st.builds(Unmark, cells=cells),
    st.builds(MarkUnsure, cells=cells),
)


def make_labels(seed: int, layered: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 5, (2 if layered else 1, 3, 3, 4))
    labels = np.repeat(np.repeat(coarse, 2, 2), 2, 3)[..., :7].astype(np.uint32)
    labels[1:][labels[1:] > 0] += 4
    return labels if layered else labels[0]


def make_session(seed: int, layered: bool, memory_bytes: int = 2**20) -> ProofreadSession:
    rng = np.random.default_rng(seed)
    boundary = rng.random(SHAPE).astype(np.float32) if seed % 3 else None
    superpixels = rng.integers(0, 9, SHAPE, dtype=np.uint32)
    nuclei = rng.integers(0, 4, SHAPE, dtype=np.uint32)
    maps = {"boundary": boundary, "superpixels": superpixels, "nuclei": nuclei}
    return ProofreadSession(make_labels(seed, layered), memory_bytes=memory_bytes, **maps)


def check_index(session: ProofreadSession) -> None:
    planes, index = session.tissue.planes, session.tissue.index
    assert index.ids() == [cell for cell in np.unique(planes).tolist() if cell]
    for cell in index.ids():
        places = np.argwhere(planes == cell)
        assert index.size(cell) == len(places)
        assert set(places[:, 0]) == {index.layer(cell)}
        assert [(a.start, a.stop) for a in index.box(cell)] == list(
            zip(places[:, 1:].min(0), places[:, 1:].max(0) + 1, strict=True)
        )


def locked_voxels(session: ProofreadSession) -> dict[int, bytes]:
    marks = session.marks
    return {cell: (session.tissue.planes == cell).tobytes() for cell in marks if session.tissue.is_locked(cell)}


def do_all(session: ProofreadSession, sequence: list[Tool]) -> list[tuple[bytes, dict[int, str]]]:
    """Do what is not refused; return the states before and after each."""
    states = [(session.labels.tobytes(), dict(session.marks))]
    for tool in sequence:
        locked, before = locked_voxels(session), session.labels.copy()
        try:
            edit = session.do(tool)
        except Refused as refusal:
            assert str(refusal).endswith(".")
            np.testing.assert_array_equal(session.labels, before)
        else:
            changed = before != session.labels
            assert edit.n_voxels >= changed.sum()
            if edit.box is not None:
                changed[(..., *edit.box)] = False
            assert not changed.any()
            states.append((session.labels.tobytes(), dict(session.marks)))
        for cell, voxels in locked.items():
            assert (session.tissue.planes == cell).tobytes() == voxels
        check_index(session)
    return states


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 50),
    layered=st.booleans(),
    sequence=st.lists(tools, max_size=8),
    memory=st.sampled_from([0, 2**20]),
)
def test_undo_and_redo_go_through_the_same_states(seed: int, layered: bool, sequence: list[Tool], memory: int) -> None:
    session = make_session(seed, layered, memory)
    states = do_all(session, sequence)
    for state in states[-2::-1]:
        session.undo()
        assert (session.labels.tobytes(), dict(session.marks)) == state
    check_index(session)
    assert not session.history.can_undo
    for state in states[1:]:
        session.redo()
        assert (session.labels.tobytes(), dict(session.marks)) == state
    check_index(session)
    assert not session.history.can_redo


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 50), layered=st.booleans(), sequence=st.lists(tools, max_size=8), back=st.integers(0, 4))
def test_a_journal_brings_labels_marks_and_history_back(
    tmp_path: Path, seed: int, layered: bool, sequence: list[Tool], back: int
) -> None:
    path = tmp_path / "leaf.corrections.jsonl"
    path.unlink(missing_ok=True)
    session = make_session(seed, layered)
    session.open_journal(path)
    states = do_all(session, sequence)
    back = min(back, len(states) - 1)
    for _ in range(back):
        session.undo()
    session.close()

    again = make_session(seed, layered)
    assert again.open_journal(path) == len(states) - 1 - back
    assert (again.labels.tobytes(), dict(again.marks)) == states[-1 - back]
    assert again.tissue.next_id == session.tissue.next_id
    check_index(again)
    for state in states[len(states) - back :]:
        again.redo()
        assert (again.labels.tobytes(), dict(again.marks)) == state
    for state in states[-2::-1]:
        again.undo()
        assert (again.labels.tobytes(), dict(again.marks)) == state
    again.close()
