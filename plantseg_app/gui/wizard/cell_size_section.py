"""The part of the page Prepare that learns how large a cell is, and brings the image to the scale of the network."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from plantseg_app.core.volume import VoxelSize
from plantseg_app.gui.widgets import button
from plantseg_app.gui.wizard.crop_section import layer_name
from plantseg_app.gui.wizard.scale_note import ScaleNote
from plantseg_app.gui.workbench import Workbench

_MICROMETRES, _VOXELS = "um", "voxel"


class CellSizeSection(QWidget):
    """Measure a cell with a line, or type its diameter."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self._bench = bench
        self._document = bench.document
        self.measure_button = button("&Measure a cell", "Draw a line across a cell of usual size.")
        self.measure_button.setCheckable(True)
        self.diameter = QDoubleSpinBox()
        self.diameter.setRange(0.0, 1e5)
        self.diameter.setDecimals(1)
        self.diameter.setSpecialValueText("?")
        self.diameter.setAccessibleName("Cell diameter")
        self.diameter.setToolTip("How wide a cell of usual size is; ? when nobody has measured one.")
        self.unit = QComboBox()
        self.unit.addItem("µm", _MICROMETRES)
        self.unit.addItem("voxels", _VOXELS)
        self.unit.setAccessibleName("Unit of the cell diameter")
        self.unit.setToolTip("Micrometres need the voxel size of the image; voxels are those of Y and X.")
        self.note = ScaleNote(bench)
        label = QLabel("Diamete&r")
        label.setBuddy(self.diameter)
        row = QHBoxLayout()
        row.addWidget(label)
        row.addWidget(self.diameter, 1)
        row.addWidget(self.unit)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.measure_button)
        column.addLayout(row)
        column.addWidget(self.note)
        self.measure_button.toggled.connect(self._measure)
        self.diameter.valueChanged.connect(self._take_typed)
        self.unit.currentIndexChanged.connect(self._show_diameter)

    def refresh(self) -> None:
        """Show what is known of the cells."""
        image = self._document.main_image
        self.setEnabled(image is not None)
        knows = image is not None and image.volume.voxel_size_um is not None
        if not knows and self.unit.currentData() == _MICROMETRES:
            self.unit.setCurrentIndex(self.unit.findData(_VOXELS))
        self.unit.setEnabled(knows)
        self._show_diameter()
        self.note.refresh()

    def leave(self) -> None:
        """Let go of the canvas."""
        self.measure_button.setChecked(False)
        self._bench.viewer.stop_drawing()

    @property
    def _spacing(self) -> VoxelSize:
        image = self._document.main_image
        return VoxelSize(1.0, 1.0, 1.0) if image is None else image.volume.spacing

    @property
    def _vox_per_unit(self) -> float:
        return 1.0 / self._edge if self.unit.currentData() == _MICROMETRES else 1.0

    @property
    def _edge(self) -> float:
        """The edge of a voxel in the plane."""
        return math.sqrt(self._spacing.y * self._spacing.x)

    def _show_diameter(self) -> None:
        self.diameter.blockSignals(True)
        self.diameter.setValue((self._document.cell_diameter_vox or 0.0) / self._vox_per_unit)
        self.diameter.blockSignals(False)

    def _take_typed(self, value: float) -> None:
        self._document.cell_diameter_vox = value * self._vox_per_unit or None
        self.note.refresh()

    def _measure(self, is_on: bool) -> None:
        viewer = self._bench.viewer
        if not is_on:
            viewer.stop_drawing()
            return
        self._bench.tell("Press at one side of a cell, drag to the other side, and let go.")
        viewer.draw("line", layer_name(self._bench), self._take_line)

    def _take_line(self, ends: NDArray[np.float64]) -> None:
        # The layer that was drawn on must not go while it still handles the mouse.
        QTimer.singleShot(0, self, lambda: self.set_line(ends))

    def set_line(self, ends: NDArray[np.float64]) -> None:
        """Take the length of a line, (2, 3) in voxels Z, Y, X of the main image, as the diameter of a cell."""
        spacing = np.asarray(self._spacing)
        length = float(np.linalg.norm((ends[1] - ends[0]) * spacing)) / self._edge
        self.measure_button.setChecked(False)
        if length < 1.0:
            self._bench.tell("That line is shorter than a voxel; draw it from one side of a cell to the other.")
            return
        self._document.cell_diameter_vox = length
        self.refresh()
