"""The tasks that bring models to this machine and from it: download, add, export, and the list of a collection.

>>> from plantseg_app.zoo.offers import find_offer
>>> DownloadModel(find_offer("generic_confocal_3D_unet")).title
'Downloading confocal_3d_unet_ovules_ds2x'
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from plantseg_app.errors import PlantSegError
from plantseg_app.run.desk import Desk, Task
from plantseg_app.zoo.offers import Offer
from plantseg_app.zoo.questions import NO_ANSWERS, Answers, SourceFile, SourceQuestion

if TYPE_CHECKING:
    from plantseg_app.zoo.bioimageio.collection import Collection


@dataclasses.dataclass(frozen=True)
class DownloadModel(Task):
    """Download a model and make it one of the person's own."""

    offer: Offer

    @property
    def title(self) -> str:  # type: ignore[override]
        """What is being done."""
        return f"Downloading {self.offer.id}"

    def run(self, desk: Desk) -> str:
        """Return the id of the model."""
        from plantseg_app.zoo.download import download_model

        return download_model(self.offer, desk).card.id

    def describe(self) -> str:
        """Return the addresses."""
        return "\n".join(url for file in self.offer.files for url in file.urls)

    def tidy(self, process_id: int) -> None:
        """Remove the half-made model."""
        _tidy(process_id)


@dataclasses.dataclass(frozen=True)
class AddModel(Task):
    """Make a model of a person's own files, under an id that is free."""

    source: Path
    answers: Answers = NO_ANSWERS

    @property
    def title(self) -> str:  # type: ignore[override]
        """What is being done."""
        return f"Adding {self.source.name}"

    def run(self, desk: Desk) -> str | SourceAsked:
        """Return the id of the model, or what a person has to decide before it can be one."""
        from plantseg_app.zoo.library import add_under_free_id

        desk.progress("looking at the files", 0, None)
        try:
            return add_under_free_id(self.source, self.answers).card.id
        except SourceQuestion as question:
            return SourceAsked(self, str(question), question.source)

    def tidy(self, process_id: int) -> None:
        """Remove the half-made model."""
        _tidy(process_id)


@dataclasses.dataclass(frozen=True)
class SourceAsked:
    """A model that could be added only by running source code that came with it.

    Attributes
    ----------
    task
        What was tried.
    text
        Why, in words.
    source
        The file to read first.
    """

    task: AddModel
    text: str
    source: SourceFile

    def agreed(self) -> AddModel:
        """Return the task in which exactly this source code runs once."""
        answers = dataclasses.replace(self.task.answers, confirmed_source=self.source.sha256)
        return dataclasses.replace(self.task, answers=answers)


@dataclasses.dataclass(frozen=True)
class ExportModel(Task):
    """Write a model as a package of BioImage.IO."""

    model_id: str
    target: Path

    @property
    def title(self) -> str:  # type: ignore[override]
        """What is being done."""
        return f"Exporting {self.model_id}"

    def run(self, desk: Desk) -> Path:
        """Return the package."""
        from plantseg_app.zoo.bioimageio.exporting import export_bioimageio
        from plantseg_app.zoo.catalogue import find_model

        desk.progress("writing the package", 0, None)
        return export_bioimageio(find_model(self.model_id), self.target)

    def tidy(self, process_id: int) -> None:
        """Remove the half-written package."""
        from plantseg_app.io.atomic import clear_after

        clear_after(process_id, self.target)


@dataclasses.dataclass(frozen=True)
class VerifyModel(Task):
    """Compare the files of a model with their checksums, load it, and let it predict its test image."""

    model_id: str

    @property
    def title(self) -> str:  # type: ignore[override]
        """What is being done."""
        return f"Checking {self.model_id}"

    def run(self, desk: Desk) -> Verified:
        """Return what was found."""
        from plantseg_app.zoo.catalogue import find_model
        from plantseg_app.zoo.load import verify_models
        from plantseg_app.zoo.trial import try_model

        desk.progress("reading its files", 0, None)
        if problem := verify_models([self.model_id])[self.model_id]:
            return Verified(self.model_id, problem)
        desk.progress("loading its network", 0, None)
        try:
            trial = try_model(find_model(self.model_id))
        except PlantSegError as error:
            return Verified(self.model_id, str(error))
        if trial is None:
            return Verified(self.model_id)
        return Verified(self.model_id, trial.problem, trial.largest_difference)


@dataclasses.dataclass(frozen=True)
class Verified:
    """What a check of a model has found.

    Attributes
    ----------
    problem
        What is wrong with it; "" when nothing is.
    difference
        How far at most its prediction is from what its test image should become; None when it has none.
    """

    model_id: str
    problem: str = ""
    difference: float | None = None

    @property
    def sentence(self) -> str:
        """Say it for people.

        >>> Verified("example").sentence
        'checked just now: all whole, and it loads'
        >>> Verified("example", difference=2e-6).sentence
        'checked just now: all whole, and its test image comes out to 2e-06'
        """
        if self.problem:
            return f"damaged: {self.problem}"
        if self.difference is None:
            return "checked just now: all whole, and it loads"
        return f"checked just now: all whole, and its test image comes out to {self.difference:.1g}"


@dataclasses.dataclass(frozen=True)
class RefreshCollection(Task):
    """Fetch the list of the BioImage.IO collection."""

    @property
    def title(self) -> str:  # type: ignore[override]
        """What is being done."""
        return "Fetching the list of BioImage.IO"

    def run(self, desk: Desk) -> Collection:
        """Return what is known of the collection now."""
        from plantseg_app.zoo.bioimageio.collection import refresh_collection

        return refresh_collection(desk)


def _tidy(process_id: int) -> None:
    from plantseg_app.zoo.library import clear_after

    clear_after(process_id)
