"""Everything that a card says about one model, as a person reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from plantseg_app.core.quantities import human_bytes
from plantseg_app.errors import InputError
from plantseg_app.gui.areas.area import Column, free_width
from plantseg_app.gui.areas.model_table import ModelEntry
from plantseg_app.gui.widgets import say, sentence
from plantseg_app.zoo.catalogue import InstalledModel
from plantseg_app.zoo.facts import DataSource, ModelFacts, Score
from plantseg_app.zoo.load import verify_model
from plantseg_app.zoo.offers import Offer
from plantseg_app.zoo.search import FINDS
from plantseg_app.zoo.wording import fetched_text, grey_values_text, network_text, objects_text, tile_text

_HIGHEST_PX = 420
# Up to this size the checksum takes less time than a person notices.
_CHECKED_AT_ONCE_BYTES = 64 * 2**20
_SEEN_AS = {"train": "learned from", "validation": "chosen by", "test": "tested on"}


class Picture(QWidget):
    """A picture that is made smaller, never larger, to fit the width it gets."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._pixmap = QPixmap()
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_file(self, path: Path) -> None:
        """Show the picture in `path`, or nothing when there is none."""
        self._pixmap = QPixmap(str(path)) if path.is_file() else QPixmap()
        self.setVisible(not self._pixmap.isNull())
        self.updateGeometry()
        self.update()

    def hasHeightForWidth(self) -> bool:  # noqa: N802 - Qt's name
        """Return whether the height follows from the width: yes."""
        return True

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """Return the height that goes with a width."""
        return self._fitted(width).height()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size it would like."""
        return self._fitted(self._pixmap.width())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the picture at the left."""
        del event
        if self._pixmap.isNull():
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        size = self._fitted(self.width())
        painter.drawPixmap(0, 0, size.width(), size.height(), self._pixmap)

    def _fitted(self, width: int) -> QSize:
        if self._pixmap.isNull():
            return QSize(0, 0)
        limit = QSize(min(width, self._pixmap.width()), min(_HIGHEST_PX, self._pixmap.height()))
        return self._pixmap.size().scaled(limit, Qt.AspectRatioMode.KeepAspectRatio)


class ModelDetails(QWidget):
    """The card of the chosen model, or why a folder is none."""

    def __init__(self) -> None:
        super().__init__()
        area = Column(300)
        column = area.lines
        self.head = free_width(sentence())
        self.head.setAccessibleName("What the model is for")
        self.hint = free_width(sentence())
        self.hint.setAccessibleName("What suits the open image")
        self.picture = Picture("Picture: image, result and truth")
        self.picture.setToolTip("An image, what the model makes of it, and the truth where it is known.")
        self.body = free_width(sentence())
        self.body.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.body.setOpenExternalLinks(True)
        self.body.setAccessibleName("Facts, scores and data of the model")
        for widget in (self.head, self.hint, self.picture, self.body):
            column.addWidget(widget)
        column.addStretch(1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(area)
        self.show_entry(None)

    def show_entry(self, entry: ModelEntry | None, checked: str = "") -> None:
        """Show a model; None when nothing is chosen.

        Parameters
        ----------
        entry
            The model.
        checked
            What a check of its files has just said, in words.
        """
        self._show_hint(entry)
        if entry is None or entry.card is None:
            self.picture.show_file(Path())
            self.head.setText(
                "Choose a model to see what it is for." if entry is None else f"<h3>{escape(entry.id)}</h3>"
            )
            self.body.setText("" if entry is None else _broken(entry))
            return
        card, model = entry.card, entry.model
        self.head.setText(f"<h3>{escape(card.title)}</h3><p>{escape(card.description)}</p>")
        picture = None if model is None or not model.card.picture else model.folder / model.card.picture
        self.picture.show_file(picture or Path())
        facts = _facts(card) + (_here(model, checked) if model is not None else _elsewhere(entry.offer))
        training = model.card.training if model is not None else ""
        self.body.setText(_table(facts) + _scores(card.scores) + _data(card.data) + _origin(card, training))

    def _show_hint(self, entry: ModelEntry | None) -> None:
        fit = None if entry is None else entry.fit
        self.hint.setVisible(fit is not None)
        if fit is not None:
            meant = fit.structure_fits and fit.dimension_fits
            role = "warning" if not meant else "good" if fit.advice.verdict == "fits" else ""
            say(self.hint, f"<b>Fit:</b> {escape(fit.sentence)}", role)


def _broken(entry: ModelEntry) -> str:
    return f"<p><b>This model cannot be used.</b> {escape(entry.reason)}</p><p>{escape(str(entry.folder))}</p>"


def _facts(card: ModelFacts) -> list[tuple[str, str]]:
    inputs = [f"{channel.name}. {channel.description}".rstrip(". ") for channel in card.inputs]
    outputs = [_output_text(output.name, FINDS.get(output.kind, output.kind.value)) for output in card.outputs]
    return [
        ("Finds", card.segments),
        ("Sees", "single slices" if card.dimensionality == "2D" else "stacks"),
        ("Reads", "; ".join(inputs)),
        ("Makes", ", ".join(outputs)),
        ("Voxel size", voxel_size_text(card)),
        ("Objects", objects_text(card)),
        ("Tiles", tile_text(card)),
        ("Microscopy", card.modality or "not stated"),
        ("Organism", ", ".join(part for part in (card.organism, card.tissue) if part)),
        ("Licence", card.licence),
    ]


def _output_text(name: str, kind: str) -> str:
    return name if name == kind else f"{name} ({kind})"


def _here(model: InstalledModel, checked: str) -> list[tuple[str, str]]:
    card = model.card
    return [
        ("Network", network_text(card.family)),
        ("Grey values", grey_values_text(card.normalisation)),
        ("Size", human_bytes(card.weights.size_bytes)),
        ("Files", checked or checksum_text(model)),
        ("Downloaded", fetched_text(card.fetched)),
        ("Id", card.id),
        ("Folder", str(model.folder)),
    ]


def _elsewhere(offer: Offer | None) -> list[tuple[str, str]]:
    if offer is None:
        return []
    size = offer.size_bytes
    published = all(file.sha256 for file in offer.files)
    return [
        ("Size", "not stated" if size is None else human_bytes(size)),
        ("Files", "will be checked" if published else "no checksums are published; those that come are held on to"),
        ("Offered by", offer.collection),
        ("Page", offer.page),
        ("Id", offer.id),
        ("Also called", ", ".join(offer.also_called)),
    ]


def _shown(text: str) -> str:
    """Return text for a cell: escaped, and with places at which long addresses may go over several lines."""
    return re.sub(r"([/\\_-])(?=\w)", "\\1\u200b", escape(text))


def _linked(text: str) -> str:
    """Return text for a cell; an address can be clicked, which opens the browser."""
    is_address = text.startswith("https://") and " " not in text
    return f'<a href="{escape(text)}">{_shown(text)}</a>' if is_address else _shown(text)


def voxel_size_text(card: ModelFacts) -> str:
    """Return at which voxel size the model was trained, in words."""
    if card.voxel_size_um is None:
        return "any"
    if card.dimensionality == "2D":
        return " × ".join(f"{length:g}" for length in card.voxel_size_um[1:]) + " µm (Y, X)"
    return " × ".join(f"{length:g}" for length in card.voxel_size_um) + " µm (Z, Y, X)"


def checksum_text(model: InstalledModel) -> str:
    """Return whether the files are those that the card describes."""
    if model.card.weights.size_bytes > _CHECKED_AT_ONCE_BYTES and model.weights_path.is_file():
        return "checked when the model is used first"
    try:
        verify_model(model)
    except InputError as error:
        return f"damaged: {error}"
    return "checked: they are those that the card describes"


def _scores(scores: Sequence[Score]) -> str:
    if not scores:
        return "<h4>Scores</h4><p>Nobody has measured how good it is.</p>"
    rows = [(score.data, score.metric.replace("_", " "), f"{score.value:g}", score.remark) for score in scores]
    return "<h4>Scores</h4>" + _grid(("measured on", "metric", "value", "remark"), rows)


def _data(data: Sequence[DataSource]) -> str:
    if not data:
        return "<h4>Images</h4><p>The card does not say what it learned from.</p>"
    rows = [
        (_SEEN_AS[source.seen_as], source.name, source.licence or "not stated", source.provenance) for source in data
    ]
    return "<h4>Images</h4>" + _grid(("role", "images", "licence", "source"), rows)


def _origin(card: ModelFacts, training: str) -> str:
    facts = [
        ("Authors", ", ".join(card.authors)),
        ("Citation", card.citation),
        ("DOI", f"https://doi.org/{card.doi}" if card.doi else ""),
        ("Training", training),
    ]
    return "<h4>Origin</h4>" + _table(facts)


def _table(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><td style="padding-right: 12px"><b>{escape(name)}</b></td><td>{_linked(text)}</td></tr>'
        for name, text in facts
        if text
    )
    return f'<table cellspacing="0" cellpadding="2">{rows}</table>'


def _grid(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th align="left" style="padding-right: 12px">{escape(title)}</th>' for title in titles)
    body = "".join(
        "<tr>" + "".join(f'<td style="padding-right: 12px">{_shown(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f'<table cellspacing="0" cellpadding="2"><tr>{head}</tr>{body}</table>'
