"""One request over HTTP that leads nowhere else, and its failures in words: those that pass, and those that do not.

Proxies and certificates come from the usual environment variables: HTTPS_PROXY, HTTP_PROXY, NO_PROXY and
REQUESTS_CA_BUNDLE.

>>> check_redirect("https://example.org/a", "https://mirror.example.org/a")
>>> check_redirect("https://a.org/a", "file:///b")
Traceback (most recent call last):
plantseg_app.zoo.requesting.GaveUpError: a.org leads on to file:///b, which is not followed: it is no web address.
"""

from __future__ import annotations

import dataclasses
import email.utils
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from plantseg_app import __version__
from plantseg_app.errors import InputError, PlantSegError, ResourceError

if TYPE_CHECKING:
    import requests

RANGE_ENDS_BEFORE = 416
_GOOD = (200, 206, RANGE_ENDS_BEFORE)
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_MOST_REDIRECTS = 10
_REASONS = {401: "wants a password for", 403: "does not give away", 404: "does not have", 410: "has no longer"}


@dataclasses.dataclass(frozen=True)
class RequestSettings:
    """How patient a download is.

    Attributes
    ----------
    connect_timeout_s, read_timeout_s
        How long to wait for a connection, and for the next bytes.
    tries
        How often in a row an address may fail without a single byte more.
    first_pause_s, longest_pause_s
        Before the second try; each pause is twice the one before, up to the longest.
    """

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 30.0
    tries: int = 5
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0

    def pause_s(self, failures: int, asked_s: float = 0.0) -> float:
        """Return how long to rest after so many failures in a row; the server may ask for more."""
        return min(max(self.first_pause_s * 2.0 ** (failures - 1), asked_s), self.longest_pause_s)


PATIENT = RequestSettings()
"""For people at home and in the laboratory alike."""


class NotNowError(Exception):
    """A failure that may pass.

    Attributes
    ----------
    wait_s
        How long the server wants to be left alone.
    is_offline
        Whether there seems to be no network at all.
    """

    def __init__(self, text: str, wait_s: float = 0.0, is_offline: bool = False) -> None:
        super().__init__(text)
        self.wait_s = wait_s
        self.is_offline = is_offline


class GaveUpError(Exception):
    """An address from which the file cannot be had.

    Attributes
    ----------
    kind
        What to raise when there is no other address.
    """

    def __init__(self, text: str, kind: type[PlantSegError] = ResourceError) -> None:
        super().__init__(text)
        self.kind = kind


@contextmanager
def response_of(url: str, headers: Mapping[str, str], settings: RequestSettings) -> Iterator[requests.Response]:
    """Yield the answer of a server, status 200, 206 or 416, whose body has not been read.

    Raises
    ------
    NotNowError, GaveUpError
        Also for what goes wrong while the caller reads the body.
    """
    import requests
    import urllib3

    host = host_of(url)
    try:
        with requests.Session() as session:
            session.headers["User-Agent"] = f"plantseg-app/{__version__}"
            # A body that is packed for the way has other bytes, so it could neither be resumed nor checked.
            session.headers["Accept-Encoding"] = "identity"
            with _followed(session, url, headers, settings) as response:
                _check_status(response, url)
                yield response
    except requests.exceptions.ProxyError as error:
        raise NotNowError(
            f"The proxy for {host} cannot be reached; HTTPS_PROXY, HTTP_PROXY and NO_PROXY say which one is used."
        ) from error
    except requests.exceptions.SSLError as error:
        raise GaveUpError(
            f"{host} cannot be trusted: its certificate is not accepted. Behind a proxy that looks into connections, "
            "name its certificate in REQUESTS_CA_BUNDLE."
        ) from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise GaveUpError(f"The address {url} cannot be used.") from error
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise NotNowError(f"{host} does not answer in time.") from error
    except requests.exceptions.ConnectionError as error:
        offline = "NameResolutionError" in repr(error) or "unreachable" in repr(error)
        advice = "This computer seems to be offline; models that are installed work without a network."
        raise NotNowError(
            f"There is no connection to {host}.{f' {advice}' if offline else ''}", 0.0, offline
        ) from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        raise NotNowError(f"The connection to {host} broke.") from error


def host_of(url: str) -> str:
    """Return the name of the server, for people."""
    return urlsplit(url).hostname or url


def check_redirect(url: str, target: str) -> None:
    """Refuse to be led away from the web, or from an encrypted connection to a plain one.

    Raises
    ------
    GaveUpError
        Saying where it would lead.
    """
    scheme = urlsplit(target).scheme
    if scheme not in ("http", "https"):
        why = "it is no web address"
    elif scheme == "http" and urlsplit(url).scheme == "https":
        why = "anybody on the way could change what comes over a connection that is not encrypted"
    else:
        return
    raise GaveUpError(f"{host_of(url)} leads on to {target}, which is not followed: {why}.", InputError)


def _followed(
    session: requests.Session, url: str, headers: Mapping[str, str], settings: RequestSettings
) -> requests.Response:
    timeouts = (settings.connect_timeout_s, settings.read_timeout_s)
    for _ in range(_MOST_REDIRECTS):
        response = session.get(url, headers=dict(headers), stream=True, allow_redirects=False, timeout=timeouts)
        if not response.is_redirect:
            return response
        target = urljoin(url, response.headers["location"])
        response.close()
        check_redirect(url, target)
        url = target
    raise GaveUpError(f"{host_of(url)} leads from one address to the next without an end.")


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status in _GOOD:
        return
    name, host = urlsplit(url).path.rsplit("/", 1)[-1], host_of(url)
    if status in _PASSING:
        raise NotNowError(f"{host} is busy or out of order (status {status}).", _retry_after_s(response))
    raise GaveUpError(f"{host} {_REASONS.get(status, 'does not send')} {name or url} (status {status}).")


def _retry_after_s(response: requests.Response) -> float:
    """Return how long the server wants to be left alone: it says seconds or a date."""
    said = response.headers.get("Retry-After", "")
    if said.isdigit():
        return float(said)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
