"""The list of the collection: fetched when asked, searched without a network, and its models downloaded like others."""

from __future__ import annotations

import datetime
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from plantseg_app import paths
from plantseg_app.cli.main import main
from plantseg_app.errors import Cancelled, InputError, ResourceError
from plantseg_app.zoo.bioimageio import collection
from plantseg_app.zoo.bioimageio.collection import LIST_URL, read_collection, refresh_collection
from plantseg_app.zoo.download import download_model
from plantseg_app.zoo.offers import find_offer, read_offers
from plantseg_app.zoo.requesting import RequestSettings
from plantseg_app.zoo.search import Wish, known_models

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
QUICK = RequestSettings(connect_timeout_s=2, read_timeout_s=0.5, tries=1, first_pause_s=0.01, longest_pause_s=0.02)
REAL = Path(__file__).with_name("packages") / "unet2d_nuclei_broad.zip"
LIST_PATH = "/bioimage-io/artifacts/bioimage.io/children"


class Ear:
    def check(self) -> None:
        pass

    def progress(self, label: str, done: int, total: int | None) -> None:
        pass

    def message(self, text: str) -> None:
        pass


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """The description of the real package as the server lists it: JSON, with the graph in a folder of its own."""
    with zipfile.ZipFile(REAL) as archive:
        plain = yaml.safe_load(archive.read("bioimageio.yaml"))
    del plain["weights"]["onnx"]
    return json.loads(json.dumps(plain, default=str))


def entry(alias: str, manifest: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"alias": alias, "id": f"bioimage-io/{alias}", "download_count": 3, "manifest": manifest | changes}


def listed(server: Any, *entries: Any, **behaviour: Any) -> str:
    return server.put(LIST_PATH, json.dumps({"items": list(entries)}).encode(), **behaviour)


@pytest.fixture
def server(file_server: Any, manifest: dict[str, Any]) -> Any:
    """Stands for the collection: its list and the files of one model."""
    other = manifest["weights"] | {"torchscript": None}
    listed(
        file_server,
        entry("affable-shark", manifest, id="10.5281/zenodo.5764892"),
        entry("keras-cat", manifest, weights={"keras_hdf5": {"source": "w.h5", "tensorflow_version": "2.1"}}),
        entry("unknown-dog", manifest, weights={k: v for k, v in other.items() if v}),
        {"alias": "empty-fish"},
    )
    with zipfile.ZipFile(REAL) as archive:
        for name in archive.namelist():
            # This one calls its description by the older name.
            served = "rdf.yaml" if name == "bioimageio.yaml" else name
            file_server.put(f"/bioimage-io/artifacts/affable-shark/files/{served}", archive.read(name))
    return file_server


def refresh(server: Any) -> Any:
    return refresh_collection(Ear(), QUICK, server.url + LIST_PATH)


def test_the_list_is_kept_and_searched_without_a_network(own_home: Path, server: Any) -> None:
    assert read_collection().fetched is None
    fetched = refresh(server)
    assert fetched.n_models == 1
    assert "keras_hdf5" in fetched.left_out["keras-cat"]
    assert "pytorch_state_dict" in fetched.left_out["unknown-dog"]
    assert "no description" in fetched.left_out["empty-fish"]
    asked = len(server.log)
    assert read_collection() == fetched
    (found,) = [
        m for m in known_models() if Wish("u-net broad", "2D", "nuclei").matches(m.card) and m.offer is not None
    ]
    assert found.card.id == "affable-shark"
    assert found.card.licence == "MIT"
    assert find_offer("10.5281/zenodo.5764892").id == "affable-shark"
    assert read_offers().problems == ()
    assert len(server.log) == asked


def test_a_model_of_the_collection_is_downloaded_checked_and_proved(own_home: Path, server: Any) -> None:
    refresh(server)
    offer = find_offer("affable-shark")
    assert {file.file for file in offer.files} == {"rdf.yaml", "weights.pt", "test_input.npy", "test_output.npy"}
    assert all(file.sha256 for file in offer.files if file.file != "rdf.yaml")
    model = download_model(offer, Ear(), settings=QUICK)
    assert model.card.id == "affable-shark"
    assert {fetched.checksum for fetched in model.card.fetched} == {"published", "first download"}
    # It was proved when it was added, on this.
    assert (model.folder / "test_output.npy").is_file()


def test_another_graph_than_the_published_one_is_refused(own_home: Path, server: Any) -> None:
    refresh(server)
    path = "/bioimage-io/artifacts/affable-shark/files/weights.pt"
    content = server.files[path].content
    server.put(path, content[:-1] + b"x")
    with pytest.raises(InputError):
        download_model(find_offer("affable-shark"), Ear(), settings=QUICK)
    home = paths.user_models_dir()
    assert not home.exists() or not list(home.iterdir())


@pytest.mark.parametrize(
    ("content", "behaviour", "error"),
    [
        (b"", {"statuses": [503] * 9}, ResourceError),
        (b"", {"statuses": [404]}, ResourceError),
        (b"no json", {}, InputError),
        (b'{"detail": "sorry"}', {}, InputError),
        (b'"text"', {}, InputError),
        (b"[" * 100_000, {}, InputError),
        (b'[{"alias": "a", "manifest": {}}]', {}, InputError),
        (b"[]" + b" " * 1000, {"breaks_at": [500] * 9}, ResourceError),
        (b"", {"redirect": "file:///etc/passwd"}, InputError),
    ],
)
def test_whatever_goes_wrong_the_old_list_stays(own_home, server, content, behaviour, error) -> None:
    before = refresh(server)
    server.put(LIST_PATH, content, **behaviour)
    with pytest.raises(error):
        refresh(server)
    assert read_collection() == before
    assert [path.name for path in paths.collections_dir().iterdir()] == ["bioimageio.json"]


def test_a_cancel_keeps_the_old_list(own_home: Path, server: Any) -> None:
    class Stop(Ear):
        def check(self) -> None:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        refresh_collection(Stop(), QUICK, server.url + LIST_PATH)
    assert read_collection().fetched is None


def test_a_damaged_list_is_told_and_hides_nothing_else(own_home: Path) -> None:
    paths.collections_dir().mkdir(parents=True)
    (paths.collections_dir() / "bioimageio.json").write_text("{", encoding="utf-8")
    assert read_collection().fetched is None
    offers = read_offers()
    assert len(offers.problems) == 1
    assert "bioimageio.json" in offers.problems[0]
    assert offers.offers


@pytest.mark.parametrize(
    ("age", "words"),
    [
        ({"seconds": 5}, "just now"),
        ({"minutes": 1}, "1 minute ago"),
        ({"hours": 5}, "5 hours ago"),
        ({"days": 400}, "400 days ago"),
    ],
)
def test_its_age_is_shown(age: dict[str, int], words: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    assert words in collection.Collection(now - datetime.timedelta(**age), 1, {}).age_text(now)


def test_the_command_line_refreshes_and_searches(own_home, server, monkeypatch, capsys) -> None:
    def fetch(listener: Any) -> Any:
        return refresh_collection(listener, QUICK, server.url + LIST_PATH)

    monkeypatch.setattr(collection, "refresh_collection", fetch)
    assert main(["models", "refresh", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["models"] == 1
    assert datetime.datetime.fromisoformat(told["fetched"]) <= datetime.datetime.now(datetime.UTC)
    assert main(["models", "search", "dsb2018", "broad"]) == 0
    captured = capsys.readouterr()
    assert "fetched just now" in captured.err
    assert main(["models", "show", "affable-shark"]) == 0
    assert "not here yet" in capsys.readouterr().out


def test_the_address_is_that_of_the_collection() -> None:
    assert LIST_URL.startswith("https://hypha.aicell.io/bioimage-io/artifacts/bioimage.io/children")
