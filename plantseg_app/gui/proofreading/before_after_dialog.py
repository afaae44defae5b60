"""A model before and after it learned from corrections, on cells that it did not see; here it is kept or discarded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLineEdit, QSizePolicy, QSlider, QVBoxLayout, QWidget

from plantseg_app.core.volume import Volume
from plantseg_app.errors import PlantSegError
from plantseg_app.gui.areas.example_view import picture_of
from plantseg_app.gui.areas.use_model import use_model
from plantseg_app.gui.widgets import button, heading, say, sentence
from plantseg_app.run.picture import overlay_panel

if TYPE_CHECKING:
    from plantseg_app.gui.proofreading.teaching import Teaching
    from plantseg_app.gui.proofreading.teaching_tasks import FineTuneDone, Trial


_WIDTH_PX, _REST_PX = 980, 260


class BeforeAfterDialog(QDialog):
    """Pictures and scores side by side; does not stop the window.

    Parameters
    ----------
    teaching
        With a new model that waits.
    done
        That model, and what it was tried on.
    parent
        The window.
    """

    def __init__(self, teaching: Teaching, done: FineTuneDone, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Before and after learning")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.teaching, self.tuned = teaching, done
        open_ = teaching.runner.open
        self._image, reference = open_(done.image), open_(done.reference)
        self._cells = (reference, open_(done.before.cells), open_(done.after.cells))
        names = ("Marked as correct", "Before", "After")
        self.pictures = tuple(Picture(name) for name in names)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Slice")
        self.slider.setToolTip("Which slice of the part that was held out is shown.")
        self.slider.setRange(0, reference.shape_vox[0] - 1)
        self.slider.setVisible(not reference.is_2d)
        self.name = QLineEdit(done.title)
        self.name.setAccessibleName("Name of the model")
        self.name.setToolTip("What the new model is called in the lists of models.")
        self.problem = sentence()
        self._build(names)
        self.slider.valueChanged.connect(self._draw)
        self.slider.setValue(_fullest_slice(reference))
        self._draw()
        _, height, width = reference.shape_vox
        # Three pictures beside each other, as high as their shape asks for and a screen allows.
        self.resize(_WIDTH_PX, _REST_PX + round(min(1.0, height / width) * _WIDTH_PX / 3))

    def _build(self, names: tuple[str, ...]) -> None:
        column = QVBoxLayout(self)
        words = heading(self.tuned.words)
        words.setWordWrap(True)
        column.addWidget(words)
        scores = (f"{self.tuned.n_held_out} cells, not learned from", self._score(self.tuned.before))
        grid = QGridLayout()
        for at, (name, picture, score) in enumerate(
            zip(names, self.pictures, (*scores, self._score(self.tuned.after)), strict=True)
        ):
            grid.addWidget(heading(name), 0, at)
            grid.addWidget(sentence(score), 1, at)
            grid.addWidget(picture, 2, at)
            grid.setColumnStretch(at, 1)
        grid.setRowStretch(2, 1)
        column.addLayout(grid, 1)
        column.addWidget(self.slider)
        about = sentence(
            "A cell counts as found when it shares at least half with one of the model's. SEG is the mean share, from "
            "0 to 1. Only cells marked as correct are scored; of the others nobody knows."
        )
        about.setProperty("role", "help")
        column.addWidget(about)
        column.addWidget(self.problem)
        column.addLayout(self._buttons())

    def _buttons(self) -> QHBoxLayout:
        self.keep_button = button("&Keep", "Add the new model to your own; the page Predict offers it.", main=True)
        self.use_button = button("Keep and &use", "Add the new model to your own, and segment the open image with it.")
        self.discard_button = button("&Discard", "Throw the new model away.")
        self.keep_button.clicked.connect(lambda: self._keep())
        self.use_button.clicked.connect(lambda: self._keep(uses=True))
        self.discard_button.clicked.connect(self._discard)
        row = QHBoxLayout()
        row.addWidget(sentence("Name"))
        row.addWidget(self.name, 1)
        for widget in (self.keep_button, self.use_button, self.discard_button):
            row.addWidget(widget)
        return row

    def _score(self, trial: Trial) -> str:
        return f"{trial.n_found} of {self.tuned.n_held_out} found, SEG {trial.seg:.2f}"

    def _draw(self) -> None:
        at = self.slider.value()
        image = _slice(self._image, at)
        for picture, cells in zip(self.pictures, self._cells, strict=True):
            picture.show_picture(picture_of(overlay_panel(image, _slice(cells, at), "xy")))

    def _keep(self, uses: bool = False) -> None:
        bench = self.teaching.bench
        try:
            model_id = self.teaching.keep(self.name.text())
        except (PlantSegError, OSError) as error:
            say(self.problem, str(error), "error")
            return
        self.accept()
        bench.tell(f"The model is kept as {model_id}; the page Predict offers it.")
        if uses:
            use_model(bench, model_id)

    def _discard(self) -> None:
        self.teaching.discard()
        self.reject()


class Picture(QWidget):
    """One picture as large as there is room for."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._image = QImage()

    def show_picture(self, image: QImage) -> None:
        """Show another picture."""
        self._image = image
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size it would like."""
        return QSize(300, 300)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size below which nothing could be seen."""
        return QSize(160, 120)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw it in the upper left corner."""
        del event
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        painter.drawImage(QRect(0, 0, size.width(), size.height()), self._image)


def _slice(volume: Volume, at: int) -> Volume:
    """Return one slice of a volume."""
    return volume.replace(data=volume.data[..., at : at + 1, :, :], place=None)


def _fullest_slice(cells: Volume) -> int:
    """Return the slice that shows most of the cells."""
    covered = (cells.data > 0).reshape(-1, *cells.shape_vox).any(0)
    return int(covered.sum((1, 2)).argmax())
