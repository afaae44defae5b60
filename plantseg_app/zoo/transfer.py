"""Files over HTTP, all or none: resumed after a break, tried again with pauses, taken from a mirror, checked.

Built on requests rather than on pooch, which throws away what has arrived when a connection breaks, cannot be stopped,
and follows a redirect to anywhere. Knows files and addresses, and nothing of models.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from plantseg_app.core.quantities import human_bytes
from plantseg_app.errors import InputError, ResourceError
from plantseg_app.zoo.partial import PartialFile
from plantseg_app.zoo.requesting import (
    RANGE_ENDS_BEFORE,
    GaveUpError,
    NotNowError,
    RequestSettings,
    host_of,
    response_of,
)

if TYPE_CHECKING:
    import requests

_CHUNK_BYTES = 2**16
_SECONDS_BETWEEN_NEWS = 0.1
_REST_S = 0.1
_ROOM_LEFT_BYTES = 64 * 2**20
# Of a file whose length nobody says.
_MOST_BYTES = 50 * 10**9


class Listener(Protocol):
    """Who is told how far a download is, and may stop it; `plantseg_app.run.desk.Desk` is one."""

    def check(self) -> None:
        """Raise `Cancelled` if it has to stop."""

    def progress(self, label: str, done: int, total: int | None) -> None:
        """Take notice that `done` of `total` bytes are here; `total` is None where nobody knows."""

    def message(self, text: str) -> None:
        """Take notice of something worth knowing that is no error."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is to be fetched.

    Attributes
    ----------
    target
        The file to make.
    urls
        Where it is; the first choice first.
    sha256, size_bytes
        What it has to be; None where nobody knows.
    advice
        What to tell a person besides when the checksum differs.
    """

    target: Path
    urls: Sequence[str]
    sha256: str | None = None
    size_bytes: int | None = None
    advice: str = ""


@dataclasses.dataclass(frozen=True)
class Arrived:
    """A file that is here, whole.

    Attributes
    ----------
    url
        The address at which it was asked for.
    sha256, size_bytes
        Of the file.
    """

    url: str
    sha256: str
    size_bytes: int


def fetch_all(wanted: Sequence[Wanted], listener: Listener, settings: RequestSettings) -> list[Arrived]:
    """Fetch files and return what came, in their order; the targets are made when all of them are here.

    Raises
    ------
    ResourceError
        If there is no connection, no server gives it, or the disk is full. What has arrived stays for the next time,
        unless the disk is full.
    InputError
        If what comes is not what it has to be, or the server leads to a place that is not followed.
    Cancelled
        When the listener stops it; what has arrived stays.
    """
    arrived = [_fetch(one, listener, settings) for one in wanted]
    for one in wanted:
        PartialFile(one.target).finish()
    return arrived


def _fetch(wanted: Wanted, listener: Listener, settings: RequestSettings) -> Arrived:
    wanted.target.parent.mkdir(parents=True, exist_ok=True)
    partial = PartialFile(wanted.target)
    failures: list[GaveUpError] = []
    before = ""
    for url in wanted.urls:
        if failures and host_of(url) != host_of(before):
            listener.message(f"{failures[-1]} Trying {host_of(url)}.")
        before = url
        try:
            return _fetch_from(url, wanted, partial, listener, settings)
        except GaveUpError as error:
            failures.append(error)
    kind = next((failure.kind for failure in failures if failure.kind is InputError), ResourceError)
    raise kind(" ".join(dict.fromkeys(map(str, failures))))


def _fetch_from(
    url: str, wanted: Wanted, partial: PartialFile, listener: Listener, settings: RequestSettings
) -> Arrived:
    """Fetch the file from one address; what does not fit its first part is fetched as a whole."""
    while True:
        is_resumed = partial.size > 0
        _complete(url, wanted, partial, listener, settings)
        sha256, size = partial.sha256(), partial.size
        if wanted.sha256 in (None, sha256):
            return Arrived(url, sha256, size)
        partial.restart()
        if not is_resumed:
            raise GaveUpError(
                f"What {host_of(url)} sends as {wanted.target.name} is not the file that it should be: the checksum "
                f"differs. {wanted.advice}".rstrip(),
                InputError,
            )


def _complete(url: str, wanted: Wanted, partial: PartialFile, listener: Listener, settings: RequestSettings) -> None:
    """Fetch what is missing, trying again as long as that may help."""
    failures, most = 0, partial.size
    while True:
        try:
            _receive(url, wanted, partial, listener, settings)
        except NotNowError as error:
            # Whoever gets further each time may go on for ever.
            failures, most = (1, partial.size) if partial.size > most else (failures + 1, most)
            here = (
                f" {human_bytes(partial.size)} of {wanted.target.name} are here and are kept." if partial.size else ""
            )
            if failures >= settings.tries or (error.is_offline and partial.size == 0):
                raise GaveUpError(f"{error}{here}") from error
            pause_s = settings.pause_s(failures, error.wait_s)
            listener.message(f"{error}{here} Trying again in {pause_s:.2g} s.")
            _rest(pause_s, listener)
        else:
            return


def _rest(seconds: float, listener: Listener) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        listener.check()
        time.sleep(min(left, _REST_S))


def _receive(url: str, wanted: Wanted, partial: PartialFile, listener: Listener, settings: RequestSettings) -> None:
    """Ask once for what is missing, and write what comes."""
    listener.check()
    if not partial.continues(url, wanted.sha256 is not None):
        partial.restart()
    with response_of(url, partial.request_headers(url), settings) as response:
        if response.status_code == RANGE_ENDS_BEFORE:
            ends = response.headers.get("Content-Range") == f"bytes */{partial.size}"
            if partial.size == partial.total or (ends and partial.total is None):
                # All of it was here already.
                return
            partial.restart()
            raise NotNowError(f"{host_of(url)} has another file {wanted.target.name} by now.")
        total = _announced(response, partial, wanted)
        if response.status_code != 206:
            partial.restart()
        _check_room(wanted.target, (total or 0) - partial.size)
        partial.note(url, response.headers, total)
        _write(response, partial, total, wanted, listener)
    if total is not None and partial.size < total:
        raise NotNowError(f"The connection to {host_of(url)} broke.")


def _write(
    response: requests.Response, partial: PartialFile, total: int | None, wanted: Wanted, listener: Listener
) -> None:
    have, told_at = partial.size, 0.0
    label = wanted.target.name
    with partial.appending() as stream:
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
            stream.write(chunk)
            have += len(chunk)
            if have > (total or wanted.size_bytes or _MOST_BYTES):
                raise _another_length(response.url, wanted, f"more than {have - len(chunk)} bytes")
            listener.check()
            if time.monotonic() - told_at > _SECONDS_BETWEEN_NEWS:
                told_at = time.monotonic()
                listener.progress(label, have, total)
    listener.progress(label, have, total)


def _announced(response: requests.Response, partial: PartialFile, wanted: Wanted) -> int | None:
    """Return the length of the whole file, as far as the server says it, after a look at what is about to come."""
    headers, host, name = response.headers, host_of(response.url), wanted.target.name
    if headers.get("Content-Encoding", "identity") != "identity":
        raise GaveUpError(f"{host} sends {name} packed, though it was asked not to.")
    if headers.get("Content-Type", "").startswith("text/html") and wanted.target.suffix not in (".html", ".htm"):
        raise GaveUpError(
            f"{host} answers with a web page instead of {name}: perhaps the network wants you to log in first."
        )
    if response.status_code == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if match is None or int(match[1]) != partial.size:
            partial.restart()
            raise NotNowError(f"{host} sends another part of {name} than was asked for.")
        said = match[2]
    else:
        said = headers.get("Content-Length", "*")
    total = int(said) if said.isdigit() else None
    if None not in (total, wanted.size_bytes) and total != wanted.size_bytes:
        raise _another_length(response.url, wanted, f"{total} bytes")
    return total


def _another_length(url: str, wanted: Wanted, length: str) -> GaveUpError:
    expected = "" if wanted.size_bytes is None else f" instead of {wanted.size_bytes}"
    return GaveUpError(
        f"What {host_of(url)} sends as {wanted.target.name} is not the file that it should be: {length}{expected}.",
        InputError,
    )


def _check_room(target: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if needed_bytes + _ROOM_LEFT_BYTES > free:
        raise ResourceError(
            f"{target.name} takes {human_bytes(needed_bytes)} more, and of the {human_bytes(free)} that are free on "
            f"the disk of {target.parent}, {human_bytes(_ROOM_LEFT_BYTES)} have to stay so; make room first."
        )
