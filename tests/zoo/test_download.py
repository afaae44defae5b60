"""Downloading models: installed as a whole, once, checked, and without a trace in the models when it fails."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from plantseg_app import paths
from plantseg_app.cli.main import main
from plantseg_app.errors import Cancelled, InputError, RequestError, ResourceError
from plantseg_app.zoo.catalogue import list_models
from plantseg_app.zoo.download import download_model
from plantseg_app.zoo.library import add_model, remove_model
from plantseg_app.zoo.load import load_network
from plantseg_app.zoo.offers import Offer
from plantseg_app.zoo.requesting import RequestSettings

QUICK = RequestSettings(connect_timeout_s=2, read_timeout_s=1, tries=2, first_pause_s=0.01, longest_pause_s=0.02)


class Ear:
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.done = 0
        self.cancels = False

    def check(self) -> None:
        if self.cancels and self.done:
            raise Cancelled("stop")

    def progress(self, label: str, done: int, total: int | None) -> None:
        self.done = max(self.done, done)

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with one model of the person's own, and none that ships."""
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setattr(paths, "bundled_models_dir", lambda: tmp_path / "bundled")
    return tmp_path / "home"


@pytest.fixture
def files(tmp_path: Path, install: Callable[..., Any]) -> dict[str, bytes]:
    """The files of a model."""
    install(tmp_path / "theirs", "theirs")
    return {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}


@pytest.fixture
def offer(own_home: Path, file_server: Any, files: dict[str, bytes]) -> Offer:
    """Those files on a server that publishes no checksums."""
    return offered(file_server, files)


def offered(file_server: Any, files: dict[str, bytes], **changes: Any) -> Offer:
    listed = [{"file": name, "urls": [file_server.put(f"/{name}", content)]} for name, content in files.items()]
    facts = {"title": "Ours", "description": "For tests.", "dimensionality": "3D", "licence": "MIT"}
    channels = {"inputs": [{"name": "membrane"}], "outputs": [{"name": "boundary", "kind": "boundary"}]}
    plain = {"id": "ours", "authors": ["Nobody"], "collection": "our lab", "files": listed, **facts, **channels}
    return Offer(**{**plain, **changes})


def published(offer: Offer, files: dict[str, bytes]) -> Offer:
    """The same offer with checksums and sizes."""
    known = [
        file.model_copy(
            update={
                "sha256": hashlib.sha256(files[file.file]).hexdigest(),
                "size_bytes": len(files[file.file]),
            }
        )
        for file in offer.files
    ]
    return offer.model_copy(update={"files": tuple(known)})


def everything(folder: Path) -> dict[str, bytes]:
    """All that is in a folder, hidden things too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()} | {
        str(path.relative_to(folder)): b"" for path in folder.rglob("*") if path.is_dir()
    }


def download(offer: Offer, ear: Ear | None = None, **more: Any) -> Any:
    return download_model(offer, ear or Ear(), settings=QUICK, **more)


def test_a_downloaded_model_is_one_of_the_persons_own_and_runs(offer: Offer, own_home: Path) -> None:
    model = download(offer)
    assert [found.card.id for found in list_models()] == ["ours"]
    assert model.folder == own_home / "models" / "ours"
    load_network(model)
    assert {fetched.url for fetched in model.card.fetched} == {file.urls[0] for file in offer.files}
    assert {fetched.checksum for fetched in model.card.fetched} == {"first download"}
    assert not (paths.downloads_dir() / "ours").exists()


def test_published_checksums_are_said_to_be_so(offer: Offer, files: dict[str, bytes]) -> None:
    model = download(published(offer, files))
    assert {fetched.checksum for fetched in model.card.fetched} == {"published"}
    assert {fetched.sha256 for fetched in model.card.fetched} == {
        hashlib.sha256(content).hexdigest() for content in files.values()
    }


def test_what_is_here_is_not_fetched_again(offer: Offer, file_server: Any) -> None:
    first = download(offer)
    asked = len(file_server.log)
    assert download(offer) == first
    assert len(file_server.log) == asked
    assert download(offer, model_id="another").card.id == "another"
    assert [model.card.id for model in list_models()] == ["another", "ours"]


def test_another_model_with_the_id_is_not_touched(offer: Offer, file_server: Any, tmp_path: Path) -> None:
    add_model(tmp_path / "theirs", "ours")
    with pytest.raises(RequestError, match="There is a model"):
        download(offer)
    assert file_server.log == []


def _break(served: Any) -> None:
    served.breaks_at = [10] * 99


def _vanish(served: Any) -> None:
    served.statuses = [404] * 99


def _busy(served: Any) -> None:
    served.statuses = [503] * 99


def _lead_away(served: Any) -> None:
    served.redirect = "file:///etc/passwd"


def _lie(served: Any) -> None:
    served.claims = 10**6
    served.ranges = False


def _damage(served: Any) -> None:
    served.content = served.content[:-1] + b"?"


def _shorten(served: Any) -> None:
    served.content = served.content[:-9]


def _be_a_page(served: Any) -> None:
    served.headers = {"Content-Type": "text/html"}


FAILURES = [_break, _vanish, _busy, _lead_away, _lie, _damage, _shorten, _be_a_page]


@pytest.mark.parametrize("fail", FAILURES)
@pytest.mark.parametrize("publishes", [False, True])
def test_whatever_fails_leaves_the_models_as_they_were(
    offer: Offer,
    files: dict[str, bytes],
    file_server: Any,
    tmp_path: Path,
    fail: Callable[[Any], None],
    publishes: bool,
) -> None:
    add_model(tmp_path / "theirs")
    before = everything(paths.user_models_dir())
    fail(file_server.files["/weights.safetensors"])
    with pytest.raises((InputError, ResourceError)) as caught:
        download(published(offer, files) if publishes else offer)
    assert "\n" not in str(caught.value)
    assert everything(paths.user_models_dir()) == before
    # And once the server is well again, all is well.
    file_server.put("/weights.safetensors", files["weights.safetensors"])
    load_network(download(offer))


@pytest.mark.parametrize("fail", FAILURES)
def test_the_command_says_it_in_one_line_with_status_1(
    offer: Offer,
    own_home: Path,
    file_server: Any,
    fail: Callable[[Any], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plantseg_app.zoo.download.PATIENT", QUICK)
    listed(offer, own_home)
    fail(file_server.files["/weights.safetensors"])
    assert main(["models", "download", "ours", "--quiet"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("plantseg-app: error: ")
    assert not list(paths.user_models_dir().glob("*"))


def test_a_cancel_leaves_the_models_as_they_were_and_the_rest_is_fetched_later(
    offer: Offer, file_server: Any, files: dict[str, bytes]
) -> None:
    ear = Ear()
    ear.cancels = True
    with pytest.raises(Cancelled):
        download(offer, ear)
    assert list_models() == []
    assert not paths.user_models_dir().exists()
    download(offer)
    card = file_server.asked("/card.yaml")
    # What had come of it when the cancel was heard, all or a part, was not asked for again.
    assert [logged.status for logged in card] in ([200, 416], [200, 206], [200])


def test_broken_at_60_percent_fetches_only_the_rest(offer: Offer, file_server: Any, files: dict[str, bytes]) -> None:
    size = len(files["weights.safetensors"])
    broken = int(0.6 * size)
    file_server.files["/weights.safetensors"].breaks_at = [broken] * QUICK.tries
    with pytest.raises(ResourceError):
        download(offer)
    before = len(file_server.asked("/weights.safetensors"))
    download(offer)
    (last,) = file_server.asked("/weights.safetensors")[before:]
    assert (last.status, last.sent) == (206, size - broken)
    assert sum(logged.sent for logged in file_server.asked("/weights.safetensors")) == size


def test_a_file_that_changes_is_noticed_though_nobody_publishes_its_checksum(
    offer: Offer, file_server: Any, files: dict[str, bytes], tmp_path: Path, install: Callable[..., Any]
) -> None:
    download(offer)
    remove_model("ours")
    # A model that is whole in itself, but not the same.
    install(tmp_path / "new", "theirs", seed=1)
    for name in files:
        file_server.put(f"/{name}", (tmp_path / "new" / name).read_bytes())
    with pytest.raises(InputError, match=r"It was downloaded first on 20\d\d-\d\d-\d\d.*--accept-change"):
        download(offer)
    assert list_models() == []
    model = download(offer, accept_change=True)
    assert (
        model.card.weights.sha256 == hashlib.sha256((tmp_path / "new" / "weights.safetensors").read_bytes()).hexdigest()
    )
    remove_model("ours")
    download(offer)


def test_what_could_not_be_used_is_not_held_on_to(offer: Offer, file_server: Any, files: dict[str, bytes]) -> None:
    file_server.put("/card.yaml", b"card: 1\nid: x")
    with pytest.raises(InputError, match="What was downloaded for ours cannot be used"):
        download(offer)
    file_server.put("/card.yaml", files["card.yaml"])
    download(offer)


def test_files_of_no_known_sort_are_no_model(own_home: Path, file_server: Any) -> None:
    with pytest.raises(InputError, match="What can be added"):
        download(offered(file_server, {"notes.txt": b"hello", "more.txt": b"x"}))


def test_damaged_checksums_are_not_ignored(offer: Offer) -> None:
    download(offer)
    remove_model("ours")
    (paths.checksums_dir() / "ours.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="delete the file to begin anew"):
        download(offer)


def test_no_room_for_the_model_is_told(offer: Offer, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage

    def narrow(folder: Path) -> Any:
        free = 1000 if Path(folder) == paths.user_models_dir() else 10**12
        return usage(folder)._replace(free=free)

    monkeypatch.setattr(shutil, "disk_usage", narrow)
    with pytest.raises(ResourceError, match="choose another folder of models"):
        download(offer)
    assert list_models() == []


def listed(offer: Offer, own_home: Path) -> list[str]:
    """List the offer for other processes, and return the command that downloads it."""
    plain = {"catalogue": 1, "models": [offer.model_dump(mode="json")]}
    own_home.mkdir(exist_ok=True)
    (own_home / "catalogue.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    return [sys.executable, "-m", "plantseg_app", "models", "download", "ours", "--json"]


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail(what)


def test_a_killed_process_keeps_what_has_arrived_and_holds_no_lock(
    offer: Offer, own_home: Path, file_server: Any, files: dict[str, bytes]
) -> None:
    served, size = file_server.files["/weights.safetensors"], len(files["weights.safetensors"])
    gate = served.gate = threading.Event()
    with subprocess.Popen(listed(offer, own_home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        part = paths.downloads_dir() / "ours" / "weights.safetensors.part"
        wait_for(lambda: part.is_file() and part.stat().st_size >= size // 2, "Nothing arrived.")
        process.kill()
    gate.set()
    have = part.stat().st_size
    assert not paths.user_models_dir().exists()
    served.gate = None
    before = len(file_server.asked("/weights.safetensors"))
    download(offer)
    (last,) = file_server.asked("/weights.safetensors")[before:]
    assert (last.status, last.sent) == (206, size - have)


def test_two_processes_fetch_a_model_once(offer: Offer, own_home: Path, file_server: Any, tmp_path: Path) -> None:
    gate = file_server.files["/weights.safetensors"].gate = threading.Event()
    command = listed(offer, own_home)
    logs = [tmp_path / "first.txt", tmp_path / "second.txt"]
    processes = []
    for log in logs:
        with log.open("w") as stderr:
            processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True))
    # The one that came second says that it waits; only then the first one gets on.
    wait_for(lambda: any("waiting for it" in log.read_text() for log in logs), "Nobody waited.")
    gate.set()
    answers = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [json.loads(answer)["id"] for answer in answers] == ["ours", "ours"]
    assert [logged.status for logged in file_server.asked("/weights.safetensors")] == [200]
