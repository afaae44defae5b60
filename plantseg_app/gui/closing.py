"""What is asked before the window closes: about work that runs, and about cells that were not saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from plantseg_app.gui.areas.area import Area
from plantseg_app.gui.document import Document
from plantseg_app.gui.wizard.page import Page


class Closing(QObject):
    """Asks, and closes the window when the answer allows it.

    Attributes
    ----------
    keeps_session
        Whether the session is to be offered again at the next start.

    Parameters
    ----------
    window
        The window; its `close` is called once the person has answered.
    document, areas, pages
        What there is to lose.
    """

    def __init__(self, window: QWidget, document: Document, areas: Sequence[Area], pages: Sequence[Page] = ()) -> None:
        super().__init__(window)
        self._window = window
        self._document = document
        self._areas = areas
        self._pages = pages
        self._is_wanted = False
        self.keeps_session = False

    def is_allowed(self) -> bool:
        """Whether the window may close now; if not, a question is on the screen."""
        if self._is_wanted:
            return True
        running = [area.busy_text for area in self._areas if area.is_busy]
        running += [page.busy_text for page in self._pages if page.busy_text]
        unsaved = self._document.unsaved_cells()
        if running:
            self._ask("Close the program?", "\n".join(running), [("&Stop and close", self._close)])
        elif unsaved:
            names = ", ".join(f"“{name}”" for name in unsaved)
            self._ask(
                "Close without saving the cells?",
                f"{names} {'has' if len(unsaved) == 1 else 'have'} not been saved to a file. They can be kept for the "
                "next start, with the images and everything else.",
                [("&Keep for the next start", self._close_and_keep), ("&Discard", self._close)],
            )
        return not (running or unsaved)

    def _ask(self, text: str, details: str, answers: Sequence[tuple[str, Callable[[], None]]]) -> None:
        box = QMessageBox(QMessageBox.Icon.Question, "PlantSeg App", text, parent=self._window)
        box.setInformativeText(details)
        for words, act in answers:
            button = box.addButton(words, QMessageBox.ButtonRole.AcceptRole)
            button.clicked.connect(act)
        box.addButton("&Go on working", QMessageBox.ButtonRole.RejectRole)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()

    def _close_and_keep(self) -> None:
        self.keeps_session = True
        self._close()

    def _close(self) -> None:
        self._is_wanted = True
        self._window.close()
