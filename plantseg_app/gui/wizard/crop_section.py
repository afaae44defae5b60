"""The part of the page Prepare with which a person says on which box of the images the workflow works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QLineEdit, QSpinBox, QVBoxLayout, QWidget
from superqt import QRangeSlider

from plantseg_app.algorithms.boxes import checked_box, parse_box
from plantseg_app.core.volume import Shape3
from plantseg_app.errors import RequestError
from plantseg_app.gui.box_outline import BoxOutline
from plantseg_app.gui.viewer import Box
from plantseg_app.gui.widgets import button, say, sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.workflow_crop import crop_of, with_crop, without_crop

OUTLINE = "crop"
_PAUSE_MS = 150


class CropSection(QWidget):
    """Draw a box, choose its slices, or type it; the box is part of the workflow and its outline stays on the canvas.

    Parameters
    ----------
    bench
        The window's parts.
    """

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self._bench = bench
        self._document = bench.document
        self.outline = BoxOutline(bench.viewer, OUTLINE, self._take_pulled)
        self._make_controls()
        self._lay_out()
        # A slider that is pulled moves many times a second; the workflow changes once it rests.
        self._rest = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._rest.timeout.connect(self._take_slices)
        self._connect()

    def _make_controls(self) -> None:
        self.draw_button = button("&Draw a box", "Draw a rectangle on the image; only what is inside is worked on.")
        self.draw_button.setCheckable(True)
        self.visible_button = button("V&isible part", "Take the part of the slice that is on the screen as the box.")
        self.remove_button = button("Wh&ole", "Take the crop off and work on the whole image again.")
        self.box_edit = QLineEdit()
        self.box_edit.setAccessibleName("Box")
        self.box_edit.setPlaceholderText("4:20, :, 10:100")
        self.box_edit.setToolTip(
            "The box as start:stop for Z, Y, X in voxels; the stop is not included, and : alone is everything."
        )
        self.slices = QRangeSlider(Qt.Orientation.Horizontal)  # type: ignore[no-untyped-call]
        self.first, self.last = QSpinBox(), QSpinBox()
        for control, name in ((self.first, "First slice"), (self.last, "Last slice"), (self.slices, "Slices")):
            control.setAccessibleName(name)
            control.setToolTip("The slices that are worked on, counted from 0 as below the canvas; both ends included.")
        self.in_place = QCheckBox("Result as large as the image")
        self.in_place.setAccessibleName("Result as large as the image")
        self.in_place.setToolTip(
            "The result is put back into the full image, with 0 outside the box. Otherwise it is as large as the box; "
            "it lies at its place all the same, and its file knows it."
        )
        self.about = sentence()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        buttons = QHBoxLayout()
        buttons.addWidget(self.draw_button)
        buttons.addWidget(self.visible_button)
        buttons.addWidget(self.remove_button)
        column.addLayout(buttons)
        self.slice_row = QWidget()
        rows = QVBoxLayout(self.slice_row)
        rows.setContentsMargins(0, 0, 0, 0)
        numbers = QHBoxLayout()
        label = QLabel("S&lices")
        label.setBuddy(self.first)
        numbers.addWidget(label)
        numbers.addStretch(1)
        numbers.addWidget(self.first)
        numbers.addWidget(QLabel("to"))
        numbers.addWidget(self.last)
        rows.addLayout(numbers)
        rows.addWidget(self.slices)
        column.addWidget(self.slice_row)
        typed = QHBoxLayout()
        label = QLabel("Bo&x")
        label.setBuddy(self.box_edit)
        typed.addWidget(label)
        typed.addWidget(self.box_edit, 1)
        column.addLayout(typed)
        column.addWidget(self.about)
        column.addWidget(self.in_place)

    def _connect(self) -> None:
        self.draw_button.toggled.connect(self._draw)
        self.visible_button.clicked.connect(self._take_visible)
        self.remove_button.clicked.connect(self._take_off)
        self.box_edit.editingFinished.connect(self._take_typed)
        self.slices.valueChanged.connect(self._follow_slider)
        self.first.valueChanged.connect(self._follow_numbers)
        self.last.valueChanged.connect(self._follow_numbers)
        self.in_place.toggled.connect(self._choose_place)

    # ------------------------------------------------------------------------------------------------ showing

    @property
    def shape(self) -> Shape3 | None:
        """(Z, Y, X) of the image that is cropped."""
        image = self._document.main_image
        return None if image is None else image.volume.shape_vox

    def box(self) -> Box | None:
        """Return the box that the workflow cuts out, or None when it works on everything.

        Raises
        ------
        RequestError
            If the box does not lie in the image.
        """
        text = crop_of(self._document.workflow)
        return None if text is None or self.shape is None else checked_box(parse_box(text), self.shape)

    def refresh(self) -> None:
        """Show the box as it is in the workflow."""
        shape, workflow = self.shape, self._document.workflow
        self.setEnabled(shape is not None and any(True for _ in workflow.sources))
        if shape is None:
            self.outline.remove()
            return
        problem, box = "", None
        try:
            box = self.box()
        except RequestError as error:
            problem = str(error)
        say(self.about, problem or _in_words(box, shape), "error" if problem else "help")
        self.box_edit.setText(crop_of(workflow) or "")
        self.box_edit.setCursorPosition(0)
        self.remove_button.setEnabled(crop_of(workflow) is not None)
        self.in_place.setVisible(crop_of(workflow) is not None)
        self._show_slices(shape, box)
        self._show_place(_puts_back(self._bench))
        if box is None:
            self.outline.remove()
        else:
            self.outline.show(box, layer_name(self._bench))

    def leave(self) -> None:
        """Leave the outline where it is, and let go of the mouse."""
        self.draw_button.setChecked(False)
        self.outline.let_go()

    def _show_slices(self, shape: Shape3, box: Box | None) -> None:
        self.slice_row.setVisible(shape[0] > 1)
        ends = (box[0].start, box[0].stop - 1) if box is not None else (0, shape[0] - 1)
        for control in (self.slices, self.first, self.last):
            control.blockSignals(True)
            control.setRange(0, shape[0] - 1)
        self.slices.setValue(ends)
        self.first.setValue(ends[0])
        self.last.setValue(ends[1])
        for control in (self.slices, self.first, self.last):
            control.blockSignals(False)

    def _show_place(self, puts_back: bool) -> None:
        self.in_place.blockSignals(True)
        self.in_place.setChecked(puts_back)
        self.in_place.blockSignals(False)

    # ------------------------------------------------------------------------------------------------ changing

    def set_box(self, box: Box) -> None:
        """Work on `box` of all images."""
        shape = self.shape
        if shape is None:
            return
        clipped = [
            slice(min(max(0, part.start), n - 1), min(max(part.start + 1, part.stop, 1), n))
            for part, n in zip(box, shape, strict=True)
        ]
        if all((part.start, part.stop) == (0, n) for part, n in zip(clipped, shape, strict=True)):
            self._take_off()
        else:
            self._set_text(box_text(clipped, shape))

    def _set_text(self, text: str) -> None:
        try:
            changed = with_crop(self._document.workflow, text, paste_back=self.in_place.isChecked())
        except RequestError as error:
            say(self.about, str(error), "error")
            return
        self._document.set_workflow(changed)
        self.refresh()

    def _take_off(self) -> None:
        self._document.set_workflow(without_crop(self._document.workflow))
        self.refresh()

    def _choose_place(self) -> None:
        text = crop_of(self._document.workflow)
        if text is not None:
            self._set_text(text)

    def _take_typed(self) -> None:
        text = self.box_edit.text().strip()
        if text == (crop_of(self._document.workflow) or ""):
            return
        if not text:
            self._take_off()
            return
        try:
            if self.shape is not None:
                checked_box(parse_box(text), self.shape)
        except RequestError as error:
            say(self.about, str(error), "error")
            return
        self._set_text(text)

    def _follow_slider(self, ends: tuple[int, int]) -> None:
        for control, value in ((self.first, ends[0]), (self.last, ends[1])):
            control.blockSignals(True)
            control.setValue(value)
            control.blockSignals(False)
        self._rest.start()

    def _follow_numbers(self) -> None:
        ends = sorted((self.first.value(), self.last.value()))
        self.slices.blockSignals(True)
        self.slices.setValue(tuple(ends))
        self.slices.blockSignals(False)
        self._rest.start()

    def _take_slices(self) -> None:
        first, last = sorted((self.first.value(), self.last.value()))
        box = self._box_or_all()
        if box is not None:
            self.set_box((slice(first, last + 1), box[1], box[2]))

    def _box_or_all(self) -> Box | None:
        try:
            box = self.box()
        except RequestError:
            box = None
        shape = self.shape
        if box is None and shape is not None:
            return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])
        return box

    # ------------------------------------------------------------------------------------------------ the canvas

    def _draw(self, is_on: bool) -> None:
        viewer = self._bench.viewer
        if not is_on:
            viewer.stop_drawing()
            return
        self._bench.tell("Press on the image, drag to the opposite corner of the box, and let go.")
        viewer.draw("rectangle", layer_name(self._bench), self._take_drawn)

    def _take_drawn(self, corners: NDArray[np.float64]) -> None:
        # The layer that was drawn on must not go while it still handles the mouse.
        low, high = corners.min(axis=0) + 0.5, corners.max(axis=0) + 0.5
        QTimer.singleShot(0, self, lambda: self._take_rectangle((low[1], high[1]), (low[2], high[2])))

    def _take_pulled(self, y: tuple[float, float], x: tuple[float, float]) -> None:
        QTimer.singleShot(0, self, lambda: self._take_rectangle(y, x))

    def _take_rectangle(self, y: tuple[float, float], x: tuple[float, float]) -> None:
        self.draw_button.setChecked(False)
        box = self._box_or_all()
        if box is not None:
            self.set_box((box[0], _whole(y), _whole(x)))

    def _take_visible(self) -> None:
        visible, box = self._bench.viewer.visible_box(layer_name(self._bench)), self._box_or_all()
        if visible is None or box is None:
            self._bench.tell("Nothing of the image is on the screen.")
            return
        self.set_box((box[0], visible[1], visible[2]))


def layer_name(bench: Workbench) -> str:
    """Return the layer of the image that the workflow begins with; of its first channel, if it has several."""
    image = bench.document.main_image
    if image is None:
        return ""
    names = bench.viewer.layer_names()
    return image.name if image.name in names else f"{image.name} 1"


def box_text(box: Sequence[slice], shape: Shape3) -> str:
    """Write a box as the step crop reads it; an axis that is not cut is left open, so that it fits other images too.

    >>> box_text((slice(0, 4), slice(2, 8), slice(0, 9)), (4, 9, 9))
    ':, 2:8, :'
    """
    return ", ".join(
        ":" if (part.start, part.stop) == (0, n) else f"{part.start}:{part.stop}"
        for part, n in zip(box, shape, strict=True)
    )


def _whole(ends: tuple[float, float]) -> slice:
    return slice(round(ends[0]), round(ends[1]))


def _puts_back(bench: Workbench) -> bool:
    workflow = bench.document.workflow
    return any(workflow.nodes[name].step.id == "paste-back" for name in workflow.outputs)


def _in_words(box: Box | None, shape: Shape3) -> str:
    if box is None:
        return "The whole image is worked on."
    size = [part.stop - part.start for part in box]
    share: Any = 100 * np.prod([n / m for n, m in zip(size, shape, strict=True)])
    text = " x ".join(str(n) for n in size)
    return f"{text} voxels (Z, Y, X) are worked on, {share:.2g} % of the image. The box applies to all images."
