"""Opens files and folders: finds the images, asks what files leave open, reads them one by one, tells what failed.

What is asked and how it is remembered is decided in `plantseg_app.run.reading`; the reading itself goes through the
runner. One bad file costs one sentence and nothing else.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QDialog, QWidget

from plantseg_app.core.quantities import human_bytes
from plantseg_app.errors import PlantSegError
from plantseg_app.gui.document import Document
from plantseg_app.gui.file_list import MOST_UNASKED, FileList, expand
from plantseg_app.gui.known_files import KnownFiles
from plantseg_app.gui.loader_questions import ask_about_nan, ask_how_many
from plantseg_app.gui.opening import Look, Opening, Wanted, look_at
from plantseg_app.gui.qt_runner import Beside, QtRunner
from plantseg_app.gui.reading_dialog import ReadingDialog
from plantseg_app.io.values import NAN_ADVICE
from plantseg_app.run.estimate import available_memory
from plantseg_app.run.failure import Failure
from plantseg_app.run.reading import (
    Part,
    Reading,
    check_reading,
    kind_to_read,
    open_questions,
    sort_of_file,
    stored_image,
)
from plantseg_app.run.store import VolumeRef
from plantseg_app.run.tasks import ReadImage
from plantseg_app.run.workflows import find_workflow, what_is_missing

_MOST_PROBLEMS = 8


class Loader(QObject):
    """Opens what it is given, in order, in the background.

    Signals
    -------
    progressed
        What is being done, files done, files in all.
    ended
        Everything that was asked for has been opened or refused.
    workflow_offered
        A file that holds the workflow that made it.
    """

    progressed = Signal(str, int, int)
    ended = Signal()
    workflow_offered = Signal(object)

    def __init__(
        self,
        document: Document,
        runner: QtRunner,
        beside: Beside,
        known: KnownFiles,
        window: QWidget,
        tell: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        super().__init__(window)
        self.document, self.runner, self.beside, self.known = document, runner, beside, known
        self.tell, self.warn = tell, warn
        self._window = window
        self._queue: deque[Wanted] = deque()
        self._wanted: Wanted | None = None
        self._opening: Opening | None = None
        self._part: Part | None = None
        self._is_asking = False
        self._n_expanding = 0
        self._reset_counts()
        runner.succeeded.connect(self._take)
        runner.failed.connect(self._part_failed)
        runner.stopped.connect(self._continue)

    # ------------------------------------------------------------------------------------------------ what is asked

    @property
    def is_busy(self) -> bool:
        """Whether there is something left to open."""
        return bool(self._n_expanding or self._wanted or self._queue)

    @property
    def is_reading(self) -> bool:
        """Whether what the runner does now is reading for this loader."""
        return self._part is not None

    def open(self, paths: Sequence[Path]) -> None:
        """Open files and folders after those that are waiting."""
        if not paths:
            return
        self._n_expanding += 1
        self.beside.ask(lambda: expand(paths), self._confirm, self._expanding_failed)

    def settle_again(self, name: str) -> None:
        """Ask how the file of the open image `name` is read, and read it again that way."""
        path = self.document.images[name].path
        if path is not None:
            self._enqueue([Wanted(path, again=name)])

    def cancel(self) -> None:
        """Open nothing more; what is open stays."""
        left = self._opening.left if self._opening else deque[Part]()
        n_left = len(self._queue) + len(left)
        self._queue.clear()
        left.clear()
        if n_left:
            self.tell("Cancelled; the images that are open stay.")

    def read_as(self, name: str, role: str) -> None:
        """Read the file of the open image `name` again, as what `role` needs: labels are read unlike images."""
        path = self.document.images[name].path
        if path is not None:
            reading = dataclasses.replace(self._reading_of(name), parts=(self._part_of(name, role),))
            self._enqueue([Wanted(path, name, reading)])

    # ------------------------------------------------------------------------------------------------ which files

    def _confirm(self, found: FileList) -> None:
        """Ask before many images of folders are opened."""
        if found.n_in_folders <= MOST_UNASKED:
            self._accept(found)
            return

        def answered(n_images: int) -> None:
            workflows = found.workflows if n_images else ()
            self._accept(dataclasses.replace(found, images=found.images[:n_images], workflows=workflows))

        ask_how_many(self._window, found, answered)

    def _accept(self, found: FileList) -> None:
        self._n_expanding -= 1
        self._problems += found.problems
        self._n_total += len(found.problems)
        for path in found.workflows:
            self.open_workflow(path)
        self._enqueue([Wanted(path) for path in found.images])

    def _expanding_failed(self, problem: str) -> None:
        self._n_expanding -= 1
        self._problems.append(problem)
        self._n_total += 1
        self._next()

    def open_workflow(self, path: Path) -> None:
        """Take the workflow of a YAML file, or the one that is recorded in a result."""
        try:
            workflow = find_workflow(path)
        except (PlantSegError, OSError) as error:
            self.warn(str(error))
            return
        self.document.set_workflow(workflow)
        name = workflow.title or workflow.name
        if missing := what_is_missing(workflow):
            self.warn(f"The workflow {name} was opened, but cannot run yet. {missing}")
        else:
            self.tell(f"The workflow {name} was opened.")

    def _enqueue(self, wanted: Sequence[Wanted]) -> None:
        self._queue.extend(wanted)
        self._n_total += len(wanted)
        self._next()

    # ------------------------------------------------------------------------------------------------ one file

    def _next(self) -> None:
        """Begin with the next file, unless one is being opened."""
        if self._wanted is not None:
            return
        if not self._queue:
            if not self._n_expanding:
                self._end()
            return
        self._wanted = wanted = self._queue.popleft()
        self._n_begun += 1
        self.progressed.emit(self._title(), self._n_begun - 1, self._n_total)
        self.beside.ask(lambda: look_at(wanted.path), self._looked, self._refuse)

    def _title(self) -> str:
        name = self._wanted.path.name if self._wanted else ""
        return f"Reading {name}" if self._n_total == 1 else f"Reading {self._n_begun} of {self._n_total}: {name}"

    def _looked(self, look: Look) -> None:
        wanted = self._wanted
        if wanted is None or (wanted.again is not None and wanted.again not in self.document.images):
            # Closed while its file was being looked at.
            self._done()
            return
        if wanted.settled is not None:
            self._read(wanted, look, wanted.settled)
        elif wanted.again is not None:
            self._ask(wanted, look, self._reading_of(wanted.again))
        elif not open_questions(look.info):
            self._read(wanted, look, look.proposed)
        else:
            remembered = Reading.from_plain(self.known.answer(sort_of_file(look.info)) or {})
            if remembered is not None and not check_reading(look.info, remembered):
                self._read(wanted, look, remembered)
            else:
                self._ask(wanted, look, look.proposed)

    def _reading_of(self, name: str) -> Reading:
        read = self.document.images[name].read
        part = self._part_of(name, self.document.images[name].role)
        return Reading((part,), read.dataset, read.axes, read.time, read.voxel_size_um, read.nan)

    def _part_of(self, name: str, role: str) -> Part:
        return Part(self.document.images[name].read.channel, role)

    def _ask(self, wanted: Wanted, look: Look, proposed: Reading) -> None:
        sort, again = sort_of_file(look.info), wanted.again is not None
        dialog = ReadingDialog(look.info, proposed, self.beside, again, len(self._queue), self._window)
        dialog.remember_box.setChecked(self.known.answer(sort) is not None)

        def answered(result: int) -> None:
            dialog.deleteLater()
            if result != QDialog.DialogCode.Accepted:
                self._done()
                return
            reading = dialog.reading()
            if dialog.remember:
                self.known.remember(sort, dataclasses.replace(reading, nan=None).to_plain())
            else:
                self.known.forget(sort)
            self._read(Wanted(wanted.path) if dialog.as_new else wanted, look, reading)

        dialog.finished.connect(answered)
        dialog.open()

    def _read(self, wanted: Wanted, look: Look, reading: Reading) -> None:
        image = stored_image(look.info, reading.dataset)
        try:
            needed = sum(reading.plan(image, part).n_bytes for part in reading.parts)
        except PlantSegError as error:
            self._refuse(str(error))
            return
        free = available_memory()
        if needed > free:
            self._refuse(
                f"{wanted.path.name} needs {human_bytes(needed)} of memory, and {human_bytes(free)} are free. "
                "Close other images or programs, open fewer channels, or crop the file in the program that made it."
            )
            return
        self._opening = Opening(wanted, look, reading, deque(reading.parts), wanted.again)
        self._continue()

    # ------------------------------------------------------------------------------------------------ reading

    def _continue(self, _token: int = 0) -> None:
        """Read the next channel as soon as nothing else runs."""
        self._part = None
        opening = self._opening
        if opening is None or self._is_asking or self.runner.is_busy:
            return
        if not opening.left:
            self._done()
            return
        self._part = part = opening.left.popleft()
        kind = kind_to_read(opening.stored, part.role)
        self.runner.start(ReadImage(opening.wanted.path, opening.reading.options(part), kind), self._title())

    def _take(self, _token: int, result: object) -> None:
        opening = self._opening
        if self._part is None or opening is None or not isinstance(result, VolumeRef):
            return
        try:
            image = opening.image(self.runner.open(result), result, self._part)
        except PlantSegError as error:
            self._problems.append(str(error))
            return
        if opening.again in self.document.images:
            changes = {name: value for name, value in vars(image).items() if name != "name"}
            self.document.change_image(opening.again, **changes)
        else:
            self.document.add_image(image)
            if opening.look.workflow is not None:
                self.workflow_offered.emit(opening.wanted.path)
        # Further channels of the file become further images.
        opening.again = None
        self._n_opened += 1
        self.known.add_recent(opening.wanted.path)

    def _part_failed(self, _token: int, failure: Failure) -> None:
        part, opening, problem = self._part, self._opening, failure.sentence
        if part is None or opening is None:
            return
        if NAN_ADVICE not in problem or opening.reading.nan is not None:
            self._problems.append(problem)
            return
        self._is_asking = True

        def answered(replace: bool) -> None:
            self._is_asking = False
            if replace:
                opening.reading = dataclasses.replace(opening.reading, nan="replace")
                opening.left.appendleft(part)
            self._continue()

        ask_about_nan(self._window, opening.wanted.path, problem.split(NAN_ADVICE)[0].strip(), answered)

    # ------------------------------------------------------------------------------------------------ the end

    def _refuse(self, problem: str) -> None:
        self._problems.append(problem)
        self._done()

    def _done(self) -> None:
        """Leave this file and go on with the next."""
        self._wanted = self._opening = self._part = None
        self._next()

    def _reset_counts(self) -> None:
        self._n_total = self._n_begun = self._n_opened = 0
        self._problems: list[str] = []

    def _end(self) -> None:
        """Tell once what became of everything that was asked for."""
        problems, n_opened, n_total = self._problems, self._n_opened, self._n_total
        if not n_total:
            return
        self._reset_counts()
        if n_opened:
            self.tell("1 image was opened." if n_opened == 1 else f"{n_opened} images were opened.")
        if len(problems) == 1:
            self.warn(problems[0])
        elif problems:
            shown = "\n".join(f"• {problem}" for problem in problems[:_MOST_PROBLEMS])
            more = f"\n… and {len(problems) - _MOST_PROBLEMS} more." if len(problems) > _MOST_PROBLEMS else ""
            self.warn(f"{len(problems)} of {n_total} files were not opened:\n{shown}{more}")
        self.ended.emit()
