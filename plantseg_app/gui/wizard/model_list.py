"""A list of models to choose from: a picture, a name and a line each, with filters, and the page of the chosen one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html import escape

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QPainter, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.gui.areas.model_details import ModelDetails
from plantseg_app.gui.areas.model_table import ModelEntry
from plantseg_app.gui.widgets import button
from plantseg_app.zoo.catalogue import InstalledModel
from plantseg_app.zoo.search import searched_text

_ENTRY = Qt.ItemDataRole.UserRole
_ROWS_SHOWN = 4
_ANY = ""
_ICON_PIXELS = 160


@dataclasses.dataclass(frozen=True)
class ListedModel:
    """One line of the list.

    Attributes
    ----------
    model
        The model.
    line
        What it is for, in a few words.
    advice
        How well it fits the open image, in a sentence or two.
    """

    model: InstalledModel
    line: str
    advice: str = ""

    @property
    def title(self) -> str:
        """The name for people."""
        return self.model.card.title or self.model.card.id

    @property
    def shows(self) -> str:
        """What its images show, for the filter."""
        return self.model.card.inputs[0].name


class ModelList(QWidget):
    """Models, those that fit best first.

    Signals
    -------
    chosen
        The id of the model that a person chose.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._entries: tuple[ListedModel, ...] = ()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search models")
        self.search.setToolTip("Show only models whose name, description, microscope or stain contains this.")
        self.dimension = self._filter("Dimensions", "Show only models for stacks, or only models for single images.")
        self.structure = self._filter("Structure", "Show only models for images that show this.")
        self.list = QListWidget()
        self.list.setAccessibleName("Models")
        self.list.setToolTip("The networks on this machine, the ones that fit the image best first.")
        self.list.setItemDelegate(_ModelDelegate(self.list))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self.details_button = button("&Details", "What the chosen model is for, how it was trained, and its scores.")
        self.details_button.clicked.connect(self.show_details)
        filters = QHBoxLayout()
        filters.addWidget(self.dimension, 1)
        filters.addWidget(self.structure, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.search)
        column.addLayout(filters)
        column.addWidget(self.list)
        column.addWidget(self.details_button, 0, Qt.AlignmentFlag.AlignLeft)
        self.search.textChanged.connect(self._apply_filters)
        self.dimension.currentIndexChanged.connect(self._apply_filters)
        self.structure.currentIndexChanged.connect(self._apply_filters)
        self.list.currentItemChanged.connect(self._tell)

    def show_models(self, entries: Sequence[ListedModel], current: str) -> None:
        """Show `entries` in their order, and the model `current` as the chosen one."""
        if tuple(entries) != self._entries:
            self._entries = tuple(entries)
            self._fill()
        self._choose(current)

    def current(self) -> InstalledModel | None:
        """Return the chosen model."""
        item = self.list.currentItem()
        entry: ListedModel | None = None if item is None else item.data(_ENTRY)
        return None if entry is None else entry.model

    def show_details(self) -> None:
        """Open the page of the chosen model."""
        model = self.current()
        if model is not None:
            ModelPage(model, self).open()

    # ------------------------------------------------------------------------------------------------ filling

    def _filter(self, name: str, tip: str) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(name)
        box.setToolTip(tip)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        return box

    def _fill(self) -> None:
        self.list.blockSignals(True)
        self.list.clear()
        for entry in self._entries:
            item = QListWidgetItem(entry.title)
            item.setData(_ENTRY, entry)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{entry.title}: {entry.line}")
            item.setToolTip(f"<p>{escape(entry.model.card.description)}</p><p>{escape(entry.advice)}</p>")
            item.setData(Qt.ItemDataRole.DecorationRole, _picture(entry.model))
            self.list.addItem(item)
        self.list.blockSignals(False)
        rows = min(_ROWS_SHOWN, max(1, len(self._entries)))
        self.list.setFixedHeight(rows * self.list.sizeHintForRow(0) + 2 * self.list.frameWidth())
        cards = [entry.model.card for entry in self._entries]
        self._offer(self.dimension, "2D, 3D", sorted({card.dimensionality for card in cards}))
        self._offer(self.structure, "Anything", sorted({entry.shows for entry in self._entries}))

    def _offer(self, box: QComboBox, everything: str, words: Sequence[str]) -> None:
        kept = box.currentData()
        box.blockSignals(True)
        box.clear()
        box.addItem(everything, _ANY)
        for word in words:
            box.addItem(word[:1].upper() + word[1:], word)
        box.setCurrentIndex(max(0, box.findData(kept)))
        box.blockSignals(False)

    def _choose(self, model_id: str) -> None:
        self.list.blockSignals(True)
        self.list.setCurrentRow(-1)
        for row in range(self.list.count()):
            if self.list.item(row).data(_ENTRY).model.card.id == model_id:
                self.list.setCurrentRow(row)
        self.list.blockSignals(False)
        self.details_button.setEnabled(self.list.currentItem() is not None)

    def _apply_filters(self) -> None:
        words = self.search.text().casefold().split()
        dimension, structure = self.dimension.currentData(), self.structure.currentData()
        for row in range(self.list.count()):
            item = self.list.item(row)
            entry: ListedModel = item.data(_ENTRY)
            card = entry.model.card
            text = searched_text(card)
            fits = dimension in (_ANY, None, card.dimensionality) and structure in (_ANY, None, entry.shows)
            item.setHidden(not (fits and all(word in text for word in words)))

    def _tell(self, item: QListWidgetItem | None) -> None:
        self.details_button.setEnabled(item is not None)
        if item is not None:
            self.chosen.emit(item.data(_ENTRY).model.card.id)


def _picture(model: InstalledModel) -> QPixmap:
    """Return a square out of the middle of the model's picture, or an empty picture."""
    whole = QPixmap(str(model.folder / model.card.picture)) if model.card.picture else QPixmap()
    if whole.isNull():
        return QPixmap()
    side = min(whole.width(), whole.height())
    # Pictures are rows of panels, image first; the middle shows what is found.
    middle = whole.copy(QRect((whole.width() - side) // 2, (whole.height() - side) // 2, side, side))
    smooth = Qt.TransformationMode.SmoothTransformation
    return middle.scaled(_ICON_PIXELS, _ICON_PIXELS, Qt.AspectRatioMode.KeepAspectRatio, smooth)


class _ModelDelegate(QStyledItemDelegate):
    """Draws the title, and below it the picture beside two lines of text."""

    _MARGIN = 6

    def sizeHint(self, option: QStyleOptionViewItem, _index: QModelIndex | QPersistentModelIndex) -> QSize:  # noqa: N802
        """Return room for three lines of text."""
        return QSize(120, 3 * QFontMetrics(option.font).lineSpacing() + 2 * self._MARGIN)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw one model."""
        drawn = QStyleOptionViewItem(option)
        self.initStyleOption(drawn, index)
        drawn.text, drawn.icon = "", type(drawn.icon)()
        style = drawn.widget.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, drawn, painter, drawn.widget)
        entry: ListedModel = index.data(_ENTRY)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        area = drawn.rect.adjusted(self._MARGIN, self._MARGIN, -self._MARGIN, -self._MARGIN)
        painter.setPen(drawn.palette.color(drawn.palette.ColorRole.Text))
        bold = drawn.font
        bold.setBold(True)
        painter.setFont(bold)
        metrics = QFontMetrics(option.font)
        height = metrics.lineSpacing()
        title = QFontMetrics(bold).elidedText(entry.title, Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(QRect(area.left(), area.top(), area.width(), height), 0, title)
        picture: QPixmap = index.data(Qt.ItemDataRole.DecorationRole)
        if not picture.isNull():
            painter.drawPixmap(QRect(area.left(), area.top() + height + 1, 2 * height - 1, 2 * height - 1), picture)
        left = area.left() + 2 * height + self._MARGIN
        painter.setFont(option.font)
        for number, line in enumerate(two_lines(entry.line, metrics, area.right() - left)):
            painter.drawText(QRect(left, area.top() + (number + 1) * height, area.right() - left, height), 0, line)
        painter.restore()


def two_lines(text: str, metrics: QFontMetrics, width: int) -> tuple[str, str]:
    """Return `text` broken into two lines of `width` pixels, the second one shortened where it must be."""
    words, first = text.split(" "), ""
    while words and metrics.horizontalAdvance(f"{first} {words[0]}".strip()) <= width:
        first = f"{first} {words.pop(0)}".strip()
    return first, metrics.elidedText(" ".join(words), Qt.TextElideMode.ElideRight, width)


class ModelPage(QDialog):
    """The page of a model: what it is for, its picture, data and scores."""

    def __init__(self, model: InstalledModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(model.card.title or model.card.id)
        self.resize(760, 620)
        details = ModelDetails()
        details.show_entry(ModelEntry(model.folder, model))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        close = buttons.button(QDialogButtonBox.StandardButton.Close)
        close.setAccessibleName("Close")
        close.setToolTip("Close this page (Esc).")
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(details)
        column.addWidget(buttons)
