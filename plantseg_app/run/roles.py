"""What a person says an image shows, and which source of a workflow it therefore is.

>>> guess_role("plant_DAPI.tif", None).key, guess_role("stack.tif", None).key, guess_role("x", Kind.LABELS).key
('nuclei', 'membranes', 'labels')
>>> suggested_workflow({"membranes", "nuclei"})
'nuclei-guided'
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping

from plantseg_app.core.volume import Kind
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError


@dataclasses.dataclass(frozen=True)
class Role:
    """What an image shows.

    Attributes
    ----------
    key, title, help
        The name in files, the name in the window, and one sentence for people.
    kind
        As what its file is read.
    feeds
        The kinds of source of a workflow that it may be.
    """

    key: str
    title: str
    help: str
    kind: Kind
    feeds: tuple[Kind, ...]


ROLES: Mapping[str, Role] = {
    role.key: role
    for role in (
        Role("membranes", "Membranes or walls", "Stained cell membranes or cell walls.", Kind.RAW, (Kind.RAW,)),
        Role("nuclei", "Nuclei", "A nuclear stain, bright inside nuclei.", Kind.RAW, (Kind.NUCLEI, Kind.RAW)),
        Role("boundary", "Boundary map", "A map that is bright on cell boundaries, made by a network or another "
             "program.", Kind.BOUNDARY, (Kind.BOUNDARY,)),
        Role("foreground", "Foreground mask", "A mask or map that is bright inside objects.", Kind.FOREGROUND,
             (Kind.FOREGROUND,)),
        Role("labels", "Cells (labels)", "Cells that were segmented before, one number a cell.", Kind.LABELS,
             (Kind.LABELS,)),
        Role("nuclei_labels", "Nuclei (labels)", "Nuclei that were segmented before, one number a nucleus; they "
             "help to proofread cells.", Kind.LABELS, (Kind.LABELS,)),
        Role("signal", "Other signal", "Something to be measured in each cell, such as a reporter.", Kind.RAW, ()),
    )
}  # fmt: skip
"""All roles by key, the most frequent first."""

_OF_NUCLEI = ("nuclei", "nuclei_labels")
_WORDS = {
    "nuclei": r"nuc|dapi|hoechst|h2b|histone|nls",
    "boundary": r"boundar|pmap|probab|predict",
    "foreground": r"foreground|mask",
    "labels": r"label|segm|\bseg\b|_seg|cells?(?![a-z])|truth",
    "signal": r"reporter|signal|gfp|venus|yfp|antibody",
}


def guess_role(name: str, kind: Kind | None) -> Role:
    """Return what an image most probably shows.

    Parameters
    ----------
    name
        The name of its file, data set and channel.
    kind
        The kind that the file records, if it does.
    """
    if kind is not None and kind is not Kind.RAW:
        if kind is Kind.NUCLEI:
            return ROLES["nuclei"]
        if kind is Kind.LABELS and _is_called("nuclei", name):
            return ROLES["nuclei_labels"]
        return next((role for role in ROLES.values() if role.kind is kind), ROLES["membranes"])
    if _is_called("nuclei", name) and _is_called("labels", name):
        return ROLES["nuclei_labels"]
    return ROLES[next((key for key in _WORDS if _is_called(key, name)), "membranes")]


def _is_called(key: str, name: str) -> bool:
    return re.search(_WORDS[key], name.lower()) is not None


def suggested_workflow(roles: Collection[str]) -> str:
    """Return the name of the ready-made workflow for images with these roles."""
    if "membranes" in roles:
        return "nuclei-guided" if "nuclei" in roles else "membranes-gasp"
    if "boundary" in roles:
        return "boundary-map"
    return "nuclei-mask-outline" if "nuclei" in roles else "membranes-gasp"


def assign_sources(workflow: Workflow, roles: Mapping[str, str]) -> dict[str, str]:
    """Return which image is which source of `workflow`.

    Parameters
    ----------
    workflow
        What is to be run.
    roles
        The role of each image, by its name, in the order in which they were opened.

    Raises
    ------
    RequestError
        Naming the source for which there is no image.
    """
    assigned: dict[str, str] = {}
    for source, wanted in workflow.sources.items():
        free = [name for name in roles if name not in assigned.values()]
        fitting = _fitting(free, roles, wanted.kind, prefers_nuclei=_wants_nuclei(workflow, source))
        if fitting is not None:
            assigned[source] = fitting
        elif not wanted.optional:
            raise RequestError(
                f'"{workflow.title or workflow.name}" needs an image for "{source}". {wanted.help} Open one, or say '
                "that an open image shows it."
            )
    return assigned


def _fitting(names: Iterable[str], roles: Mapping[str, str], kind: Kind, prefers_nuclei: bool) -> str | None:
    fitting = [name for name in names if kind in ROLES[roles[name]].feeds]
    fitting.sort(key=lambda name: (roles[name] in _OF_NUCLEI) is not prefers_nuclei)
    return fitting[0] if fitting else None


def _wants_nuclei(workflow: Workflow, source: str) -> bool:
    words = f"{source} {workflow.sources[source].help} {workflow.name}".lower()
    return "nucle" in words and "membrane" not in workflow.sources[source].help.lower()
