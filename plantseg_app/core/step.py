"""A step is one frozen settings object that knows how to run itself.

The form in the window, the options of the command line, the YAML of a workflow, the help page, the key of the
cache and the record in each output file are all derived from the fields of a `Step`. To add a method, write one
file under `plantseg_app/steps/` with one subclass; nothing else is edited.

>>> class Invert(Step):
...     id = "doctest-invert"
...     title = "Invert"
...     reads = {"image": Port((Kind.RAW,), "The image to invert.")}
...     makes = SameAs("image")
...     maximum: float = Field(255.0, description="The value that becomes 0.")
...     def run(self, inputs, context):
...         return inputs["image"].replace(data=self.maximum - inputs["image"].data)
>>> import numpy as np
>>> from plantseg_app.core.context import QuietContext
>>> raw = Volume(np.full((1, 2, 2), 55.0), Kind.RAW)
>>> Invert().execute({"image": raw}, QuietContext()).data[0, 0, 0]
np.float64(200.0)
>>> del STEPS._entries["doctest-invert"]
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plantseg_app.core.context import Context
from plantseg_app.core.registry import Registry
from plantseg_app.core.volume import Kind, Shape3, Volume
from plantseg_app.errors import InputError, RequestError, did_you_mean

__all__ = ["STEPS", "Cost", "Field", "Port", "SameAs", "Step", "make_step", "problems_by_field", "readable_errors"]


class Cost(NamedTuple):
    """What a step is expected to take: shown before a run and used to choose tiles."""

    memory_bytes: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Port:
    """One input of a step.

    Attributes
    ----------
    kinds
        The kinds of volume it takes.
    help
        One sentence for people.
    optional
        Whether the step runs without it.
    same_shape
        Whether its (Z, Y, X) must equal that of the step's first input.
    """

    kinds: tuple[Kind, ...]
    help: str
    optional: bool = False
    same_shape: bool = True


@dataclasses.dataclass(frozen=True)
class SameAs:
    """Says that a step makes the kind that arrives at one of its ports."""

    port: str


class Step(BaseModel, abc.ABC):
    """One operation from volumes to a volume, with its settings as fields.

    Class attributes
    ----------------
    id
        The name in workflows and on the command line; a promise to users.
    title
        The name in the window.
    reads
        Ports by name; the first is the one that decides shape, voxel size and name of the result.
    makes
        The kind of the result, or `SameAs` one of the ports.
    version
        Raised when the same settings give another result than before.
    keeps_grid
        Whether each voxel of the result lies where that of the first input does; False for a crop, say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: ClassVar[str]
    title: ClassVar[str]
    reads: ClassVar[dict[str, Port]]
    makes: ClassVar[Kind | SameAs]
    version: ClassVar[int] = 1
    keeps_grid: ClassVar[bool] = True

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Register every concrete step under its id."""
        super().__pydantic_init_subclass__(**kwargs)
        if "id" in cls.__dict__:
            STEPS.add(cls.id, cls)

    @abc.abstractmethod
    def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Compute the result; called by `execute` once the inputs have been checked."""

    def execute(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
        """Check the inputs, run, and return the result.

        Raises
        ------
        RequestError
            If a port is missing or unknown, or a volume of the wrong kind arrives.
        InputError
            If the shapes differ or a value is NaN or infinite.
        Cancelled
            If the user asked to stop.
        """
        present = self.checked_inputs(inputs)
        context.check()
        return self.run(present, context)

    def checked_inputs(self, inputs: Mapping[str, Volume]) -> dict[str, Volume]:
        """Return the inputs that are present, after the checks of `execute`.

        Raises
        ------
        RequestError, InputError
            As in `execute`.
        """
        present = {port: volume for port, volume in inputs.items() if volume is not None}
        self.check_ports({port: volume.kind for port, volume in present.items()})
        self._check_shapes(present)
        for port, volume in present.items():
            check_finite(volume, f"{self.id}: {port}")
        return present

    def made_kind(self, kinds: Mapping[str, Kind]) -> Kind:
        """Return the kind of the result when volumes of these `kinds` arrive at the ports."""
        if isinstance(self.makes, SameAs):
            return kinds[self.makes.port]
        return self.makes

    def estimate(self, shape_vox: Shape3) -> Cost:
        """Return the memory and time that a volume of `shape_vox` needs; a rough guess unless overridden."""
        n_voxels = int(np.prod(shape_vox, dtype=np.int64))
        return Cost(memory_bytes=12 * n_voxels, seconds=1e-7 * n_voxels)

    def made_shape(self, shape_vox: Shape3) -> Shape3:
        """Return (Z, Y, X) of the result for a first input of `shape_vox`, as far as the settings alone can say."""
        return shape_vox

    def depends_on(self) -> str:
        """Return what the result depends on besides settings and inputs, such as the checksum of a model's weights.

        It is part of the key under which results are reused; "" when there is nothing.
        """
        return ""

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some settings changed, validated again.

        Raises
        ------
        RequestError
            If a setting is unknown or out of range.
        """
        return type(self).from_settings({**self.settings(), **changes})

    def settings(self, only_changed: bool = False) -> dict[str, Any]:
        """Return the settings as plain data that YAML and JSON can hold."""
        return self.model_dump(mode="json", exclude_defaults=only_changed)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Build the step from plain data, with errors a person can act on.

        Raises
        ------
        RequestError
            If a setting is unknown or out of range.
        """
        try:
            return cls(**settings)
        except ValidationError as error:
            raise RequestError(readable_errors(error, cls.id, list(cls.model_fields))) from error

    @classmethod
    def check_ports(cls, kinds: Mapping[str, Kind]) -> None:
        """Check that every needed port is given, none is unknown, and the kinds fit.

        Raises
        ------
        RequestError
            Naming the port and what it takes.
        """
        for port in kinds:
            if port not in cls.reads:
                raise RequestError(f'The step {cls.id} has no input "{port}". {did_you_mean(port, cls.reads)}')
        for name, needed in cls.reads.items():
            if name not in kinds:
                if not needed.optional:
                    raise RequestError(f'The step {cls.id} needs the input "{name}": {needed.help}')
            elif kinds[name] not in needed.kinds:
                allowed = " or ".join(kind.value for kind in needed.kinds)
                raise RequestError(
                    f'The input "{name}" of the step {cls.id} takes {allowed}; it was given {kinds[name].value}.'
                )

    def _check_shapes(self, inputs: Mapping[str, Volume]) -> None:
        first_name = next(iter(self.reads))
        first = inputs.get(first_name)
        if first is None:
            return
        for name, volume in inputs.items():
            if self.reads[name].same_shape and volume.shape_vox != first.shape_vox:
                raise InputError(
                    f'{self.id}: the input "{name}" has {volume.shape_vox} voxels (Z, Y, X) but "{first_name}" '
                    f"has {first.shape_vox}; bring both to the same shape, for example with the step rescale."
                )


STEPS: Registry[type[Step]] = Registry("step")
"""All steps by id; filled by importing `plantseg_app.steps`."""


def make_step(step_id: str, settings: Mapping[str, Any] | None = None) -> Step:
    """Build a step from its id and plain settings.

    Raises
    ------
    RequestError
        If the step or a setting is unknown, or a value is out of range.
    """
    return STEPS.get(step_id).from_settings(settings or {})


def check_finite(volume: Volume, where: str) -> None:
    """Raise `InputError` if a floating-point volume holds NaN or infinity; without a temporary copy."""
    data = volume.data
    if data.dtype.kind != "f":
        return
    with np.errstate(invalid="ignore"):
        extremes = (data.min(), data.max())
    if not all(np.isfinite(value) for value in extremes):
        raise InputError(
            f"{where} holds NaN or infinite values; replace them before this step (reading a file can do it)."
        )


def readable_errors(error: ValidationError, owner: str, allowed: list[str]) -> str:
    """Say in one line per problem which setting of `owner` is wrong, what was given and what is allowed."""
    lines = []
    for problem in error.errors(include_url=False):
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f'{owner} has no setting "{place}". {did_you_mean(place, allowed)}')
        elif problem["type"] == "value_error":
            # Raised by a validator of ours, whose sentence is complete; about several settings it has no place.
            lines.append(f"{'.'.join(filter(None, [owner, place]))}: {problem['ctx']['error']}.")
        else:
            lines.append(f"{owner}.{place}: {problem['msg']}; {problem['input']!r} was given.")
    return " ".join(lines)


def problems_by_field(error: ValidationError) -> dict[str, str]:
    """Say for each setting that is wrong what is wrong with it, for a form that shows it beside the setting.

    A problem that concerns several settings stands under "".
    """
    problems: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        field, *inner = problem["loc"] or ("",)
        # People count from 1.
        words = [f"entry {part + 1}" if isinstance(part, int) else part for part in inner]
        if problem["type"] == "value_error":
            sentence = f"{problem['ctx']['error']}."
        elif problem["type"] == "missing":
            sentence = "A value is needed."
        else:
            sentence = f"{problem['msg']}; {problem['input']!r} was given."
        text = f"{', '.join(words)}: {sentence}" if words else sentence
        problems.setdefault(str(field), []).append(text[:1].upper() + text[1:])
    return {field: " ".join(sentences) for field, sentences in problems.items()}
