"""Learning from corrections beside the window: a model trained further, or all other cells proposed from a few.

It trains in a process of its own, so that segmenting and correcting go on. What comes of it waits until the person has
said what shall become of it: a new model is kept or thrown away, a proposal is taken, as one correction that can be
undone, or refused.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from plantseg_app.core.volume import Volume
from plantseg_app.errors import PlantSegError, RequestError
from plantseg_app.gui.document import Result
from plantseg_app.gui.proofreading.corrections import CORRECTED, Corrections
from plantseg_app.gui.proofreading.lessons import (
    Lesson,
    export_lesson,
    export_place,
    image_of,
    known_cells,
)
from plantseg_app.gui.proofreading.teaching_tasks import FineTuneDone, FineTuneTask, ProposalDone, ProposeTask
from plantseg_app.gui.qt_runner import QtRunner
from plantseg_app.gui.workbench import Workbench
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.run.desk import Task
from plantseg_app.run.failure import Failure
from plantseg_app.train.events import StepDone
from plantseg_app.train.suggest import free_name
from plantseg_app.zoo.card import ModelCard
from plantseg_app.zoo.library import add_named

PROPOSAL = "proposal"
_FOLDER = "teaching"

Prepare = Callable[[ProofreadSession, Volume, Path], Task]
"""From the session, the image on its voxels and a folder for the model to what is to be done; slow."""


class Teaching(QObject):
    """One training at a time, on what is being corrected.

    Signals
    -------
    changed
        Something began or ended, or an outcome was dealt with.
    stepped
        A `StepDone` of the training.
    told
        A sentence, and its role as `plantseg_app.gui.widgets.say` has it.
    tuned_came
        A model was trained further and waits in `tuned`.

    Attributes
    ----------
    tuned
        The model that waits to be kept or thrown away, None when there is none.
    proposal
        The cells that wait to be taken or refused, None when there are none.
    last_round
        Folder of the model that made the last proposal, "" when there is none.
    exported
        The files of the last export.
    minutes
        How long the training takes that is under way; 0 where its steps end it.
    """

    changed = Signal()
    stepped = Signal(object)
    told = Signal(str, str)
    tuned_came = Signal()

    def __init__(self, bench: Workbench, corrections: Corrections, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.bench = bench
        self.corrections = corrections
        self.tuned: FineTuneDone | None = None
        self.proposal: ProposalDone | None = None
        self.last_round = ""
        self.exported: Lesson | None = None
        self.minutes = 0.0
        self._runner: QtRunner | None = None
        self._token: int | None = None
        self._is_preparing = False
        self._output = Path()
        self._session: ProofreadSession | None = None
        corrections.changed.connect(self._follow)

    # ------------------------------------------------------------------------------------------------ what runs

    @property
    def is_busy(self) -> bool:
        """Whether a training is under way or being prepared."""
        return self._is_preparing or self._token is not None

    @property
    def is_waiting(self) -> bool:
        """Whether something runs, or the person has to say what becomes of it."""
        return self.is_busy or self.tuned is not None or self.proposal is not None

    @property
    def runner(self) -> QtRunner:
        """The process that learns: segmenting goes on in another one; started when it is first needed."""
        if self._runner is None:
            self._runner = runner = QtRunner(self.bench.runner.store.folder.parent, self, warm=False)
            runner.news.connect(self._take_news)
            runner.told.connect(lambda _, text: self.told.emit(text, ""))
            runner.succeeded.connect(self._succeed)
            runner.failed.connect(self._fail)
            runner.cancelled.connect(lambda _: self._end("Stopped; everything is as it was.", "help"))
        return self._runner

    @property
    def waiting_text(self) -> str:
        """What would be lost if the window closed now, as a sentence; "" when nothing would."""
        if self.is_busy:
            return "A network is learning from corrections; nothing of it would stay."
        return "" if self.tuned is None else "A model that learned from corrections has not been kept."

    def cancel(self) -> None:
        """Stop what is being learned; nothing of it stays."""
        if self._token is not None:
            self.told.emit("Stopping …", "")
            self.runner.cancel()

    def shut_down(self) -> None:
        """End the process, because the window closes; what was not kept goes with the session."""
        self._token = None
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    # ------------------------------------------------------------------------------------------------ beginning

    def export(self) -> None:
        """Write the cells marked as correct as training data, beside their labels or their image."""
        base = self.corrections.base
        if base is None:
            return
        image = self._image_of(base)
        if image is None:
            return
        folder, name = export_place(self.bench.document, base)
        self.corrections.read_labels(
            functools.partial(export_lesson, image=image, folder=folder, name=name), self._take_export, self._warn
        )

    def fine_tune(self, card: ModelCard, steps: int) -> None:
        """Train a model further on the cells marked as correct, and try it on some that are held out."""
        device, n_threads = self._machine()
        self.minutes = 0.0

        def prepare(session: ProofreadSession, image: Volume, output: Path) -> Task:
            from plantseg_app.train.fine_tune import write_parts

            learn, held_out = write_parts(session.tissue, image, output / "cells", card)
            return FineTuneTask(card.id, str(output), learn, held_out, steps, device, n_threads)

        self._begin(prepare)

    def propose(self, start_from: str, minutes: float) -> None:
        """Learn from the cells marked as correct, and propose all others.

        Where the person began with an empty image and has marked none yet, all that was drawn counts as correct.

        Parameters
        ----------
        start_from
            Id or folder of the SPOCO model to begin with; "": a new network.
        minutes
            How long to learn.
        """
        store = self.bench.runner.store
        device, n_threads = self._machine()

        def prepare(session: ProofreadSession, image: Volume, output: Path) -> Task:
            cells = known_cells(session, image)
            return ProposeTask(str(output), store.add(image), store.add(cells), start_from, minutes, device, n_threads)

        self.minutes = minutes
        self.refuse_proposal()
        self._mark_drawn()
        self._begin(prepare)

    def _mark_drawn(self) -> None:
        """Mark all cells as correct where every one was drawn by hand and nothing was said of any."""
        session, base = self.corrections.session, self.corrections.base
        if session is None or base is None or session.marks or self.is_busy:
            return
        drawn = session.tissue.index.ids()
        if drawn and not base.volume.data.any():
            self.corrections.do("lock", {"cells": tuple(drawn)})

    def _begin(self, prepare: Prepare) -> None:
        session, base = self.corrections.session, self.corrections.base
        if session is None or base is None or self.is_busy:
            return
        image = self._image_of(base)
        if image is None:
            return
        folder = self.bench.folder / _FOLDER
        self._output = output = folder / free_name(folder, "model")
        self._session, self._is_preparing = session, True
        self.told.emit("Gathering the cells …", "")
        self.corrections.read_labels(lambda session: prepare(session, image, output), self._start, self._give_up)
        self.changed.emit()

    def _image_of(self, base: Result) -> Volume | None:
        """Return the image of what is corrected; None, after saying why, where there is none."""
        try:
            return image_of(self.bench.document, base.volume)
        except PlantSegError as error:
            self._warn(str(error))
            return None

    def _machine(self) -> tuple[str, int | None]:
        return self.bench.document.device, self.bench.preferences.value.computing.threads

    def _start(self, task: Task) -> None:
        self._is_preparing = False
        self._token = self.runner.start(task)
        self.told.emit("Starting …", "")
        self.changed.emit()

    def _give_up(self, problem: str) -> None:
        self._is_preparing = False
        self._end(problem, "warning")

    # ------------------------------------------------------------------------------------------------ news

    def _take_export(self, lesson: Lesson) -> None:
        self.exported = lesson
        self.told.emit(lesson.in_words, "good")
        self.changed.emit()

    def _warn(self, problem: str) -> None:
        self.told.emit(problem, "warning")

    def _take_news(self, token: int, event: object) -> None:
        if token == self._token and isinstance(event, StepDone):
            self.stepped.emit(event)

    def _succeed(self, token: int, result: object) -> None:
        if token != self._token:
            return
        self._token = None
        if isinstance(result, FineTuneDone):
            self.discard()
            self.tuned = result
            self.told.emit(result.words, "warning" if result.is_worse else "good")
            self.bench.tell(result.words)
            self.tuned_came.emit()
        elif isinstance(result, ProposalDone):
            self._take_round(result)
        self.changed.emit()

    def _take_round(self, result: ProposalDone) -> None:
        _remove(self.last_round)
        self.last_round = result.model
        self.bench.tell(result.words)
        if not result.n_proposed:
            self.told.emit("It found no other cells; mark some more as correct, or let it learn for longer.", "warning")
            return
        if self._session is not self.corrections.session:
            self.told.emit(f"{result.words} Other cells are being corrected by now, so they are not shown.", "help")
            return
        self.proposal = result
        self.told.emit(f"{result.words} Take them over, or refuse them.", "good")
        viewer = self.bench.viewer
        viewer.show(self.runner.open(result.cells), PROPOSAL)
        viewer.set_outlines(PROPOSAL, True)
        # Outlines are best judged on the image.
        viewer.set_visible(CORRECTED, False)
        viewer.choose(viewer.labels_planes(CORRECTED)[-1].name)

    def _fail(self, _token: int, failure: Failure) -> None:
        self._end(failure.sentence, "error")

    def _end(self, text: str, role: str) -> None:
        self._token = None
        _remove(self._output)
        self.told.emit(text, role)
        self.changed.emit()

    # ------------------------------------------------------------------------------------------------ outcomes

    def keep(self, name: str) -> str:
        """Make the new model one of the person's own, called `name`, and return its id.

        Raises
        ------
        RequestError, InputError
            If there is none, or it cannot be added.
        """
        if self.tuned is None:
            raise RequestError("There is no new model to keep.")
        model_id = add_named(Path(self.tuned.model), name).card.id
        self.discard()
        return model_id

    def discard(self) -> None:
        """Throw the new model away, if there is one."""
        if self.tuned is not None:
            _remove(self.tuned.model)
            self.tuned = None
            self.changed.emit()

    def keep_round(self, name: str) -> str:
        """Make the model that made the last proposal one of the person's own, and return its id; rounds may go on.

        Raises
        ------
        RequestError, InputError
            If there is none, or it cannot be added.
        """
        if not self.last_round:
            raise RequestError("No cells have been proposed yet.")
        return add_named(Path(self.last_round), name).card.id

    def take_proposal(self) -> None:
        """Replace all cells that are not marked as correct by the proposed ones: one correction."""
        if self.proposal is None:
            return
        cells = self.runner.open(self.proposal.cells).data
        if self.corrections.do("take-proposal", {"proposal": cells}):
            self.refuse_proposal()

    def refuse_proposal(self) -> None:
        """Forget the proposed cells, if there are any."""
        if self.proposal is None:
            return
        self.proposal = None
        self.bench.viewer.remove(PROPOSAL)
        if self.corrections.session is not None:
            self.bench.viewer.set_visible(CORRECTED, True)
        self.told.emit("", "")
        self.changed.emit()

    def _follow(self) -> None:
        """Forget a proposal for cells that are no longer corrected."""
        if self.proposal is not None and self.corrections.session is not self._session:
            self.refuse_proposal()
        self.changed.emit()


def _remove(folder: str | Path) -> None:
    """Remove the folder of a model that nobody wants, if there is one."""
    if str(folder) not in ("", "."):
        shutil.rmtree(folder, ignore_errors=True)
