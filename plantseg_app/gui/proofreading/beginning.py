"""Beginning to correct: the session with the maps that help it, and the journal that belongs to the labels.

Done beside the window, because reading all labels takes long. The journal lies beside the file of the labels where
there is one that may be written to, else in the folder of the window's session. Which journal belongs to which labels
is told by their voxels, so that what a crash or an earlier sitting left is gone on with.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.layers import with_spare_plane
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError, ResourceError
from plantseg_app.gui.document import Document, Result
from plantseg_app.gui.embedded import OpenEmbedding, open_embedding
from plantseg_app.proofread.cell_index import CellIndex
from plantseg_app.proofread.journal import Conflict, journal_path
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.run.store import VolumeRef, VolumeStore

_FOLDER, _PATTERN = "corrections", "{number}.corrections.jsonl"


@dataclasses.dataclass(frozen=True)
class Begun:
    """What correcting began with.

    Attributes
    ----------
    session
        With its journal open.
    n_brought
        How many corrections the journal brought.
    problem
        Why the usual journal could not be used, in a sentence; "" where it could.
    """

    session: ProofreadSession
    n_brought: int
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Beginning:
    """What is to be corrected, and where its journal may lie.

    Attributes
    ----------
    cells
        The labels; a copy of them is corrected.
    name
        Of the labels, for people.
    file
        From which they were read, if they were.
    folder
        Of the window's session.
    boundary, nuclei
        Maps of the same shape, or None.
    superpixels
        Where the regions are of which the cells were made, or None.
    embedding
        Of the same shape, or None.
    """

    cells: Volume
    name: str
    file: Path | None
    folder: Path
    boundary: Volume | None = None
    nuclei: Volume | None = None
    superpixels: VolumeRef | None = None
    embedding: OpenEmbedding | None = None

    def begin(self, store: VolumeStore) -> Begun:
        """Return the session; slow.

        Raises
        ------
        InputError
            If the labels cannot be corrected.
        RequestError
            If another window corrects the same file.
        ResourceError
            If no journal can be written.
        """
        problem = ""
        for path in self._journals():
            for labels in self._starts(is_new=not path.exists()):
                # Made anew each time, because a damaged journal may have changed the labels before that was noticed.
                session = self._session(store, labels)
                try:
                    return Begun(session, session.open_journal(path, self.name), problem)
                except Conflict as error:
                    if self.file is not None and path.parent == self.file.parent:
                        problem = str(error)
                except InputError as error:
                    problem = str(error)
        raise ResourceError(f"No journal of corrections can be written in {self.folder}.")

    def has_journal(self) -> bool:
        """Whether corrections may be there to go on with."""
        return any(path.exists() for path in itertools.islice(self._journals(), 1 + self._n_own()))

    def _starts(self, is_new: bool) -> list[NDArray[Any]]:
        """Return copies of the labels to begin with: those of overlapping objects with an empty plane to spare.

        What an earlier sitting saved may have no empty plane any more.
        """
        data = self.cells.data
        if self.cells.kind is not Kind.LAYERED_LABELS:
            return [np.array(data)]
        spared = with_spare_plane(data)
        return [np.array(spared)] if is_new or spared is data else [np.array(spared), np.array(data)]

    def _session(self, store: VolumeStore, labels: NDArray[Any]) -> ProofreadSession:
        superpixels = None
        if self.superpixels is not None:
            # The cache may have made room since.
            with contextlib.suppress(InputError):
                superpixels = store.open(self.superpixels).data
        session = ProofreadSession(
            labels,
            boundary=None if self.boundary is None else self.boundary.data,
            superpixels=superpixels if _fits(superpixels, self.cells) else None,
            spacing=self.cells.spacing,
        )
        if self.nuclei is not None:
            # Read here, where nobody waits for it.
            session.tissue.take_nuclei(self.nuclei.data, CellIndex(self.nuclei.data[None]))
        if self.embedding is not None:
            session.tissue.take_embedding(self.embedding.look_up())
        return session

    def _journals(self) -> Iterator[Path]:
        """Yield where the journal may be, the usual place first, at last one that is not there yet."""
        if self.file is not None:
            beside = journal_path(self.file)
            if os.access(beside if beside.exists() else beside.parent, os.W_OK):
                yield beside
        for number in itertools.count(1):
            path = self.folder / _FOLDER / _PATTERN.format(number=number)
            yield path
            if not path.exists():
                return

    def _n_own(self) -> int:
        return len(list((self.folder / _FOLDER).glob(_PATTERN.format(number="*"))))


def beginning_of(document: Document, cells: Result, folder: Path) -> Beginning:
    """Return how to begin with cells of the document, with the maps among what is open that fit them."""
    opened = document.images.get(cells.name)
    maps = [result.volume for result in reversed(document.results.values())]
    maps += [image.volume for image in document.images.values()]
    fitting = [volume for volume in maps if volume.shape_vox == cells.volume.shape_vox and volume.data.ndim == 3]
    boundary = next((volume for volume in fitting if volume.kind is Kind.BOUNDARY), None)
    opened_nuclei = document.with_role("nuclei_labels")
    nuclei = None if opened_nuclei is None else opened_nuclei.volume
    embedding = open_embedding(document)
    if embedding is not None and embedding.volume.shape_vox != cells.volume.shape_vox:
        embedding = None
    is_read_whole = opened is not None and opened.volume is cells.volume and cells.volume.place is None
    return Beginning(
        cells=cells.volume,
        name=cells.name,
        file=opened.path if opened is not None and is_read_whole else None,
        folder=folder,
        boundary=boundary,
        nuclei=None if nuclei is None or nuclei.shape_vox != cells.volume.shape_vox else nuclei,
        superpixels=document.superpixels,
        embedding=embedding,
    )


def _fits(data: object, cells: Volume) -> bool:
    return isinstance(data, np.ndarray) and data.shape == cells.shape_vox
