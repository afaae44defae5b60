"""Painting in labels with the tools of the canvas; no window is needed for that."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from plantseg_app.gui.label_editor import LabelEditor, Tool


@pytest.fixture
def labels() -> np.ndarray:
    made = np.zeros((4, 10, 10), np.uint32)
    made[:, :5], made[:, 5:] = 1, 2
    made.setflags(write=False)
    return made


@pytest.fixture
def editor(labels: np.ndarray, qapp: object) -> LabelEditor:
    return LabelEditor([Labels(labels)])


def test_a_copy_is_painted_and_undone(editor: LabelEditor, labels: np.ndarray) -> None:
    told: list[int] = []
    editor.edited.connect(lambda: told.append(1))
    editor.select(2)
    editor.set_brush(1, in_3d=False)
    editor._layer.paint((1, 2, 2), 2)
    assert editor.labels[1, 2, 2] == 2
    assert labels[1, 2, 2] == 1
    assert told
    editor.undo()
    assert np.array_equal(editor.labels, labels)
    editor.redo()
    assert editor.labels[1, 2, 2] == 2


def test_filling_joins_cells_on_one_slice_or_through_all(editor: LabelEditor) -> None:
    editor.set_brush(1, in_3d=False)
    editor._layer.fill((1, 7, 7), 1)
    assert (editor.labels[1] == 1).all()
    assert (editor.labels[2, 5:] == 2).all()
    editor.undo()
    editor.set_brush(1, in_3d=True)
    editor._layer.fill((1, 7, 7), 1)
    assert (editor.labels == 1).all()


def test_other_cells_can_be_protected(editor: LabelEditor) -> None:
    editor.protect_other_cells(True)
    editor.select(1)
    editor.set_brush(20, in_3d=True)
    editor._layer.paint((1, 5, 5), 1)
    assert (editor.labels[:, 5:] == 2).all()


def test_choosing_tells_and_a_new_cell_is_free(editor: LabelEditor) -> None:
    told: list[int] = []
    editor.selected.connect(told.append)
    assert editor.select_new() == 3
    editor.use(Tool.PAINT)
    assert (told, editor.tool) == ([3], Tool.PAINT)
    editor.close()
    assert editor.tool is Tool.PAN


@pytest.fixture
def planes(qapp: object) -> LabelEditor:
    """Two bars that cross, in a plane each, and an empty plane."""
    layers = np.zeros((3, 1, 12, 12), np.uint32)
    layers[0, 0, 4:6], layers[1, 0, :, 4:6] = 1, 2
    return LabelEditor([Labels(layer) for layer in layers])


def test_one_plane_is_painted_and_the_others_stay(planes: LabelEditor) -> None:
    before = planes.layers
    told: list[int] = []
    planes.turned.connect(told.append)
    planes.set_brush(3, in_3d=False)
    planes.use(Tool.PAINT)
    planes.turn_to(2)
    assert (planes.tool, planes.selected_label, told) == (Tool.PAINT, 3, [2])
    planes._layer.paint((0, 4, 4), planes.selected_label)
    after = planes.layers
    np.testing.assert_array_equal(after[:2], before[:2])
    assert (after[2] == 3).sum() > 4
    planes.undo()
    np.testing.assert_array_equal(planes.layers, before)


def test_an_object_is_chosen_in_its_own_plane_alone(planes: LabelEditor) -> None:
    planes.select(2)
    assert (planes.plane, planes.selected_label) == (1, 2)
    planes.turn_to(0)
    assert planes.selected_label == 3, "object 2 lies in the other plane"
    planes.select(1)
    assert planes.plane == 0
    planes.select(0)
    planes.turn_to(1)
    assert planes.selected_label == 0
