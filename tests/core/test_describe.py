from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from typing import Literal

import pytest
from pydantic import BaseModel

from plantseg_app.core.describe import FieldDescription, describe_fields, describe_step
from plantseg_app.core.fields import Fraction, Micrometre, PerAxis, Seconds, SigmaVox, TextList
from plantseg_app.core.step import STEPS, Field, Port, SameAs, Step
from plantseg_app.core.volume import Kind


class Way(enum.StrEnum):
    SHORT = "short"
    LONG = "long"


class Part(BaseModel):
    size_um: Micrometre = 1.0


@pytest.fixture
def step() -> Iterator[type[Step]]:
    class Everything(Step):
        """One of each.

        More help.
        """

        id = "test-everything"
        title = "Everything"
        reads = {"image": Port((Kind.RAW, Kind.LABELS), "An image."), "mask": Port((Kind.LABELS,), "M.", optional=True)}
        makes = SameAs("image")
        needed: int = Field(gt=0, description="Needed.")
        beta: Fraction = Field(0.6, description="Bias.")
        sigma: SigmaVox = Field(2.0, json_schema_extra={"advanced": True})
        limit_s: Seconds | None = Field(None, json_schema_extra={"advanced": True, "choices": "zoo.models"})
        size_um: PerAxis[Micrometre] | None = None
        tile: PerAxis[int] = (1, 2, 3)
        names: TextList[str] = ("a",)
        mode: Literal["x", "y"] = "x"
        way: Way = Way.LONG
        flag: bool = True
        text: str = Field("", title="A text")
        either: Literal["auto"] | int = "auto"
        offsets: tuple[tuple[int, int, int], ...] = ()
        parts: tuple[Part, ...] = ()
        part: Part = Part()

        def run(self, inputs, context):
            return inputs["image"]

    yield Everything
    del STEPS._entries["test-everything"]


def test_each_field_says_its_type_range_and_unit(step):
    fields = {field.name: field for field in describe_fields(step)}
    assert {name: field.type for name, field in fields.items()} == {
        "needed": "integer",
        "beta": "number",
        "sigma": "number",
        "limit_s": "number",
        "size_um": "numbers",
        "tile": "integers",
        "names": "list",
        "mode": "choice",
        "way": "choice",
        "flag": "boolean",
        "text": "text",
        "either": "text",
        "offsets": "list",
        "parts": "group",
        "part": "group",
    }
    assert (fields["offsets"].length, fields["names"].length) == (3, None)
    assert fields["needed"].required
    assert (fields["needed"].minimum, fields["needed"].exclusive_minimum) == (0, True)
    assert (fields["beta"].minimum, fields["beta"].maximum, fields["beta"].default) == (0.0, 1.0, 0.6)
    assert (fields["sigma"].unit, fields["sigma"].advanced) == ("voxel", True)
    limit = fields["limit_s"]
    assert (limit.unit, limit.nullable, limit.maximum, limit.hint) == ("s", True, 1e6, {"choices": "zoo.models"})
    assert (fields["size_um"].unit, fields["size_um"].length, fields["size_um"].nullable) == ("um", 3, True)
    assert (fields["tile"].default, fields["tile"].length) == ([1, 2, 3], 3)
    assert (fields["mode"].choices, fields["way"].choices) == (("x", "y"), ("short", "long"))
    assert fields["way"].default == "long"
    assert (fields["text"].title, fields["limit_s"].title) == ("A text", "Limit")


def test_a_step_is_described_in_plain_data(step):
    described = describe_step(step)
    assert described.help == "One of each.\n\nMore help."
    assert described.makes == "same as image"
    assert [(port.name, port.optional) for port in described.ports] == [("image", False), ("mask", True)]
    plain = json.loads(json.dumps(described.to_json_dict()))
    assert plain["ports"][0]["kinds"] == ["raw", "labels"]
    assert len(plain["fields"]) == 15


def test_any_settings_model_is_described():
    assert [(field.name, field.title, field.default) for field in describe_fields(Part)] == [("size_um", "Size", 1.0)]


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (FieldDescription("a", "A", "number", 1, minimum=0, maximum=1), "0 to 1"),
        (FieldDescription("a", "A", "number", 1, minimum=0, maximum=1, exclusive_minimum=True), "above 0 to 1"),
        (FieldDescription("a", "A", "number", 1, minimum=2), "at least 2"),
        (FieldDescription("a", "A", "number", 1, minimum=2, exclusive_minimum=True), "above 2"),
        (FieldDescription("a", "A", "number", 1, maximum=2), "at most 2"),
        (FieldDescription("a", "A", "choice", "x", choices=("x", "y")), "one of x, y"),
        (FieldDescription("a", "A", "text", ""), ""),
    ],
)
def test_ranges_are_said_in_words(field, text):
    assert field.range_text == text
