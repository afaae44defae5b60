"""A package of BioImage.IO as it lies on the disk: a zip archive, a folder, or a description with files beside it.

Whatever it says, no file outside its folder is touched, and nothing is fetched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from plantseg_app.errors import InputError
from plantseg_app.zoo.converted import read_description
from plantseg_app.zoo.unpacking import is_archive, unpack

_NAMES = ("bioimageio.yaml", "rdf.yaml", "model.yaml")
_ENDINGS = (".bioimageio.yaml", ".rdf.yaml", ".model.yaml")


@dataclasses.dataclass(frozen=True)
class Package:
    """An opened package.

    Attributes
    ----------
    folder
        Where its files are.
    raw
        The description as it stands in the file.
    model
        The description as bioimageio.spec understands it, in its latest version (``bioimageio.spec.model.ModelDescr``).
    """

    folder: Path
    raw: Mapping[str, Any]
    model: Any

    def find(self, source: Any) -> Path | None:
        """Return the file that the description calls `source`, None where it is not here.

        A file that is described by its address is looked for under the last part of that.

        Raises
        ------
        InputError
            If the path leads out of the package, or is a link.
        """
        text = str(getattr(source, "path", None) or source) if not str(source).startswith("http") else str(source)
        name = PurePosixPath(unquote(urlsplit(text).path)).name if "://" in text else text
        path = self.folder / name
        inside = PurePosixPath(name.replace("\\", "/"))
        if inside.is_absolute() or ".." in inside.parts or Path(name).is_absolute():
            raise InputError(f'The package names the file "{text}", which lies outside of it; it is refused.')
        if path.is_symlink() or not path.resolve().is_relative_to(self.folder.resolve()):
            raise InputError(f'The file "{text}" of the package is a link to somewhere else; it is refused.')
        if not path.is_file() and len(inside.parts) > 1:
            # Downloaded one by one, files lie beside each other.
            return self.find(inside.name)
        return path if path.is_file() else None

    def checked(self, source: Any, sha256: str | None, what: str) -> Path:
        """Return a file that must be here and be the described one.

        Raises
        ------
        InputError
            If it is missing or another one.
        """
        path = self.find(source)
        if path is None:
            raise InputError(f"{what} ({source}) are not in the package.")
        if sha256:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != str(sha256):
                raise InputError(f"{what} ({path.name}) are not those that are described: the checksum differs.")
        return path


def is_bioimageio(source: Path) -> bool:
    """Return whether a folder, a zip archive or a description is a package of BioImage.IO."""
    if source.is_dir():
        return _description_in([path.name for path in source.iterdir() if path.is_file()]) is not None
    if source.suffix in (".yaml", ".yml"):
        return _description_in([source.name]) is not None
    if not is_archive(source):
        return False
    try:
        with zipfile.ZipFile(source) as archive:
            return _description_in(_short_names(archive)) is not None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


@contextlib.contextmanager
def opened(source: Path, scratch: Path) -> Iterator[Package]:
    """Open a package; an archive is unpacked into a folder of its own in `scratch`, which is gone afterwards.

    Raises
    ------
    InputError
        If it is damaged, out to do harm, or described as no version of the format allows.
    ResourceError
        If the disk is too full.
    """
    if source.is_dir() or not is_archive(source):
        yield _read(source)
        return
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=scratch) as name:
        folder = Path(name)
        unpack(source, folder)
        entries = list(folder.iterdir())
        if _description_in([entry.name for entry in entries]) is None and len(entries) == 1:
            # Packed with the folder around it.
            folder = entries[0]
        yield _read(folder)


def _read(source: Path) -> Package:
    path = source
    if source.is_dir():
        name = _description_in([entry.name for entry in source.iterdir() if entry.is_file()])
        if name is None:
            raise InputError(f"{source} holds no description of a model (rdf.yaml or bioimageio.yaml).")
        path = source / name
    if path.is_symlink():
        raise InputError(f"The description {path} is a link to somewhere else; it is refused.")
    raw = read_description(path)
    return Package(path.parent, raw, understood(raw, path.parent, str(path)))


def understood(raw: Mapping[str, Any], folder: Path, where: str) -> Any:
    """Return a description as bioimageio.spec understands it, in its latest version.

    Raises
    ------
    InputError
        With its first complaint.
    """
    if raw.get("type", "model") != "model":
        raise InputError(f"{where} describes a {raw['type']}, not a model.")
    from bioimageio.spec import InvalidDescr, ValidationContext, build_description
    from bioimageio.spec.model import ModelDescr

    context = ValidationContext(root=folder, perform_io_checks=False, log_warnings=False)
    try:
        with context:
            model = build_description(_without_references(raw), context=context, format_version="latest")
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        # The converters of old versions stumble over what they do not expect.
        raise InputError(f"{where} is no description that can be read: {_short(error)}") from error
    if isinstance(model, InvalidDescr):
        raise InputError(f"{where} is no valid description of a model: {_short(model.get_reason())}")
    if not isinstance(model, ModelDescr):
        raise InputError(f"{where} describes no model.")
    return model


def _without_references(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description without what would be looked up elsewhere while it is read."""
    plain = {key: value for key, value in raw.items() if key not in ("parent", "run_mode")}
    inputs = plain.get("inputs")
    if isinstance(inputs, list):
        plain["inputs"] = [
            {key: value for key, value in entry.items() if key != "output_of"} if isinstance(entry, Mapping) else entry
            for entry in inputs
        ]
    return plain


def _short(reason: object) -> str:
    lines = [line.strip(" -:") for line in str(reason).splitlines()]
    return next((line for line in lines if line), "it cannot be read")[:300]


def _description_in(names: list[str]) -> str | None:
    for wanted in _NAMES:
        if wanted in names:
            return wanted
    return next((name for name in sorted(names) if name.endswith(_ENDINGS)), None)


def _short_names(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the files at the top, or those in the only folder that there is."""
    names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    tops = {name.split("/")[0] for name in names}
    if len(tops) == 1 and all("/" in name for name in names):
        names = [name.split("/", 1)[1] for name in names]
    return [name for name in names if "/" not in name]
