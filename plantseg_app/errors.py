"""The few exceptions this program raises on purpose.

Every message is one readable sentence or two: what was given, what is allowed, what to do. The command line
turns `RequestError` into exit status 2 and every other `PlantSegError` into exit status 1; the window shows the
message as it is. Anything else that is raised is a defect of the program.

>>> str(InputError("The file a.tif is empty (0 bytes); export it again."))
'The file a.tif is empty (0 bytes); export it again.'
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_LISTED = 40


class PlantSegError(Exception):
    """Base of all errors that a user can understand and act on."""


class InputError(PlantSegError):
    """Data cannot be used: a damaged file, a wrong shape, NaN where numbers are needed."""


class RequestError(PlantSegError):
    """The request itself is wrong: an unknown step, a setting out of range, a workflow that does not fit."""


class AbsentError(RequestError):
    """What is named is not on this machine, but could be: a model that has to be downloaded or added first."""


class ResourceError(PlantSegError):
    """The machine cannot do it: memory, disk, device or network are short."""


class Cancelled(PlantSegError):
    """The user asked to stop; nothing is wrong."""


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """Return a hint naming the nearest allowed word, or all of them when none is near and they are few enough to read.

    Parameters
    ----------
    given
        What the user wrote.
    allowed
        What could have been written.

    >>> did_you_mean("gaps", ["gasp", "multicut"])
    'Did you mean "gasp"?'
    >>> did_you_mean("zzz", ["gasp", "multicut"])
    'Allowed: gasp, multicut.'
    """
    choices = sorted(allowed)
    near = difflib.get_close_matches(given, choices, n=1)
    if near:
        return f'Did you mean "{near[0]}"?'
    if not choices:
        return "None is available."
    if len(choices) > _MOST_LISTED:
        return f"None of the {len(choices)} that there are is near."
    return f"Allowed: {', '.join(choices)}."
