"""The question how a file is read, asked only where the file leaves it open; a picture follows the answers."""

from __future__ import annotations

import html
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.core.volume import VoxelSize
from plantseg_app.gui.channel_table import ChannelTable
from plantseg_app.gui.qt_runner import Beside
from plantseg_app.gui.thumbnail import pixmap, small_picture
from plantseg_app.gui.voxel_size_edit import VoxelSizeEdit
from plantseg_app.gui.widgets import sentence
from plantseg_app.io import ImageInfo
from plantseg_app.io.axes import conventional_axes
from plantseg_app.io.format import StoredImage
from plantseg_app.io.preview import read_slice
from plantseg_app.run.picture import Rgb
from plantseg_app.run.reading import (
    Part,
    Reading,
    check_reading,
    guessed_axes,
    kind_to_read,
    lengths,
    open_questions,
    stored_image,
    usual_parts,
    usual_reading,
)

AXES = {"Z": "Slice (Z)", "Y": "Row (Y)", "X": "Column (X)", "C": "Channel", "T": "Time", "S": "Colour"}
"""The meaning of an axis in plain words, by its letter."""

_PICTURE_PX = 280


class ReadingDialog(QDialog):
    """Asks for data set, axes, channels with their roles, time point and voxel size of one file.

    Parameters
    ----------
    info
        What the file says.
    proposed
        What to begin with.
    beside
        Reads the slice for the picture.
    again
        Whether the file is open already.
    n_waiting
        How many files wait to be opened after this one.
    parent
        The window.
    """

    def __init__(
        self, info: ImageInfo, proposed: Reading, beside: Beside, again: bool, n_waiting: int, parent: QWidget | None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Reading {info.path.name}")
        self.setModal(True)
        self.as_new = False
        self._info, self._proposed, self._beside, self._again = info, proposed, beside, again
        self._asked = 0
        self._axes: list[QComboBox] = []
        self._letters: list[str] = []
        self._build(n_waiting)
        self._begin(proposed)

    # ------------------------------------------------------------------------------------------------ layout

    def _build(self, n_waiting: int) -> None:
        self.picture = QLabel()
        self.picture.setFixedSize(_PICTURE_PX, _PICTURE_PX)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setWordWrap(True)
        self.picture.setAccessibleName("Middle slice as it would be read")
        self.picture.setToolTip("The middle slice as it would be read, with its contrast stretched.")
        self.caption = QLabel()
        self.caption.setProperty("role", "help")
        left = QVBoxLayout()
        left.addWidget(self.picture)
        left.addWidget(self.caption)
        left.addStretch(1)
        self.form = QFormLayout()
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        middle = QHBoxLayout()
        middle.setSpacing(16)
        middle.addLayout(left)
        middle.addLayout(self.form, 1)
        waiting = f", also of the {n_waiting} that wait" if n_waiting else ""
        self.remember_box = QCheckBox(f"&Use these answers for all files of this kind{waiting}")
        self.remember_box.setAccessibleName("Use these answers for all files of this kind")
        self.remember_box.setToolTip(
            "Files of the same format, number of axes, type and channels are then opened without a question. "
            '"Reading settings…" in the list of images asks again.'
        )
        self.problem = sentence()
        self.problem.setProperty("role", "error")
        column = QVBoxLayout(self)
        column.addWidget(sentence(self._introduction()))
        column.addLayout(middle, 1)
        column.addWidget(self.remember_box)
        column.addWidget(self.problem)
        column.addWidget(self._buttons())
        self._fields()
        # The keyboard begins with what is asked first.
        (self.dataset if self.dataset.count() > 1 else self.open_button).setFocus()

    def _introduction(self) -> str:
        info = self._info
        name = f"<b>{html.escape(info.path.name)}</b>"
        if self._again:
            return f"How {name} is read."
        found = {
            "dataset": f"holds {len(info.datasets)} images",
            "axes": "does not say what its axes mean",
            "channel": f"has {info.n_channels} channels",
            "time": f"has {info.n_time} time points",
        }
        return f"{name} {_listed([found[each] for each in open_questions(info)])}. Please say what to open."

    def _buttons(self) -> QDialogButtonBox:
        box = QDialogButtonBox()
        self.open_button = box.addButton(
            "&Read again" if self._again else "&Open", QDialogButtonBox.ButtonRole.AcceptRole
        )
        self.open_button.setDefault(True)
        self.open_button.setProperty("main", True)
        self.open_button.setToolTip("Read the file with these answers.")
        if self._again:
            new = box.addButton("Open as &new image", QDialogButtonBox.ButtonRole.AcceptRole)
            new.setToolTip("Keep the image that is open, and open this one beside it.")
            new.clicked.connect(lambda: setattr(self, "as_new", True))
        skip = box.addButton("&Cancel" if self._again else "&Skip this file", QDialogButtonBox.ButtonRole.RejectRole)
        skip.setToolTip("Leave everything as it is." if self._again else "Open the other files, but not this one.")
        for made in box.buttons():
            made.setAccessibleName(made.text().replace("&", ""))
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        return box

    def _fields(self) -> None:
        self.dataset = QComboBox()
        _name(self.dataset, "Image in the file", "Which of the images in the file to open.")
        for image in self._info.datasets:
            self.dataset.addItem(str(image), image.name)
        self.dataset.currentIndexChanged.connect(self._choose_dataset)
        self.stored = QLabel()
        self.axes_row = QHBoxLayout()
        self.flips = {letter: QCheckBox(AXES[letter]) for letter in "ZYX"}
        flip_row = QHBoxLayout()
        for letter, box in self.flips.items():
            _name(box, f"Flip {AXES[letter]}", f"Read the axis {AXES[letter]} from its end to its start.")
            box.toggled.connect(self._follow)
            flip_row.addWidget(box)
        flip_row.addStretch(1)
        self.channels = ChannelTable()
        self.channels.changed.connect(self._follow)
        self.time = QSpinBox()
        _name(self.time, "Time point", "Which time point to open; the first is 0.")
        self.time.valueChanged.connect(self._follow)
        self.voxel_size = VoxelSizeEdit()
        self.voxel_size.textEdited.connect(self._follow)
        self.voxel_source = QLabel()
        self.voxel_source.setProperty("role", "help")
        if self.dataset.count() > 1:
            self.form.addRow("&Image", self.dataset)
        self.form.addRow("Stored as", self.stored)
        self.form.addRow("Axes", self.axes_row)
        self.form.addRow("Flip", flip_row)
        self.form.addRow("&Time point", self.time)
        self.form.addRow("&Open" if self._info.n_channels > 1 else "&Shows", self.channels)
        self.form.addRow("&Voxel size (µm)", self.voxel_size)
        self.form.addRow("", self.voxel_source)

    # ------------------------------------------------------------------------------------------------ answers

    @property
    def remember(self) -> bool:
        """Whether the answers hold for all files of this kind."""
        return self.remember_box.isChecked()

    def reading(self) -> Reading:
        """Return the answers."""
        image = self._image
        usual = conventional_axes(image, kind_to_read(image, self._proposed.parts[0].role))
        axes = "".join(("-" if self._is_flipped(letter) else "") + letter for letter in self._letters)
        dataset = image.name if image.name != self._info.dataset or self._proposed.dataset is not None else None
        size = self.voxel_size.size_um
        return Reading(
            parts=self.channels.parts(),
            dataset=dataset,
            axes=None if axes == usual and axes == image.axes else axes,
            time=self.time.value() if self.form.isRowVisible(self.time) else None,
            voxel_size_um=None if size is None or size == image.voxel_size_um else tuple(size),  # type: ignore[arg-type]
            nan=self._proposed.nan,
        )

    @property
    def _image(self) -> StoredImage:
        return stored_image(self._info, self.dataset.currentData())

    def _is_flipped(self, letter: str) -> bool:
        return letter in self.flips and self.flips[letter].isChecked()

    # ------------------------------------------------------------------------------------------------ showing

    def _begin(self, reading: Reading) -> None:
        """Show `reading`."""
        self._proposed = reading
        image = stored_image(self._info, reading.dataset)
        self.dataset.blockSignals(True)
        self.dataset.setCurrentIndex(self.dataset.findData(image.name))
        self.dataset.blockSignals(False)
        self.stored.setText(f"{' × '.join(str(length) for length in image.shape)}, {image.dtype}")
        given = (reading.axes or conventional_axes(image, kind_to_read(image, reading.parts[0].role)) or "").upper()
        letters = given.replace("-", "") or guessed_axes(len(image.shape))
        self._letters = list(letters if len(letters) == len(image.shape) else guessed_axes(len(image.shape)))
        for letter, box in self.flips.items():
            box.setChecked(f"-{letter}" in given)
        self._show_axes(image)
        self.time.setValue(reading.time or 0)
        size = reading.voxel_size_um or image.voxel_size_um
        self.voxel_size.show_size(None if size is None else VoxelSize(*size), "Z" not in self._letters)
        found = "Found in the file" if image.voxel_size_um is not None else "Unknown"
        self.voxel_source.setText(f"{found}: {image.voxel_size_source}.")
        self._show_lengths(reading.parts)
        self._follow()

    def _show_axes(self, image: StoredImage) -> None:
        for box in self._axes:
            self.axes_row.removeWidget(box)
            box.deleteLater()
        self._axes = []
        offered = [letter for letter in AXES if letter != "S" or "S" in self._letters]
        for number, letter in enumerate(self._letters):
            box = QComboBox()
            _name(box, f"Axis {number + 1}", f"What the axis of length {image.shape[number]} is.")
            for each in offered:
                box.addItem(f"{AXES[each]}: {image.shape[number]}", each)
            box.setCurrentIndex(offered.index(letter))
            box.currentIndexChanged.connect(partial(self._choose_axis, number))
            self.axes_row.addWidget(box)
            self._axes.append(box)

    def _choose_axis(self, number: int, _index: int) -> None:
        """Give an axis another meaning; the axis that had it gets the old one, so that there is one of each."""
        wanted, old = self._axes[number].currentData(), self._letters[number]
        for other, letter in enumerate(self._letters):
            if other != number and letter == wanted:
                self._letters[other] = old
                self._axes[other].blockSignals(True)
                self._axes[other].setCurrentIndex(self._axes[other].findData(old))
                self._axes[other].blockSignals(False)
        self._letters[number] = wanted
        self._show_lengths(())
        self._follow()

    def _choose_dataset(self, _index: int) -> None:
        self._begin(usual_reading(self._info, self.dataset.currentData()))

    def _show_lengths(self, parts: tuple[Part, ...]) -> None:
        """Offer the channels and time points that there are with these axes."""
        image = self._image
        sizes = lengths(image, "".join(self._letters))
        n_times = sizes.get("T", 1)
        self.time.setRange(0, n_times - 1)
        self.time.setSuffix(f" of 0 to {n_times - 1}")
        self.form.setRowVisible(self.time, n_times > 1)
        for letter, box in self.flips.items():
            box.setVisible(letter in self._letters)
        axes = "".join(self._letters)
        self.channels.show_channels(image, axes, parts or usual_parts(self._info, image, axes))

    def _follow(self) -> None:
        """Check the answers and show the slice that they lead to."""
        reading = self.reading()
        problem = self.voxel_size.problem or check_reading(self._info, reading)
        self.problem.setText(problem)
        self.open_button.setEnabled(not problem)
        if not problem:
            self._ask_for_picture(reading)

    def _ask_for_picture(self, reading: Reading) -> None:
        self._asked += 1
        number, image, part = self._asked, self._image, reading.parts[0]
        shape = reading.plan(image, part).shape
        kind = kind_to_read(image, part.role)

        def draw() -> Rgb:
            plane = read_slice(self._info.path, image, kind, reading.axes, part.channel, reading.time)
            return small_picture(plane, kind.is_labels)

        def show(picture: Rgb) -> None:
            # A later answer may have overtaken this one, or the dialog may be closed.
            if number == self._asked:
                self.picture.setPixmap(pixmap(picture, _PICTURE_PX, _PICTURE_PX))
                self.caption.setText(f"Slice {shape[-3] // 2} of {shape_in_words(shape)}")

        def fail(problem: str) -> None:
            if number == self._asked:
                self.picture.setText(problem)

        self._beside.ask(draw, show, fail)

    def done(self, result: int) -> None:
        """Close, and wait for no picture any more."""
        self._asked += 1
        super().done(result)


def _name(widget: QWidget, name: str, tip: str) -> None:
    widget.setAccessibleName(name)
    widget.setToolTip(tip)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def shape_in_words(shape: tuple[int, ...]) -> str:
    """Return ([C,] Z, Y, X) as people say it."""
    z, y, x = shape[-3:]
    picture = f"{y} × {x}"
    stack = picture if z == 1 else f"{z} slices of {picture}"
    return f"{shape[0]} channels, {stack}" if len(shape) == 4 else stack
