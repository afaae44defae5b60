"""Fetching files: whole or not at all, resumed, tried again, taken from mirrors, and led nowhere else."""

from __future__ import annotations

import errno
import hashlib
import shutil
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plantseg_app.errors import Cancelled, InputError, ResourceError
from plantseg_app.zoo.requesting import GaveUpError, RequestSettings, check_redirect
from plantseg_app.zoo.transfer import Wanted, fetch_all

QUICK = RequestSettings(connect_timeout_s=2, read_timeout_s=0.3, tries=3, first_pause_s=0.01, longest_pause_s=0.05)
CONTENT = np.random.default_rng(0).bytes(400_000)
OTHER = np.random.default_rng(1).bytes(400_000)


def digest(content: bytes = CONTENT) -> str:
    return hashlib.sha256(content).hexdigest()


class Ear:
    """Listens, and may cancel when so many bytes are here."""

    def __init__(self, cancel_at: float = float("inf")) -> None:
        self.told: list[tuple[str, int, int | None]] = []
        self.messages: list[str] = []
        self._cancel_at = cancel_at
        self.seen = 0

    def check(self) -> None:
        if self.seen >= self._cancel_at:
            raise Cancelled("stop")

    def progress(self, label: str, done: int, total: int | None) -> None:
        self.told.append((label, done, total))
        self.seen = done

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "arriving" / "weights.bin"


def fetch(target: Path, *urls: str, ear: Ear | None = None, **expected: Any) -> Any:
    return fetch_all([Wanted(target, urls, **expected)], ear or Ear(), QUICK)[0]


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_arrives_with_progress(file_server: Any, target: Path) -> None:
    url, ear = file_server.put("/w", CONTENT), Ear()
    arrived = fetch(target, url, ear=ear, sha256=digest(), size_bytes=len(CONTENT))
    assert target.read_bytes() == CONTENT
    assert (arrived.url, arrived.sha256, arrived.size_bytes) == (url, digest(), len(CONTENT))
    assert ear.told[-1] == ("weights.bin", len(CONTENT), len(CONTENT))
    assert leftovers(target) == ["weights.bin"]
    (asked,) = file_server.log
    assert asked.headers["User-Agent"].startswith("plantseg-app/")


def test_a_download_that_broke_at_60_percent_fetches_only_the_rest(file_server: Any, target: Path) -> None:
    broken = int(0.6 * len(CONTENT))
    url, ear = file_server.put("/w", CONTENT, breaks_at=[broken]), Ear()
    fetch(target, url, ear=ear)
    assert target.read_bytes() == CONTENT
    first, second = file_server.log
    assert (first.status, first.sent) == (200, broken)
    assert (second.status, second.sent) == (206, len(CONTENT) - broken)
    assert second.headers["Range"] == f"bytes={broken}-"
    assert "240 kB of weights.bin are here and are kept. Trying again in 0.01 s." in ear.messages[0]


def test_the_rest_is_fetched_by_the_next_start_of_the_program_too(file_server: Any, target: Path) -> None:
    url = file_server.put("/w", CONTENT, breaks_at=[100_000])
    file_server.files["/w"].breaks_at += [100_000] * (QUICK.tries - 1)
    with pytest.raises(
        ResourceError, match=r"The connection to 127\.0\.0\.1 broke\. 100 kB of weights\.bin are here and are kept\."
    ):
        fetch(target, url)
    assert not target.exists()
    before = len(file_server.log)
    fetch(target, url)
    assert target.read_bytes() == CONTENT
    assert [logged.sent for logged in file_server.log[before:]] == [300_000]


def test_a_cancel_keeps_what_is_here(file_server: Any, target: Path) -> None:
    url = file_server.put("/w", CONTENT, pause_s=0.02)
    with pytest.raises(Cancelled):
        fetch(target, url, ear=Ear(cancel_at=1))
    assert not target.exists()
    have = target.with_name("weights.bin.part").stat().st_size
    assert 0 < have < len(CONTENT)
    fetch(target, url)
    assert target.read_bytes() == CONTENT
    assert file_server.log[-1].sent == len(CONTENT) - have


def test_a_pause_can_be_cancelled(file_server: Any, target: Path) -> None:
    class Impatient(Ear):
        def message(self, text: str) -> None:
            self.seen, self._cancel_at = 1, 1

    url = file_server.put("/w", CONTENT, statuses=[503])
    patient = RequestSettings(first_pause_s=60)
    with pytest.raises(Cancelled):
        fetch_all([Wanted(target, (url,))], Impatient(), patient)


def test_a_file_that_changed_meanwhile_is_fetched_anew(file_server: Any, target: Path) -> None:
    url = file_server.put("/w", OTHER, breaks_at=[100_000] * QUICK.tries)
    with pytest.raises(ResourceError):
        fetch(target, url)
    file_server.put("/w", CONTENT)
    fetch(target, url)
    assert target.read_bytes() == CONTENT
    assert file_server.log[-1].status == 200


@pytest.mark.parametrize("behaviour", [{"ranges": False}, {"validates": False}, {"chunked": True}])
def test_servers_that_cannot_do_everything(file_server: Any, target: Path, behaviour: dict[str, bool]) -> None:
    url = file_server.put("/w", CONTENT, breaks_at=[100_000], **behaviour)
    fetch(target, url)
    assert target.read_bytes() == CONTENT
    # Without a way to know that the file is the same, the first part is worth nothing.
    assert file_server.log[-1].sent == (300_000 if "chunked" in behaviour else 400_000)


def test_with_a_checksum_the_rest_may_come_without_an_etag_and_from_a_mirror(file_server: Any, target: Path) -> None:
    first = file_server.put("/first", CONTENT, validates=False, breaks_at=[100_000, 100_000, 100_000])
    second = file_server.put("/second", CONTENT, validates=False)
    arrived = fetch(target, first, second, sha256=digest())
    assert target.read_bytes() == CONTENT
    assert arrived.url == second
    assert [logged.sent for logged in file_server.asked("/second")] == [300_000]


def test_parts_of_two_files_are_never_put_together(file_server: Any, target: Path) -> None:
    url = file_server.put("/w", OTHER, validates=False, breaks_at=[100_000] * QUICK.tries)
    with pytest.raises(ResourceError):
        fetch(target, url, sha256=digest())
    file_server.put("/w", CONTENT, validates=False)
    fetch(target, url, sha256=digest())
    assert target.read_bytes() == CONTENT


def test_a_busy_server_is_asked_again_when_it_wants_to_be(file_server: Any, target: Path) -> None:
    url, ear = file_server.put("/w", CONTENT, statuses=[503, 429], headers={"Retry-After": "3600"}), Ear()
    fetch(target, url, ear=ear)
    assert target.read_bytes() == CONTENT
    assert [logged.status for logged in file_server.log] == [503, 429, 200]
    # The server's hour is cut to the longest pause.
    assert "Trying again in 0.05 s" in ear.messages[0]


def test_pauses_grow_and_end() -> None:
    settings = RequestSettings(first_pause_s=1, longest_pause_s=10)
    assert [settings.pause_s(n) for n in range(1, 6)] == [1, 2, 4, 8, 10]
    assert settings.pause_s(1, asked_s=5) == 5


def test_a_server_that_stays_busy_is_given_up(file_server: Any, target: Path) -> None:
    url = file_server.put("/w", CONTENT, statuses=[503] * 9)
    with pytest.raises(ResourceError, match=r"^127\.0\.0\.1 is busy or out of order \(status 503\)\.$"):
        fetch(target, url)
    assert len(file_server.log) == QUICK.tries
    assert leftovers(target) == []


def test_a_missing_file_is_looked_for_on_the_mirror_at_once(file_server: Any, target: Path) -> None:
    ear, mirror = Ear(), file_server.put("/mirror", CONTENT).replace("127.0.0.1", "localhost")
    assert fetch(target, f"{file_server.url}/gone", mirror, ear=ear).url == mirror
    assert ear.messages == ["127.0.0.1 does not have gone (status 404). Trying localhost."]
    with pytest.raises(ResourceError, match="status 404"):
        fetch(target, f"{file_server.url}/gone")


def test_a_silent_server_is_not_waited_for(file_server: Any, target: Path) -> None:
    gate = threading.Event()
    url = file_server.put("/w", CONTENT, gate=gate)
    try:
        with pytest.raises(ResourceError, match="does not answer in time"):
            fetch_all([Wanted(target, (url,))], Ear(), RequestSettings(read_timeout_s=0.1, tries=1))
    finally:
        gate.set()


def test_another_length_than_announced_is_no_file(file_server: Any, target: Path) -> None:
    url = file_server.put("/w", CONTENT, claims=500_000)
    with pytest.raises(ResourceError, match=r"The connection to 127\.0\.0\.1 broke"):
        fetch(target, url)
    assert not target.exists()
    assert len(file_server.log) < 9


def test_another_length_than_the_list_says_is_refused_unread(file_server: Any, target: Path) -> None:
    url = file_server.put("/w", CONTENT)
    with pytest.raises(InputError, match=r"not the file that it should be: 400000 bytes instead of 12\."):
        fetch(target, url, size_bytes=12)
    url = file_server.put("/endless", CONTENT, chunked=True)
    with pytest.raises(InputError, match=r"more than \d+ bytes instead of 12"):
        fetch(target, url, size_bytes=12)


def test_a_wrong_checksum_is_refused_and_nothing_stays(file_server: Any, target: Path) -> None:
    url = file_server.put("/w", OTHER)
    with pytest.raises(InputError, match=r"the checksum differs\. Ask Bob$"):
        fetch(target, url, sha256=digest(), advice="Ask Bob")
    assert leftovers(target) == []
    assert fetch(target, url, file_server.put("/right", CONTENT), sha256=digest()).url.endswith("/right")


def test_redirects_are_followed_within_the_web(file_server: Any, target: Path) -> None:
    file_server.put("/w", CONTENT, breaks_at=[100_000])
    url = file_server.put("/moved", redirect="/elsewhere")
    file_server.put("/elsewhere", redirect=f"{file_server.url}/w")
    assert fetch(target, url).url == url
    assert target.read_bytes() == CONTENT
    assert file_server.log[-1].sent == 300_000


@pytest.mark.parametrize("goal", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_redirects_out_of_the_web_are_refused(file_server: Any, target: Path, goal: str) -> None:
    url = file_server.put("/moved", redirect=goal)
    with pytest.raises(InputError, match="which is not followed: it is no web address"):
        fetch(target, url)
    assert leftovers(target) == []


def test_no_redirect_leaves_an_encrypted_connection() -> None:
    with pytest.raises(GaveUpError, match="not encrypted"):
        check_redirect("https://a.org/w", "http://a.org/w")


def test_redirects_in_a_circle_end(file_server: Any, target: Path) -> None:
    url = file_server.put("/round", redirect="/round")
    with pytest.raises(ResourceError, match="without an end"):
        fetch(target, url)


def test_a_web_page_is_not_taken_for_weights(file_server: Any, target: Path) -> None:
    url = file_server.put("/w", b"<html>Log in</html>", headers={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(ResourceError, match=r"a web page instead of weights\.bin"):
        fetch(target, url)


def test_without_a_network_it_says_so_at_once(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def lookup(host: str, *_: Any, **__: Any) -> Any:
        tried.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(ResourceError, match=r"no connection to zenodo\.org\. This computer seems to be offline"):
        fetch(target, "https://zenodo.org/w")
    assert tried == ["zenodo.org"]


def test_a_closed_port_is_no_network_either(target: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(ResourceError, match=r"There is no connection to 127\.0\.0\.1\.$"):
        fetch(target, f"http://127.0.0.1:{port}/w")


def test_the_usual_variables_name_the_proxy(file_server: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A proxy is asked for the whole address.
    file_server.put("http://models.example/w", CONTENT)
    monkeypatch.setenv("HTTP_PROXY", file_server.url)
    fetch(target, "http://models.example/w")
    assert target.read_bytes() == CONTENT
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ResourceError, match=r"The proxy for models\.example cannot be reached; HTTPS_PROXY"):
        fetch(target, "http://models.example/w")


def test_a_disk_without_room_is_told_before(file_server: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = file_server.put("/w", CONTENT)
    usage = shutil.disk_usage(target.parents[1])._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ResourceError, match=r"takes 400 kB more, and of the 1 kB .* 67 MB have to stay so"):
        fetch(target, url)
    assert leftovers(target) == []


def test_a_disk_that_runs_full_is_given_its_room_back(
    file_server: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = file_server.put("/w", CONTENT)

    class Full(Ear):
        def check(self) -> None:
            if self.seen:
                raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ResourceError, match="is full"):
        fetch(target, url, ear=Full())
    assert leftovers(target) == []


def test_of_several_files_all_are_there_or_none(file_server: Any, target: Path) -> None:
    first, second = file_server.put("/a", CONTENT), file_server.put("/b", OTHER, statuses=[503] * QUICK.tries)
    wanted = [Wanted(target, (first,)), Wanted(target.with_name("b"), (second,))]
    with pytest.raises(ResourceError):
        fetch_all(wanted, Ear(), QUICK)
    assert not target.exists()
    fetch_all(wanted, Ear(), QUICK)
    assert (target.read_bytes(), target.with_name("b").read_bytes()) == (CONTENT, OTHER)
    # The one that had come was not sent again.
    assert [logged.status for logged in file_server.asked("/a")] == [200, 416]
    assert leftovers(target) == ["b", "weights.bin"]
