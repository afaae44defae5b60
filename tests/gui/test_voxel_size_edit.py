"""A voxel size as people write it."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import VoxelSize
from plantseg_app.errors import InputError
from plantseg_app.gui.voxel_size_edit import parse_voxel_size, voxel_size_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.235 × 0.15 × 0.15", (0.235, 0.15, 0.15)),
        ("0.235 x 0.15 x 0.15 µm", (0.235, 0.15, 0.15)),
        ("0.235, 0.15, 0.15", (0.235, 0.15, 0.15)),
        ("0.235,0.15,0.15", (0.235, 0.15, 0.15)),
        ("0,235 0,15 0,15", (0.235, 0.15, 0.15)),
        ("0,235; 0,15", (0.235, 0.15, 0.15)),
        ("1,2,3", (1, 2, 3)),
        ("1e-1", (0.1, 0.1, 0.1)),
    ],
)
def test_every_spelling_of_a_stack(text: str, expected: tuple[float, ...]) -> None:
    assert parse_voxel_size(text, is_2d=False) == expected


def test_two_numbers_of_a_picture_are_rows_and_columns() -> None:
    assert parse_voxel_size("0.5 × 0.4", is_2d=True) == (0.5, 0.5, 0.4)
    assert voxel_size_text(VoxelSize(0.5, 0.5, 0.4), is_2d=True) == "0.5 × 0.4"


@pytest.mark.parametrize("text", ["a", "0 × 1 × 1", "-1", "1 2 3 4", "nan", "1 × inf × 1", "1..2"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="voxel size"):
        parse_voxel_size(text, is_2d=False)


def test_only_another_size_is_told_and_digits_are_not_lost(qtbot: QtBot) -> None:
    from plantseg_app.gui.voxel_size_edit import VoxelSizeEdit

    edit = VoxelSizeEdit()
    qtbot.addWidget(edit)
    told: list[object] = []
    edit.settled.connect(told.append)
    exact = VoxelSize(1 / 3, 0.1, 0.1)
    edit.show_size(exact, is_2d=False, source="found somewhere")
    edit.editingFinished.emit()
    assert edit.size_um == exact
    assert not told
    edit.setText("1 × 0.5 × 0.5")
    edit.editingFinished.emit()
    edit.setText("rubbish")
    edit.editingFinished.emit()
    assert told == [VoxelSize(1.0, 0.5, 0.5)]
    assert edit.property("state") == "wrong"
    assert "rubbish" in edit.toolTip()
    edit.show_size(None, is_2d=False)
    assert edit.property("state") == "unknown"
