"""Names, tool tips, keyboard and room in the areas beside the wizard, with the large font."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from PySide6.QtCore import QSize
from pytestqt.qtbot import QtBot

pytestmark = pytest.mark.gui


@pytest.mark.usefixtures("large_font")
def test_areas_are_for_everybody(
    window: Any, open_area: Callable[[str], Any], accessibility: ModuleType, qtbot: QtBot
) -> None:
    from plantseg_app.gui.forms.fold import Fold

    window.resize(1280, 800)
    for title in ("Batch", "Train", "Models"):
        area = open_area(title)
        for fold in area.findChildren(Fold):
            fold.open()
        qtbot.wait(1)
        assert accessibility.unnamed_widgets(area) == []
        assert accessibility.unreachable_widgets(area) == []
        assert accessibility.cut_off_widgets(area, QSize(1280, 800)) == []
    assert window.size() == QSize(1280, 800)
    assert accessibility.unnamed_widgets(window.area_switch) == []
