"""What the size of the cells means for the chosen model, with one click to mend it."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from plantseg_app.errors import PlantSegError
from plantseg_app.gui.widgets import button, say, sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.prediction import ScaleState, predict_step, scale_state, with_prediction_settings


class ScaleNote(QWidget):
    """One sentence and, where something can be mended, one button."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self._document = bench.document
        self._state: ScaleState | None = None
        self.sentence = sentence()
        self.use_button = button("&Use this scale", "Show the network the image enlarged or shrunk by this much.")
        self.use_button.clicked.connect(self._use)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.sentence)
        column.addWidget(self.use_button)

    def refresh(self) -> None:
        """Say how the cells fit the model of the workflow."""
        image, workflow = self._document.main_image, self._document.workflow
        self.setVisible(image is not None and predict_step(workflow) is not None)
        if image is None or predict_step(workflow) is None:
            return
        try:
            self._state = scale_state(workflow, image.volume, self._document.cell_diameter_vox)
        except PlantSegError as error:
            # The model was removed, say; the list of models tells which there are.
            self._state = None
            say(self.sentence, str(error), "error")
            self.use_button.hide()
            return
        state = self._state
        say(self.sentence, state.sentence, "warning" if state.can_be_mended else "good" if state.is_known else "help")
        self.use_button.setVisible(state.can_be_mended)

    def _use(self) -> None:
        if self._state is not None:
            settings = {"scale": self._state.scale, "rescale_to_model": True}
            self._document.set_workflow(with_prediction_settings(self._document.workflow, settings))
            self.refresh()
