"""The contract between a step, its settings and what arrives at its ports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, Field, ValidationError, model_validator

from plantseg_app.core.context import Context, QuietContext
from plantseg_app.core.fields import Fraction, PerAxis
from plantseg_app.core.step import STEPS, Port, SameAs, Step, make_step, problems_by_field
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError, RequestError


@pytest.fixture(autouse=True)
def probe_step() -> Iterator[type[Step]]:
    class Probe(Step):
        id = "probe"
        title = "Probe"
        reads = {
            "image": Port((Kind.RAW, Kind.BOUNDARY), "The image."),
            "mask": Port((Kind.FOREGROUND,), "Where to look.", optional=True),
        }
        makes = SameAs("image")
        share: Fraction = Field(0.5, description="A share.")
        shift: PerAxis[int] = Field((0, 0, 0), description="A shift.")

        def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
            return inputs["image"].replace(data=inputs["image"].data * self.share)

    yield Probe
    del STEPS._entries["probe"]


def volume(kind: Kind = Kind.RAW, shape: tuple[int, ...] = (1, 2, 2), fill: float = 1.0) -> Volume:
    return Volume(np.full(shape, fill, np.float32), kind)


def test_settings_survive_yaml_shaped_data() -> None:
    step = make_step("probe", {"share": "0.25", "shift": "1,2,3"})
    assert step.settings() == {"share": 0.25, "shift": [1, 2, 3]}
    assert make_step("probe", step.settings()) == step
    assert step.settings(only_changed=True) == step.settings()
    assert make_step("probe").settings(only_changed=True) == {}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"share": 1.5}, ["probe.share", "less than or equal to 1", "1.5"]),
        ({"shar": 0.5}, ['no setting "shar"', 'Did you mean "share"']),
        ({"share": "much"}, ["probe.share", "number", "much"]),
        ({"share": float("nan")}, ["probe.share", "nan"]),
        ({"shift": "1,2"}, ["probe.shift"]),
    ],
)
def test_wrong_settings_say_what_was_given_and_what_is_allowed(settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(RequestError) as caught:
        make_step("probe", settings)
    for word in words:
        assert word in str(caught.value)


def test_replace_validates_again() -> None:
    with pytest.raises(RequestError):
        make_step("probe").replace(share=3)


def test_one_value_stands_for_three_axes() -> None:
    assert make_step("probe", {"shift": 2}).settings()["shift"] == [2, 2, 2]


def test_made_kind_follows_the_port() -> None:
    assert make_step("probe").made_kind({"image": Kind.BOUNDARY}) is Kind.BOUNDARY


def test_missing_unknown_and_wrong_inputs_are_named() -> None:
    step = make_step("probe")
    for inputs, word in [
        ({}, '"image"'),
        ({"image": volume(), "imag": volume()}, 'Did you mean "image"'),
        ({"image": volume(Kind.NUCLEI)}, "raw or boundary"),
    ]:
        with pytest.raises(RequestError, match=word):
            step.execute(inputs, QuietContext())


def test_shapes_must_agree() -> None:
    with pytest.raises(InputError, match=r"\(1, 2, 3\)"):
        make_step("probe").execute({"image": volume(), "mask": volume(Kind.FOREGROUND, (1, 2, 3))}, QuietContext())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_before_they_reach_a_solver(bad: float) -> None:
    data = np.ones((1, 2, 2), np.float32)
    data[0, 1, 1] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        make_step("probe").execute({"image": Volume(data, Kind.RAW)}, QuietContext())


def test_unknown_step_gets_a_suggestion() -> None:
    with pytest.raises(RequestError, match='Did you mean "probe"'):
        make_step("prob")


def test_two_steps_cannot_share_an_id(probe_step: type[Step]) -> None:
    with pytest.raises(ValueError, match="probe"):
        type("Again", (probe_step,), {"id": "probe", "__module__": __name__, "__annotations__": {}})


class Box(BaseModel):
    size: int = Field(1, ge=1, description="Size.")
    parts: tuple[tuple[int, int], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Box:
        if self.size == 7:
            raise ValueError("seven is too many")
        return self


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"size": 0}, {"size": "Input should be greater than or equal to 1; 0 was given."}),
        ({"size": 7}, {"": "Seven is too many."}),
        ({"parts": [[1, 2], [3, "x"]]}, {"parts": "Entry 2, entry 2: Input should be a valid integer"}),
        ({"size": "a", "parts": 3}, {"size": "Input should be a valid integer", "parts": "Input should be a valid"}),
    ],
)
def test_problems_are_told_field_by_field(values, expected):
    with pytest.raises(ValidationError) as caught:
        Box(**values)
    problems = problems_by_field(caught.value)
    assert set(problems) == set(expected)
    for field, sentence in expected.items():
        assert problems[field].startswith(sentence)
        assert problems[field].endswith(".")
