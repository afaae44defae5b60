"""What to do with the open images: the workflow, which image is what in it, and what is missing or does not fit."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QComboBox, QFileDialog, QVBoxLayout, QWidget

from plantseg_app.core.volume import Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError
from plantseg_app.gui.document import Document
from plantseg_app.gui.widgets import sentence
from plantseg_app.run.roles import assign_sources
from plantseg_app.run.workflows import bundled_workflows

_OPEN = "open"
_GREY = QColor("#888888")


class WorkflowChoice(QWidget):
    """The ready-made workflows, those that fit the images first, and one of a file.

    Signals
    -------
    file_chosen
        A workflow file to open.
    """

    file_chosen = Signal(object)

    def __init__(self, document: Document, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.document = document
        self._ready_made: list[Workflow] = []
        self.choice = QComboBox()
        self.choice.setAccessibleName("Workflow")
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.choice.setMinimumContentsLength(12)
        self.about = sentence()
        self.sources = sentence()
        self.problem = sentence()
        self.problem.setProperty("role", "warning")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.choice, self.about, self.sources, self.problem):
            column.addWidget(widget)
        self.choice.activated.connect(self._choose)
        self._show_current()

    def refresh(self) -> None:
        """Show the workflow and the images of the document."""
        workflow = self.document.workflow
        self._fill(workflow)
        self.about.setText(html.escape(" ".join(workflow.description.split())))
        self.sources.setText(self._assigned_words())
        problem = self._problem()
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))

    # ------------------------------------------------------------------------------------------------ the list

    def _fill(self, current: Workflow) -> None:
        self._ready_made = self._ready_made or bundled_workflows()
        roles = {name: image.role for name, image in self.document.images.items()}
        fitting = [workflow for workflow in self._ready_made if not missing(workflow, roles)]
        others = [workflow for workflow in self._ready_made if workflow not in fitting]
        self.choice.clear()
        if current.name not in [workflow.name for workflow in self._ready_made]:
            self._add(current, roles)
        for workflow in fitting:
            self._add(workflow, roles)
        if others:
            self.choice.insertSeparator(self.choice.count())
        for workflow in others:
            self._add(workflow, roles)
        self.choice.insertSeparator(self.choice.count())
        self.choice.addItem("Open a workflow…", _OPEN)
        self._show_current()

    def _add(self, workflow: Workflow, roles: Mapping[str, str]) -> None:
        lacks = missing(workflow, roles)
        self.choice.addItem(workflow.title or workflow.name, workflow.name)
        at = self.choice.count() - 1
        self.choice.setItemData(at, lacks or " ".join(workflow.description.split()), Qt.ItemDataRole.ToolTipRole)
        if lacks:
            self.choice.setItemData(at, _GREY, Qt.ItemDataRole.ForegroundRole)

    def _show_current(self) -> None:
        self.choice.setCurrentIndex(self.choice.findData(self.document.workflow.name))
        title = self.choice.currentText() or "The workflow"
        self.choice.setToolTip(f"{title}: what is done with the images. Its steps can be changed on the next pages.")

    def _choose(self, _index: int) -> None:
        wanted = self.choice.currentData()
        if wanted == _OPEN:
            self._show_current()
            chosen, _ = QFileDialog.getOpenFileName(
                self, "Open a workflow", "", "Workflows and results (*.yaml *.yml *.tif *.tiff *.h5);;All files (*)"
            )
            if chosen:
                self.file_chosen.emit(Path(chosen))
            return
        if wanted != self.document.workflow.name:
            self.document.set_workflow(next(workflow for workflow in self._ready_made if workflow.name == wanted))

    # ------------------------------------------------------------------------------------------------ the images

    def _assigned_words(self) -> str:
        rows = [
            f"<b>{html.escape(source)}</b>: {html.escape(image)}" for source, image in self.document.assigned().items()
        ]
        unused = [name for name in self.document.images if name not in self.document.assigned().values()]
        if unused:
            rows.append(f"Not used in the steps: {html.escape(', '.join(unused))}")
        return "<br>".join(rows)

    def _problem(self) -> str:
        lacks = missing(self.document.workflow, {name: image.role for name, image in self.document.images.items()})
        return lacks or misfit({name: self.document.images[name].volume for name in self.document.assigned().values()})


def missing(workflow: Workflow, roles: Mapping[str, str]) -> str:
    """Return which image a workflow lacks, in words, or ""."""
    try:
        assign_sources(workflow, roles)
    except RequestError as error:
        return str(error)
    return ""


def misfit(volumes: Mapping[str, Volume]) -> str:
    """Return in what images that go into one workflow differ, in words, or ""."""
    names = list(volumes)
    for name in names[1:]:
        first, reference, volume = names[0], volumes[names[0]], volumes[name]
        if volume.shape_vox != reference.shape_vox:
            return (
                f"{first} has {_times(reference.shape_vox)} voxels and {name} {_times(volume.shape_vox)}; images that "
                "are used together must show the same field of view. Crop or rescale one of them, or close it."
            )
        one, other = reference.voxel_size_um, volume.voxel_size_um
        if one is not None and other is not None and _differ(one, other):
            return (
                f"The voxel sizes of {first} ({_times(one)} µm) and {name} ({_times(other)} µm) differ, "
                "although their shapes are the same; correct the one that is wrong."
            )
    return ""


def _differ(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    # Programs round lengths when they write them.
    return any(abs(a - b) > 0.01 * max(a, b) for a, b in zip(first, second, strict=True))


def _times(numbers: tuple[float, ...]) -> str:
    return " × ".join(f"{number:g}" for number in numbers)
