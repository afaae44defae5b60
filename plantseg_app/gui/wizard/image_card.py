"""One open image in the list of the first page: picture, name, shape, voxel size, role, and the way to close it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from plantseg_app.gui.document import OpenImage
from plantseg_app.gui.elided_label import ElidedLabel
from plantseg_app.gui.reading_dialog import shape_in_words
from plantseg_app.gui.role_combo import RoleCombo
from plantseg_app.gui.thumbnail import middle_slice, pixmap, small_picture
from plantseg_app.gui.voxel_size_edit import VoxelSizeEdit

_PICTURE_PX = 64


class ImageCard(QFrame):
    """An open image.

    Signals
    -------
    role_chosen, voxel_size_given, same_for_all, settings_wanted, closed
        What a person asked for; each with the name of the image, the first two with the role or the `VoxelSize`.
    """

    role_chosen = Signal(str, str)
    voxel_size_given = Signal(str, object)
    same_for_all = Signal(str)
    settings_wanted = Signal(str)
    closed = Signal(str)

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self._shown: object = None
        self.setProperty("role", "card")
        self.setAccessibleName(f"Image {name}")
        self.picture = QLabel()
        self.picture.setFixedSize(_PICTURE_PX, _PICTURE_PX)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.title = ElidedLabel(name)
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.settings_button = _tool(
            "…", f"Reading settings of {name}", "Reading settings…: read the file differently."
        )
        self.close_button = _tool("✕", f"Close {name}", "Close this image. Results that were made from it stay.")
        self.voxel_size = VoxelSizeEdit()
        self.same_button = _tool("= all", "Same voxel size for all", "Give all open images this voxel size.")
        self.role = RoleCombo(name)
        self._arrange()
        self.settings_button.clicked.connect(lambda: self.settings_wanted.emit(self.name))
        self.close_button.clicked.connect(lambda: self.closed.emit(self.name))
        self.same_button.clicked.connect(lambda: self.same_for_all.emit(self.name))
        self.voxel_size.settled.connect(lambda size: self.voxel_size_given.emit(self.name, size))
        self.role.activated.connect(lambda _index: self.role_chosen.emit(self.name, self.role.role))

    def _arrange(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(2)
        top.addWidget(self.title, 1)
        top.addWidget(self.settings_button)
        top.addWidget(self.close_button)
        words = QVBoxLayout()
        words.setSpacing(3)
        for part in (self.about, self.role):
            words.addWidget(part)
        words.insertLayout(0, top)
        upper = QHBoxLayout()
        upper.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignTop)
        upper.addLayout(words, 1)
        size = QHBoxLayout()
        size.setSpacing(4)
        size.addWidget(self.voxel_size, 1)
        size.addWidget(QLabel("µm"))
        size.addWidget(self.same_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 5, 6, 6)
        column.setSpacing(4)
        column.addLayout(upper)
        column.addLayout(size)

    def show_image(self, image: OpenImage, several: bool) -> None:
        """Show the image as it is now; `several`: others are open, which could share its voxel size."""
        volume = image.volume
        if self._shown is not volume.data:
            self._shown = volume.data
            picture = small_picture(middle_slice(volume), volume.kind.is_labels)
            self.picture.setPixmap(pixmap(picture, _PICTURE_PX, _PICTURE_PX))
        self.title.set_text(image.name)
        self.title.setToolTip(str(image.path) if image.path is not None else image.name)
        self.about.setText(f"{shape_in_words(volume.data.shape)}, {_depth(volume.data.dtype)}")
        self.settings_button.setEnabled(image.path is not None)
        if not self.voxel_size.hasFocus():
            self.voxel_size.show_size(volume.voxel_size_um, volume.is_2d, image.voxel_source)
        self.same_button.setVisible(several)
        self.same_button.setEnabled(volume.voxel_size_um is not None)
        self.role.show_role(image.role)


def _depth(dtype: object) -> str:
    name = str(dtype)
    for start, words in (("uint", "{} bit"), ("int", "{} bit signed"), ("float", "{} bit real")):
        if name.startswith(start):
            return words.format(name.removeprefix(start))
    return name


def _tool(text: str, name: str, tip: str) -> QToolButton:
    made = QToolButton()
    made.setText(text)
    made.setAutoRaise(True)
    made.setAccessibleName(name)
    made.setToolTip(tip)
    return made
