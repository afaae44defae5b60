"""The part of the page Prepare that shows the slice on the screen before and after its steps."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Volume
from plantseg_app.errors import Cancelled, PlantSegError
from plantseg_app.gui.geometry import Grid, grid_of
from plantseg_app.gui.widgets import button, sentence
from plantseg_app.gui.wizard.crop_section import OUTLINE, layer_name
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.cache import MemoryCache
from plantseg_app.run.estimate import available_memory
from plantseg_app.run.prepared import PreparedSlice, preparation, prepared_slice
from plantseg_app.run.runner import Runner

PREVIEW = "prepared (preview)"
_PAUSE_MS = 120
_SHARE_OF_MEMORY = 0.1


@dataclasses.dataclass(frozen=True)
class _Answer:
    prepared: PreparedSlice | None
    problem: str
    slice_vox: int


class BeforeAfter(QWidget):
    """A layer with the prepared slice, wiped off on one side so that both can be seen."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self._bench = bench
        self._document = bench.document
        self._runner = Runner(MemoryCache(int(_SHARE_OF_MEMORY * available_memory())))
        self._is_open = False
        self._asked: Any = None
        self._shown: PreparedSlice | None = None
        self._grid: Grid | None = None
        self._make_controls()
        # A setting that is dragged changes many times a second; the newest is looked at once it rests.
        self._rest = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._rest.timeout.connect(self._ask)
        bench.viewer.on_view_change(self._follow)

    def _make_controls(self) -> None:
        self.show_box = QCheckBox("Sho&w before and after")
        self.show_box.setAccessibleName("Show before and after")
        self.show_box.setToolTip("Show on the canvas what the steps make of the slice that is on the screen.")
        self.show_box.setChecked(True)
        self.wipe = QSlider(Qt.Orientation.Horizontal)
        self.wipe.setRange(0, 100)
        self.wipe.setValue(50)
        self.wipe.setAccessibleName("How much of the original is shown")
        self.wipe.setToolTip("Left of this place the canvas shows the original, right of it the prepared image.")
        self.hold_button = button("Hold for the ori&ginal", "As long as this is pressed, the original is shown.")
        self.about = sentence()
        row = QHBoxLayout()
        row.addWidget(QLabel("Original"))
        row.addWidget(self.wipe, 1)
        row.addWidget(QLabel("Prepared"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.show_box)
        column.addLayout(row)
        column.addWidget(self.hold_button)
        column.addWidget(self.about)
        self.show_box.toggled.connect(self.refresh)
        self.wipe.valueChanged.connect(self._draw)
        self.hold_button.pressed.connect(lambda: self._bench.viewer.set_visible(PREVIEW, False))
        self.hold_button.released.connect(lambda: self._bench.viewer.set_visible(PREVIEW, True))

    @property
    def has_steps(self) -> bool:
        """Whether a step changes what the image looks like; a crop alone does not."""
        nodes = self._document.workflow.nodes
        return any(nodes[name].step.id != "crop" for name in preparation(self._document.workflow))

    def refresh(self) -> None:
        """Follow the document, if the page is open."""
        self._is_open = True
        self.setVisible(self.has_steps)
        shows = self.has_steps and self.show_box.isChecked() and self._document.main_image is not None
        for control in (self.wipe, self.hold_button):
            control.setEnabled(shows)
        if shows:
            self._rest.start()
        else:
            self._take_away()

    def leave(self) -> None:
        """Take the layer away, because another page comes up."""
        self._is_open = False
        self._take_away()

    def _take_away(self) -> None:
        self._rest.stop()
        self._asked, self._shown = None, None
        self._bench.viewer.remove(PREVIEW)
        self.about.setText("")

    def _follow(self) -> None:
        """Another slice, or another part of it, is on the screen."""
        if self._is_open and self.show_box.isChecked() and self.has_steps:
            self._rest.start()

    # ------------------------------------------------------------------------------------------------ computing

    def _ask(self) -> None:
        viewer, workflow = self._bench.viewer, self._document.workflow
        visible = viewer.visible_box(layer_name(self._bench))
        if viewer.is_3d or visible is None or not self._is_open:
            self._bench.viewer.remove(PREVIEW)
            self._asked = None
            self.about.setText("Shown in slices, not in 3D." if viewer.is_3d else "")
            return
        at, sources = visible[0].start, self._sources()
        asked = (workflow, at, tuple(sorted((name, id(volume)) for name, volume in sources.items())))
        if asked == self._asked and PREVIEW in viewer.layer_names():
            return
        self._asked = asked
        # What is still being computed is no longer wanted.
        self._runner.cancel()
        runner = self._runner

        def work() -> _Answer | None:
            try:
                return _Answer(prepared_slice(workflow, sources, at, runner, QuietContext()), "", at)
            except Cancelled:
                return None
            except PlantSegError as error:
                return _Answer(None, str(error), at)

        self._bench.runner.run_preview(work, lambda answer: self._take(asked, answer))

    def _sources(self) -> dict[str, Volume]:
        found = {}
        for source, name in self._document.assigned().items():
            volume, kind = self._document.images[name].volume, self._document.workflow.sources[source].kind
            found[source] = volume if volume.kind is kind else volume.replace(kind=kind)
        return found

    def _take(self, asked: Any, answer: _Answer | None) -> None:
        if not self._is_open or asked != self._asked or answer is None:
            return
        if answer.prepared is None:
            self._bench.viewer.remove(PREVIEW)
            self._shown = None
            self.about.setText(answer.problem or "This slice lies outside the box.")
            return
        self._shown = answer.prepared
        self._grid = self._grid_on_screen(answer.prepared.image, answer.slice_vox)
        self.about.setText(
            ""
            if answer.prepared.is_exact
            else "The stack is large, so only slices nearby were looked at; a run may give slightly other grey values."
        )
        self._draw()

    # ------------------------------------------------------------------------------------------------ drawing

    def _grid_on_screen(self, image: Volume, slice_vox: int) -> Grid:
        """Return where the slice lies; one that stands for many, as a projection does, where the person looks."""
        grid, main = grid_of(image), self._document.main_image
        if main is None:
            return grid
        full = grid_of(main.volume)
        z = full.translate[0] + slice_vox * full.scale[0]
        if abs(z - grid.translate[0]) <= 0.5 * grid.scale[0]:
            return grid
        return dataclasses.replace(grid, translate=(z, *grid.translate[1:]))

    def _draw(self) -> None:
        if self._shown is None or self._grid is None:
            return
        image = self._shown.image
        data = _first_channel(image.data)
        is_new = PREVIEW not in self._bench.viewer.layer_names()
        self._bench.viewer.show_array(_wiped(data, self.wipe.value() / 100), image.kind, self._grid, PREVIEW)
        self._bench.viewer.set_contrast(PREVIEW, *self._contrast(data))
        if is_new:
            # The outline of the box is seen, and can be pulled at, above the preview.
            self._bench.viewer.put_on_top(OUTLINE)
            self._bench.viewer.choose(
                OUTLINE if OUTLINE in self._bench.viewer.layer_names() else layer_name(self._bench)
            )

    def _contrast(self, data: NDArray[Any]) -> tuple[float, float]:
        """Return the limits of the original where numbers mean the same, so that the two can be compared."""
        main = self._document.main_image
        limits = self._bench.viewer.contrast(layer_name(self._bench))
        if main is not None and limits is not None and main.volume.data.dtype == data.dtype:
            return limits
        return float(data.min()), float(data.max())


def _first_channel(data: NDArray[Any]) -> NDArray[Any]:
    return data if data.ndim == 3 else data[0]


def _wiped(data: NDArray[Any], share: float) -> NDArray[np.float32]:
    """Return the array with nothing in the left `share` of its columns; NaN is drawn transparent."""
    wiped = data.astype(np.float32)
    wiped[..., : round(share * data.shape[-1])] = np.nan
    return wiped
