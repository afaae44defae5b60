"""The list of models as a table, and the filter above it; reads the catalogue and draws nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QSortFilterProxyModel, Qt

from plantseg_app import paths
from plantseg_app.core.volume import Kind
from plantseg_app.gui.areas.row_table import RowTable
from plantseg_app.zoo.card import ModelCard
from plantseg_app.zoo.catalogue import InstalledModel, read_catalogue

Index = QModelIndex | QPersistentModelIndex

BUNDLED, OWN = "program", "your own"
FINDS = {
    Kind.BOUNDARY: "boundaries",
    Kind.FOREGROUND: "mask",
    Kind.NUCLEI: "nuclei",
    Kind.DISTANCE: "distances",
    Kind.AFFINITIES: "affinities",
    Kind.EMBEDDING: "embedding",
    Kind.LAYERS: "layers",
}
"""What a model makes, in a word."""


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """One row: a model, or a folder that should hold one and does not.

    Attributes
    ----------
    folder
        Where it lies.
    model
        The model; None when it cannot be used.
    reason
        Why not, in words.
    """

    folder: Path
    model: InstalledModel | None = None
    reason: str = ""

    @property
    def id(self) -> str:
        """The id of the model, or the name of the folder."""
        return self.folder.name if self.model is None else self.model.card.id

    @property
    def is_own(self) -> bool:
        """Whether it lies in the person's own folder, so that it can be removed."""
        return self.folder.resolve().parent == paths.user_models_dir().resolve()

    @property
    def origin(self) -> str:
        """Where it comes from, in words."""
        return OWN if self.is_own else BUNDLED


def read_entries() -> list[ModelEntry]:
    """Return all models by title, then what is broken."""
    catalogue = read_catalogue()
    usable = [ModelEntry(model.folder, model) for model in catalogue.models]
    usable.sort(key=lambda entry: entry.model.card.title.casefold() if entry.model else "")
    return usable + [ModelEntry(broken.folder, None, broken.reason) for broken in catalogue.broken]


def finds_text(card: ModelCard) -> str:
    """Return what the model makes, in words."""
    words = dict.fromkeys(FINDS.get(output.kind, output.kind.value) for output in card.outputs)
    return ", ".join(words)


class ModelTable(RowTable[ModelEntry]):
    """The models, one a row."""

    COLUMNS = ("Model", "Sees", "Finds", "Origin")

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows, or says when the mouse rests on it."""
        entry = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._texts(entry)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return entry.reason or (f"{entry.model.card.title}: {entry.model.card.description}" if entry.model else "")
        return None

    @staticmethod
    def _texts(entry: ModelEntry) -> tuple[str, ...]:
        if entry.model is None:
            return f"{entry.id} (cannot be used)", "", "", entry.origin
        card = entry.model.card
        return card.title, card.dimensionality, finds_text(card), entry.origin


class ModelFilter(QSortFilterProxyModel):
    """Leaves the models that fit all filters; an empty filter lets everything through."""

    def __init__(self, table: ModelTable, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setSourceModel(table)
        self._table = table
        self._text = self._dimension = self._modality = self._finds = self._origin = ""

    def set_filters(self, text: str, dimension: str, finds: str, modality: str, origin: str) -> None:
        """Show only what fits."""
        self._text, self._dimension, self._finds = text.casefold().strip(), dimension, finds
        self._modality, self._origin = modality, origin
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:  # noqa: N802 - Qt's name
        """Return whether the model in `row` fits."""
        del parent
        entry = self._table.rows[row]
        if self._origin and entry.origin != self._origin:
            return False
        if entry.model is None:
            # What is broken says nothing of itself, so it is hidden by any wish but one for its name.
            return not (self._dimension or self._finds or self._modality) and self._text in entry.id.casefold()
        card = entry.model.card
        kinds = [FINDS.get(output.kind, output.kind.value) for output in card.outputs]
        return (
            all(word in searched_text(card) for word in self._text.split())
            and self._dimension in ("", card.dimensionality)
            and (not self._finds or self._finds in kinds)
            and (not self._modality or self._modality in modalities(card))
        )


def searched_text(card: ModelCard) -> str:
    """Return all that a person might search for, in lower case."""
    channels = " ".join(f"{channel.name} {channel.description}" for channel in card.inputs)
    data = " ".join(source.name for source in card.data)
    words = (card.id, card.title, card.description, card.modality, channels, data, finds_text(card))
    return " ".join(words).casefold()


def modalities(card: ModelCard) -> list[str]:
    """Return the kinds of microscopy that the card names."""
    return [part.strip() for part in card.modality.split(",") if part.strip()]
