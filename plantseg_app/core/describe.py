"""What a step is and which settings it has, as plain data: the one source of forms, options and help pages.

Reads the fields of a `Step` and nothing else; draws no window and parses no command line.

>>> from plantseg_app.core.step import STEPS, Field, Port
>>> from plantseg_app.core.volume import Kind
>>> class Invert(Step):
...     id = "doctest-describe"
...     title = "Invert"
...     reads = {"image": Port((Kind.RAW,), "The image to invert.")}
...     makes = Kind.RAW
...     share: float = Field(0.5, ge=0.0, le=1.0, description="How much.")
...     def run(self, inputs, context):
...         return inputs["image"]
>>> field = describe_step(Invert).fields[0]
>>> field.name, field.type, field.default, field.minimum, field.maximum
('share', 'number', 0.5, 0.0, 1.0)
>>> del STEPS._entries["doctest-describe"]
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from plantseg_app.core.step import SameAs, Step

FieldType = Literal["number", "integer", "boolean", "choice", "text", "numbers", "integers", "list", "group"]
"""``numbers`` and ``integers`` hold a fixed count of values, one an axis; ``list`` holds any count.

A ``group`` has settings of its own, which no single control can show.
"""

_SCALARS: dict[str, FieldType] = {
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
    "string": "text",
    "object": "group",
}


@dataclasses.dataclass(frozen=True)
class FieldDescription:
    """One setting of a step.

    Attributes
    ----------
    name, title, help
        The name in files, the name in the window, and what it does.
    type
        What sort of value it takes.
    default
        The value it has unless given, as plain data; None where `required`.
    required
        Whether it must be given.
    nullable
        Whether it may be empty (None).
    minimum, maximum
        The ends of the range; None where it has none.
    exclusive_minimum
        Whether `minimum` itself is not allowed.
    choices
        The allowed words or numbers; empty unless the type is ``choice``.
    length
        How many values ``numbers`` and ``integers`` take, or each entry of a ``list`` whose entries are lists.
    unit
        The unit of the value, or "".
    advanced
        Whether it is folded away at first.
    hint
        Further wishes of the step to the form: ``choices`` names where to look for them (anything else may be
        given as well, unless ``free`` is false), ``folder`` says that a text names one, ``empty`` is what no value
        means in a word or two, and ``when`` maps another setting to the words with which this one has an effect
        (with others it must keep its default).
    """

    name: str
    title: str
    type: FieldType
    default: Any
    help: str = ""
    required: bool = False
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    choices: tuple[str | int, ...] = ()
    length: int | None = None
    unit: str = ""
    advanced: bool = False
    hint: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def range_text(self) -> str:
        """The allowed values in a few words: ``0 to 1``, ``one of a, b``, or "" when anything goes."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        if self.minimum is not None and self.maximum is not None:
            above = "above " if self.exclusive_minimum else ""
            return f"{above}{self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            return f"{'above' if self.exclusive_minimum else 'at least'} {self.minimum:g}"
        return "" if self.maximum is None else f"at most {self.maximum:g}"


@dataclasses.dataclass(frozen=True)
class PortDescription:
    """One input of a step: its name, the kinds of volume it takes, and whether it may be absent."""

    name: str
    kinds: tuple[str, ...]
    optional: bool
    help: str


@dataclasses.dataclass(frozen=True)
class StepDescription:
    """A step as forms, help pages and `plantseg-app steps --json` see it.

    Attributes
    ----------
    id, title, help, version
        As the step says; `help` is its documentation.
    ports
        The inputs, the main one first.
    makes
        The kind of the result, or ``same as PORT``.
    fields
        The settings, in the order in which the step names them.
    """

    id: str
    title: str
    help: str
    version: int
    ports: tuple[PortDescription, ...]
    makes: str
    fields: tuple[FieldDescription, ...]

    def to_json_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dataclasses.asdict(self)


def describe_step(step: type[Step]) -> StepDescription:
    """Return everything a form, an option or a help page needs to know of `step`."""
    ports = tuple(
        PortDescription(name, tuple(kind.value for kind in port.kinds), port.optional, port.help)
        for name, port in step.reads.items()
    )
    makes = f"same as {step.makes.port}" if isinstance(step.makes, SameAs) else step.makes.value
    return StepDescription(
        id=step.id,
        title=step.title,
        help=inspect.cleandoc(step.__doc__ or ""),
        version=step.version,
        ports=ports,
        makes=makes,
        fields=describe_fields(step),
    )


def describe_fields(step: type[BaseModel]) -> tuple[FieldDescription, ...]:
    """Return the settings of `step`, or of any other settings model, in their order."""
    schema = step.model_json_schema()
    required = set(schema.get("required", ()))
    # The schema fills in a title of its own where the step gives none; "Sigma Seeds" is not how people write.
    titles = {name: field.title or name.replace("_", " ").capitalize() for name, field in step.model_fields.items()}
    described = (
        _describe_field(name, {**plain, "title": titles[name]}, schema.get("$defs", {}), name in required)
        for name, plain in schema.get("properties", {}).items()
    )
    return tuple(_without_unit(field) if step.model_fields[field.name].title is None else field for field in described)


def _without_unit(field: FieldDescription) -> FieldDescription:
    """Take the unit out of a title that was made from the name, since it is shown behind the value."""
    ending = _UNIT_ENDINGS.search(field.title) if field.unit else None
    return dataclasses.replace(field, title=field.title[: ending.start()]) if ending else field


_UNIT_ENDINGS = re.compile(r"( per)? (um|vox|s|mb|pt)$")


def _describe_field(name: str, plain: dict[str, Any], definitions: dict[str, Any], required: bool) -> FieldDescription:
    nullable, value = _without_null(plain, definitions)
    scalar = value
    if value.get("type") == "array":
        items = value.get("prefixItems") or [value.get("items", {})]
        scalar = _resolve(items[0], definitions)
    known = {"title", "default", "description", "advanced", "unit", "anyOf", "$ref"} | _SCHEMA_WORDS
    minimum = scalar.get("minimum", scalar.get("exclusiveMinimum"))
    return FieldDescription(
        name=name,
        title=plain["title"],
        type=_type_name(value, scalar),
        default=plain.get("default"),
        help=plain.get("description", ""),
        required=required,
        nullable=nullable,
        minimum=minimum,
        maximum=scalar.get("maximum", scalar.get("exclusiveMaximum")),
        exclusive_minimum="exclusiveMinimum" in scalar,
        choices=_choices(scalar),
        length=_length(value, scalar),
        unit=plain.get("unit") or value.get("unit") or scalar.get("unit") or "",
        advanced=bool(plain.get("advanced", False)),
        hint={key: entry for key, entry in plain.items() if key not in known},
    )


_SCHEMA_WORDS = {
    *("type", "enum", "const", "items", "prefixItems", "minItems", "maxItems", "format"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern"),
}


def _resolve(plain: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = plain.get("$ref")
    if reference is None:
        return plain
    return {**definitions[reference.rsplit("/", 1)[-1]], **plain}


def _without_null(plain: dict[str, Any], definitions: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Return whether the value may be empty, and the schema of the value when it is not."""
    options = [_resolve(option, definitions) for option in plain.get("anyOf", [])]
    if not options:
        return False, _resolve(plain, definitions)
    filled = [option for option in options if option.get("type") != "null"]
    nullable = len(filled) < len(options)
    if len(filled) == 1:
        return nullable, filled[0]
    # A word or a number, such as "auto" or 4: text holds both, and the step itself checks it.
    return nullable, {"type": "string", "unit": next((o["unit"] for o in filled if "unit" in o), "")}


def _length(value: dict[str, Any], scalar: dict[str, Any]) -> int | None:
    fixed = value.get("prefixItems") or scalar.get("prefixItems")
    return len(fixed) if fixed else None


def _choices(scalar: dict[str, Any]) -> tuple[str | int, ...]:
    return (scalar["const"],) if "const" in scalar else tuple(scalar.get("enum", ()))


def _type_name(value: dict[str, Any], scalar: dict[str, Any]) -> FieldType:
    if value.get("type") != "array":
        return "choice" if _choices(scalar) else _SCALARS.get(value.get("type", ""), "text")
    if "prefixItems" in value and scalar.get("type") in ("number", "integer"):
        return "numbers" if scalar["type"] == "number" else "integers"
    return "group" if scalar.get("type") == "object" else "list"
