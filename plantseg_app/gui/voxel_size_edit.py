"""A line in which a voxel size is read and written, as "0.235 × 0.15 × 0.15"; amber while it is unknown.

>>> parse_voxel_size("0,235 x 0,15 x 0,15", False), parse_voxel_size("0.5", True), parse_voxel_size(" ", False)
(VoxelSize(z=0.235, y=0.15, x=0.15), VoxelSize(z=0.5, y=0.5, x=0.5), None)
>>> parse_voxel_size("1,0.2,0.2", False), parse_voxel_size("1; 0.2", False)
(VoxelSize(z=1.0, y=0.2, x=0.2), VoxelSize(z=1.0, y=0.2, x=0.2))
"""

from __future__ import annotations

import re

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QWidget

from plantseg_app.core.volume import VoxelSize
from plantseg_app.errors import InputError
from plantseg_app.gui.widgets import dress


def parse_voxel_size(text: str, is_2d: bool) -> VoxelSize | None:
    """Return the voxel size that a person wrote, None for nothing.

    Parameters
    ----------
    text
        Three lengths in micrometres, Z, Y, X; two: Z and XY of a stack, Y and X of a picture; or one for all.
    is_2d
        Whether it is a picture.

    Raises
    ------
    InputError
        If it is something else, or a length is not positive.
    """
    words = _numbers(text)
    if not words:
        return None
    try:
        lengths = [float(word) for word in words]
    except ValueError as error:
        raise InputError(f'"{text.strip()}" is no voxel size; write lengths in µm such as {_EXAMPLE}.') from error
    if len(lengths) == 2:
        lengths = [lengths[0], *lengths] if is_2d else [*lengths, lengths[1]]
    if len(lengths) == 1:
        lengths *= 3
    return VoxelSize.checked(tuple(lengths))


def voxel_size_text(size: VoxelSize | None, is_2d: bool) -> str:
    """Return a voxel size as people read it, Y and X alone for a picture; "" for None."""
    if size is None:
        return ""
    return " × ".join(f"{length:.6g}" for length in (size[1:] if is_2d else size))


_EXAMPLE = "0.235 × 0.15 × 0.15 (Z × Y × X)"


def _numbers(text: str) -> list[str]:
    text = re.sub(r"\s*(µm|μm|um|microns?)\s*", " ", text.strip(), flags=re.IGNORECASE)
    parts = [part for part in re.split(r"\s*[×xX*;]\s*|,\s+|\s+", text) if part]
    if len(parts) == 1 and "," in parts[0] and (parts[0].count(",") > 1 or "." in parts[0]):
        return [part for part in parts[0].split(",") if part]
    # A single comma in a number is the point of most of Europe.
    return [part.replace(",", ".") for part in parts]


class VoxelSizeEdit(QLineEdit):
    """A voxel size to read and to write.

    Signals
    -------
    settled
        Another voxel size was written: a `VoxelSize` or None.
    """

    settled = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Voxel size in micrometres")
        self._size: VoxelSize | None = None
        self._is_2d = False
        self._source = ""
        self.editingFinished.connect(self._settle)

    @property
    def size_um(self) -> VoxelSize | None:
        """The voxel size, (z, y, x) in micrometres; None while it is unknown or what stands there is none."""
        # The text has fewer digits than the size that it stands for.
        if self.text() == voxel_size_text(self._size, self._is_2d):
            return self._size
        try:
            return parse_voxel_size(self.text(), self._is_2d)
        except InputError:
            return None

    @property
    def problem(self) -> str:
        """What is wrong with what stands there, or ""."""
        try:
            parse_voxel_size(self.text(), self._is_2d)
        except InputError as error:
            return str(error)
        return ""

    def show_size(self, size: VoxelSize | None, is_2d: bool, source: str = "") -> None:
        """Show a voxel size, and say in the tool tip where it was found."""
        self._size, self._is_2d, self._source = size, is_2d, source
        self.setText(voxel_size_text(size, is_2d))
        self.setCursorPosition(0)
        self.setPlaceholderText("unknown: Y × X" if is_2d else "unknown: Z × Y × X")
        self._mark()

    def _settle(self) -> None:
        self._mark()
        if self.problem:
            return
        size = self.size_um
        if size != self._size:
            self._size, self._source = size, "given by you"
            self.settled.emit(size)

    def _mark(self) -> None:
        """Colour the line and explain it: amber when unknown, red when wrong."""
        state = "wrong" if self.problem else "" if self.size_um is not None else "unknown"
        order = "Y × X" if self._is_2d else "Z × Y × X"
        about = f"Edge lengths of a voxel in micrometres, {order}."
        found = f" {self._source[:1].upper()}{self._source[1:]}." if self._source else ""
        unknown = " Unknown: sizes in micrometres and the choice of a scale need it." if state == "unknown" else ""
        self.setToolTip(self.problem or about + found + unknown)
        dress(self, "state", state)
