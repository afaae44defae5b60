"""Mistakes in training settings in words, with the place in the file and the nearest name that exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from plantseg_app.errors import did_you_mean


def readable_problems(error: ValidationError, root: type[BaseModel]) -> str:
    """Return a sentence for each wrong entry of settings: where it is, what was given, what is allowed."""
    lines = []
    for problem in error.errors(include_url=False):
        place = [part for part in problem["loc"] if isinstance(part, (str, int))]
        dotted = ".".join(str(part) for part in place)
        if problem["type"] == "extra_forbidden":
            owner, known = _fields_at(root, place[:-1])
            lines.append(f'{owner} has no setting "{place[-1]}". {did_you_mean(str(place[-1]), known)}')
        elif problem["type"] == "missing":
            lines.append(f"{dotted} is missing.")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            given = "" if isinstance(problem["input"], Mapping) else f"; {problem['input']!r} was given"
            lines.append(f"{dotted + ': ' if dotted else ''}{message}{given}.")
    return " ".join(lines)


def _fields_at(root: type[BaseModel], place: list[str | int]) -> tuple[str, list[str]]:
    """Return the name of the part at `place` and the settings it has."""
    model = root
    for part in place:
        if not isinstance(part, str):
            continue
        found = _models_in(model.model_fields[part].annotation)
        model = found[0] if found else model
    return ".".join(str(part) for part in place) or "it", list(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]
