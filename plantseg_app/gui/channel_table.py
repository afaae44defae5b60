"""Which channels of a file to open, and what each of them shows."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QScrollArea, QWidget

from plantseg_app.gui.role_combo import RoleCombo
from plantseg_app.io.axes import GRAY
from plantseg_app.io.format import StoredImage
from plantseg_app.run.reading import Part, channel_names, lengths

_MOST_ROWS = 6
_COLOURS = ("red", "green", "blue", "alpha")


class ChannelTable(QScrollArea):
    """A row a channel: whether to open it, and its role. A single channel has the role alone.

    Signals
    -------
    changed
        Another channel or role was chosen.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._rows: list[tuple[int | str | None, QCheckBox | None, RoleCombo]] = []

    def show_channels(self, image: StoredImage, axes: str, parts: tuple[Part, ...]) -> None:
        """Offer the channels that `image` has with these axes; `parts` are chosen."""
        self._rows = []
        content = QWidget()
        grid = QGridLayout(content)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        chosen = {part.channel: part.role for part in parts}
        offered = _offered(image, axes)
        for row, (channel, name) in enumerate(offered):
            roles = RoleCombo(name or "the image")
            roles.show_role(chosen.get(channel, parts[0].role if len(offered) == 1 else "signal"))
            box = None
            if len(offered) > 1:
                box = QCheckBox(name)
                box.setChecked(channel in chosen)
                box.setAccessibleName(f"Open {name}")
                box.setToolTip(f"Open {name} as an image of its own.")
                box.toggled.connect(roles.setEnabled)
                box.toggled.connect(self.changed)
                roles.setEnabled(box.isChecked())
                grid.addWidget(box, row, 0)
            roles.currentIndexChanged.connect(self.changed)
            grid.addWidget(roles, row, 1)
            self._rows.append((channel, box, roles))
        self.setWidget(content)
        height = content.sizeHint().height() * min(1.0, _MOST_ROWS / len(offered))
        self.setFixedHeight(int(height) + 2)

    def parts(self) -> tuple[Part, ...]:
        """Return the channels that are chosen, each with its role."""
        return tuple(Part(channel, roles.role) for channel, box, roles in self._rows if box is None or box.isChecked())


def _offered(image: StoredImage, axes: str) -> list[tuple[int | str | None, str]]:
    """Return what can be opened and what to call it."""
    sizes = lengths(image, axes)
    n_colours = sizes.get("S", 1)
    names = channel_names(image, axes)
    if len(names) == 1:
        return [(None, "")]
    if n_colours in (3, 4):
        colours: list[tuple[int | str | None, str]] = [(GRAY, "brightness (grey)")]
        return [*colours, *((number, _COLOURS[number]) for number in range(3))]
    return [(number, f"channel {number}" + (f": {name}" if name else "")) for number, name in enumerate(names)]
