"""Everything that a training depends on, as a form; the few settings that matter in sight, the others folded away.

It shows fields of `plantseg_app.train.settings.TrainSettings` and knows no default and no range of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFormLayout, QLineEdit, QVBoxLayout, QWidget

from plantseg_app.errors import RequestError
from plantseg_app.gui.areas.stack_list import StackList
from plantseg_app.gui.areas.start_choice import StartChoice
from plantseg_app.gui.forms.fold import Fold
from plantseg_app.gui.forms.step_form import StepForm
from plantseg_app.gui.path_line import PathLine
from plantseg_app.gui.widgets import button, heading, sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.paths import trainings_dir
from plantseg_app.train.settings import DataSettings, OptimiserSettings, PatchSettings, SplitSettings, TrainSettings
from plantseg_app.train.suggest import free_name, suggested_rate, suited_patches

# What a person is asked; the rest of these parts, and the other parts as a whole, are folded away.
_IN_SIGHT: Mapping[str, tuple[str, ...]] = {
    "stopping": ("steps", "minutes"),
    "patches": ("shape_vox", "batch"),
    "optimiser": ("rate",),
    "validation": ("every",),
}
_FOLDED = ("augment", "loss", "schedule", "checkpoints")
_OF_DATA = ("ignore_label", "voxel_size_um", "memory_mb")
_OF_ALL = ("precision", "channels_last", "device", "seed", "tensorboard")
_WISHED_NAME = "my-model"


class TrainingForm(QWidget):
    """The settings of a training.

    Signals
    -------
    changed
        Something is different now.
    """

    changed = Signal()

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self.stacks = StackList(bench)
        self.start = StartChoice()
        self.split = StepForm(SplitSettings)
        self.main: dict[str, StepForm[Any]] = {
            part: StepForm(_model_of(part), only=names) for part, names in _IN_SIGHT.items()
        }
        self.rest: dict[str, StepForm[Any]] = {
            part: StepForm(_model_of(part), hide=names) for part, names in _IN_SIGHT.items()
        }
        self.rest |= {part: StepForm(_model_of(part)) for part in _FOLDED}
        self.data = StepForm(DataSettings, only=_OF_DATA)
        self.general = StepForm(TrainSettings(output=_WISHED_NAME, start_from=_WISHED_NAME), only=_OF_ALL)
        self.card = StepForm(_model_of("card"))
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the model")
        self.name.setToolTip("The folder of the new model gets this name, and so does the model.")
        self.place = PathLine("Folder of trainings", "The model's folder is made in this one, with its checkpoints.")
        self.place.set_path(trainings_dir())
        self.propose_name()
        self._build()
        self._connect()
        self._suit_start()

    # ------------------------------------------------------------------------------------------------ layout

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(heading("Images with cells"))
        column.addWidget(self.stacks)
        self.split_text = sentence("A part is cut off to judge the network:")
        self.overlaps = self._overlaps_notice()
        widgets: list[QWidget] = [self.split_text, self.split, heading("Start from"), self.start, self.overlaps]
        widgets.append(heading("Training"))
        for widget in widgets:
            column.addWidget(widget)
        for form in self.main.values():
            column.addWidget(form)
        column.addWidget(heading("Result"))
        row = QFormLayout()
        row.addRow("Name", self.name)
        column.addLayout(row)
        for title, inside in self._folds():
            fold = Fold(title)
            for widget in inside:
                fold.column.addWidget(widget)
            column.addWidget(fold)

    def _overlaps_notice(self) -> QWidget:
        notice = QWidget()
        column = QVBoxLayout(notice)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(
            sentence(
                "Some stacks hold objects that may overlap, which this network cannot learn. A layering network can: "
                "it brings those that touch or cross into different layers."
            )
        )
        self.overlaps_button = button("Take a &layering network", "Train a layering network from scratch.")
        self.overlaps_button.clicked.connect(self.start.take_overlaps)
        column.addWidget(self.overlaps_button, 0, Qt.AlignmentFlag.AlignLeft)
        notice.setVisible(False)
        return notice

    def _folds(self) -> list[tuple[str, list[QWidget]]]:
        advanced: list[QWidget] = [heading("Where"), self.place, heading("Data"), self.data]
        for part, form in self.rest.items():
            title = TrainSettings.model_fields[part].description or part
            advanced += [heading(title.rstrip(".")), form]
        return [("About the model", [self.card]), ("Advanced", [*advanced, heading("General"), self.general])]

    def _connect(self) -> None:
        forms: list[StepForm[Any]] = [self.split, self.data, self.general, self.card]
        for form in (*forms, *self.main.values(), *self.rest.values()):
            form.changed.connect(self.changed)
        self.stacks.changed.connect(self._show_split)
        self.start.changed.connect(self._suit_start)
        self.name.textChanged.connect(self.changed)
        self.place.changed.connect(self.changed)

    def _show_split(self) -> None:
        for widget in (self.split_text, self.split):
            widget.setVisible(not self.stacks.table.judging())
        self._show_overlaps()
        self.changed.emit()

    def _show_overlaps(self) -> None:
        """Say when the network cannot learn what the stacks hold, and offer one that can."""
        self.overlaps.setVisible(self.stacks.table.has_overlaps and not self.start.learns_overlaps)

    def _suit_start(self) -> None:
        """Bring patches and rate to what the start needs; what a person set besides stays."""
        card = self.start.card
        patches: StepForm[PatchSettings] = self.main["patches"]
        optimiser: StepForm[OptimiserSettings] = self.main["optimiser"]
        if patches.is_valid:
            patches.set_step(suited_patches(patches.step(), self.start.is_2d, self.start.learns_overlaps))
        if optimiser.is_valid and optimiser.step().rate in (suggested_rate(True), suggested_rate(False)):
            optimiser.set_step(optimiser.step().model_copy(update={"rate": suggested_rate(card is not None)}))
        if card is not None and self.card.is_valid:
            channels = tuple(channel.name for channel in card.inputs)
            self.card.set_step(self.card.step().model_copy(update={"channels": channels}))
        self._show_overlaps()
        self.changed.emit()

    # ------------------------------------------------------------------------------------------------ values

    def refresh(self) -> None:
        """Offer the models that are there now."""
        self.start.refresh()

    def propose_name(self) -> None:
        """Offer a name that is free."""
        self.name.setText(free_name(self.place.path or trainings_dir(), _WISHED_NAME))

    def settings(self) -> TrainSettings:
        """Return the settings.

        Raises
        ------
        RequestError
            Saying what is missing or out of range.
        """
        if not self.stacks.table.rows:
            raise RequestError("There are no images with cells; add some, or use the open image with its cells.")
        name = self.name.text().strip()
        if not name or Path(name).name != name:
            raise RequestError("Give the model a name, without slashes; its folder is called like that.")
        plain: dict[str, Any] = self.general.step().model_dump()
        plain |= {"output": str((self.place.path or trainings_dir()) / name), **self.start.settings()}
        plain |= {part: self._part(part) for part in self.rest}
        plain |= {"card": self.card.step().model_dump(), "data": self._data()}
        return TrainSettings.from_plain(plain)

    def _part(self, part: str) -> dict[str, Any]:
        values: dict[str, Any] = self.rest[part].step().model_dump()
        if part in self.main:
            chosen = self.main[part].step().model_dump()
            values |= {name: chosen[name] for name in _IN_SIGHT[part]}
        return values

    def _data(self) -> dict[str, Any]:
        table, chosen = self.stacks.table, self.data.step().model_dump()
        judging = table.judging()
        return {
            "train": table.learning(),
            "validation": judging,
            "split": None if judging else self.split.step(),
            **{name: chosen[name] for name in _OF_DATA},
        }


def _model_of(part: str) -> type[BaseModel]:
    model = TrainSettings.model_fields[part].annotation
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise TypeError(f"{part} is no group of settings")
    return model
