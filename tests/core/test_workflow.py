"""Workflows are refused with the place and a suggestion, and survive YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from pydantic import Field

from plantseg_app.core.context import Context
from plantseg_app.core.fields import Fraction
from plantseg_app.core.step import STEPS, Port, SameAs, Step
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError

GOOD = """
workflow: 1
name: chain
sources:
  image: raw
  nuclei: {kind: nuclei, optional: true, help: The nuclei.}
nodes:
  smooth: {step: t-smooth, inputs: {image: image}, settings: {amount: 0.25}}
  edges: {step: t-edges, inputs: {image: smooth}}
  cells: {step: t-cells, version: 1, inputs: {boundary: edges, nuclei: nuclei}}
"""


@pytest.fixture(autouse=True)
def three_steps() -> Iterator[None]:
    class Passing(Step):
        def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
            return next(iter(inputs.values()))

    class Smooth(Passing):
        id = "t-smooth"
        title = "Smooth"
        reads = {"image": Port((Kind.RAW,), "The image.")}
        makes = SameAs("image")
        amount: Fraction = Field(0.5, description="How much.")

    class Edges(Passing):
        id = "t-edges"
        title = "Edges"
        reads = {"image": Port((Kind.RAW,), "The image.")}
        makes = Kind.BOUNDARY

    class Cells(Passing):
        id = "t-cells"
        title = "Cells"
        reads = {
            "boundary": Port((Kind.BOUNDARY,), "The boundary map."),
            "nuclei": Port((Kind.NUCLEI,), "Nuclei.", optional=True),
        }
        makes = Kind.LABELS

    yield
    for name in ("t-smooth", "t-edges", "t-cells"):
        del STEPS._entries[name]


def test_kinds_follow_the_wires_and_leaves_are_the_outputs() -> None:
    workflow = Workflow.from_yaml(GOOD)
    assert workflow.kinds()["smooth"] is Kind.RAW
    assert workflow.kinds()["cells"] is Kind.LABELS
    assert workflow.outputs == ("cells",)
    assert workflow.order() == ["smooth", "edges", "cells"]


def test_yaml_round_trip_is_exact_and_complete() -> None:
    workflow = Workflow.from_yaml(GOOD)
    text = workflow.to_yaml()
    assert Workflow.from_yaml(text) == workflow
    assert "amount: 0.25" in text


def test_defaults_are_written_out_so_that_a_record_outlives_them() -> None:
    assert "amount: 0.5" in Workflow.from_yaml(GOOD.replace(", settings: {amount: 0.25}", "")).to_yaml()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("step: t-edges", "step: t-edgse", ['Node "edges"', 'Did you mean "t-edges"']),
        ("amount: 0.25", "amout: 0.25", ['Node "smooth"', 'Did you mean "amount"']),
        ("amount: 0.25", "amount: 7", ['Node "smooth"', "less than or equal to 1", "7"]),
        ("{image: smooth}", "{image: smoot}", ['Node "edges"', 'Did you mean "smooth"']),
        ("{image: smooth}", "{imag: smooth}", ['Node "edges"', 'Did you mean "image"']),
        ("boundary: edges", "boundary: smooth", ['Node "cells"', "takes boundary", "raw"]),
        ("image: smooth", "image: cells", ["wait for each other"]),
        ("version: 1", "version: 9", ["newer program"]),
        ("version: 1", "version: x", ["whole number"]),
        ("step: t-edges, ", "", ['needs a "step"']),
        ("step: t-edges,", "step: t-edges, skip: true,", ['unknown entry "skip"']),
        ("workflow: 1", "workflow: 2", ["format 2"]),
        ("workflow: 1", "", ["workflow: 1"]),
        ("image: raw", "image: rawer", ["sources.image"]),
        ("name: chain", "name: chain\noutputs: [cell]", ['Did you mean "cells"']),
        ("smooth: {step", "nuclei: {step", ["both a source and a node"]),
        ("nodes:", "nodes: [", ["YAML"]),
    ],
)
def test_wrong_workflows_say_where_and_what(old: str, new: str, words: list[str]) -> None:
    assert old in GOOD
    with pytest.raises(RequestError) as caught:
        Workflow.from_yaml(GOOD.replace(old, new))
    for word in words:
        assert word in str(caught.value)


def test_yaml_cannot_run_code() -> None:
    with pytest.raises(RequestError):
        Workflow.from_yaml("!!python/object/apply:os.system ['true']")


@pytest.mark.parametrize("text", ["", "[]", "3", "workflow: 1", "workflow: 1\nname: a\nnodes: 3\nsources: {}"])
def test_what_is_no_workflow_is_refused(text: str) -> None:
    with pytest.raises(RequestError):
        Workflow.from_yaml(text)


def test_replace_checks_the_node_and_the_value() -> None:
    workflow = Workflow.from_yaml(GOOD)
    changed = workflow.replace("smooth", amount=0.75)
    assert changed.nodes["smooth"].step.settings() == {"amount": 0.75}
    assert workflow.nodes["smooth"].step.settings() == {"amount": 0.25}
    for node, settings in [("smoot", {"amount": 0.1}), ("smooth", {"amount": 2}), ("smooth", {"amoun": 0.1})]:
        with pytest.raises(RequestError, match="smooth"):
            workflow.replace(node, **settings)


def test_absent_optional_source_takes_its_wires_off() -> None:
    bound = Workflow.from_yaml(GOOD).bind(["image"])
    assert bound.nodes["cells"].inputs == {"boundary": "edges"}
    assert list(bound.sources) == ["image"]


def test_absent_needed_source_and_unknown_source_are_refused() -> None:
    workflow = Workflow.from_yaml(GOOD)
    with pytest.raises(RequestError, match='needs "image"'):
        workflow.bind(["nuclei"])
    with pytest.raises(RequestError, match='Did you mean "nuclei"'):
        workflow.bind(["image", "nucleus"])
