"""The bar below the canvas: what runs, how far it is, how long it will take, and the way to stop it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QWidget

from plantseg_app.core.quantities import human_seconds
from plantseg_app.gui.widgets import button


class RunBar(QWidget):
    """One line that is always there, so that nothing jumps when a run begins.

    Signals
    -------
    cancelled
        The person asked to stop.
    """

    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = QLabel("Ready")
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.progress = QProgressBar()
        self.progress.setAccessibleName("Progress")
        self.progress.setToolTip("How far the running step is.")
        self.progress.setMaximumWidth(420)
        self.cancel_button = button("&Cancel", "Stop what runs; finished steps are kept (Esc).")
        self.cancel_button.clicked.connect(self.cancelled)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 4, 10, 4)
        row.addWidget(self.label, 3)
        row.addWidget(self.progress, 2)
        row.addWidget(self.cancel_button)
        self.show_idle("Ready")

    def show_progress(self, text: str, done: int = 0, total: int = 0, seconds_left: float | None = None) -> None:
        """Say what runs; `total` 0 means that nobody knows how long it takes."""
        left = "" if seconds_left is None else f", about {human_seconds(seconds_left)} left"
        self.label.setText(f"{text}{left}")
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.progress.setFormat("%v of %m" if total else "")
        self.progress.setVisible(True)
        self.cancel_button.setEnabled(True)

    def say(self, text: str) -> None:
        """Show one sentence, unless something runs: its progress counts more."""
        if not self.cancel_button.isEnabled():
            self.label.setText(text)
            self.label.setToolTip(text)

    def show_stopping(self) -> None:
        """Say that the wish to stop was heard."""
        self.label.setText("Stopping …")
        self.cancel_button.setEnabled(False)

    def show_idle(self, text: str) -> None:
        """Say how the last run ended."""
        self.label.setText(text)
        self.progress.setRange(0, 1)
        self.progress.reset()
        self.progress.setVisible(False)
        self.cancel_button.setEnabled(False)
