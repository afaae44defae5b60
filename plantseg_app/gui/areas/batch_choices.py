"""What is the same for all files of a batch: the workflow, its further images, how files are read, where results go."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import PlantSegError, RequestError
from plantseg_app.gui.forms.fold import Fold
from plantseg_app.gui.forms.step_form import StepForm
from plantseg_app.gui.path_line import PathLine
from plantseg_app.gui.widgets import button, heading, sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.io import FORMATS
from plantseg_app.run.batch import RESULT_SUFFIXES
from plantseg_app.run.jobs import ExtraSource, JobSettings, ReadOptions
from plantseg_app.run.read_settings import ReadSettings
from plantseg_app.run.workflows import bundled_workflows, find_workflow, what_is_missing

_WIZARD = "as in the wizard"


class WorkflowChoice(QWidget):
    """Chooses a workflow: the one of the wizard, a ready-made one, or one from a file.

    Signals
    -------
    changed
        Another workflow, or the wizard's one has changed.
    """

    changed = Signal()

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self._bench = bench
        self._files: dict[str, Workflow] = {}
        self.box = QComboBox()
        self.box.setAccessibleName("Workflow")
        self.box.setToolTip("What is done with every file.")
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(12)
        self.file_button = button("&File…", "Use a workflow that was saved as YAML, or the one recorded in a result.")
        self.description = sentence()
        row = QHBoxLayout()
        row.addWidget(self.box, 1)
        row.addWidget(self.file_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.description)
        self.box.addItem("", _WIZARD)
        self._ready = {workflow.name: workflow for workflow in bundled_workflows()}
        for workflow in self._ready.values():
            self.box.addItem(workflow.title or workflow.name, workflow.name)
        self.box.currentIndexChanged.connect(self._tell)
        self.file_button.clicked.connect(self._choose_file)
        bench.document.workflow_changed.connect(self._follow_wizard)
        self._follow_wizard()

    @property
    def workflow(self) -> Workflow:
        """The workflow that is chosen."""
        key = self.box.currentData()
        if key == _WIZARD:
            return self._bench.document.workflow
        return self._files[key] if key in self._files else self._ready[key]

    def open_file(self, path: Path) -> None:
        """Read a workflow and choose it."""
        try:
            workflow = find_workflow(path)
        except (PlantSegError, OSError) as error:
            self._bench.warn(str(error))
            return
        key = str(path.resolve())
        if key not in self._files:
            self.box.addItem(f"{path.name}: {workflow.title or workflow.name}", key)
        self._files[key] = workflow
        self.box.setCurrentIndex(self.box.findData(key))
        self._tell()
        if missing := what_is_missing(workflow):
            self._bench.warn(f"{path.name} cannot run yet. {missing}")

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Workflow", "", "Workflows and results (*.yaml *.yml *.tif *.tiff *.h5)"
        )
        if path:
            self.open_file(Path(path))

    def _follow_wizard(self) -> None:
        workflow = self._bench.document.workflow
        self.box.setItemText(0, f"As in the wizard: {workflow.title or workflow.name}")
        if self.box.currentIndex() == 0:
            self._tell()

    def _tell(self) -> None:
        self.description.setText(self.workflow.description)
        self.changed.emit()


class SourceLine(QWidget):
    """Where a further image of the workflow comes from: files named alike, or a channel of the main files."""

    def __init__(self, name: str, help_text: str, optional: bool) -> None:
        super().__init__()
        self.name, self._optional = name, optional
        self.place = PathLine(
            f"Folder of {name}",
            f"{help_text} A folder whose files are named like the images, or one file for all.",
            "folder with files named alike",
        )
        self.channel = QLineEdit()
        self.channel.setAccessibleName(f"Channel of {name}")
        self.channel.setToolTip(f"{help_text} The channel of the images that shows it: a number from 0, or its name.")
        self.channel.setPlaceholderText("or a channel of the images")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(heading(f"{name.capitalize()}{' (may be left out)' if optional else ''}"))
        column.addWidget(sentence(help_text))
        column.addWidget(self.place)
        column.addWidget(self.channel)

    def source(self, base: ReadOptions) -> ExtraSource | None:
        """Return where it comes from; None when it is left out.

        Parameters
        ----------
        base
            How the main files are read.

        Raises
        ------
        RequestError
            If it is needed and not given, or there is no such place.
        """
        channel, path = self.channel.text().strip(), self.place.path
        if path is not None:
            if not path.exists():
                raise RequestError(f'There is no file or folder {path} for "{self.name}"; choose another one.')
            read = ReadOptions(voxel_size_um=base.voxel_size_um, nan=base.nan)
            return ExtraSource(path, read)
        if channel:
            number = int(channel) if channel.isdecimal() else channel
            return ExtraSource(None, dataclasses.replace(base, channel=number))
        if self._optional:
            return None
        raise RequestError(f'The workflow needs "{self.name}" for each image; choose a folder, or name a channel.')


class BatchChoices(QWidget):
    """The settings of a batch, apart from its files."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self._document = bench.document
        self.workflow_choice = WorkflowChoice(bench)
        self.further = QVBoxLayout()
        self.source_lines: list[SourceLine] = []
        self.output = PathLine(
            "Folder of the results",
            "Results go there, one file an image, with a summary and a report.",
            "a folder for the results",
        )
        self.format_box = QComboBox()
        self.format_box.setAccessibleName("Format of the results")
        self.format_box.setToolTip("The kind of file that each result becomes.")
        for suffix in RESULT_SUFFIXES:
            name = next(known.name for known in FORMATS if suffix in known.write_suffixes)
            self.format_box.addItem(f"{name} ({suffix})", suffix)
        self.reading = StepForm(ReadSettings)
        fold = Fold("How files are read")
        fold.column.addWidget(self.reading)
        self._build(fold)
        self.workflow_choice.changed.connect(self._show_sources)
        self._show_sources()

    def _build(self, fold: Fold) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(heading("Workflow"))
        column.addWidget(self.workflow_choice)
        column.addLayout(self.further)
        column.addWidget(heading("Results"))
        column.addWidget(self.output)
        row = QFormLayout()
        row.addRow("Format", self.format_box)
        column.addLayout(row)
        column.addWidget(fold)

    @property
    def suffix(self) -> str:
        """The ending of the results."""
        return str(self.format_box.currentData())

    def propose_output(self, first: Path) -> None:
        """Name a folder beside the images, unless one is named."""
        if self.output.path is None:
            self.output.set_path(first.parent / "cells")

    def job_settings(self, n_threads: int | None = None) -> JobSettings:
        """Return the settings of jobs that use `n_threads` cores (all by default).

        Raises
        ------
        RequestError
            If something is missing or does not fit.
        """
        workflow = self.workflow_choice.workflow
        read = self.reading.step().options()
        main, device = next(iter(workflow.sources)), self._document.device
        settings = JobSettings(workflow.to_yaml(), main, read, self._extra(read), device, n_threads)
        settings.bound_workflow()
        return settings

    def _extra(self, read: ReadOptions) -> Mapping[str, ExtraSource]:
        found = ((line.name, line.source(read)) for line in self.source_lines)
        return {name: source for name, source in found if source is not None}

    def _show_sources(self) -> None:
        """Ask for what the workflow takes besides the image; what is filled in already stays."""
        workflow = self.workflow_choice.workflow
        wanted = [(name, source.help, source.optional) for name, source in list(workflow.sources.items())[1:]]
        if [line.name for line in self.source_lines] == [name for name, _, _ in wanted]:
            return
        for line in self.source_lines:
            line.setParent(None)
            line.deleteLater()
        self.source_lines = [SourceLine(*facts) for facts in wanted]
        for line in self.source_lines:
            self.further.addWidget(line)
