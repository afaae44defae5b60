"""``--set NODE.FIELD=VALUE``: from what a person writes to the settings of a workflow.

>>> parse_assignment("cells.beta=0.5")
('cells', 'beta', 0.5)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plantseg_app.errors import RequestError


def parse_assignments(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the settings in ``NODE.FIELD=VALUE`` texts by node; of two for the same setting the later one holds.

    >>> parse_assignments(["cells.beta=0.5", "map.tile=[1, 2, 3]", "cells.is-strict=true"])
    {'cells': {'beta': 0.5, 'is_strict': True}, 'map': {'tile': [1, 2, 3]}}

    Raises
    ------
    RequestError
        If a text is none.
    """
    settings: dict[str, dict[str, Any]] = {}
    for text in texts:
        node, field, value = parse_assignment(text)
        settings.setdefault(node, {})[field] = value
    return settings


def parse_assignment(text: str) -> tuple[str, str, Any]:
    """Split ``NODE.FIELD=VALUE``; the value is read as YAML, so that 0.5, true and null mean what they say.

    Raises
    ------
    RequestError
        If the text is none.
    """
    import yaml

    place, equals, value = text.partition("=")
    node, dot, field = place.strip().rpartition(".")
    if not equals or not dot or not node or not field:
        raise RequestError(f'--set takes NODE.FIELD=VALUE, for example gasp.beta=0.5; "{text}" was given.')
    try:
        return node, field.replace("-", "_"), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RequestError(f'--set {place}: the value "{value}" is not readable.') from error
