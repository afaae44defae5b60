"""Learning from corrections in a real window: export, a model before and after, proposals that are taken or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PySide6.QtWidgets import QDialog
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.gui.document import Document, OpenImage, Result
from plantseg_app.gui.proofreading.before_after_dialog import BeforeAfterDialog
from plantseg_app.gui.proofreading.lessons import export_place
from plantseg_app.gui.proofreading.teaching import PROPOSAL
from plantseg_app.gui.proofreading.teaching_tasks import FineTuneDone, FineTuneTask, ProposalDone, ProposeTask, Trial
from plantseg_app.io import read_volume, write_volume
from plantseg_app.paths import home_dir, samples_dir
from plantseg_app.proofread.tissue import Mark
from plantseg_app.run.failure import failure_of
from plantseg_app.train.events import StepDone
from plantseg_app.train.pairs import pair_files
from plantseg_app.zoo.catalogue import find_model
from plantseg_app.zoo.library import add_named
from tests.gui.windows import LONG_MS

pytestmark = pytest.mark.gui


def squares() -> np.ndarray[Any, Any]:
    """Return sixteen cells of 12 x 12 pixels with gaps of four."""
    cells = np.zeros((1, 64, 64), np.uint32)
    for number in range(16):
        y, x = 16 * (number // 4) + 2, 16 * (number % 4) + 2
        cells[0, y : y + 12, x : x + 12] = number + 1
    return cells


@pytest.fixture
def window(qtbot: QtBot, emptied_window: Any, tmp_path: Path) -> Iterator[Any]:
    """The window in which the squares are corrected; their image lies in a file."""
    image = Volume(np.where(squares() > 0, 150, 40).astype(np.uint8), Kind.RAW, (1.0, 0.5, 0.5))
    file = write_volume(tmp_path / "squares.tif", image)
    window = emptied_window
    window.document.add_image(OpenImage("squares", "membranes", image, file))
    window.document.set_result(Result("cells", Volume(squares(), Kind.LABELS), window.document.workflow))
    window.layers.show_result("cells")
    window.go_to("Proofread")
    window.page.start_button.click()
    qtbot.waitUntil(lambda: window.page.is_correcting, timeout=LONG_MS)
    yield window
    teaching = window.proofreading.teaching.teaching
    for dialog in window.findChildren(QDialog):
        dialog.close()
    teaching.discard()
    teaching.refuse_proposal()


@pytest.fixture
def panel(window: Any) -> Any:
    panel = window.page.teaching
    panel.fold.open()
    panel.list_models()
    return panel


@pytest.fixture
def process(panel: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand-in for the process that learns: keeps the tasks that it is given, and ends them as a test says."""
    runner, tasks = panel.teaching.runner, []

    def start(task: Any) -> int:
        tasks.append(task)
        return len(tasks)

    monkeypatch.setattr(runner, "start", start)
    return SimpleNamespace(
        tasks=tasks,
        tell=lambda event: runner.news.emit(len(tasks), event),
        end=lambda result: runner.succeeded.emit(len(tasks), result),
        fail=lambda error: runner.failed.emit(len(tasks), failure_of(error, "Learning", "")),
        cancelled=lambda: runner.cancelled.emit(len(tasks)),
        keep=runner.store.add,
    )


def lock(window: Any, *cells: int) -> None:
    assert window.page.corrections.do("lock", {"cells": cells})


def begun(process: SimpleNamespace, qtbot: QtBot, n: int = 1) -> Any:
    qtbot.waitUntil(lambda: len(process.tasks) == n, timeout=LONG_MS)
    return process.tasks[-1]


def test_it_learns_in_a_process_of_its_own(
    window: Any, panel: Any, tiny_2d_model: Callable[..., Path], tmp_path: Path, qtbot: QtBot
) -> None:
    # First of all, because the process takes the folder of models of the test that starts it.
    lock(window, *range(1, 17))
    model = add_named(tiny_2d_model(tmp_path / "tiny"), "Tiny")
    panel.list_models()
    panel.model_box.setCurrentIndex(panel.model_box.findData(model.card.id))
    panel.steps.setValue(3)
    panel.tune_button.click()
    assert not window.runner.is_busy
    qtbot.waitUntil(lambda: not panel.teaching.is_busy, timeout=LONG_MS)
    assert "Learned from" in panel.status.text()
    done = panel.teaching.tuned
    assert done.title == "Tiny, fine-tuned"
    (dialog,) = [child for child in window.findChildren(BeforeAfterDialog) if child.isVisible()]
    dialog.keep_button.click()
    kept = find_model("tiny-fine-tuned").card
    assert kept.scores[0].metric == "seg"
    assert "corrected by hand" in kept.description
    assert not Path(done.model).exists()


def test_correct_cells_are_exported_with_one_click(window: Any, panel: Any, tmp_path: Path, qtbot: QtBot) -> None:
    panel.export_button.click()
    qtbot.waitUntil(lambda: "No cell is marked" in panel.status.text(), timeout=LONG_MS)
    lock(window, 2, 7)
    assert "2 cells are marked" in panel.count.text()
    panel.export_button.click()
    qtbot.waitUntil(lambda: panel.teaching.exported is not None, timeout=LONG_MS)
    path = tmp_path / "squares-correct-cells.h5"
    assert str(tmp_path) in panel.status.text()
    assert path.name in panel.status.text()
    assert "area Train" in panel.status.text()
    # What is dropped on the area Train knows of the rest that nothing is known.
    (files,) = pair_files([path]).stacks
    labels = read_volume(path, kind=Kind.LABELS).data
    unknown = read_volume(files.ignore).data
    _, height, width = labels.shape
    assert np.array_equal(labels > 0, np.isin(squares()[:, :height, :width], (2, 7)))
    assert np.array_equal(unknown == 0, labels > 0)


def tuned(process: SimpleNamespace, tiny_2d_model: Path) -> FineTuneDone:
    part = Volume(squares()[:, :32], Kind.LABELS)
    image = part.replace(data=part.data.astype(np.uint8), kind=Kind.RAW)
    good, bad = process.keep(part), process.keep(part.replace(data=np.minimum(part.data, 1)))
    words = "Learned from 12 cells. Of 8 others, 1 were found before and 8 after (SEG 0.10 and 0.90): better."
    kept = process.keep(image)
    return FineTuneDone(str(tiny_2d_model), "Tiny", words, 8, kept, good, Trial(0.1, 1, bad), Trial(0.9, 8, good))


def test_a_model_that_learned_is_compared_and_kept_or_thrown_away(
    window: Any, panel: Any, process: SimpleNamespace, tiny_2d_model: Callable[..., Path], tmp_path: Path, qtbot: QtBot
) -> None:
    lock(window, *range(1, 17))
    assert "membranes-2d" in panel._cards
    assert "membranes-3d" not in panel._cards, "a network for stacks cannot learn from a slice"
    assert "worms-harmonic" not in panel._cards, "it reads a mask"
    panel.model_box.setCurrentIndex(panel.model_box.findData("membranes-2d"))
    panel.steps.setValue(40)
    panel.tune_button.click()
    assert not panel.tune_button.isEnabled()
    task = begun(process, qtbot)
    assert isinstance(task, FineTuneTask)
    assert (task.model, task.steps) == ("membranes-2d", 40)
    assert Path(task.learn.path).is_file()
    assert Path(task.held_out.ignore).is_file()
    process.tell(StepDone(10, 40, {"bce": 0.5}, 1e-4, 5.0))
    assert panel.status.text() == "Step 10 of 40, loss 0.5000, about 15 s left"
    assert panel.bar.value() == 250
    assert panel.cancel_button.isVisible()
    # One can go on correcting meanwhile.
    assert window.page.corrections.do("unmark", {"cells": (1,)})

    process.end(tuned(process, tiny_2d_model(tmp_path / "first")))
    (dialog,) = [child for child in window.findChildren(BeforeAfterDialog) if child.isVisible()]
    assert not dialog.isModal()
    assert "better" in panel.status.text()
    dialog.name.setText("...")
    dialog.keep_button.click()
    assert "letters or digits" in dialog.problem.text()
    dialog.name.setText("Leaf walls")
    dialog.keep_button.click()
    assert find_model("leaf-walls").card.title == "Leaf walls"
    assert not (tmp_path / "first").exists()
    assert panel.teaching.tuned is None
    assert panel.model_box.findData("leaf-walls") >= 0

    panel.tune_button.click()
    begun(process, qtbot, 2)
    process.end(tuned(process, tiny_2d_model(tmp_path / "second")))
    assert "not been kept" in window.page.busy_text
    window.findChildren(BeforeAfterDialog)[-1].close()
    panel.look_button.click()
    window.findChildren(BeforeAfterDialog)[-1].discard_button.click()
    assert not (tmp_path / "second").exists()
    assert not window.page.busy_text
    assert panel.model_box.findData("leaf-walls-2") < 0


def test_what_goes_wrong_is_said_in_a_sentence(window: Any, panel: Any, process: SimpleNamespace, qtbot: QtBot) -> None:
    lock(window, 1, 2)
    panel.tune_button.click()
    qtbot.waitUntil(lambda: "too few" in panel.status.text(), timeout=LONG_MS)
    assert not process.tasks
    assert panel.tune_button.isEnabled()
    lock(window, *range(3, 17))
    panel.tune_button.click()
    task = begun(process, qtbot)
    process.fail(MemoryError())
    assert panel.status.text() == "The machine ran out of memory while it was learning."
    assert panel.status.property("role") == "error"
    assert not Path(task.output).exists()
    panel.tune_button.click()
    task = begun(process, qtbot, 2)
    panel.cancel_button.click()
    process.cancelled()
    assert "Stopped" in panel.status.text()
    assert not Path(task.output).exists()
    assert panel.tune_button.isEnabled()
    window.document.remove_image("squares")
    panel.export_button.click()
    assert "No open image" in panel.status.text()


def test_a_proposal_is_one_correction_and_the_next_round_goes_on(
    window: Any, panel: Any, process: SimpleNamespace, tiny_2d_model: Callable[..., Path], tmp_path: Path, qtbot: QtBot
) -> None:
    lock(window, 6)
    session = window.page.corrections.session
    before, n_edits = session.labels.copy(), len(session.edits)
    panel.propose_button.click()
    task = begun(process, qtbot)
    assert isinstance(task, ProposeTask)
    assert task.start_from == ""
    known = panel.teaching.runner.open(task.cells).data
    assert np.array_equal(known, np.where(before == 6, 6, 0))
    process.tell(StepDone(10, 100_000, {"pull": 0.5}, 1e-4, 150.0))
    assert panel.bar.value() == 500, "the time counts, not the steps"

    proposal = np.where(before == 6, 6, np.where(before > 0, 100, 0)).astype(np.uint32)
    kept = process.keep(Volume(proposal, Kind.LABELS))
    first = tiny_2d_model(tmp_path / "first")
    process.end(ProposalDone(str(first), 1, "Learned from 1 cell and proposed 1 other.", kept))
    assert PROPOSAL in window.viewer.layer_names()
    panel.take_button.click()
    assert len(session.edits) == n_edits + 1
    assert set(np.unique(session.labels)) - {0} == {6, 17}
    assert np.array_equal(session.labels == 6, before == 6)
    assert PROPOSAL not in window.viewer.layer_names()
    window.page.undo()
    assert np.array_equal(session.labels, before)

    assert panel.start_box.currentText() == "The model of the last round"
    panel.list_models()
    panel.propose_button.click()
    task = begun(process, qtbot, 2)
    assert task.start_from == str(first)
    second = tiny_2d_model(tmp_path / "second")
    process.end(ProposalDone(str(second), 1, "Learned from 1 cell and proposed 1 other.", kept))
    assert not first.exists()
    panel.refuse_button.click()
    assert np.array_equal(session.labels, before)
    assert PROPOSAL not in window.viewer.layer_names()
    panel.keep_round_button.click()
    assert find_model("learned-from-a-few-cells").folder.is_dir()

    panel.propose_button.click()
    begun(process, qtbot, 3)
    process.end(ProposalDone(str(tiny_2d_model(tmp_path / "third")), 0, "Nothing.", kept))
    assert "no other cells" in panel.status.text()
    assert panel.teaching.proposal is None


def test_what_was_drawn_on_an_empty_image_is_learned_from(
    window: Any, panel: Any, process: SimpleNamespace, qtbot: QtBot
) -> None:
    window.document.remove_result("cells")
    window.page.start_without_cells()
    qtbot.waitUntil(lambda: window.page.is_correcting, timeout=LONG_MS)
    for cell in (3, 8):
        assert window.page.corrections.do("paint", {"voxels": np.argwhere(squares() == cell)})
    panel.propose_button.click()
    task = begun(process, qtbot)
    assert np.count_nonzero(panel.teaching.runner.open(task.cells).data) == 2 * 144
    assert set(window.page.corrections.session.marks.values()) == {Mark.CORRECT}
    process.cancelled()


def test_the_sample_of_the_program_gets_no_files_beside_it(tmp_path: Path) -> None:
    image = Volume(np.zeros((1, 4, 4), np.uint8), Kind.RAW)
    document = Document()
    cells = Result("cells", image.replace(data=np.ones((1, 4, 4), np.uint32), kind=Kind.LABELS), document.workflow)
    document.add_image(OpenImage("sample", "membranes", image, samples_dir() / "sample_ovule.h5"))
    assert export_place(document, cells) == (home_dir() / "corrections", "sample_ovule-correct-cells")
    document.clear()
    document.add_image(OpenImage("leaf", "membranes", image, tmp_path / "leaf.tif"))
    assert export_place(document, cells) == (tmp_path, "leaf-correct-cells")
