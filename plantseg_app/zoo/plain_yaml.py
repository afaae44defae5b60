"""YAML of others as plain data: no code in it runs, and no text stands for more than it says.

>>> load_plain("{a: [1, 2]}", "The card")
{'a': [1, 2]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from plantseg_app.errors import InputError

_MOST_ENTRIES = 200_000


def load_plain(text: str, where: str) -> Any:
    """Return the data in a YAML text.

    Raises
    ------
    InputError
        If it is no YAML, or would have more entries than any description, written out.
    """
    try:
        plain = yaml.safe_load(text)
        count = _written_out(plain, {})
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{where} is not readable YAML: {' '.join(str(error).split())[:300]}") from error
    if count > _MOST_ENTRIES:
        # By references to itself a short text can stand for more than any memory holds.
        raise InputError(f"{where} would have more entries than any description of a model.")
    return plain


def _written_out(plain: Any, known: dict[int, int]) -> int:
    """Return how many entries there are once every reference is written out."""
    if not isinstance(plain, (Mapping, list, tuple)):
        return 1
    if id(plain) not in known:
        # Of a list that holds itself there is no end.
        known[id(plain)] = _MOST_ENTRIES + 1
        inside = plain.values() if isinstance(plain, Mapping) else plain
        known[id(plain)] = 1 + sum(_written_out(entry, known) for entry in inside)
    return known[id(plain)]
