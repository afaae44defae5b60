"""The journal beside a label file: whose corrections it holds, and whether it belongs to the labels at hand.

It names the labels by a fingerprint of their voxels, never by a path, so that file and journal can move together to
another folder or machine. Each time the labels are saved the journal notes their new fingerprint, and so fits the file
before and after. Format: `plantseg_app.proofread.log`; the first record says what it is, the others are corrections,
undos, redos and saves with author and time.

>>> journal_path(Path("data/leaf.tif")).as_posix()
'data/leaf.corrections.jsonl'
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plantseg_app import __version__
from plantseg_app.errors import InputError
from plantseg_app.proofread.edit import now
from plantseg_app.proofread.log import Log, Place

VERSION = 1
_FORMAT = "plantseg-app corrections"


class Conflict(InputError):
    """The journal belongs to other labels than those at hand."""


class OpenedJournal(NamedTuple):
    """A journal that fits the labels.

    Attributes
    ----------
    log
        Open for more.
    records
        All that it held.
    contained_up_to
        Corrections before this byte are in the labels already.
    """

    log: Log
    records: Iterable[tuple[Place, dict[str, Any]]]
    contained_up_to: int


def journal_path(labels: Path) -> Path:
    """Return the usual place of the journal of a label file: beside it."""
    return labels.with_name(f"{labels.stem}.corrections.jsonl")


def fingerprint(labels: NDArray[Any]) -> str:
    """Return a text that equal labels of equal shape have in common, and others have not."""
    digest = hashlib.blake2b(repr(labels.shape).encode(), digest_size=20)
    plain = labels.dtype.newbyteorder("<")
    for block in labels.reshape(-1, *labels.shape[-2:]):
        digest.update(np.ascontiguousarray(block, plain).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def open_journal(path: Path, labels: NDArray[Any], name: str) -> OpenedJournal:
    """Open the journal of labels that nobody has corrected since they were read, or begin it.

    Raises
    ------
    Conflict
        If it belongs to other labels.
    InputError, RequestError, ResourceError
        If it is damaged, written by a newer program, open elsewhere, or out of reach.
    """
    log = Log.open(path)
    try:
        key = fingerprint(labels)
        if not len(log):
            log.append(_header(labels, name, key))
            return OpenedJournal(log, (), 0)
        _check_header(path, next(iter(log))[1], labels)
        return OpenedJournal(log, log, _contained_up_to(path, log, key))
    except BaseException:
        log.close()
        raise


def saved_record(labels: NDArray[Any], author: str, at: str) -> dict[str, Any]:
    """Return what the journal notes when the labels are saved."""
    return {"record": "saved", "fingerprint": fingerprint(labels), "author": author, "at": at}


def _header(labels: NDArray[Any], name: str, key: str) -> dict[str, Any]:
    return {
        "record": "labels",
        "format": _FORMAT,
        "version": VERSION,
        "program": __version__,
        "at": now(),
        "name": name,
        "shape": list(labels.shape),
        "fingerprint": key,
    }


def _check_header(path: Path, header: dict[str, Any], labels: NDArray[Any]) -> None:
    if header.get("format") != _FORMAT:
        raise InputError(f"{path} is no journal of corrections; choose another name.")
    if not isinstance(header.get("version"), int) or header["version"] > VERSION:
        raise InputError(
            f"{path.name} was written by a newer version of the program ({header.get('program')}); use that."
        )
    if header.get("shape") != list(labels.shape):
        raise Conflict(
            f"{path.name} belongs to labels of shape {tuple(header.get('shape') or ())}; these have {labels.shape}. "
            "Open the labels that it belongs to, or move it away to begin anew."
        )


def _contained_up_to(path: Path, log: Log, key: str) -> int:
    """Return up to which byte of the journal the labels with this fingerprint hold its corrections."""
    fitting = [place.offset for place, record in log if record.get("fingerprint") == key]
    if fitting:
        return fitting[-1]
    raise Conflict(
        f"The labels have been changed since the corrections in {path.name} were made: they are neither those that it "
        "began with nor any that were saved with it. Open the right labels, or move it away to begin anew."
    )
