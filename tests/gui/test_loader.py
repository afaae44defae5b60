"""Opening files: what is asked, what is not, what is remembered, and that one bad file costs one sentence."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.gui import loader as loader_module
from plantseg_app.io import write_volume
from plantseg_app.run.prediction import predict_step
from plantseg_app.run.workflows import find_workflow

pytestmark = pytest.mark.gui

OpenAll = Callable[..., None]
Question = Callable[[type[Any]], Any]


def stack(path: Path, shape: tuple[int, ...] = (4, 8, 9), axes: str = "ZYX") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(len(path.name)).integers(0, 999, shape).astype(np.uint16)
    tifffile.imwrite(path, data, imagej=True, metadata={"axes": axes})
    return path


def rubbish(path: Path) -> Path:
    path.write_bytes(b"II*\0garbage")
    return path


def test_files_with_complete_metadata_open_in_order_without_a_question(
    tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll
) -> None:
    files = [stack(tmp_path / name) for name in ("b.tif", "a_DAPI.tif", "c.tif")]
    open_all(*files)
    assert [(image.name, image.role) for image in loading.document.images.values()] == [
        ("b", "membranes"),
        ("a_DAPI", "nuclei"),
        ("c", "membranes"),
    ]
    assert np.array_equal(loading.document.images["c"].volume.data, tifffile.imread(files[2]))
    assert not loading.warned
    assert loading.known.recent() == tuple(files[::-1])


def test_one_bad_file_is_one_sentence_and_stops_nothing(
    tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll
) -> None:
    open_all(stack(tmp_path / "a.tif"), rubbish(tmp_path / "bad.tif"), stack(tmp_path / "z.tif"))
    assert list(loading.document.images) == ["a", "z"]
    assert len(loading.warned) == 1
    assert "bad.tif" in loading.warned[0]


def test_a_drop_of_rubbish_changes_nothing_and_is_told_once(
    tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll
) -> None:
    before = loading.document.workflow
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("x", encoding="utf-8")
    open_all(rubbish(tmp_path / "bad.tif"), tmp_path / "gone.tif", tmp_path / "empty", tmp_path / "text.txt")
    assert not loading.document.images
    assert loading.document.workflow == before
    assert len(loading.warned) == 1
    for name in ("4 of 4", "bad.tif", "gone.tif", "empty", "text.txt"):
        assert name in loading.warned[0]
    assert not loading.known.recent()


def test_two_images_of_one_name_and_a_long_path_beyond_ascii(
    tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll
) -> None:
    folder = tmp_path / ("Blüte 植物 " + "x" * 100) / ("y" * 100)
    open_all(stack(tmp_path / "Wurzel.tif"), stack(folder / "Wurzel.tif"))
    assert list(loading.document.images) == ["Wurzel", "Wurzel 2"]
    assert loading.document.images["Wurzel 2"].path == folder / "Wurzel.tif"


def test_a_folder_that_is_read_only(tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll) -> None:
    file = stack(tmp_path / "safe" / "a.tif")
    file.chmod(stat.S_IRUSR)
    file.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        open_all(file.parent)
    finally:
        file.parent.chmod(stat.S_IRWXU)
    assert list(loading.document.images) == ["a"]


def test_labels_beyond_16_bits_stay_what_they_are(tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll) -> None:
    cells = np.kron(np.arange(16, dtype=np.uint32).reshape(1, 4, 4) + 70_000, np.ones((6, 5, 5), np.uint32))
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        file["segmentation"] = cells
    open_all(tmp_path / "cells.h5")
    image = next(iter(loading.document.images.values()))
    assert image.role == "labels"
    assert image.volume.kind is Kind.LABELS
    assert np.array_equal(image.volume.data, cells)


def test_noise_called_cells_is_an_image(tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll) -> None:
    open_all(stack(tmp_path / "cells.tif", (6, 40, 40)))
    image = next(iter(loading.document.images.values()))
    assert (image.role, image.volume.kind) == ("membranes", Kind.RAW)


def test_a_grey_png_is_a_picture_without_a_question(
    tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll
) -> None:
    data = np.random.default_rng(0).integers(0, 255, (1, 9, 8), dtype=np.uint8)
    write_volume(tmp_path / "a.png", Volume(data, Kind.RAW))
    open_all(tmp_path / "a.png")
    assert loading.document.images["a"].volume.shape_vox == (1, 9, 8)


def test_channels_become_images_and_the_answer_is_remembered(
    tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll, question: Question, qtbot: QtBot
) -> None:
    from plantseg_app.gui.reading_dialog import ReadingDialog

    first, second = stack(tmp_path / "a.tif", (4, 2, 8, 9), "ZCYX"), stack(tmp_path / "b.tif", (5, 2, 8, 9), "ZCYX")
    loading.loader.open([first])
    dialog = question(ReadingDialog)
    dialog.remember_box.setChecked(True)
    dialog.open_button.click()
    qtbot.waitUntil(lambda: not loading.loader.is_busy, timeout=60_000)
    assert list(loading.document.images) == ["a channel 0", "a channel 1"]
    open_all(second)
    assert list(loading.document.images)[2:] == ["b channel 0", "b channel 1"]
    stored = tifffile.imread(second)
    assert np.array_equal(loading.document.images["b channel 1"].volume.data, stored[:, 1])
    assert not loading.warned


def test_without_remembering_the_next_file_is_asked_for_too(
    tmp_path: Path, loading: SimpleNamespace, question: Question, qtbot: QtBot
) -> None:
    from plantseg_app.gui.reading_dialog import ReadingDialog

    files = [stack(tmp_path / name, (3, 4, 8, 9), "TZYX") for name in ("a.tif", "b.tif")]
    loading.loader.open(files)
    first = question(ReadingDialog)
    title = first.windowTitle()
    first.time.setValue(2)
    first.open_button.click()
    qtbot.waitUntil(lambda: "a" in loading.document.images, timeout=60_000)
    second = question(ReadingDialog)
    assert (title, second.windowTitle()) == ("Reading a.tif", "Reading b.tif")
    second.open_button.click()
    qtbot.waitUntil(lambda: not loading.loader.is_busy, timeout=60_000)
    images = loading.document.images
    assert np.array_equal(images["a"].volume.data, tifffile.imread(files[0])[2])
    assert np.array_equal(images["b"].volume.data, tifffile.imread(files[1])[0])


def test_skipping_one_file_leaves_the_rest_of_the_drop_alone(
    tmp_path: Path, loading: SimpleNamespace, question: Question, qtbot: QtBot
) -> None:
    from plantseg_app.gui.reading_dialog import ReadingDialog

    open_question = stack(tmp_path / "b.tif", (3, 4, 2, 8, 9), "TZCYX")
    loading.loader.open([stack(tmp_path / "a.tif"), open_question, stack(tmp_path / "c.tif")])
    question(ReadingDialog).reject()
    qtbot.waitUntil(lambda: not loading.loader.is_busy, timeout=60_000)
    assert list(loading.document.images) == ["a", "c"]
    assert not loading.warned


def test_an_image_is_read_again_in_its_place(
    tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll, question: Question, qtbot: QtBot
) -> None:
    from plantseg_app.gui.reading_dialog import ReadingDialog

    file = stack(tmp_path / "a.tif")
    open_all(file)
    loading.loader.settle_again("a")
    dialog = question(ReadingDialog)
    dialog.flips["Z"].setChecked(True)
    dialog.voxel_size.setText("1 × 0.5 × 0.5")
    dialog.open_button.click()
    qtbot.waitUntil(lambda: not loading.loader.is_busy, timeout=60_000)
    image = loading.document.images["a"]
    assert list(loading.document.images) == ["a"]
    assert np.array_equal(image.volume.data, tifffile.imread(file)[::-1])
    assert image.volume.voxel_size_um == VoxelSize(1.0, 0.5, 0.5)
    assert image.read.to_text() == "axes=-ZYX voxel_size_um=(1.0, 0.5, 0.5)"


def test_not_a_number_is_asked_about_and_replaced(
    tmp_path: Path, loading: SimpleNamespace, question: Question, qtbot: QtBot
) -> None:
    from PySide6.QtWidgets import QMessageBox

    data = np.ones((6, 7, 8), np.float32)
    data[0, 0, 0] = np.nan
    data[1, 1, 1] = 9
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = data
    for wanted, expected in (("Leave", []), ("Replace", ["a"])):
        loading.loader.open([tmp_path / "a.h5"])
        box = question(QMessageBox)
        assert "1 NaN" in box.text()
        next(each for each in box.buttons() if wanted in each.text()).click()
        qtbot.waitUntil(lambda: not loading.loader.is_busy, timeout=60_000)
        assert list(loading.document.images) == expected
    assert loading.document.images["a"].volume.data[0, 0, 0] == 1
    assert loading.document.images["a"].read.nan == "replace"
    assert not loading.warned


def test_a_file_larger_than_the_free_memory_is_refused_before_it_is_read(
    tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_module, "available_memory", lambda: 100)
    read: list[object] = []
    loading.runner.progressed.connect(lambda *news: read.append(news))
    open_all(stack(tmp_path / "a.tif"))
    assert not loading.document.images
    assert "576 bytes of memory, and 100 bytes are free" in loading.warned[0]
    assert not read


def test_many_images_of_a_folder_are_asked_about(
    tmp_path: Path, loading: SimpleNamespace, question: Question, qtbot: QtBot
) -> None:
    from PySide6.QtWidgets import QMessageBox

    for number in range(21):
        stack(tmp_path / "deep" / f"{number}.tif", (1, 2, 2))
    loading.loader.open([tmp_path])
    box = question(QMessageBox)
    assert "21 images" in box.text()
    box.button(QMessageBox.StandardButton.Cancel).click()
    qtbot.waitUntil(lambda: not loading.loader.is_busy, timeout=60_000)
    assert not loading.document.images
    loading.loader.open([tmp_path])
    next(each for each in question(QMessageBox).buttons() if "first" in each.text()).click()
    assert loading.loader.is_busy
    loading.loader.cancel()
    qtbot.waitUntil(lambda: not loading.loader.is_busy, timeout=60_000)
    assert len(loading.document.images) <= 1


def test_a_workflow_file_opens_as_the_workflow(tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(find_workflow("membranes-multicut").to_yaml(), encoding="utf-8")
    foreign = tmp_path / "foreign.yaml"
    text = file.read_text(encoding="utf-8").replace("membranes-3d", "plantseg_3dnuc_platinum")
    foreign.write_text(text, encoding="utf-8")
    loading.loader.open_workflow(foreign)
    assert "models download plantseg_3dnuc_platinum" in loading.warned.pop()
    assert predict_step(loading.document.workflow).model == "plantseg_3dnuc_platinum"
    broken = tmp_path / "broken.yaml"
    broken.write_text("workflow: [", encoding="utf-8")
    open_all(file, broken)
    assert loading.document.workflow.name == "membranes-multicut"
    assert loading.document.workflow_is_chosen
    assert len(loading.warned) == 1
    assert "broken.yaml" in loading.warned[0]


def test_the_workflow_of_a_result_is_offered(tmp_path: Path, loading: SimpleNamespace, open_all: OpenAll) -> None:
    labels = Volume(np.ones((2, 3, 4), np.uint32), Kind.LABELS)
    write_volume(tmp_path / "result.tif", labels, workflow=find_workflow("boundary-map").to_yaml())
    offered: list[Path] = []
    loading.loader.workflow_offered.connect(offered.append)
    open_all(tmp_path / "result.tif")
    assert offered == [tmp_path / "result.tif"]
    assert loading.document.workflow.name != "boundary-map"
    loading.loader.open_workflow(tmp_path / "result.tif")
    assert loading.document.workflow.name == "boundary-map"
