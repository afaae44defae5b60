"""The two short questions of opening files: very many images, and numbers that are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QMessageBox, QWidget

from plantseg_app.gui.file_list import MOST_UNASKED, FileList


def ask_how_many(window: QWidget, found: FileList, answered: Callable[[int], None]) -> None:
    """Ask whether all images of large folders are opened; `answered` gets how many of `found.images`."""
    question = QMessageBox(
        QMessageBox.Icon.Question,
        "Open many images",
        f"There are {found.n_in_folders} images in the folders. Each of them is read into memory.\n\nOpen all of them?",
        parent=window,
    )
    every = question.addButton(f"Open &all {len(found.images)}", QMessageBox.ButtonRole.AcceptRole)
    few = question.addButton(f"Open the &first {MOST_UNASKED}", QMessageBox.ButtonRole.AcceptRole)
    question.addButton(QMessageBox.StandardButton.Cancel)
    question.setDefaultButton(few)

    def settle() -> None:
        # Not a dictionary of the buttons: the wrapper that clickedButton returns need not be the same object.
        clicked = question.clickedButton()
        answered(len(found.images) if clicked == every else MOST_UNASKED if clicked == few else 0)
        question.deleteLater()

    question.finished.connect(settle)
    question.open()


def ask_about_nan(window: QWidget, path: Path, finding: str, answered: Callable[[bool], None]) -> None:
    """Ask whether NaN and infinite numbers are replaced; `answered` gets False when the image stays closed."""
    question = QMessageBox(
        QMessageBox.Icon.Question,
        f"Numbers missing in {path.name}",
        f"{finding}\n\nReplace NaN by the smallest number of the image and infinity by the largest, or leave the image "
        "closed? The file itself is not changed.",
        parent=window,
    )
    replace = question.addButton("&Replace them", QMessageBox.ButtonRole.AcceptRole)
    question.addButton("&Leave it closed", QMessageBox.ButtonRole.RejectRole)
    question.setDefaultButton(replace)

    def settle() -> None:
        answered(question.clickedButton() == replace)
        question.deleteLater()

    question.finished.connect(settle)
    question.open()
