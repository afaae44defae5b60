"""The first page alone: what it shows while nothing is open, the list of open images, and what to do with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.gui.document import OpenImage
from plantseg_app.io import write_volume
from plantseg_app.run.workflows import find_workflow

pytestmark = pytest.mark.gui

OpenAll = Callable[..., None]


@pytest.fixture
def page(qtbot: QtBot, loading: SimpleNamespace) -> Any:
    from plantseg_app.gui.preferences import PreferenceStore
    from plantseg_app.gui.wizard.load_page import LoadPage
    from plantseg_app.gui.workbench import Workbench

    never = SimpleNamespace()
    bench = Workbench(
        document=loading.document,
        runner=loading.runner,
        viewer=never,  # type: ignore[arg-type]
        tell=loading.told.append,
        warn=loading.warned.append,
        loader=loading.loader,
        open_paths=loading.loader.open,
        run=lambda outputs: None,
        start=lambda task, on_result=None: True,
        beside=never,  # type: ignore[arg-type]
        folder=Path(),
        keep=never,  # type: ignore[arg-type]
        go_to=lambda title: None,
        show_model=lambda _: None,
        pick_objects=lambda: None,
        preferences=PreferenceStore(),
    )
    page = LoadPage(bench)
    qtbot.addWidget(page)
    page.resize(350, 700)
    for changed in (loading.document.images_changed, loading.document.workflow_changed):
        changed.connect(page.refresh)
    page.show()
    page.enter()
    return page


def stack(path: Path, shape: tuple[int, ...] = (6, 8, 9), size_um: tuple[float, ...] | None = None) -> Path:
    data = np.random.default_rng(1).integers(0, 255, shape, dtype=np.uint8)
    return write_volume(path, Volume(data, Kind.RAW, voxel_size_um=size_um))  # type: ignore[arg-type]


def choose(box: Any, data: str) -> None:
    index = box.findData(data)
    assert index >= 0
    box.setCurrentIndex(index)
    box.activated.emit(index)


def write(edit: Any, text: str) -> None:
    edit.setText(text)
    edit.editingFinished.emit()


def test_nothing_is_open_at_first(page: Any) -> None:
    assert page.drop_hint.isVisible()
    assert page.drop_hint.open_button.isVisible()
    assert not page.to_do.isVisible()
    assert not page.recent.isVisible()
    assert not page.is_complete


def test_the_sample_opens_with_a_click(page: Any, loading: SimpleNamespace, qtbot: QtBot) -> None:
    from PySide6.QtCore import Qt

    qtbot.mouseClick(page.drop_hint.sample_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(loading.document.images), timeout=60_000)
    qtbot.waitUntil(lambda: not loading.loader.is_busy, timeout=60_000)
    (card,) = page.cards.values()
    assert page.is_complete
    assert not page.drop_hint.isVisible()
    assert card.about.text() == "32 slices of 128 × 128, 8 bit"
    assert card.voxel_size.text() == "0.235 × 0.15 × 0.15"
    assert not card.picture.pixmap().isNull()
    assert page.to_do.sources.text() == "<b>image</b>: sample_ovule"


def test_recent_files_come_back_and_those_that_are_gone_are_grey(
    page: Any, loading: SimpleNamespace, qtbot: QtBot, tmp_path: Path
) -> None:
    there, gone = stack(tmp_path / "there.tif"), tmp_path / "gone.tif"
    loading.known.add_recent(gone)
    loading.known.add_recent(there)
    page.enter()
    qtbot.waitUntil(lambda: page.recent.isVisible())
    first, second = page.recent._buttons
    assert (first.isEnabled(), second.isEnabled()) == (True, False)
    assert str(tmp_path) in first.toolTip()
    assert "no longer there" in second.toolTip()
    first.click()
    qtbot.waitUntil(lambda: list(loading.document.images) == ["there"], timeout=60_000)
    assert not page.recent.isVisible()


def test_a_role_feeds_the_workflow(page: Any, loading: SimpleNamespace, open_all: OpenAll, tmp_path: Path) -> None:
    open_all(stack(tmp_path / "a.tif"), stack(tmp_path / "b.tif"))
    assert "Not used in the steps: b" in page.to_do.sources.text()
    choose(page.cards["b"].role, "nuclei")
    assert loading.document.images["b"].role == "nuclei"
    assert loading.document.workflow.name == "nuclei-guided"
    assert page.to_do.sources.text() == "<b>image</b>: a<br><b>nuclei</b>: b"
    assert not page.to_do.problem.isVisible()


def test_what_is_missing_is_said_in_a_sentence(page: Any, open_all: OpenAll, tmp_path: Path) -> None:
    open_all(stack(tmp_path / "a.tif"))
    fitting = [page.to_do.choice.itemData(i) for i in range(page.to_do.choice.count())]
    assert fitting.index("membranes-gasp") < fitting.index("nuclei-guided")
    choose(page.to_do.choice, "nuclei-guided")
    assert page.document.workflow.name == "nuclei-guided"
    assert page.document.workflow_is_chosen
    assert 'needs an image for "nuclei"' in page.to_do.problem.text()
    assert page.to_do.problem.isVisible()


def test_images_of_different_shape_or_voxel_size_are_pointed_out(page: Any, open_all: OpenAll, tmp_path: Path) -> None:
    open_all(
        stack(tmp_path / "a.tif", (6, 8, 9), (1.0, 0.5, 0.5)),
        stack(tmp_path / "small_DAPI.tif", (6, 8, 8), (1.0, 0.5, 0.5)),
    )
    assert "a has 6 × 8 × 9 voxels and small_DAPI 6 × 8 × 8" in page.to_do.problem.text()
    page.document.remove_image("small_DAPI")
    open_all(stack(tmp_path / "other_DAPI.tif", (6, 8, 9), (1.0, 0.25, 0.25)))
    assert "voxel sizes of a (1 × 0.5 × 0.5 µm) and other_DAPI (1 × 0.25 × 0.25 µm) differ" in (
        page.to_do.problem.text()
    )


def test_an_unknown_voxel_size_is_amber_until_it_is_written_and_shared(
    page: Any, loading: SimpleNamespace, open_all: OpenAll, tmp_path: Path
) -> None:
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, np.ones((6, 8, 9), np.uint8), imagej=True, metadata={"axes": "ZYX"})
    open_all(tmp_path / "a.tif", tmp_path / "b.tif")
    card = page.cards["a"]
    assert card.voxel_size.property("state") == "unknown"
    assert not card.same_button.isEnabled()
    write(card.voxel_size, "0,5 0,2 0,2")
    image = loading.document.images["a"]
    assert image.volume.voxel_size_um == VoxelSize(0.5, 0.2, 0.2)
    assert image.read.voxel_size_um == (0.5, 0.2, 0.2)
    # The computing process must see the same.
    assert loading.runner.open(image.ref).voxel_size_um == VoxelSize(0.5, 0.2, 0.2)
    assert not card.voxel_size.property("state")
    card.same_button.click()
    assert loading.document.images["b"].volume.voxel_size_um == VoxelSize(0.5, 0.2, 0.2)


def test_an_image_that_turns_out_to_be_labels_is_read_as_labels(
    page: Any, loading: SimpleNamespace, open_all: OpenAll, tmp_path: Path, qtbot: QtBot
) -> None:
    data = np.arange(6 * 8 * 9, dtype=np.float32).reshape(6, 8, 9)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = data
    open_all(tmp_path / "a.h5")
    choose(page.cards["a"].role, "labels")
    qtbot.waitUntil(lambda: not loading.loader.is_busy, timeout=60_000)
    image = loading.document.images["a"]
    assert (image.role, image.volume.kind) == ("labels", Kind.LABELS)
    assert np.array_equal(image.volume.data, data)
    choose(page.cards["a"].role, "boundary")
    qtbot.waitUntil(lambda: not loading.loader.is_busy, timeout=60_000)
    image = loading.document.images["a"]
    assert (image.role, image.volume.kind, image.ref.kind) == ("boundary", Kind.BOUNDARY, Kind.BOUNDARY)


def test_a_role_that_the_numbers_refuse_goes_back(
    page: Any, loading: SimpleNamespace, open_all: OpenAll, tmp_path: Path, qtbot: QtBot
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = np.full((6, 8, 9), 0.5, np.float32)
    open_all(tmp_path / "a.h5")
    choose(page.cards["a"].role, "labels")
    qtbot.waitUntil(lambda: not loading.loader.is_busy, timeout=60_000)
    page.refresh()
    assert "fractions" in loading.warned[0]
    assert page.cards["a"].role.role == "membranes"
    assert loading.document.images["a"].volume.kind is Kind.RAW


def test_closing_the_last_image_brings_the_hint_back(page: Any, open_all: OpenAll, tmp_path: Path) -> None:
    open_all(stack(tmp_path / "a.tif"))
    page.cards["a"].close_button.click()
    assert not page.cards
    assert page.drop_hint.isVisible()
    assert not page.is_complete


def test_the_workflow_of_a_result_is_offered_and_taken(
    page: Any, loading: SimpleNamespace, open_all: OpenAll, tmp_path: Path
) -> None:
    labels = Volume(np.ones((6, 8, 9), np.uint32), Kind.LABELS)
    write_volume(tmp_path / "result.tif", labels, workflow=find_workflow("membranes-mutex").to_yaml())
    open_all(tmp_path / "result.tif")
    assert page.offer.isVisible()
    page.offer.open_button.click()
    assert loading.document.workflow.name == "membranes-mutex"
    assert not page.offer.isVisible()


def test_everything_has_a_name_and_fits_with_a_large_font(
    page: Any,
    loading: SimpleNamespace,
    accessibility: ModuleType,
    large_font: Any,
    tmp_path: Path,
) -> None:
    import napari.qt  # noqa: F401 - its style sheet makes widgets larger

    large_font.refresh()
    long_name = "a very long name of an image that was taken on a Friday, channel membranes, 63x oil"
    for name in (long_name, "b"):
        volume = Volume(np.zeros((32, 1024, 1024), np.uint8), Kind.RAW, VoxelSize(0.235, 0.15, 0.15), name)
        loading.document.add_image(OpenImage(name, "membranes", volume, tmp_path / "a.tif"))
    page.refresh()
    assert not accessibility.unnamed_widgets(page)
    assert not accessibility.cut_off_widgets(page)
    assert page.column.parentWidget().minimumSizeHint().width() <= 350
