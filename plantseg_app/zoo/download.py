"""From an offer to an installed model: one at a time, all of its files or none, checked, put in place in one go.

What has arrived waits in the cache until it is complete, so that a break, a cancel or a kill costs the last moments at
most, and leaves the folder of models as it was.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from plantseg_app import paths
from plantseg_app.core.quantities import human_bytes
from plantseg_app.errors import InputError, RequestError, ResourceError
from plantseg_app.zoo.card import FetchedFile
from plantseg_app.zoo.catalogue import InstalledModel, list_models
from plantseg_app.zoo.library import check_free, install
from plantseg_app.zoo.offers import Offer, OfferedFile
from plantseg_app.zoo.pins import Pin, read_pins, write_pins
from plantseg_app.zoo.requesting import PATIENT, RequestSettings
from plantseg_app.zoo.transfer import Arrived, Listener, Wanted, fetch_all

_LOCK_LOOK_S = 0.2
_ABANDONED_S = 30 * 24 * 3600.0
_ROOM_LEFT_BYTES = 64 * 2**20


def download_model(
    offer: Offer,
    listener: Listener,
    model_id: str | None = None,
    *,
    accept_change: bool = False,
    settings: RequestSettings | None = None,
) -> InstalledModel:
    """Download a model, make it one of the user's, and return it; one that is here already is returned as it is.

    Parameters
    ----------
    offer
        What to download.
    listener
        Told how far it is; may stop it.
    model_id
        The id that it gets; None: that of the offer.
    accept_change
        Whether a file may differ from that of an earlier download, where the source publishes no checksum.
    settings
        How patient to be; `PATIENT` by default.

    Raises
    ------
    RequestError
        If another model has the id, or the files are no model.
    ResourceError
        If there is no connection, no server gives the files, or there is no room.
    InputError
        If a file is not what it has to be.
    Cancelled
        When the listener stops it.
    """
    wanted_id = offer.id if model_id is None else model_id
    with _alone_with(offer.id, listener):
        here = _installed(offer, wanted_id)
        if here is not None:
            return here
        check_free(wanted_id)
        folder = _folder(offer.id)
        pins = {} if accept_change else read_pins(offer.id)
        arrived = fetch_all([_wanted(offer, file, folder, pins) for file in offer.files], listener, settings or PATIENT)
        _check_room(arrived)
        listener.progress("installing", 0, None)
        try:
            model = install(folder, wanted_id, offer, _fetched(offer.files, arrived))
        except (InputError, RequestError) as error:
            # Kept, the files would be taken for good the next time.
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(f"What was downloaded for {offer.id} cannot be used. {error}") from error
        unpublished = [(file, came) for file, came in zip(offer.files, arrived, strict=True) if file.sha256 is None]
        write_pins(offer.id, {file.urls[0]: came.sha256 for file, came in unpublished})
        shutil.rmtree(folder, ignore_errors=True)
        return model


def _folder(offer_id: str) -> Path:
    return paths.downloads_dir() / offer_id


@contextmanager
def _alone_with(offer_id: str, listener: Listener) -> Iterator[None]:
    """Hold the lock of a model, which a process that dies lets go by itself; wait for whoever has it."""
    parent = paths.downloads_dir()
    parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(parent)
    lock = filelock.FileLock(parent / f"{offer_id}.lock")
    is_told = False
    while True:
        listener.check()
        try:
            lock.acquire(timeout=_LOCK_LOOK_S)
        except filelock.Timeout:
            if not is_told:
                listener.message(f"Another process is downloading {offer_id}; waiting for it.")
            is_told = True
        else:
            break
    try:
        yield
    finally:
        lock.release()


def _clear_abandoned(parent: Path) -> None:
    """Remove what downloads left that nobody went on with."""
    for left in parent.iterdir():
        with suppress(OSError):
            if left.is_dir() and time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left)


def _installed(offer: Offer, model_id: str) -> InstalledModel | None:
    """Return the model with this id if it came from this offer."""
    addresses = {url for file in offer.files for url in file.urls}
    for model in list_models():
        if model.card.id == model_id and any(fetched.url in addresses for fetched in model.card.fetched):
            return model
    return None


def _wanted(offer: Offer, file: OfferedFile, folder: Path, pins: Mapping[str, Pin]) -> Wanted:
    pin = pins.get(file.urls[0])
    if file.sha256 is not None or pin is None:
        return Wanted(folder / file.file, file.urls, file.sha256, file.size_bytes)
    advice = (
        f"It was downloaded first on {pin.day}. If its authors have replaced it since, take the new one by: "
        f"plantseg-app models download {offer.id} --accept-change"
    )
    return Wanted(folder / file.file, file.urls, pin.sha256, file.size_bytes, advice)


def _fetched(offered: Sequence[OfferedFile], arrived: Sequence[Arrived]) -> list[FetchedFile]:
    return [
        FetchedFile(
            url=came.url,
            sha256=came.sha256,
            size_bytes=came.size_bytes,
            checksum="first download" if file.sha256 is None else "published",
        )
        for file, came in zip(offered, arrived, strict=True)
    ]


def _check_room(arrived: Sequence[Arrived]) -> None:
    """Refuse to begin an installation that the disk of the models could not hold."""
    home = paths.user_models_dir()
    home.mkdir(parents=True, exist_ok=True)
    needed, free = sum(came.size_bytes for came in arrived), shutil.disk_usage(home).free
    if needed + _ROOM_LEFT_BYTES > free:
        raise ResourceError(
            f"The model takes {human_bytes(needed)}, and of the {human_bytes(free)} that are free on the disk of "
            f"{home}, {human_bytes(_ROOM_LEFT_BYTES)} have to stay so; make room first, or choose another folder of "
            "models in the preferences."
        )
