"""Saves what a person wants of a session: segmentations and maps, the table of cells, the workflow.

Runs as a task in the computing process. Knows files and volumes; no window.

>>> plan = Export(Path("out"), "leaf", (), ".tif")
>>> plan.file_of("cells").as_posix(), plan.table_file("corrected cells").as_posix()
('out/leaf_cells.tif', 'out/leaf_corrected_cells.csv')
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

from plantseg_app.errors import RequestError
from plantseg_app.run.desk import Desk, Task
from plantseg_app.run.store import VolumeRef

if TYPE_CHECKING:
    from plantseg_app.run.measure import CellTable

SUFFIXES = (".tif", ".h5")


@dataclasses.dataclass(frozen=True)
class MeasureCells(Task):
    """Measure the size and place of every cell of a segmentation in the store."""

    ref: VolumeRef
    title: str = "Measuring the cells"

    def run(self, desk: Desk) -> CellTable:
        """Return the table."""
        from plantseg_app.run.measure import measure_cells

        return measure_cells(desk.open(self.ref), check=desk.check)


@dataclasses.dataclass(frozen=True)
class ExportItem:
    """One volume to be saved.

    Attributes
    ----------
    name
        What it is called in the window; becomes a part of the file's name.
    ref
        Where it is in the store.
    record
        The text that is kept in the file: the workflow that made it.
    as_file, as_table
        Whether the volume, and whether the table of its cells is wanted.
    """

    name: str
    ref: VolumeRef
    record: str
    as_file: bool = True
    as_table: bool = False


@dataclasses.dataclass(frozen=True)
class Export(Task):
    """Write volumes, tables and the workflow into a folder.

    Attributes
    ----------
    folder
        Where to; made if it is not there.
    stem
        What every file name begins with.
    items
        What to save.
    suffix
        The format of volumes, one of `SUFFIXES`.
    signals
        Images measured in each cell, by the name of their columns.
    workflow_yaml
        The workflow, saved as a file of its own; "" leaves it out.
    overwrite
        Whether files that are there may be replaced.
    """

    folder: Path
    stem: str
    items: tuple[ExportItem, ...]
    suffix: str = ".tif"
    signals: tuple[tuple[str, VolumeRef], ...] = ()
    workflow_yaml: str = ""
    overwrite: bool = False

    @property
    def title(self) -> str:  # type: ignore[override]
        """What is being done."""
        return f"Saving to {self.folder.name}"

    def file_of(self, name: str) -> Path:
        """Return the file of the volume `name`."""
        return self.folder / f"{self.stem}_{_plain(name)}{self.suffix}"

    def table_file(self, name: str) -> Path:
        """Return the file of the table of cells of the volume `name`."""
        return self.folder / f"{self.stem}_{_plain(name)}.csv"

    @property
    def workflow_file(self) -> Path:
        """The file of the workflow."""
        return self.folder / f"{self.stem}_workflow.yaml"

    def files(self) -> list[Path]:
        """Return every file that will be written."""
        files = [self.file_of(item.name) for item in self.items if item.as_file]
        files += [self.table_file(item.name) for item in self.items if item.as_table]
        return [*files, self.workflow_file] if self.workflow_yaml else files

    def run(self, desk: Desk) -> list[Path]:
        """Write everything and return the files.

        Raises
        ------
        RequestError
            If a file is there already and may not be replaced; nothing is written then.
        """
        from plantseg_app.io.atomic import replacing

        self.check()
        self.folder.mkdir(parents=True, exist_ok=True)
        todo = [item for item in self.items if item.as_file or item.as_table]
        for number, item in enumerate(todo):
            desk.check()
            desk.progress(f"Saving {item.name}", number, len(todo))
            self._write(item, desk)
        if self.workflow_yaml:
            with replacing(self.workflow_file) as partial:
                partial.write_text(self.workflow_yaml, encoding="utf-8")
        return self.files()

    def replacing_files(self) -> Export:
        """Return the same export, which may replace files."""
        return dataclasses.replace(self, overwrite=True)

    def check(self) -> None:
        """Refuse what would overwrite files or fill no folder, before anything is written."""
        if self.suffix not in SUFFIXES:
            raise RequestError(f"Volumes are saved as {' or '.join(SUFFIXES)}; {self.suffix!r} was given.")
        taken = [path.name for path in self.files() if path.exists()]
        if taken and not self.overwrite:
            raise RequestError(
                f"{self.folder} holds {', '.join(taken)} already; allow replacing, or choose another name."
            )
        if len(set(self.files())) < len(self.files()):
            raise RequestError("Two of the things to save would get the same file name; rename one of them.")

    def _write(self, item: ExportItem, desk: Desk) -> None:
        from plantseg_app.io import write_volume
        from plantseg_app.run.measure import measure_cells

        volume = desk.open(item.ref)
        if item.as_file:
            write_volume(self.file_of(item.name), volume, workflow=item.record, overwrite=True)
        if item.as_table:
            signals = {name: desk.open(ref) for name, ref in self.signals}
            measure_cells(volume, signals, desk.check).write_csv(self.table_file(item.name))

    def tidy(self, process_id: int) -> None:
        """Remove half-written files."""
        from plantseg_app.io.atomic import clear_after

        for path in self.files():
            clear_after(process_id, path)


def _plain(name: str) -> str:
    """Return a name that every file system takes."""
    return re.sub(r"[^\w-]+", "_", name).strip("_") or "result"
