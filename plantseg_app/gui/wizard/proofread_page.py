"""Fifth page: look at the cells and correct what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, create_model
from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QCursor, QGuiApplication
from PySide6.QtWidgets import QCheckBox, QFormLayout, QSlider, QToolTip, QVBoxLayout, QWidget

from plantseg_app.core.volume import Kind
from plantseg_app.gui.actions import ACTIONS
from plantseg_app.gui.document import Result
from plantseg_app.gui.embedded import open_embedding
from plantseg_app.gui.forms.step_form import StepForm
from plantseg_app.gui.proofreading.corrections import Corrections
from plantseg_app.gui.proofreading.hand_tools import HAND_TOOLS, HandTool
from plantseg_app.gui.proofreading.nuclei import NucleiHelp
from plantseg_app.gui.proofreading.nuclei_panel import NucleiPanel
from plantseg_app.gui.proofreading.picking import Spot
from plantseg_app.gui.proofreading.suspicious import SuspiciousCells
from plantseg_app.gui.proofreading.suspicious_panel import SuspiciousPanel
from plantseg_app.gui.proofreading.teaching_panel import TeachingPanel
from plantseg_app.gui.widgets import button, heading, row_widget, say, sentence
from plantseg_app.gui.wizard.page import Page
from plantseg_app.gui.workbench import Workbench
from plantseg_app.proofread.progress import progress_of
from plantseg_app.proofread.tool import TOOLS

BY_HAND = "cells by hand"
_REFUSAL_MS = 4000
_BRUSH_STEP = 1.25


class ProofreadPage(Page):
    """Correct a copy of the cells; the corrected cells are a result of their own.

    Signals
    -------
    correcting_changed
        Correcting began or ended, or another tool is in hand.
    """

    title: ClassVar[str] = "Proofread"
    hint: ClassVar[str] = (
        "Look through the slices and correct what is wrong; if all is well, go on. The segmentation itself is kept, "
        "corrections become a copy."
    )

    correcting_changed = Signal()

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.corrections = Corrections(bench, self)
        self.suspicious = SuspiciousCells(self.corrections, self)
        self.nuclei = NucleiHelp(self.corrections, self)
        self.nuclei.nuclei_changed.connect(self.suspicious.find_again)
        self.about = sentence()
        self.start_button = button("&Correct these cells", "Make a copy of the cells that can be corrected.", main=True)
        self.start_button.clicked.connect(self.start)
        self.panel = self._build_panel()
        self.blank_button = button(
            "Start &without cells", "Begin with an empty image, to draw or to pick each cell by hand.", main=True
        )
        self.blank_button.clicked.connect(self.start_without_cells)
        self.teaching = TeachingPanel(bench, self.corrections)
        for widget in (self.about, self.start_button, self.blank_button, self.panel, self.teaching):
            self.column.addWidget(widget)
        self.column.addStretch(1)
        self._on_list: dict[str, Callable[[], None]] = {
            "next_cell": self.suspicious.next,
            "previous_cell": self.suspicious.previous,
            "accept_cell": self.suspicious.accept,
        }
        self.footer.addWidget(self.teaching.outcome)
        self._key_wanted = ""
        self._shown: tuple[object, ...] | None = None
        for key, told in (("told", self._tell), ("refused", self._refuse), ("hovered", self._show_spot)):
            getattr(self.corrections, key).connect(told)
        self.corrections.changed.connect(self.refresh)
        self.corrections.changed.connect(self._take_wanted)
        self.suspicious.changed.connect(self._tell_state)

    def _build_panel(self) -> QWidget:
        panel = QWidget()
        column = QVBoxLayout(panel)
        column.setContentsMargins(0, 0, 0, 0)
        self.tool_title, self.tool_hint = heading(""), sentence()
        self.pointed = sentence("Nothing is pointed at.")
        self.pointed.setProperty("role", "help")
        self.brush = QSlider(Qt.Orientation.Horizontal)
        self.brush.setRange(1, 100)
        self.brush.setToolTip("Diameter of the brush in voxels ([ and ] make it narrower and wider).")
        self.brush.setAccessibleName("Brush")
        self.brush.valueChanged.connect(self._set_brush)
        self.in_3d = QCheckBox("Through sl&ices")
        self.in_3d.setToolTip("Paint and erase in depth as well, rather than on the shown slice alone.")
        self.in_3d.setAccessibleName("Through slices")
        self.in_3d.toggled.connect(self._set_brush)
        self.brush_row = QWidget()
        form = QFormLayout(self.brush_row)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Br&ush", self.brush)
        form.addRow(self.in_3d)
        self.forms: dict[str, StepForm[Any]] = {}
        self.options = QVBoxLayout()
        self.apply_button = button("App&ly", "Carry out what was drawn (Return).", main=True)
        self.drop_button = button("&Wipe", "Forget what was drawn (Esc).")
        self.apply_button.clicked.connect(lambda: self.act("apply"))
        self.drop_button.clicked.connect(self.drop)
        self.undo_button = button("&Undo", "Take the last correction back (Ctrl+Z).")
        self.redo_button = button("Re&do", "Make the correction again (Ctrl+Shift+Z).")
        self.undo_button.clicked.connect(self.undo)
        self.redo_button.clicked.connect(self.redo)
        self.said = sentence()
        for widget in (self.tool_title, self.tool_hint, self.brush_row):
            column.addWidget(widget)
        column.addLayout(self.options)
        self.apply_row = row_widget(self.apply_button, self.drop_button)
        self.suspicious_panel = SuspiciousPanel(self.suspicious)
        self.nuclei_panel = NucleiPanel(self.nuclei)
        self.progress = sentence()
        self.summary_button = button("Copy su&mmary", "Copy a text on the work for the methods of a paper.")
        self.summary_button.clicked.connect(self.copy_summary)
        for widget in (
            self.apply_row,
            self.pointed,
            self.said,
            row_widget(self.undo_button, self.redo_button),
            self.suspicious_panel,
            self.nuclei_panel,
            heading("Progress"),
            self.progress,
            self.summary_button,
        ):
            column.addWidget(widget)
        return panel

    # ------------------------------------------------------------------------------------------------ page

    @property
    def is_correcting(self) -> bool:
        """Whether the tools are out."""
        return self.corrections.hand is not None

    def enter(self) -> None:
        """Take the tools out again if these cells were being corrected."""
        if self.corrections.is_of(self.document.cells):
            self.corrections.show_layers(True)
        super().enter()

    def refresh(self) -> None:
        """Show what there is to correct, and the tool in hand."""
        cells, corrections = self.document.cells, self.corrections
        if corrections.session is not None and not corrections.is_of(cells):
            corrections.end()
        editing = self.is_correcting
        self.panel.setVisible(editing)
        self.start_button.setEnabled(cells is not None and not corrections.is_beginning)
        self.start_button.setVisible(not editing and cells is not None)
        self.blank_button.setVisible(not editing and cells is None and self.document.main_image is not None)
        if cells is None:
            self.about.setText(
                "There are no cells yet: segment the image first, open labels, or make each cell by hand."
            )
        elif corrections.is_beginning:
            self.about.setText("Getting the cells ready …")
        elif not editing:
            self.about.setText(f"<b>{cells.cells_in_words}</b> in “{cells.name}”.")
        else:
            self._show_tool()
        self._tell_state()

    def restore(self) -> None:
        """Go on with corrections that a crash cut short."""
        cells = self.document.cells
        if cells is not None and self.corrections.can_go_on(cells):
            self.start()

    def leave(self) -> None:
        """Keep what was corrected, and put the tools down."""
        self.corrections.keep()
        self.corrections.show_layers(False)
        self.teaching.settle()
        self.refresh()

    def shut_down(self) -> None:
        """Let the journal go, and end what is being learned."""
        self.teaching.teaching.shut_down()
        self.corrections.end()

    @property
    def busy_text(self) -> str:
        """What is being learned, or waits to be kept."""
        return self.teaching.teaching.waiting_text

    def undo(self) -> None:
        """Take the last stroke or correction back."""
        self.corrections.undo()

    def redo(self) -> None:
        """Make the correction again that was taken back."""
        self.corrections.redo()

    def drop(self) -> bool:
        """Forget what is drawn on the canvas."""
        hand = self.corrections.hand
        if hand is None or not hand.has_begun:
            return False
        hand.drop()
        say(self.said, "")
        return True

    # ------------------------------------------------------------------------------------------------ correcting

    def start(self) -> None:
        """Make a copy of the cells and take the tools out."""
        cells = self.document.cells
        if cells is not None:
            self.corrections.begin(cells)

    def start_without_cells(self) -> None:
        """Begin with an empty image."""
        image, embedding = self.document.main_image, open_embedding(self.document)
        if image is None or self.document.cells is not None:
            return
        like = image.volume if embedding is None else embedding.volume
        for name in self.document.results:
            # A map would hide which cells there are already.
            self.bench.viewer.set_visible(name, False)
        empty = like.replace(data=np.zeros(like.shape_vox, np.uint32), kind=Kind.LABELS)
        self.document.set_result(Result(BY_HAND, empty, self.document.workflow, self.document.inputs_in_words()))
        self.start()

    def pick_objects(self) -> None:
        """Take the tool that adds objects of the embedding, as soon as correcting has begun."""
        if open_embedding(self.document) is None:
            self.bench.tell("There is no embedding; run a network that makes one, on the page Predict.")
            return
        self._key_wanted = "alike"
        if self.is_correcting:
            self._take_wanted()
        elif self.document.cells is None:
            self.start_without_cells()
        else:
            self.start()

    def _take_wanted(self) -> None:
        key, hand = self._key_wanted, self.corrections.hand
        if not key or hand is None:
            return
        self._key_wanted = ""
        if self.can_act(key):
            hand.use(key)
        else:
            self._refuse("The embedding does not fit these cells: both need the same number of voxels.")

    def act(self, key: str) -> None:
        """Do what an action of the menu Proofread says."""
        hand = self.corrections.hand
        if hand is None:
            return
        if key in HAND_TOOLS:
            hand.use(key)
        elif key == "apply":
            hand.apply()
        elif key in self._on_list:
            self._on_list[key]()
        elif key in ("narrower", "wider"):
            step = max(1, round(self.brush.value() * (_BRUSH_STEP - 1)))
            self.brush.setValue(self.brush.value() + (step if key == "wider" else -step))
        self._tell_state(again=True)

    def can_act(self, key: str) -> bool:
        """Whether an action of the menu Proofread does something now."""
        hand = self.corrections.hand
        if hand is None:
            return False
        if key == "apply":
            return hand.can_apply
        if key in ("previous_cell", "accept_cell"):
            return self.suspicious.current is not None
        session = self.corrections.session
        return key != "alike" or (session is not None and session.tissue.embedding is not None)

    @property
    def key_in_hand(self) -> str:
        """The action of the tool in hand."""
        hand = self.corrections.hand
        return "look" if hand is None else hand.tool.key

    def copy_summary(self) -> None:
        """Put a text on the work on the clipboard."""
        if self.corrections.session is not None:
            QGuiApplication.clipboard().setText(progress_of(self.corrections.session).summary)
            say(self.said, "Copied a summary of the work.", "good")

    def _tell_state(self, again: bool = False) -> None:
        """Tell the window which actions there are, when that has changed."""
        may = tuple(self.can_act(key) for key in ("apply", "previous_cell", "accept_cell"))
        state = (self.is_correcting, self.key_in_hand, *may)
        if again or state != self._shown:
            self._shown = state
            self.correcting_changed.emit()

    def _show_tool(self) -> None:
        corrections, hand = self.corrections, self.corrections.hand
        session, base = corrections.session, corrections.base
        if hand is None or session is None or base is None:
            return
        self.about.setText(f"Correcting a copy of “{base.name}”.")
        self.progress.setText(progress_of(session).words)
        tool = hand.tool
        action = next(action for action in ACTIONS if action.key == tool.key)
        self.tool_title.setText(f"<b>{action.text.replace('&', '')}</b>")
        self.tool_hint.setText(tool.hint)
        self.brush_row.setVisible(tool.has_brush)
        if self.brush.value() != hand.brush_vox:
            self.brush.setValue(hand.brush_vox)
        self._show_options(tool)
        self.apply_row.setVisible(tool.is_applied or hand.has_begun)
        self.apply_button.setVisible(tool.is_applied)
        self.apply_button.setEnabled(hand.can_apply)
        self.drop_button.setEnabled(hand.has_begun)
        self.undo_button.setEnabled(session.history.can_undo or hand.can_apply)
        self.redo_button.setEnabled(session.history.can_redo)

    def _show_options(self, tool: HandTool) -> None:
        if tool.options and tool.key not in self.forms:
            form = self.forms[tool.key] = StepForm(_options_of(tool))
            form.changed.connect(lambda chosen, key=tool.key: self._set_options(key, chosen.model_dump()))
            self.options.addWidget(form)
        for key, form in self.forms.items():
            form.setVisible(key == tool.key)

    def _set_options(self, key: str, values: dict[str, Any]) -> None:
        if self.corrections.hand is not None:
            self.corrections.hand.options[key] = values

    def _set_brush(self) -> None:
        hand = self.corrections.hand
        if hand is not None:
            hand.in_3d = self.in_3d.isChecked()
            hand.set_brush(self.brush.value())

    # ------------------------------------------------------------------------------------------------ telling

    def _tell(self, text: str) -> None:
        say(self.said, text, "good")

    def _refuse(self, reason: str) -> None:
        """Say why something was not done, here and at the cursor."""
        say(self.said, reason, "warning")
        canvas = self.bench.viewer.widget
        if canvas.underMouse():
            QToolTip.showText(QCursor.pos() + QPoint(12, 12), reason, canvas, canvas.rect(), _REFUSAL_MS)

    def _show_spot(self, spot: Spot | None) -> None:
        hand = self.corrections.hand
        if spot is None or hand is None:
            self.pointed.setText("Nothing is pointed at.")
            self.bench.viewer.show_note("")
            return
        z, y, x = spot.voxel
        place = self.corrections.words_for(spot.cell) or "Background"
        self.pointed.setText(f"{place}<br>Z {z}, Y {y}, X {x}")
        self.bench.viewer.show_note(self.corrections.words_for(spot.cell))


def _options_of(tool: HandTool) -> type[BaseModel]:
    """Return a settings model of those fields of a correction that a person may change."""
    fields = TOOLS.get(tool.makes).model_fields
    chosen: dict[str, Any] = {name: (fields[name].annotation, fields[name]) for name in tool.options}
    config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    made: type[BaseModel] = create_model(f"{TOOLS.get(tool.makes).__name__}Options", __config__=config, **chosen)
    return made
