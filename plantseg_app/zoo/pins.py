"""Checksums of files whose source publishes none: that of the first download is held on to.

So a file that is changed later, by its authors or by somebody on the way, does not come in unnoticed. One small file a
model in the program's own folder, which outlives the model; whoever writes holds the lock of the model.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from plantseg_app import paths
from plantseg_app.errors import InputError
from plantseg_app.io.atomic import replacing
from plantseg_app.zoo.card import Sha256
from plantseg_app.zoo.facts import FactsPart


class Pin(FactsPart):
    """What came at the first download of an address."""

    sha256: Sha256
    day: datetime.date


_PINS = TypeAdapter(dict[str, Pin])


def read_pins(model_id: str) -> dict[str, Pin]:
    """Return what is known of the files of a model, by address.

    Raises
    ------
    InputError
        If the file is damaged: to go on would mean to trust anything.
    """
    path = _path(model_id)
    try:
        return _PINS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise InputError(
            f"The checksums of earlier downloads in {path} cannot be read; delete the file to begin anew."
        ) from error


def write_pins(model_id: str, checksums: Mapping[str, str]) -> None:
    """Hold on to the checksums of files, by address; a day that is known stays while the checksum does."""
    known, today = read_pins(model_id), datetime.datetime.now(datetime.UTC).date()
    for url, sha256 in checksums.items():
        if url not in known or known[url].sha256 != sha256:
            known[url] = Pin(sha256=sha256, day=today)
    path = _path(model_id)
    with replacing(path) as partial:
        partial.write_text(json.dumps(_PINS.dump_python(known, mode="json"), indent=1), encoding="utf-8")


def _path(model_id: str) -> Path:
    return paths.checksums_dir() / f"{model_id}.json"
