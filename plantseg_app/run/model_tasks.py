"""The tasks that bring models to this machine: download one, or make one of a person's own files.

>>> from plantseg_app.zoo.offers import find_offer
>>> DownloadModel(find_offer("generic_confocal_3D_unet")).title
'Downloading confocal_3d_unet_ovules_ds2x'
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from plantseg_app.run.desk import Desk, Task
from plantseg_app.zoo.offers import Offer


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

    @property
    def title(self) -> str:  # type: ignore[override]
        """What is being done."""
        return f"Adding {self.source.name}"

    def run(self, desk: Desk) -> str:
        """Return the id of the model."""
        from plantseg_app.zoo.library import add_under_free_id

        desk.progress("looking at the files", 0, None)
        return add_under_free_id(self.source).card.id

    def tidy(self, process_id: int) -> None:
        """Remove the half-made model."""
        _tidy(process_id)


def _tidy(process_id: int) -> None:
    from plantseg_app.zoo.library import clear_after

    clear_after(process_id)
