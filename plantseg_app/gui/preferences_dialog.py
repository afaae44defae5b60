"""The dialog of preferences: forms made from them; a change applies at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QHideEvent, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFrame, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from plantseg_app.gui.forms.step_form import StepForm
from plantseg_app.gui.palette import LABEL_PALETTES
from plantseg_app.gui.preferences import Appearance, Computing, Folders, Preferences, PreferenceStore

_PARTS = {
    "appearance": ("Appearance", Appearance),
    "computing": ("Computing", Computing),
    "folders": ("Folders", Folders),
}


class PreferencesDialog(QDialog):
    """Shows the preferences of `store` and changes them while a person chooses."""

    def __init__(self, store: PreferenceStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Preferences")
        self.store = store
        self.forms: dict[str, StepForm[Any]] = {}
        self.swatches = Swatches()
        content = QWidget()
        column = QVBoxLayout(content)
        column.setSpacing(8)
        for name, (title, _) in _PARTS.items():
            heading = QLabel(title)
            heading.setProperty("role", "heading")
            if self.forms:
                heading.setContentsMargins(0, self.fontMetrics().height(), 0, 0)
            column.addWidget(heading)
            form = StepForm(getattr(store.value, name))
            form.changed.connect(self._changer(name))
            self.forms[name] = form
            column.addWidget(form)
            if name == "appearance":
                column.addWidget(self.swatches)
        column.addWidget(self._memory())
        column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(content)
        whole = QVBoxLayout(self)
        whole.addWidget(area, 1)
        whole.addWidget(self._buttons())
        self._show(store.value)
        self.resize(self.fontMetrics().horizontalAdvance("n") * 70, self.fontMetrics().height() * 40)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Follow changes that come from elsewhere, such as a menu, while it is open."""
        self.store.changed.connect(self._show, unique=True)
        self._show(self.store.value)
        super().showEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Follow no longer: the store may outlive the dialog."""
        self.store.changed.disconnect(self._show, missing_ok=True)
        super().hideEvent(event)

    def _changer(self, name: str) -> Callable[[object], None]:
        return lambda part: self.store.change(**{name: part})

    def _memory(self) -> QPushButton:
        self.forget_button = QPushButton("&Forget recent files and answers")
        self.forget_button.setAccessibleName("Forget recent files and answers")
        self.forget_button.setToolTip(
            "Empty the list of recent files, and ask anew about axes, voxel size and channels of files that do not "
            "say them."
        )
        self.forget_button.clicked.connect(lambda: self.store.set(self.store.value.without_memory()))
        return self.forget_button

    def _buttons(self) -> QDialogButtonBox:
        buttons = QDialogButtonBox()
        self.close_button = QPushButton("&Close")
        self.close_button.setAccessibleName("Close")
        self.close_button.setToolTip("Close this window (Esc); everything has been applied already.")
        # Return ends the typing of a number; it must not close the window as well.
        for button in (self.close_button, self.forget_button):
            button.setAutoDefault(False)
        self.close_button.clicked.connect(self.accept)
        buttons.addButton(self.close_button, QDialogButtonBox.ButtonRole.RejectRole)
        return buttons

    def _show(self, preferences: Preferences) -> None:
        for name, form in self.forms.items():
            part = getattr(preferences, name)
            if form.is_valid and form.step() != part:
                form.set_step(part)
        self.swatches.show_colours(LABEL_PALETTES[preferences.appearance.label_palette].colours)
        self.forget_button.setEnabled(bool(preferences.recent_files or preferences.reading))


class Swatches(QWidget):
    """A row of colours, to see what a palette looks like."""

    def __init__(self) -> None:
        super().__init__()
        self._colours: tuple[str, ...] = ()
        self.setAccessibleName("Colours of the palette")
        self.setToolTip("The colours that cells get, in turn.")

    def show_colours(self, colours: tuple[str, ...]) -> None:
        """Show these colours, as ``#rrggbb``."""
        self._colours = colours
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a line of text's height."""
        return QSize(200, self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the same: less would not be seen."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw one rectangle a colour."""
        del event
        painter = QPainter(self)
        count = max(1, len(self._colours))
        for number, colour in enumerate(self._colours):
            left, right = (self.width() * place // count for place in (number, number + 1))
            painter.fillRect(QRect(left, 0, right - left - 1, self.height()), QColor(colour))
        painter.end()
