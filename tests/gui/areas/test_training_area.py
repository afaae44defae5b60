"""The area of training, with a real child process, a tiny network and a tiny tissue."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.io import write_volume
from plantseg_app.train.pairs import write_pair

pytestmark = pytest.mark.gui


@pytest.fixture
def pair(make_tissue: Callable[..., Any]) -> tuple[Volume, Volume]:
    labels, boundary = make_tissue((8, 32, 48), seed=1)
    image = Volume((200 * np.asarray(boundary, np.float32)).astype(np.uint8), Kind.RAW, voxel_size_um=(0.4, 0.2, 0.2))
    return image, Volume(np.asarray(labels, np.uint32), Kind.LABELS)


@pytest.fixture
def area(bench: Any, qtbot: QtBot) -> Iterator[Any]:
    from plantseg_app.gui.areas.training_area import TrainingArea

    area = TrainingArea(bench)
    area.n_threads = 1
    qtbot.addWidget(area)
    area.show()
    area.enter()
    yield area
    area.shut_down()


@pytest.fixture
def training(area: Any, pair: tuple[Volume, Volume], tmp_path: Path) -> Any:
    """The area with a stack and settings of a training that takes a second."""
    fill(area.form, pair, tmp_path)
    return area


@pytest.fixture
def form(bench: Any, pair: tuple[Volume, Volume], tmp_path: Path, qtbot: QtBot) -> Iterator[Any]:
    """The same settings without window and process."""
    from plantseg_app.gui.areas.training_form import TrainingForm

    made = TrainingForm(bench)
    qtbot.addWidget(made)
    fill(made, pair, tmp_path)
    yield made
    made.stacks.stop()


def fill(form: Any, pair: tuple[Volume, Volume], folder: Path) -> None:
    write_pair(folder / "stack.h5", *pair)
    form.stacks.take_paths([folder / "stack.h5"])
    form.start.box.setCurrentIndex(form.start.box.findData(""))
    change(form.start.form, feature_maps=(4, 8))
    change(form.main["patches"], shape_vox=(8, 16, 16))
    change(form.main["stopping"], steps=20)
    change(form.main["validation"], every=5)
    change(form.rest["schedule"], warmup_steps=2)


def change(form: Any, **values: object) -> None:
    form.set_step(form.step().model_copy(update=values))


def wait_for_end(area: Any, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not area.is_busy, timeout=120_000)


def test_from_stacks_to_a_model_that_is_used(training: Any, bench: Any, home: Path, qtbot: QtBot) -> None:
    from PySide6.QtCore import Qt

    from plantseg_app.zoo.card import ModelCard

    form, view = training.form, training.view
    form.name.setText("leaf")
    change(form.card, licence="CC0-1.0")
    pages = []
    view.curve.update = lambda: pages.append(len(view.curve.rows))  # type: ignore[method-assign]
    qtbot.mouseClick(view.start_button, Qt.MouseButton.LeftButton)
    assert training.is_busy
    assert not bench.runner.is_busy
    assert view.stop_button.isEnabled()
    assert not form.isEnabled()
    wait_for_end(training, qtbot)

    folder = home / "trainings" / "leaf"
    card = ModelCard.read(folder)
    assert (card.id, card.licence) == ("leaf", "CC0-1.0")
    assert [row["step"] for row in view.curve.rows] == [5, 10, 15, 20]
    # The curve grew while the training went on.
    assert {1, 2, 3, 4} <= set(pages)
    assert all(np.isfinite(row["loss"]) for row in view.curve.rows)
    assert view.curve.accessibleDescription().startswith("Step 20:")
    assert [image.size().toTuple() for image in view.example.images] == [view.example.images[0].size().toTuple()] * 4
    assert "has a model" in view.status.text()
    assert view.folder == folder
    assert form.name.text() != "leaf"
    assert not view.resume_button.isEnabled()

    qtbot.mouseClick(view.use_button, Qt.MouseButton.LeftButton)
    assert (home / "models" / "leaf" / "card.yaml").is_file()
    assert bench.document.workflow.nodes["boundary"].step.model == "leaf"
    assert bench.opened == ["Predict"]
    # Using it twice adds it once.
    training.use()
    assert [path.name for path in (home / "models").iterdir()] == ["leaf"]


def test_stop_keeps_the_best_and_resume_goes_on(training: Any, bench: Any, home: Path, qtbot: QtBot) -> None:
    view, form = training.view, training.form
    form.name.setText("long")
    change(form.main["stopping"], steps=100_000)
    training.start()
    qtbot.waitUntil(lambda: len(view.curve.rows) >= 2, timeout=60_000)
    training.stop()
    wait_for_end(training, qtbot)
    folder = home / "trainings" / "long"
    assert (folder / "card.yaml").is_file()
    assert view.use_button.isEnabled()
    stopped_at = view.record.step
    assert stopped_at >= 10

    # A crash of the process after further steps: the last checkpoint is found, and the window is still there.
    training.resume()
    qtbot.waitUntil(lambda: len(view.curve.rows) >= 2 + stopped_at // 5, timeout=60_000)
    os.kill(training.runner._worker.pid, signal.SIGKILL)
    wait_for_end(training, qtbot)
    assert "interrupted after step" in view.box.currentText()
    assert view.record.step > stopped_at
    assert "memory" in view.status.text()
    assert bench.warned == [view.status.text()]


def test_a_training_of_a_killed_window_is_found_and_resumed(
    area: Any, pair: tuple[Volume, Volume], home: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    import subprocess
    import sys
    import time

    from plantseg_app.train.journal import read_record

    files = write_pair(tmp_path / "stack.h5", *pair)
    plan = f"""
output: {home}/trainings/lost
family: {{kind: boundary, feature_maps: [4, 8]}}
data: {{train: [{files.path}], split: {{fraction: 0.25}}}}
patches: {{shape_vox: [8, 16, 16]}}
stopping: {{steps: 100000}}
validation: {{every: 5}}
"""
    program = """
import sys
from pathlib import Path
from plantseg_app.gui.areas.training_task import TrainTask
from plantseg_app.run.desk import Desk
from plantseg_app.train.settings import TrainSettings
folder = Path(sys.argv[1])
TrainTask(TrainSettings.from_yaml(folder / "plan.yaml")).run(Desk(folder, folder, lambda name, event: None))
"""
    (tmp_path / "plan.yaml").write_text(plan, encoding="utf-8")
    lost = home / "trainings" / "lost"
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) as process:
        deadline = time.monotonic() + 120

        def has_checkpoint() -> bool:
            assert process.poll() is None
            assert time.monotonic() < deadline
            record = read_record(lost)
            return record is not None and record.has_checkpoint and record.step >= 10

        qtbot.waitUntil(has_checkpoint, timeout=120_000)
        process.kill()

    area.enter()
    area.view.choose(lost)
    assert "interrupted after step" in area.view.status.text()
    step = area.view.record.step
    assert area.view.resume_button.isEnabled()
    assert not area.view.use_button.isEnabled()
    area.resume()
    qtbot.waitUntil(lambda: area.view.curve.rows[-1]["step"] > step, timeout=60_000)
    area.stop()
    wait_for_end(area, qtbot)
    assert area.view.use_button.isEnabled()


def test_the_form_is_the_settings(form: Any, pair: tuple[Volume, Volume], tmp_path: Path) -> None:
    from PySide6.QtCore import Qt

    from plantseg_app.train.settings import TrainSettings

    settings = form.settings()
    assert settings.family["feature_maps"] == [4, 8]
    assert settings.stopping.steps == 20
    assert settings.data.split is not None
    untouched = {"augment", "loss", "checkpoints", "precision", "seed"}
    plain = TrainSettings(output="x", start_from="x")
    assert all(getattr(settings, name) == getattr(plain, name) for name in untouched)
    change(form.rest["augment"], flip=0.25)
    change(form.general, seed=7)
    assert (form.settings().augment.flip, form.settings().seed) == (0.25, 7)

    # A stack that is ticked judges, and nothing is cut off any more.
    write_pair(tmp_path / "other.h5", *pair)
    form.stacks.take_paths([tmp_path / "other.h5"])
    table = form.stacks.table
    assert table.setData(table.index(1, 3), Qt.CheckState.Checked.value, Qt.ItemDataRole.CheckStateRole)
    data = form.settings().data
    assert [Path(files.path).name for files in data.train] == ["stack.h5"]
    assert [Path(files.path).name for files in data.validation] == ["other.h5"]
    assert data.split is None
    assert form.split.isHidden()

    # Another start brings patches and rate along.
    form.start.box.setCurrentIndex(form.start.box.findData("membranes-2d"))
    fine = form.settings()
    assert (fine.start_from, fine.family) == ("membranes-2d", None)
    assert fine.patches.shape_vox[0] == 1
    assert fine.optimiser.rate < plain.optimiser.rate
    form.start.box.setCurrentIndex(form.start.box.findData("membranes-3d"))
    assert form.settings().patches.shape_vox[0] > 1


def mask_stack(folder: Path, name: str, seed: int) -> tuple[Path, Path]:
    """Write an image of bars that cross, and their masks, one a plane."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((4, 64, 80), np.uint8)
    for mask in masks[:2]:
        y, x = rng.integers(4, 50, 2)
        mask[y : y + 6, 4:76] = 255
    for mask in masks[2:]:
        x = rng.integers(4, 70)
        mask[4:60, x : x + 6] = 255
    paths = folder / "brightfield" / name, folder / "worms" / name
    for path, array in zip(paths, (40 + 2 * masks.sum(0, dtype=np.uint16), masks), strict=True):
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, array.astype(np.uint8), photometric="minisblack")
    return paths


def test_masks_that_overlap_train_a_layering_network(
    area: Any, bench: Any, home: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    from PySide6.QtCore import Qt

    from plantseg_app.zoo.card import ModelCard

    form, table = area.form, area.form.stacks.table
    for number in range(2):
        mask_stack(tmp_path, f"well{number}.tif", number)
    # The names of the folders say nothing: several planes over one slice do.
    area.take_paths([tmp_path / "brightfield", tmp_path / "worms"])
    assert bench.warned == []
    assert [(row.image_name, row.files.layered) for row in table.rows] == [("well0.tif", True), ("well1.tif", True)]
    assert table.data(table.index(0, 2), Qt.ItemDataRole.CheckStateRole) == Qt.CheckState.Checked
    assert form.overlaps.isVisible()
    assert table.setData(table.index(1, 3), Qt.CheckState.Checked.value, Qt.ItemDataRole.CheckStateRole)
    qtbot.mouseClick(form.overlaps_button, Qt.MouseButton.LeftButton)
    assert not form.overlaps.isVisible()
    assert form.settings().family["kind"] == "layering"
    assert form.settings().patches.shape_vox == (1, 256, 256)
    # A model that learns them needs no advice, and one that does not gets it.
    form.start.box.setCurrentIndex(form.start.box.findData("worms-layering"))
    assert not form.overlaps.isVisible()
    form.start.box.setCurrentIndex(form.start.box.findData("membranes-2d"))
    assert form.overlaps.isVisible()
    qtbot.mouseClick(form.overlaps_button, Qt.MouseButton.LeftButton)

    form.name.setText("worms")
    change(form.start.form, feature_maps=(4, 8), n_layers=4)
    change(form.main["patches"], shape_vox=(1, 32, 32))
    change(form.main["stopping"], steps=8)
    change(form.main["validation"], every=4)
    area.start()
    wait_for_end(area, qtbot)
    assert bench.warned == []
    assert ModelCard.read(home / "trainings" / "worms").family["kind"] == "layering"

    # Without the tick the planes are slices, and the sentence says what to change.
    assert table.setData(table.index(0, 2), Qt.CheckState.Unchecked.value, Qt.ItemDataRole.CheckStateRole)
    area.form.name.setText("slices")
    area.start()
    wait_for_end(area, qtbot)
    assert "layered" in bench.warned[-1]


def test_the_open_image_with_objects_that_overlap_becomes_a_stack(form: Any, bench: Any, qtbot: QtBot) -> None:
    from plantseg_app.gui.document import OpenImage
    from plantseg_app.train.data import read_stack
    from plantseg_app.train.settings import DataSettings

    planes = np.zeros((2, 1, 12, 20), np.uint32)
    planes[0, 0, 2:8], planes[1, 0, :, 4:9] = 1, 2
    bench.document.add_image(OpenImage("well", "membranes", Volume(planes.any(0).astype(np.uint8), Kind.RAW)))
    bench.document.add_image(OpenImage("worms", "labels", Volume(planes, Kind.LAYERED_LABELS)))
    form.stacks.open_button.click()
    qtbot.waitUntil(lambda: len(form.stacks.table.rows) == 2, timeout=30_000)
    files = form.stacks.table.rows[1].files
    assert files.layered
    stack = read_stack(files, DataSettings())
    np.testing.assert_array_equal(stack.objects(stack.labels), planes)


def test_the_open_image_with_its_cells_becomes_a_stack(
    form: Any, bench: Any, pair: tuple[Volume, Volume], home: Path, qtbot: QtBot
) -> None:
    from plantseg_app.gui.document import OpenImage
    from plantseg_app.train.data import read_stack
    from plantseg_app.train.settings import DataSettings

    stacks = form.stacks
    assert not stacks.open_button.isEnabled()
    image, cells = pair
    bench.document.add_image(OpenImage("leaf", "membranes", image))
    assert not stacks.open_button.isEnabled()
    bench.document.add_image(OpenImage("leaf cells", "labels", cells))
    assert stacks.open_button.isEnabled()
    stacks.open_button.click()
    qtbot.waitUntil(lambda: len(stacks.table.rows) == 2, timeout=30_000)
    written = Path(stacks.table.rows[1].files.path)
    assert written == home / "trainings" / "stacks" / "leaf.h5"
    np.testing.assert_array_equal(read_stack(stacks.table.rows[1].files, DataSettings()).labels, cells.data)
    # A second time it is a file of its own.
    stacks.open_button.click()
    qtbot.waitUntil(lambda: len(stacks.table.rows) == 3, timeout=30_000)
    assert Path(stacks.table.rows[2].files.path).name == "leaf-2.h5"


def test_what_cannot_be_trained_is_said(training: Any, bench: Any, pair: Any, tmp_path: Path, qtbot: QtBot) -> None:
    lonely = write_volume(tmp_path / "lonely.tif", pair[0])
    training.take_paths([lonely])
    assert "lonely.tif" in bench.warned[-1]
    # The time is estimated by the idle second process.
    qtbot.waitUntil(lambda: "a step" in training.view.status.text(), timeout=60_000)
    # A network that cannot read its patches is refused by the process in a sentence.
    change(training.form.main["patches"], shape_vox=(8, 15, 16))
    training.start()
    wait_for_end(training, qtbot)
    assert "multiples" in training.view.status.text()
    assert training.view.start_button.isEnabled()


def test_closing_asks_while_a_training_runs(training: Any, bench: Any, home: Path, qtbot: QtBot) -> None:
    from PySide6.QtGui import QCloseEvent
    from PySide6.QtWidgets import QMainWindow, QMessageBox

    from plantseg_app.gui.closing import Closing
    from plantseg_app.train.journal import read_record

    class Window(QMainWindow):
        def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
            if closing.is_allowed():
                training.shut_down()
                event.accept()
            else:
                event.ignore()

    window = Window()
    qtbot.addWidget(window)
    closing = Closing(window, bench.document, [training])
    window.show()
    training.form.name.setText("asked")
    change(training.form.main["stopping"], steps=100_000)
    training.start()
    # A checkpoint is written after each validation was told.
    qtbot.waitUntil(lambda: len(training.view.curve.rows) >= 2, timeout=60_000)
    child = training.runner._worker.pid
    window.close()
    assert window.isVisible()
    assert training.is_busy
    (box,) = window.findChildren(QMessageBox)
    assert "asked" in box.informativeText()
    next(button for button in box.buttons() if "Stop" in button.text()).click()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=30_000)
    assert not training.is_busy
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert read_record(home / "trainings" / "asked").has_checkpoint
