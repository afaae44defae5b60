"""Fifth page: look at the cells and correct what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QButtonGroup, QCheckBox, QFormLayout, QGridLayout, QSlider, QSpinBox, QWidget

from plantseg_app.algorithms.layers import with_spare_plane, without_empty_planes
from plantseg_app.core.volume import Kind
from plantseg_app.gui.document import Result
from plantseg_app.gui.label_editor import LabelEditor, Tool
from plantseg_app.gui.widgets import button, heading, sentence
from plantseg_app.gui.wizard.page import Page
from plantseg_app.gui.workbench import Workbench

CORRECTED = "corrected cells"
_TOOLS: tuple[tuple[Tool, str, str, str], ...] = (
    (Tool.PAN, "&Move", "Move and zoom the view.", "Space"),
    (Tool.PICK, "P&ick", "Click a cell to choose it.", "L"),
    (Tool.PAINT, "&Paint", "Paint the chosen cell; Ctrl+click picks another one first.", "P"),
    (Tool.FILL, "&Fill", "Click a piece to give it to the chosen cell: this joins two cells.", "F"),
    (Tool.ERASE, "&Erase", "Take voxels away from cells.", "E"),
    (Tool.POLYGON, "Poly&gon", "Click the corners of an area, double click to fill it.", ""),
)
_SAVE_AFTER_MS = 1500


class ProofreadPage(Page):
    """Correct cells with the basic tools of a labels layer; the corrected cells are a result of their own."""

    title: ClassVar[str] = "Proofread"
    hint: ClassVar[str] = (
        "Look through the slices and correct what is wrong; if all is well, go on. The segmentation itself is kept, "
        "corrections become a copy."
    )

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.editor: LabelEditor | None = None
        self._begun_from: Result | None = None
        self._dirty = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SAVE_AFTER_MS)
        self._timer.timeout.connect(self.keep)
        self.about = sentence()
        self.start_button = button("&Correct these cells", "Make a copy of the cells that can be edited.", main=True)
        self.start_button.clicked.connect(self.start)
        self.tools = self._build_tools()
        for widget in (self.about, self.start_button, self.tools):
            self.column.addWidget(widget)
        self.column.addStretch(1)

    def _build_tools(self) -> QWidget:
        tools = QWidget()
        grid = QGridLayout(tools)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(heading("Tools"), 0, 0, 1, 3)
        self.tool_buttons = QButtonGroup(self)
        for index, (_, text, tip, key) in enumerate(_TOOLS):
            made = button(text, f"{tip} ({key})" if key else tip)
            made.setCheckable(True)
            if key:
                made.setShortcut(QKeySequence(key))
            self.tool_buttons.addButton(made, index)
            grid.addWidget(made, 1 + index // 3, index % 3)
        self.tool_buttons.idClicked.connect(self._use_tool)
        self.form = form = QFormLayout()
        self.plane_box = _plane_box()
        self.plane_box.valueChanged.connect(self._turn)
        form.addRow("P&lane", self.plane_box)
        self.label_box = QSpinBox()
        self.label_box.setRange(0, 2**31 - 1)
        self.label_box.setToolTip("The cell that is painted; 0 is background.")
        self.label_box.setAccessibleName("Chosen cell")
        self.label_box.valueChanged.connect(self._select)
        form.addRow("Chosen &cell", self.label_box)
        self.brush = QSlider(Qt.Orientation.Horizontal)
        self.brush.setRange(1, 60)
        self.brush.setValue(8)
        self.brush.setToolTip("Diameter of the brush in voxels ([ and ] make it smaller and larger).")
        self.brush.setAccessibleName("Brush size")
        self.brush.valueChanged.connect(self._set_brush)
        form.addRow("&Brush", self.brush)
        grid.addLayout(form, 3, 0, 1, 3)
        self.in_3d = QCheckBox("Through &slices")
        self.in_3d.setToolTip("Paint and fill in three dimensions rather than on the shown slice alone.")
        self.in_3d.setAccessibleName("Through slices")
        self.in_3d.toggled.connect(self._set_brush)
        self.protect = QCheckBox("P&rotect other cells")
        self.protect.setToolTip("Paint only on background and on the chosen cell.")
        self.protect.setAccessibleName("Protect other cells")
        self.protect.toggled.connect(lambda on: self._with_editor(lambda editor: editor.protect_other_cells(on)))
        self.new_button = button("&New cell", "Choose a number that no cell has yet.")
        self.new_button.clicked.connect(lambda: self._with_editor(LabelEditor.select_new))
        self.undo_button = button("&Undo", "Take the last change back (Ctrl+Z).")
        self.redo_button = button("Re&do", "Make the change again (Ctrl+Shift+Z).")
        self.undo_button.clicked.connect(self.undo)
        self.redo_button.clicked.connect(self.redo)
        grid.addWidget(self.in_3d, 4, 0, 1, 3)
        grid.addWidget(self.protect, 5, 0, 1, 3)
        for place, made in enumerate((self.new_button, self.undo_button, self.redo_button)):
            grid.addWidget(made, 6, place)
        self.kept = sentence()
        grid.addWidget(self.kept, 7, 0, 1, 3)
        return tools

    # ------------------------------------------------------------------------------------------------ page

    def refresh(self) -> None:
        """Show what there is to correct."""
        cells = self.document.cells
        editing = self.editor is not None
        self.tools.setVisible(editing)
        self.start_button.setVisible(not editing)
        self.start_button.setEnabled(cells is not None)
        if cells is None:
            self.about.setText("There are no cells yet: segment the image first, or open labels.")
        elif not editing:
            self.about.setText(f"<b>{cells.cells_in_words}</b> in “{cells.name}”.")

    def leave(self) -> None:
        """Keep what was corrected, and put the tools down."""
        self.finish()

    def undo(self) -> None:
        """Take the last correction back."""
        self._with_editor(LabelEditor.undo)

    def redo(self) -> None:
        """Make the correction again that was taken back."""
        self._with_editor(LabelEditor.redo)

    # ------------------------------------------------------------------------------------------------ editing

    def start(self) -> None:
        """Make a copy of the cells and take the tools out."""
        cells = self.document.cells
        if cells is None or self.editor is not None:
            return
        self._begun_from = cells
        viewer, shown = self.bench.viewer, cells.volume
        if shown.kind is Kind.LAYERED_LABELS:
            # Room for an object that lies over objects of every plane.
            shown = shown.replace(data=with_spare_plane(shown.data))
        if cells.name != CORRECTED or shown is not cells.volume:
            viewer.show(shown, CORRECTED)
        if cells.name != CORRECTED:
            viewer.set_visible(cells.name, False)
        planes = viewer.labels_planes(CORRECTED)
        if not planes:
            return
        self.editor = LabelEditor(planes, self)
        self.editor.edited.connect(self._note_edit)
        self.editor.selected.connect(self._show_selected)
        self.editor.turned.connect(self._show_plane)
        self.form.setRowVisible(self.plane_box, shown.kind is Kind.LAYERED_LABELS)
        self.plane_box.setRange(1, len(planes))
        self._show_plane(0)
        self._dirty = False
        self._set_brush()
        self.tool_buttons.button(1).click()
        self.kept.setText("")
        self.refresh()
        self.about.setText(f"Correcting a copy of “{cells.name}”.")

    def finish(self) -> None:
        """Keep the corrections and go back to looking."""
        if self.editor is None:
            return
        self.keep()
        self.editor.close()
        self.editor.deleteLater()
        self.editor = None
        if CORRECTED not in self.document.results and self._begun_from is not None:
            self.bench.viewer.remove(CORRECTED)
            self.bench.viewer.set_visible(self._begun_from.name, True)
        self.refresh()

    def keep(self) -> None:
        """Make the corrected cells a result, so that the session and the next pages have them."""
        self._timer.stop()
        if self.editor is None or self._begun_from is None or not self._dirty:
            return
        self._dirty = False
        volume = self._begun_from.volume
        is_layered = volume.kind is Kind.LAYERED_LABELS
        data = without_empty_planes(self.editor.layers) if is_layered else self.editor.labels.copy()
        volume = volume.replace(data=data)
        inputs = {**self._begun_from.inputs, "corrected by hand": self._begun_from.name}
        self.document.set_result(Result(CORRECTED, volume, self._begun_from.workflow, inputs))
        self.kept.setText("Your corrections are kept.")

    def _with_editor(self, act: Callable[[LabelEditor], object]) -> None:
        if self.editor is not None:
            act(self.editor)

    def _note_edit(self) -> None:
        self._dirty = True
        self.kept.setText("")
        self._timer.start()

    def _use_tool(self, index: int) -> None:
        if self.editor is not None:
            self.editor.use(_TOOLS[index][0])

    def _select(self, label: int) -> None:
        if self.editor is not None and self.editor.selected_label != label:
            self.editor.select(label)

    def _show_selected(self, label: int) -> None:
        if label <= self.label_box.maximum():
            self.label_box.setValue(label)

    def _turn(self, number: int) -> None:
        if self.editor is not None:
            self.editor.turn_to(number - 1)

    def _show_plane(self, plane: int) -> None:
        if self.editor is not None:
            self.plane_box.setValue(plane + 1)
            self.bench.viewer.choose(self.editor.plane_name)

    def _set_brush(self) -> None:
        if self.editor is not None:
            self.editor.set_brush(self.brush.value(), self.in_3d.isChecked())


def _plane_box() -> QSpinBox:
    box = QSpinBox()
    box.setToolTip(
        "The plane that is painted in; what lies in other planes stays as it is. The last one is empty: room for an "
        "object that lies over others. Choosing a cell turns to its plane."
    )
    box.setAccessibleName("Plane")
    return box
