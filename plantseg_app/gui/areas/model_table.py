"""The list of models as a table, and the filter above it: those on this machine, and those to download."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QSortFilterProxyModel, Qt

from plantseg_app import paths
from plantseg_app.core.volume import VoxelSize
from plantseg_app.gui.areas.row_table import RowTable
from plantseg_app.gui.document import Document
from plantseg_app.gui.model_fit import fits_of
from plantseg_app.zoo.catalogue import InstalledModel, read_catalogue
from plantseg_app.zoo.facts import ModelFacts
from plantseg_app.zoo.offers import Offer
from plantseg_app.zoo.scale import ModelFit
from plantseg_app.zoo.search import KnownModel, Wish, known_models, structure_of

Index = QModelIndex | QPersistentModelIndex

BUNDLED, OWN, ELSEWHERE = "program", "your own", "to download"
STRUCTURE_COLUMN, FIT_COLUMN = 2, 3
_SORTED_BY = Qt.ItemDataRole.UserRole


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """One row: a model that is here or can be downloaded, or a folder that should hold one and does not.

    Attributes
    ----------
    folder
        Where it lies; None when it is not here.
    model
        The model; None when it is not here or cannot be used.
    offer
        Where it can be downloaded; None when nobody offers it.
    reason
        Why it cannot be used, in words.
    fit
        How well it suits the open image; None when there is none.
    """

    folder: Path | None
    model: InstalledModel | None = None
    offer: Offer | None = None
    reason: str = ""
    fit: ModelFit[KnownModel] | None = None

    @property
    def card(self) -> ModelFacts | None:
        """What is known of it; None when it is broken."""
        return self.offer if self.model is None else self.model.card

    @property
    def id(self) -> str:
        """The id of the model, or the name of the folder."""
        return self.card.id if self.card is not None else "" if self.folder is None else self.folder.name

    @property
    def is_own(self) -> bool:
        """Whether it lies in the person's own folder, so that it can be removed."""
        return self.folder is not None and self.folder.resolve().parent == paths.user_models_dir().resolve()

    @property
    def origin(self) -> str:
        """Where it comes from, in words."""
        return ELSEWHERE if self.folder is None else OWN if self.is_own else BUNDLED

    @property
    def is_to_download(self) -> bool:
        """Whether it is not here yet."""
        return self.folder is None and self.offer is not None


def read_entries(document: Document, voxel_size_um: VoxelSize | None = None) -> list[ModelEntry]:
    """Return all models: first those that suit the open image, or else those that are here; last what is broken.

    Parameters
    ----------
    document
        What is open.
    voxel_size_um
        What a person looks for; None: that of the image.
    """
    known = known_models()
    fits = {fit.model.card.id: (place, fit) for place, fit in enumerate(fits_of(document, known, voxel_size_um))}
    broken = read_catalogue().broken
    # The id of a model whose folder is damaged is taken.
    names = {entry.folder.name for entry in broken}
    usable = [_entry(model, fits) for model in known if model.installed is not None or model.card.id not in names]
    if fits:
        usable.sort(key=lambda entry: fits[entry.id][0])
    else:
        usable.sort(key=lambda entry: (entry.folder is None, entry.card.title.casefold() if entry.card else ""))
    return usable + [ModelEntry(entry.folder, reason=entry.reason) for entry in broken]


def _entry(model: KnownModel, fits: dict[str, tuple[int, ModelFit[KnownModel]]]) -> ModelEntry:
    _, fit = fits.get(model.card.id, (0, None))
    here = model.installed
    return ModelEntry(None if here is None else here.folder, here, model.offer, fit=fit)


def fit_text(entry: ModelEntry) -> str:
    """Return in a word or two how well a model suits the open image."""
    fit = entry.fit
    if fit is None:
        return ""
    if not fit.structure_fits:
        return "other stain"
    if not fit.dimension_fits:
        return "slice by slice" if fit.model.card.dimensionality == "2D" else "for stacks"
    if fit.advice.verdict == "unknown":
        return "try it"
    factor = max(fit.advice.factors, key=lambda factor: abs(math.log(factor)))
    return "fits" if abs(factor - 1) < 0.005 else f"scale {factor:.2g}"


class ModelTable(RowTable[ModelEntry]):
    """The models, one a row."""

    COLUMNS = ("Model", "Sees", "Finds", "Fit", "Origin")

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows, is sorted by, or says when the mouse rests on it."""
        entry = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._texts(entry)[index.column()]
        if role == _SORTED_BY:
            # The rows come in the order in which they suit the image.
            return index.row() if index.column() == FIT_COLUMN else self._texts(entry)[index.column()].casefold()
        if role == Qt.ItemDataRole.ToolTipRole:
            return entry.reason or self._tip(entry, index.column())
        return None

    def headerData(  # noqa: N802 - Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the title of a column, or what it means."""
        if role == Qt.ItemDataRole.ToolTipRole and section == FIT_COLUMN:
            return "How the open image suits: by how much it is enlarged for the network, if at all."
        return super().headerData(section, orientation, role)

    @staticmethod
    def _tip(entry: ModelEntry, column: int) -> str:
        if column == FIT_COLUMN and entry.fit is not None:
            return entry.fit.sentence
        return f"{entry.card.title}: {entry.card.description}" if entry.card else ""

    @staticmethod
    def _texts(entry: ModelEntry) -> tuple[str, ...]:
        card = entry.card
        if card is None:
            return f"{entry.id} (cannot be used)", "", "", "", entry.origin
        return card.title, card.dimensionality, structure_of(card), fit_text(entry), entry.origin


class ModelFilter(QSortFilterProxyModel):
    """Leaves the models that fit all filters; an empty filter lets everything through."""

    def __init__(self, table: ModelTable, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setSourceModel(table)
        self.setSortRole(_SORTED_BY)
        self._table = table
        self._wish = Wish()
        self._origin = ""

    def set_filters(self, wish: Wish, origin: str) -> None:
        """Show only what fits."""
        self._wish, self._origin = wish, origin
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:  # noqa: N802 - Qt's name
        """Return whether the model in `row` fits."""
        del parent
        entry, wish = self._table.rows[row], self._wish
        if self._origin and entry.origin != self._origin:
            return False
        if entry.card is None:
            # What is broken says nothing of itself, so it is hidden by any wish but one for its name.
            return wish.is_only_words and wish.words.casefold().strip() in entry.id.casefold()
        return wish.matches(entry.card)
