"""What is asked about models of other programs: whether source code in them may run, and what their outputs show."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.gui.widgets import button, sentence
from plantseg_app.zoo.bioimageio.meanings import MEANINGS
from plantseg_app.zoo.facts import OutputMap
from plantseg_app.zoo.questions import SourceFile

_MEANINGS = {
    "boundary": "boundary: bright on the borders of cells",
    "nuclei": "nuclei: bright inside nuclei",
    "foreground": "foreground: bright inside objects",
    "background": "background: bright outside of objects",
}


class SourceDialog(QDialog):
    """Shows source code that would have to run, whole, and asks; the answer that does nothing is the easy one.

    Parameters
    ----------
    source
        The file.
    parent
        The area that asks.
    """

    def __init__(self, source: SourceFile, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Run source code?")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.text = sentence(
            f"This model can be added only by running the program <b>{escape(source.name)}</b> that came with it. A "
            "program can do anything that you can: read your files, delete them, send them away. Run it only if you "
            "have read it, or trust whoever made the model. It is run once, to draw the network; after that nothing of "
            "it is kept."
        )
        self.code = QPlainTextEdit(source.text)
        self.code.setReadOnly(True)
        self.code.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.code.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.code.setAccessibleName(f"The program {source.name}")
        self.code.setToolTip("What would run, to the last line.")
        self.checksum = sentence(f"sha256 {source.sha256}")
        self.run_button = button(f"&Run {source.name} once", "Run exactly this text, once, and add the model.")
        self.leave_button = button("&Leave it", "Do not run it; nothing is added.", main=True)
        self.leave_button.setDefault(True)
        self.run_button.setAutoDefault(False)
        buttons = QDialogButtonBox()
        buttons.addButton(self.run_button, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(self.leave_button, QDialogButtonBox.ButtonRole.RejectRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(self.text)
        column.addWidget(self.code, 1)
        column.addWidget(self.checksum)
        column.addWidget(buttons)
        self.resize(760, 560)
        self.leave_button.setFocus()


class OutputsDialog(QDialog):
    """Asks what each output of a model shows.

    Parameters
    ----------
    outputs
        The outputs as the card has them.
    parent
        The area that asks.
    """

    def __init__(self, outputs: Sequence[OutputMap], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("What the outputs show")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        form = QFormLayout()
        self.boxes = {output.name: self._box(output) for output in outputs}
        for name, box in self.boxes.items():
            form.addRow(name, box)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(
            sentence("Steps look for boundaries, nuclei and foreground. Predict once to see what an output shows.")
        )
        column.addLayout(form)
        column.addStretch(1)
        column.addWidget(buttons)
        self.resize(460, 180)

    def words(self) -> dict[str, str]:
        """Return what each output shows whose name was changed, by its present name."""
        chosen = {name: str(box.currentData()) for name, box in self.boxes.items()}
        return {name: word for name, word in chosen.items() if word != name}

    @staticmethod
    def _box(output: OutputMap) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(f"What {output.name} shows")
        box.setToolTip("What is bright in this map.")
        for word in MEANINGS:
            box.addItem(_MEANINGS[word], word)
        if output.name not in MEANINGS:
            box.addItem("something else", output.name)
        box.setCurrentIndex(box.findData(output.name))
        return box
