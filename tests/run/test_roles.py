"""What an image shows, and which source of a workflow it becomes."""

from __future__ import annotations

import pytest

from plantseg_app.core.volume import Kind
from plantseg_app.errors import RequestError
from plantseg_app.run.roles import ROLES, assign_sources, guess_role, suggested_workflow
from plantseg_app.run.workflows import find_workflow


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("ovule_C0", "membranes"),
        ("leaf_nuclei_raw", "nuclei"),
        ("leaf_nuclei_labels", "nuclei_labels"),
        ("root_H2B-mCherry", "nuclei"),
        ("stack_boundary", "boundary"),
        ("stack_predictions", "boundary"),
        ("cells_gt", "labels"),
        ("pWUS-Venus", "signal"),
    ],
)
def test_names_tell_what_an_image_shows(name: str, role: str) -> None:
    assert guess_role(name, None).key == role


def test_what_the_file_records_counts_more_than_its_name() -> None:
    assert guess_role("nuclei", Kind.BOUNDARY).key == "boundary"
    assert guess_role("nuclei", Kind.RAW).key == "nuclei"
    assert guess_role("nuclei", Kind.LABELS).key == "nuclei_labels"
    assert guess_role("leaf", Kind.LABELS).key == "labels"


def test_every_role_names_itself() -> None:
    assert all(key == role.key and role.title and role.help for key, role in ROLES.items())


@pytest.mark.parametrize(
    ("roles", "assigned"),
    [
        ({"a": "membranes", "b": "nuclei"}, {"image": "a", "nuclei": "b"}),
        ({"b": "nuclei", "a": "membranes"}, {"image": "a", "nuclei": "b"}),
        ({"b": "nuclei"}, {"image": "b"}),
        ({"p": "boundary", "s": "signal"}, {"boundary": "p"}),
    ],
)
def test_the_suggested_workflow_runs_on_what_is_open(roles: dict[str, str], assigned: dict[str, str]) -> None:
    workflow = find_workflow(suggested_workflow(set(roles.values())))
    assert assign_sources(workflow, roles) == assigned


def test_nuclei_workflow_takes_the_nuclei_also_beside_membranes() -> None:
    roles = {"a": "membranes", "b": "nuclei"}
    assert assign_sources(find_workflow("nuclei-mask-outline"), roles) == {"image": "b"}
    assert assign_sources(find_workflow("membranes-gasp"), {"b": "nuclei", "a": "membranes"}) == {"image": "a"}


def test_a_missing_image_is_named() -> None:
    with pytest.raises(RequestError, match='needs an image for "nuclei"'):
        assign_sources(find_workflow("nuclei-guided"), {"a": "membranes"})
