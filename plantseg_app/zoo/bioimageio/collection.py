"""The collection of BioImage.IO as a list on this machine: fetched when a person asks, read without a network.

What is kept is a list of offers like the program's own (`plantseg_app.zoo.offers`), so that both are searched, compared
and downloaded in the same way. A model that this program cannot run is left out, and its reason is kept.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import ValidationError

from plantseg_app import paths
from plantseg_app.core.step import readable_errors
from plantseg_app.errors import InputError
from plantseg_app.io.atomic import replacing
from plantseg_app.networks.pytorch3dunet import NETWORKS
from plantseg_app.zoo.bioimageio.meanings import facts_about, guess_meanings, words_about
from plantseg_app.zoo.bioimageio.package import understood
from plantseg_app.zoo.bioimageio.tensors import describe_tensors
from plantseg_app.zoo.converted import as_id
from plantseg_app.zoo.offers import COLLECTION_FILE, FORMAT_VERSION, Offer
from plantseg_app.zoo.requesting import PATIENT, RequestSettings
from plantseg_app.zoo.transfer import Listener, Wanted, fetch_all

ARTIFACTS = "https://hypha.aicell.io/bioimage-io/artifacts"
LIST_URL = f"{ARTIFACTS}/bioimage.io/children?limit=1000&filters=%7B%22type%22%3A%22model%22%7D"
_PAGE_URL = "https://bioimage.io/#/artifacts/"
_COLLECTION = "BioImage.IO"
_LARGEST_LIST_BYTES = 200 * 2**20
_DESCRIPTIONS = ("bioimageio.yaml", "rdf.yaml")
_GRAPHS = ("torchscript", "onnx")

Plain = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Collection:
    """What is known of the collection.

    Attributes
    ----------
    fetched
        When the list was fetched; None when there is none.
    n_models
        How many models are offered.
    left_out
        Why others are not, by name.
    """

    fetched: datetime.datetime | None
    n_models: int
    left_out: Mapping[str, str]

    def age_text(self, now: datetime.datetime | None = None) -> str:
        """Return how old the list is, in words.

        >>> day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        >>> Collection(day, 3, {}).age_text(day + datetime.timedelta(days=2, hours=3))
        'fetched 2 days ago'
        """
        if self.fetched is None:
            return "never fetched"
        age = (now or datetime.datetime.now(datetime.UTC)) - self.fetched
        for unit, seconds in (("day", 86400), ("hour", 3600), ("minute", 60)):
            number = int(age.total_seconds() // seconds)
            if number >= 1:
                return f"fetched {number} {unit}{'' if number == 1 else 's'} ago"
        return "fetched just now"


def read_collection() -> Collection:
    """Return what is known of the collection on this machine."""
    try:
        plain = json.loads((paths.collections_dir() / COLLECTION_FILE).read_text(encoding="utf-8"))
        fetched = datetime.datetime.fromisoformat(plain["fetched"])
        return Collection(fetched, len(plain["models"]), dict(plain["left_out"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Collection(None, 0, {})


def refresh_collection(listener: Listener, settings: RequestSettings = PATIENT, url: str = LIST_URL) -> Collection:
    """Fetch the list of the collection, and keep what it offers; whatever goes wrong, the old one stays.

    Raises
    ------
    ResourceError
        If there is no connection.
    InputError
        If what comes is no such list.
    Cancelled
        When the listener stops it.
    """
    with tempfile.TemporaryDirectory(prefix="plantseg-collection-") as folder:
        wanted = Wanted(Path(folder) / "list.json", [url])
        fetch_all([wanted], listener, settings)
        listed = _read_list(wanted.target)
    offers: dict[str, Plain] = {}
    left_out: dict[str, str] = {}
    for number, artifact in enumerate(listed):
        listener.check()
        name = str(artifact.get("alias") or artifact.get("id") or f"model {number + 1}")
        try:
            offer = offer_of(artifact, url)
        except InputError as error:
            left_out[name] = str(error)
        else:
            offers[offer.id] = offer.model_dump(mode="json", exclude_defaults=True)
    if listed and not offers:
        raise InputError(f"None of the {len(listed)} models of {_COLLECTION} could be read; the old list stays.")
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    plain = {
        "catalogue": FORMAT_VERSION,
        "fetched": now.isoformat(),
        "left_out": left_out,
        "models": [offers[name] for name in sorted(offers)],
    }
    with replacing(paths.collections_dir() / COLLECTION_FILE) as partial:
        partial.write_text(json.dumps(plain), encoding="utf-8")
    return Collection(now, len(offers), left_out)


def _read_list(path: Path) -> list[Mapping[str, Any]]:
    try:
        if path.stat().st_size > _LARGEST_LIST_BYTES:
            raise InputError(f"The list of {_COLLECTION} has {path.stat().st_size} bytes; no list is that long.")
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"The list of {_COLLECTION} cannot be read: {error}") from error
    entries = plain.get("items") if isinstance(plain, Mapping) else plain
    if not isinstance(entries, list):
        raise InputError(f"What {_COLLECTION} sent is no list of models.")
    return [entry for entry in entries if isinstance(entry, Mapping)]


def offer_of(artifact: Mapping[str, Any], url: str = LIST_URL) -> Offer:
    """Return the offer of one entry of the list, which holds the whole description of its model.

    Parameters
    ----------
    artifact
        ``alias``, its name in the collection, and ``manifest``, the description.
    url
        The address of the list; files lie beside it.

    Raises
    ------
    InputError
        Saying why this program cannot use the model.
    """
    alias, manifest = str(artifact.get("alias") or ""), artifact.get("manifest")
    if not alias or not isinstance(manifest, Mapping):
        raise InputError("it has no description")
    model = understood(manifest, Path(), f"The description of {alias}")
    tensors = describe_tensors(model)
    meanings = guess_meanings(tensors.channel_names, words_about(model))
    base = f"{url.split('/artifacts/')[0]}/artifacts/{quote(alias)}/files/"
    facts = {
        **facts_about(model, tensors),
        "id": as_id(alias),
        "dimensionality": tensors.layout["dimensions"],
        "outputs": [{"name": name, "kind": kind} for name, kind in meanings],
        "collection": _COLLECTION,
        "page": f"{_PAGE_URL}{quote(alias)}",
        "also_called": [str(manifest["id"])] if manifest.get("id") not in (None, alias) else [],
        "files": _files(model, manifest, base),
    }
    try:
        return Offer(**facts)
    except ValidationError as error:
        raise InputError(readable_errors(error, "its description", list(Offer.model_fields))) from error


def _files(model: Any, raw: Mapping[str, Any], base: str) -> list[Plain]:
    """Return what has to be downloaded: the description, the weights that would be taken, and the test images."""
    files = [{"file": "rdf.yaml", "urls": [f"{base}{name}" for name in _DESCRIPTIONS]}]
    checksums = raw.get("weights") if isinstance(raw.get("weights"), Mapping) else {}
    for name in _wanted_weights(model):
        described = getattr(model.weights, name)
        plain = checksums.get(name) if isinstance(checksums, Mapping) else None
        checksum = plain.get("sha256") if isinstance(plain, Mapping) else None
        files.append(_file(described.source, checksum or described.sha256, base))
    tested = [tensor.test_tensor for tensor in (*model.inputs, *model.outputs) if tensor.test_tensor is not None]
    return files + [_file(file.source, file.sha256, base) for file in tested]


def _wanted_weights(model: Any) -> list[str]:
    """Return the formats of weights that are taken, the safest first; a graph besides where a network may not fit."""
    graphs = [name for name in _GRAPHS if getattr(model.weights, name) is not None]
    state = model.weights.pytorch_state_dict
    is_known = state is not None and str(state.architecture.callable) in NETWORKS
    if not graphs and not is_known:
        formats = ", ".join(name for name, entry in model.weights if entry is not None)
        raise InputError(f"its weights are of formats that this program does not run ({formats})")
    return (["pytorch_state_dict"] if is_known else []) + graphs[:1]


def _file(source: Any, sha256: Any, base: str) -> Plain:
    text = str(getattr(source, "path", None) or source) if not str(source).startswith("http") else str(source)
    is_address = "://" in text
    name = PurePosixPath(unquote(urlsplit(text).path) if is_address else text).name
    made: Plain = {"file": name, "urls": [text if is_address else base + quote(text)]}
    return {**made, "sha256": str(sha256)} if sha256 else made
