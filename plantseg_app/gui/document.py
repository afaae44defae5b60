"""What is open: images with their roles, the workflow that is being put together, and its results.

Pages read and change it and are told of every change; it draws nothing and computes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from plantseg_app.core.step import Step
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.run.jobs import ReadOptions
from plantseg_app.run.roles import assign_sources, suggested_workflow
from plantseg_app.run.store import VolumeRef
from plantseg_app.run.workflow_edit import nodes_in_group, with_outputs
from plantseg_app.run.workflows import find_workflow


@dataclasses.dataclass(frozen=True)
class OpenImage:
    """One image that was read.

    Attributes
    ----------
    name
        Its name among the open images, and of its layer.
    role
        What it shows: a key of `plantseg_app.run.roles.ROLES`.
    volume
        The image.
    path, read
        The file and how it was read.
    ref
        Where the session keeps the volume for the computing process, if it does.
    voxel_source
        Where the voxel size was found, or why there is none, in words.
    """

    name: str
    role: str
    volume: Volume
    path: Path | None = None
    read: ReadOptions = dataclasses.field(default_factory=ReadOptions)
    ref: Any = None
    voxel_source: str = ""

    @property
    def in_words(self) -> str:
        """Where it came from, for the record in a result."""
        return f"{self.path.name if self.path else self.name} {self.read.to_text()}".strip()


@dataclasses.dataclass(frozen=True)
class Result:
    """What a node made.

    Attributes
    ----------
    name
        The node, and the name of its layer.
    volume
        The map or the cells.
    workflow
        What made it.
    inputs
        The files that it was made from, by source, in words for the record.
    ref
        Where the session keeps the volume, if it does already.
    n_cells
        How many cells there are; None for maps, and until they have been counted.
    """

    name: str
    volume: Volume
    workflow: Workflow
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ref: Any = None
    n_cells: int | None = None

    @property
    def cells_in_words(self) -> str:
        """How many cells there are, as far as they have been counted."""
        return "cells" if self.n_cells is None else "1 cell" if self.n_cells == 1 else f"{self.n_cells} cells"

    def record(self) -> str:
        """Return the text that is kept in a file of this result: where it came from, and the workflow."""
        lines = [f"# {source}: {text}".rstrip() for source, text in self.inputs.items()]
        return "\n".join([*lines, self.workflow.to_yaml()])


class Document(QObject):
    """Everything that a session holds.

    Attributes
    ----------
    device
        What networks run on: ``"auto"``, ``"cpu"``, ``"cuda:0"``, ``"mps"``.
    cell_diameter_vox
        How wide a cell is, in voxels of Y and X of the main image; None until it was measured.
    superpixels
        Where the regions are of which the newest cells were made; None where there are none.

    Signals
    -------
    images_changed
        An image was opened, closed, or got another role.
    workflow_changed
        A step, a setting or the wiring changed.
    results_changed
        A result came, was replaced or removed.
    file_written
        The name of a result, and the file (`Path`) into which it was written.
    """

    images_changed = Signal()
    workflow_changed = Signal()
    results_changed = Signal()
    file_written = Signal(str, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.images: dict[str, OpenImage] = {}
        self.results: dict[str, Result] = {}
        self._unsaved: set[str] = set()
        self.workflow: Workflow = find_workflow(suggested_workflow(()))
        self.workflow_is_chosen = False
        self.device = "auto"
        self.cell_diameter_vox: float | None = None
        self.superpixels: VolumeRef | None = None

    # ------------------------------------------------------------------------------------------------ images

    def add_image(self, image: OpenImage) -> str:
        """Add an image under a name that is free, and return that name."""
        name, count = image.name or "image", 1
        # Layers are known by their names, and the nodes of the workflow will need theirs.
        while name in self.images or name in self.results or name in self.workflow.nodes:
            count += 1
            name = f"{image.name} {count}"
        self.images[name] = dataclasses.replace(image, name=name)
        self._follow_roles()
        self.images_changed.emit()
        return name

    def remove_image(self, name: str) -> None:
        """Close an image; results that were made from it stay."""
        if self.images.pop(name, None) is not None:
            self._follow_roles()
            self.images_changed.emit()

    def change_image(self, name: str, **changes: Any) -> None:
        """Change the role or the volume of an image."""
        self.images[name] = dataclasses.replace(self.images[name], **changes)
        if "role" in changes:
            self._follow_roles()
        self.images_changed.emit()

    def with_role(self, role: str) -> OpenImage | None:
        """Return the first image that has this role."""
        return next((image for image in self.images.values() if image.role == role), None)

    @property
    def main_image(self) -> OpenImage | None:
        """The image that the first source of the workflow is, or else the first one."""
        first = next(iter(self.workflow.sources), None)
        assigned = self.assigned()
        if first in assigned:
            return self.images[assigned[first]]
        return next(iter(self.images.values()), None)

    def assigned(self) -> dict[str, str]:
        """Return which image is which source, as far as there are images for them."""
        optional = {
            name: source.model_copy(update={"optional": True}) for name, source in self.workflow.sources.items()
        }
        lenient = self.workflow.model_copy(update={"sources": optional})
        return assign_sources(lenient, self._roles())

    def sources(self) -> dict[str, OpenImage]:
        """Return the images that the workflow runs on, each with a volume of the kind it takes.

        Raises
        ------
        RequestError
            Naming the source for which there is no image.
        """
        found = {}
        for source, name in assign_sources(self.workflow, self._roles()).items():
            image, kind = self.images[name], self.workflow.sources[source].kind
            if image.volume.kind is not kind:
                image = dataclasses.replace(image, volume=image.volume.replace(kind=kind))
            found[source] = image
        return found

    def _roles(self) -> dict[str, str]:
        return {name: image.role for name, image in self.images.items()}

    # ------------------------------------------------------------------------------------------------ workflow

    def set_workflow(self, workflow: Workflow, chosen: bool = True) -> None:
        """Take another workflow, or the same one with other steps; `chosen` says that a person asked for it."""
        self.workflow_is_chosen = self.workflow_is_chosen or chosen
        if workflow != self.workflow:
            self.workflow = workflow
            self.workflow_changed.emit()

    def change_step(self, node: str, step: Step) -> None:
        """Give a node the settings of `step`."""
        self.set_workflow(self.workflow.replace(node, **step.settings()))

    def inputs_in_words(self) -> dict[str, str]:
        """Return from which files the sources of the workflow are read, for the record in a result."""
        return {source: self.images[name].in_words for source, name in self.assigned().items()}

    def result_for(self, node: str) -> Result | None:
        """Return the result of a node if it was made by the steps and from the images as they are now."""
        result = self.results.get(node)
        if result is None or node not in self.workflow.nodes or node not in result.workflow.nodes:
            return None
        now, then = with_outputs(self.workflow, [node]), with_outputs(result.workflow, [node])
        inputs = self.inputs_in_words()
        same_images = all(result.inputs.get(source) == inputs.get(source) for source in _sources_of(now))
        return result if now.nodes == then.nodes and same_images else None

    def _follow_roles(self) -> None:
        """Propose the ready-made workflow for the images at hand, unless a person chose one."""
        if not self.workflow_is_chosen:
            self.set_workflow(find_workflow(suggested_workflow(set(self._roles().values()))), chosen=False)

    # ------------------------------------------------------------------------------------------------ results

    def set_result(self, result: Result) -> None:
        """Take a result in place of an older one of that name."""
        self.results.pop(result.name, None)
        self.results[result.name] = result
        if result.volume.kind.is_labels:
            self._unsaved.add(result.name)
        self.results_changed.emit()

    def ref_of(self, volume: Volume) -> VolumeRef | None:
        """Return where the session keeps a volume that is open; None when it does not, or not yet."""
        held: list[Result | OpenImage] = [*self.results.values(), *self.images.values()]
        refs = (one.ref for one in held if one.volume is volume and isinstance(one.ref, VolumeRef))
        ref = next(refs, None)
        # A person may have said that it shows something else.
        return None if ref is None else ref.as_kind(volume.kind)

    def complete_result(self, result: Result, **facts: Any) -> None:
        """Add facts to a result, found out later; does nothing when it has been replaced since."""
        now = self.results.get(result.name)
        if now is not None and now.volume is result.volume:
            self.results[result.name] = dataclasses.replace(now, **facts)
            self.results_changed.emit()

    def unsaved_cells(self) -> list[str]:
        """Return the names of segmentations that are in no file yet."""
        return [name for name in self.results if name in self._unsaved]

    def note_saved(self, names: Iterable[str]) -> None:
        """Note that these results are in files now."""
        self._unsaved -= set(names)

    def note_file(self, name: str, path: Path) -> None:
        """Note that a result was written into this file."""
        self.note_saved([name])
        self.file_written.emit(name, path)

    def add_copy(self, result: Result) -> None:
        """Keep a result beside the others without making it the newest one."""
        self.results = {result.name: result, **self.results}
        self.results_changed.emit()

    def remove_result(self, name: str) -> None:
        """Forget a result."""
        if self.results.pop(name, None) is not None:
            self.results_changed.emit()

    def latest(self, kind: Kind) -> Result | None:
        """Return the newest result of this kind."""
        return next((result for result in reversed(self.results.values()) if result.volume.kind is kind), None)

    @property
    def cells(self) -> Result | None:
        """The segmentation that the pages after Segment work on: the newest one, or labels that were opened."""
        intermediate = set(nodes_in_group(self.workflow, "superpixels"))
        for result in reversed(self.results.values()):
            if result.volume.kind.is_labels and result.name not in intermediate:
                return result
        opened = self.with_role("labels")
        return Result(opened.name, opened.volume, self.workflow) if opened is not None else None

    def clear(self) -> None:
        """Close everything."""
        self.images.clear()
        self.results.clear()
        self.workflow_is_chosen = False
        self.superpixels = None
        self.cell_diameter_vox = None
        self.workflow = find_workflow(suggested_workflow(()))
        self.images_changed.emit()
        self.results_changed.emit()
        self.workflow_changed.emit()


def _sources_of(workflow: Workflow) -> set[str]:
    """Return the sources that some node reads."""
    return {origin for node in workflow.nodes.values() for origin in node.inputs.values() if origin in workflow.sources}
