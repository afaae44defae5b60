"""Two segmentations of the same image against each other: outlines on top, side by side, or what has changed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtWidgets import QComboBox, QFormLayout, QVBoxLayout, QWidget

from plantseg_app.core.volume import Kind
from plantseg_app.gui.geometry import grid_of
from plantseg_app.gui.widgets import button, heading, keep_narrow, sentence
from plantseg_app.run.compare import Change, compare_segmentations

if TYPE_CHECKING:
    from plantseg_app.gui.document import Result
    from plantseg_app.gui.workbench import Workbench

CHANGES = "changes"
_CHANGES = {
    Change.RESIZED: ("#56b4e9", "other size"),
    Change.SPLIT: ("#e69f00", "split"),
    Change.MERGED: ("#cc79a7", "merged"),
    Change.MIXED: ("#d55e00", "cut anew"),
    Change.ONLY_FIRST: ("#f0e442", "gone"),
    Change.ONLY_SECOND: ("#009e73", "new"),
}
_NOBODY = "(nothing)"
_WAYS = {"outlines": "Its outlines on top", "side by side": "Side by side", CHANGES: "What has changed"}


class ComparisonPanel(QWidget):
    """Keeps a copy of a segmentation before the next run replaces it, and shows two of them together."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self.bench = bench
        self.document = bench.document
        self.keep_button = button(
            "&Keep a copy to compare", "Keep these cells under a name that tells how they were made."
        )
        self.keep_button.clicked.connect(self.keep_copy)
        self.other_box = _box("Compare with", "Another segmentation of this image, to be shown with the newest one.")
        self.way_box = _box("Shown as", "How the two are shown together.")
        for key, text in _WAYS.items():
            self.way_box.addItem(text, key)
        self.other_box.activated.connect(self.show_comparison)
        self.way_box.activated.connect(self.show_comparison)
        self.told = sentence()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(heading("Compare"))
        column.addWidget(self.keep_button)
        form = QFormLayout()
        form.addRow("Compare &with", self.other_box)
        form.addRow("Shown &as", self.way_box)
        column.addLayout(form)
        column.addWidget(self.told)

    def refresh(self) -> None:
        """List what there is to compare with."""
        cells = self.document.cells
        self.setVisible(cells is not None)
        if cells is None:
            return
        chosen = self.other_box.currentData()
        self.other_box.clear()
        self.other_box.addItem(_NOBODY, "")
        for name in self._others(cells):
            self.other_box.addItem(name, name)
        self.other_box.setCurrentIndex(max(0, self.other_box.findData(chosen)))
        self.way_box.setEnabled(bool(self.other_box.currentData()))

    def keep_copy(self) -> None:
        """Give the present cells a name of their own, so that the next run does not replace them."""
        cells = self.document.cells
        if cells is None:
            return
        name, count = _told_by_settings(cells), 1
        while name in self.document.results:
            count += 1
            name = f"{_told_by_settings(cells)} ({count})"
        self.document.add_copy(dataclasses.replace(cells, name=name))
        self.bench.viewer.show(cells.volume, name, visible=False)
        self.told.setText(f"Kept as “{name}”.")

    def show_comparison(self) -> None:
        """Show the two segmentations in the chosen way."""
        cells, other = self.document.cells, self.document.results.get(self.other_box.currentData() or "")
        viewer = self.bench.viewer
        viewer.set_side_by_side(False)
        viewer.remove(CHANGES)
        self.told.setText("")
        self.way_box.setEnabled(other is not None)
        if cells is None:
            return
        for name in self._others(cells):
            viewer.set_outlines(name, False)
            viewer.set_visible(name, other is not None and name == other.name)
        viewer.set_visible(cells.name, True)
        if other is None:
            return
        if other.volume.shape_vox != cells.volume.shape_vox:
            self.told.setText("The two were made on images of different size, so only their pictures can be compared.")
        way = self.way_box.currentData()
        if way == "outlines":
            viewer.set_outlines(other.name, True)
        elif way == "side by side":
            pair = [name for name in viewer.layer_names() if name in (cells.name, other.name)]
            viewer.set_side_by_side(True, pair)
            self.told.setText(f"Left “{pair[0]}”, right “{pair[-1]}”.")
        elif other.volume.shape_vox == cells.volume.shape_vox:
            self._show_changes(cells, other)

    def _show_changes(self, cells: Result, other: Result) -> None:
        """Paint every cell that is not the same in both by what became of it."""

        def compare() -> tuple[str, NDArray[np.uint8]]:
            found = compare_segmentations(other.volume, cells.volume)
            return found.sentence, found.map_of_changes(other.volume, cells.volume)

        def take(found: tuple[str, NDArray[np.uint8]]) -> None:
            sentence, changes = found
            legend = " ".join(f"<span style='color:{colour}'>■</span> {words}" for colour, words in _CHANGES.values())
            self.told.setText(f"From “{other.name}” to “{cells.name}”: {sentence}<br>{legend}")
            colours = {change.value: colour for change, (colour, _) in _CHANGES.items()}
            self.bench.viewer.show_categories(changes, grid_of(cells.volume), CHANGES, colours)

        self.bench.runner.run_preview(compare, take)

    def _others(self, cells: Result) -> list[str]:
        return [
            name
            for name, result in self.document.results.items()
            if result.volume.kind is Kind.LABELS and name != cells.name
        ]


def _told_by_settings(cells: Result) -> str:
    """Return a name that says how the cells were made: the method and its main setting."""
    nodes = cells.workflow.nodes
    node = nodes.get(cells.name)
    if node is None:
        return f"{cells.name}, kept"
    settings = node.step.settings()
    beta = f" {settings['beta']:g}" if "beta" in settings else ""
    return f"{node.step.title}{beta}"


def _box(name: str, tip: str) -> QComboBox:
    box = QComboBox()
    keep_narrow(box)
    box.setAccessibleName(name)
    box.setToolTip(tip)
    return box
