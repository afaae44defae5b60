"""What a training starts from: a model that is trained further, or a network from scratch."""

from __future__ import annotations

import importlib
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCursor, QGuiApplication
from PySide6.QtWidgets import QComboBox, QVBoxLayout, QWidget

from plantseg_app.core.volume import Kind
from plantseg_app.gui.forms.step_form import StepForm
from plantseg_app.gui.widgets import sentence
from plantseg_app.steps.predict.predict import Predict
from plantseg_app.zoo.card import ModelCard
from plantseg_app.zoo.catalogue import list_models

_SCRATCH = ""
# The kind of network that learns objects that overlap.
_LAYERING = "layering"


class StartChoice(QWidget):
    """A list of models with "from scratch" at its end, and the form of the network where that is chosen.

    Signals
    -------
    changed
        Another start, or another setting of the network.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.box = _combo("Start from", "A model that is trained further needs fewer images and less time.")
        self.family_box = _combo("Kind of network", "What the network learns to say of each voxel.")
        self.description = sentence()
        self.form: StepForm[Any] | None = None
        self._cards: dict[str, ModelCard] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.box, self.description, self.family_box):
            self._column.addWidget(widget)
        self.family_box.setVisible(False)
        self.refresh()
        self.box.setCurrentIndex(max(0, self.box.findData(Predict().model)))
        self.box.currentIndexChanged.connect(self._choose)
        self.family_box.currentIndexChanged.connect(self._show_form)
        self._choose()

    def refresh(self) -> None:
        """Offer the models that are there now; what was chosen stays."""
        before = self.box.currentData()
        self._cards = {model.card.id: model.card for model in list_models() if not model.card.own_graph}
        self.box.blockSignals(True)
        self.box.clear()
        for card in self._cards.values():
            self.box.addItem(card.title, card.id)
        self.box.addItem("From scratch", _SCRATCH)
        self.box.setCurrentIndex(max(0, self.box.findData(before)))
        self.box.blockSignals(False)
        if before != self.box.currentData():
            self._choose()

    @property
    def card(self) -> ModelCard | None:
        """The card of the model to begin with; None from scratch."""
        return self._cards.get(str(self.box.currentData()))

    @property
    def is_2d(self) -> bool:
        """Whether the network sees single slices."""
        if self.card is not None:
            return self.card.dimensionality == "2D"
        return bool(self.form is not None and self.form.is_valid and self.form.step().is_2d)

    @property
    def learns_overlaps(self) -> bool:
        """Whether the network learns objects that overlap."""
        if self.card is not None:
            return any(output.kind is Kind.LAYERS for output in self.card.outputs)
        return bool(self.form is not None and self.form.is_valid and self.form.step().learns_overlaps)

    def take_overlaps(self) -> None:
        """Choose a network from scratch that learns objects that overlap."""
        self.box.setCurrentIndex(self.box.findData(_SCRATCH))
        self.family_box.setCurrentIndex(self.family_box.findData(_LAYERING))

    def settings(self) -> dict[str, Any]:
        """Return the entries `start_from` and `family` of the training settings.

        Raises
        ------
        RequestError
            If a setting of the network is out of range.
        """
        if self.form is None:
            return {"start_from": self.box.currentData(), "family": None}
        return {"start_from": "", "family": self.form.step().to_plain()}

    def _choose(self) -> None:
        is_scratch = self.box.currentData() == _SCRATCH
        if is_scratch and not self.family_box.count():
            self._load_families()
        self.family_box.setVisible(is_scratch)
        self.description.setText("" if self.card is None else self.card.description)
        self.description.setVisible(self.card is not None)
        self._show_form()

    def _load_families(self) -> None:
        # Kinds of networks are known to torch's side of the program alone, which takes a moment to load.
        QGuiApplication.setOverrideCursor(QCursor(Qt.CursorShape.WaitCursor))
        try:
            importlib.import_module("plantseg_app.networks.families")
            from plantseg_app.networks.family import FAMILIES, trainable_families
        finally:
            QGuiApplication.restoreOverrideCursor()
        self.family_box.blockSignals(True)
        for kind in trainable_families():
            self.family_box.addItem(FAMILIES.get(kind).title, kind)
        self.family_box.blockSignals(False)

    def _show_form(self) -> None:
        if self.form is not None:
            self.form.setParent(None)
            self.form.deleteLater()
            self.form = None
        if self.box.currentData() == _SCRATCH:
            from plantseg_app.networks.family import FAMILIES

            self.form = StepForm(FAMILIES.get(str(self.family_box.currentData())))
            self.form.changed.connect(self.changed)
            self._column.addWidget(self.form)
        self.changed.emit()


def _combo(name: str, tip: str) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    box.setToolTip(tip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    return box
