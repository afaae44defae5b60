"""What can be done with an open embedding: look which pixels are alike, and pick objects by clicking."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from plantseg_app.algorithms.picking import Embedded
from plantseg_app.gui.embedded import OpenEmbedding, open_embedding
from plantseg_app.gui.geometry import grid_of
from plantseg_app.gui.likeness import Likeness
from plantseg_app.gui.widgets import button, heading, sentence

if TYPE_CHECKING:
    from plantseg_app.gui.workbench import Workbench


class EmbeddingPanel(QWidget):
    """Shown where there is an embedding, whatever network or file it comes from.

    Parameters
    ----------
    bench
        The window's parts.
    """

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self._bench = bench
        self._embedding: OpenEmbedding | None = None
        self.likeness = Likeness(bench.viewer, self)
        self.about = sentence(
            "The network has given every pixel some numbers, alike within an object. They are shown as colours."
        )
        self.follow = QCheckBox("Li&keness under the cursor")
        self.follow.setToolTip("Point at a pixel: the more alike the others are, the brighter they get (Ctrl+L).")
        self.follow.setAccessibleName("Likeness under the cursor")
        self.follow.toggled.connect(self._switch)
        self.pick_button = button("Pick &objects…", "Make cells of objects that you click, one by one (Ctrl+K).")
        self.pick_button.clicked.connect(lambda: bench.pick_objects())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (heading("Embedding"), self.about, self.follow, self.pick_button):
            column.addWidget(widget)
        self.hide()

    def refresh(self) -> None:
        """Show the panel if there is an embedding; another one than before is followed from now on."""
        now = open_embedding(self._bench.document)
        self.setVisible(now is not None)
        if now is None:
            self.put_away()
        elif self._embedding is not None and now.volume is not self._embedding.volume and self.follow.isChecked():
            self._switch(True)

    def put_away(self) -> None:
        """Follow the cursor no longer."""
        self.follow.setChecked(False)

    def toggle(self) -> None:
        """Switch the likeness on or off."""
        if self.isHidden():
            self._bench.tell("There is no embedding; run a network that makes one, on the page Predict.")
        else:
            self.follow.toggle()

    def _switch(self, on: bool) -> None:
        self._embedding = open_embedding(self._bench.document) if on else None
        if self._embedding is None:
            self.likeness.stop()
            return
        self._bench.beside.ask(
            self._embedding.look_up, functools.partial(self._start, self._embedding), self._bench.warn
        )

    def _start(self, asked: OpenEmbedding, embedded: Embedded) -> None:
        """Begin, if it is still wanted: looking up what the model says takes a while."""
        if self._embedding is asked:
            self.likeness.start(embedded, grid_of(asked.volume), asked.name)
