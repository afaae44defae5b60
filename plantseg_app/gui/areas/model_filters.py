"""What a person looks for among the models: words, and choices that are made of the models themselves."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from plantseg_app.core.volume import VoxelSize
from plantseg_app.errors import InputError
from plantseg_app.gui.areas.model_table import BUNDLED, ELSEWHERE, OWN
from plantseg_app.gui.voxel_size_edit import parse_voxel_size
from plantseg_app.gui.widgets import dress, keep_narrow
from plantseg_app.zoo.facts import ModelFacts
from plantseg_app.zoo.search import Wish, modalities, structure_of


class ModelFilters(QWidget):
    """A line for words, one for a voxel size, and four boxes below them.

    Signals
    -------
    changed
        Another word or choice.
    voxel_size_changed
        Another voxel size, or none any more.
    """

    changed = Signal()
    voxel_size_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.search_line = QLineEdit()
        self.search_line.setPlaceholderText("Search")
        self.search_line.setAccessibleName("Search models")
        self.search_line.setToolTip("Words that stand in the title, the description or the data of a model.")
        self.search_line.setClearButtonEnabled(True)
        self.voxel_size_line = QLineEdit()
        self.voxel_size_line.setPlaceholderText("Voxel size in µm")
        self.voxel_size_line.setAccessibleName("Voxel size that a model should fit, in micrometres")
        self.voxel_size_line.setClearButtonEnabled(True)
        self.voxel_size_line.textChanged.connect(self._take_voxel_size)
        self._take_voxel_size()
        self.dimension_box = _choices("Dimension", "Whether the model sees stacks or single slices.")
        self.structure_box = _choices("Structure", "What the model finds.")
        self.modality_box = _choices("Microscopy", "The kind of microscopy it was trained for.")
        self.origin_box = _choices("Origin", "Whether it comes with the program, is your own, or is to be downloaded.")
        self._boxes = (self.dimension_box, self.structure_box, self.modality_box, self.origin_box)
        grid = QGridLayout()
        for place, box in enumerate(self._boxes):
            grid.addWidget(box, place // 2, place % 2)
            box.currentIndexChanged.connect(self.changed)
        self.search_line.textChanged.connect(self.changed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.search_line, 2)
        row.addWidget(self.voxel_size_line, 1)
        column.addLayout(row)
        column.addLayout(grid)

    @property
    def wish(self) -> Wish:
        """What the model has to be."""
        dimension, structure, modality = (box.currentData() or "" for box in self._boxes[:3])
        return Wish(self.search_line.text(), dimension, structure, modality)

    @property
    def origin(self) -> str:
        """Where it has to come from; "" for anywhere."""
        return self.origin_box.currentData() or ""

    @property
    def voxel_size_um(self) -> VoxelSize | None:
        """The voxel size that a model should fit; None where none was written, or none that is one."""
        try:
            return parse_voxel_size(self.voxel_size_line.text(), is_2d=False)
        except InputError:
            return None

    def _take_voxel_size(self) -> None:
        line = self.voxel_size_line
        is_wrong = bool(line.text().strip()) and self.voxel_size_um is None
        line.setToolTip(
            "This is no voxel size; write three lengths such as 0.235 × 0.15 × 0.15 (Z × Y × X)."
            if is_wrong
            else "Models trained at the nearest scale come first: three lengths in micrometres, Z × Y × X. Without "
            "them the voxel size of the open image counts."
        )
        dress(line, "state", "wrong" if is_wrong else "")
        self.voxel_size_changed.emit()

    def fill(self, cards: Sequence[ModelFacts]) -> None:
        """Offer what there is among these models; what was chosen stays if it is still there."""
        _refill(self.dimension_box, "2D and 3D", sorted({card.dimensionality for card in cards}))
        _refill(self.structure_box, "Any structure", sorted({structure_of(card) for card in cards}))
        _refill(self.modality_box, "Any microscopy", sorted({word for card in cards for word in modalities(card)}))
        _refill(self.origin_box, "Any origin", [BUNDLED, OWN, ELSEWHERE])

    def clear(self) -> None:
        """Look for anything."""
        self.search_line.clear()
        self.voxel_size_line.clear()
        for box in self._boxes:
            box.setCurrentIndex(0)


def _choices(name: str, tip: str) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    box.setToolTip(tip)
    keep_narrow(box)
    return box


def _refill(box: QComboBox, anything: str, words: Sequence[str]) -> None:
    before = box.currentData()
    box.blockSignals(True)
    box.clear()
    box.addItem(anything, "")
    for word in words:
        box.addItem(word, word)
    box.setCurrentIndex(max(0, box.findData(before)))
    box.blockSignals(False)
