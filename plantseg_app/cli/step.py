"""``plantseg-app step ID``: any single step, its options derived from its fields.

>>> option_name("sigma_seeds")
'--sigma-seeds'
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plantseg_app.cli.kinds import kind_of_file, parse_kind
from plantseg_app.cli.parser import (
    Parser,
    add_command,
    add_reading_options,
    add_running_options,
    add_talking_options,
    existing_file,
    read_options,
    split_dataset,
)
from plantseg_app.cli.terminal import PROGRAM, Terminal
from plantseg_app.errors import RequestError

if TYPE_CHECKING:
    from plantseg_app.core.describe import FieldDescription, StepDescription
    from plantseg_app.core.step import Step
    from plantseg_app.core.volume import Volume

_FIELD = "field:"
_PORT = "port:"


def add_to(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command; the options of a step are known only when its id is."""
    parser = add_command(commands, "step", "run a single step: step ID --PORT FILE... --output FILE", run)
    parser.add_argument("id", metavar="ID", nargs="?", help="the step; plantseg-app steps lists them")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="its options; step ID --help shows them")
    parser.epilog = f"{PROGRAM} step ID --help shows the inputs and settings of a step."


def run(arguments: argparse.Namespace) -> int:
    """Run the step."""
    import plantseg_app.steps  # noqa: F401 - importing fills the registry
    from plantseg_app.core.describe import describe_step
    from plantseg_app.core.step import STEPS

    if arguments.id is None:
        raise RequestError(f"Name a step: {PROGRAM} step ID ...; {PROGRAM} steps lists them.")
    step_class = STEPS.get(arguments.id)
    described = describe_step(step_class)
    given = build_parser(described).parse_args(arguments.rest)
    return _run_step(step_class, described, given)


def option_name(field: str) -> str:
    """Return the option of a field."""
    return "--" + field.replace("_", "-")


def build_parser(step: StepDescription) -> Parser:
    """Return the parser of one step; nothing but what its description says."""
    parser = Parser(
        prog=f"{PROGRAM} step {step.id}",
        description=f"{step.title}\n\n{step.help}\n\nMakes: {step.makes}.",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inputs = parser.add_argument_group("inputs and output (FILE.h5:NAME names a data set)")
    for port in step.ports:
        help_line = f"{port.help} ({' or '.join(port.kinds)}{', optional' if port.optional else ''})"
        inputs.add_argument(
            f"--{port.name.replace('_', '-')}", dest=_PORT + port.name, metavar="FILE", help=_escaped(help_line)
        )
    inputs.add_argument("--output", type=Path, required=True, metavar="FILE", help="where the result goes")
    inputs.add_argument("--kind", metavar="KIND", help="what the first input shows, where it takes several kinds")
    settings = parser.add_argument_group("settings")
    add_reading_options(parser)
    add_running_options(parser)
    add_talking_options(parser)
    taken = set(parser._option_string_actions)
    for field in step.fields:
        add_field(settings, field, taken)
    return parser


def add_field(group: argparse._ArgumentGroup, field: FieldDescription, taken: set[str]) -> None:
    """Add the option of a field; one that is named like a common option is called ``--set-NAME``."""
    names = [name for name in dict.fromkeys((option_name(field.name), f"--{field.name}")) if name not in taken]
    names = names or [f"--set-{field.name.replace('_', '-')}"]
    notes = [field.range_text, field.unit, "needed" if field.required else f"default {_shown(field.default)}"]
    help_line = f"{field.help} ({', '.join(note for note in notes if note)})".strip()
    options: dict[str, Any] = {"nargs": "?", "const": "true"} if field.type == "boolean" else {}
    options |= {"dest": _FIELD + field.name, "default": argparse.SUPPRESS, "metavar": _metavar(field)}
    group.add_argument(names[0], help=_escaped(help_line), **options)
    for alias in names[1:]:
        # Underscores are what a person writes who knows the name from a workflow file.
        group.add_argument(alias, help=argparse.SUPPRESS, **options)


def _metavar(field: FieldDescription) -> str:
    words = {"number": "NUMBER", "integer": "N", "boolean": "true|false", "choice": "WORD", "text": "TEXT"}
    if field.type in ("numbers", "integers"):
        return "Z,Y,X" if field.length == 3 else ",".join(["N"] * (field.length or 1))
    return words.get(field.type, "A,B,...")


def _shown(default: Any) -> str:
    if isinstance(default, list):
        return ",".join(str(part) for part in default) or "none"
    if isinstance(default, bool):
        return str(default).lower()
    return "none" if default in (None, "") else str(default)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def parse_value(field: FieldDescription, text: str) -> Any:
    """Return the value that `text` stands for; the step itself checks it."""
    import yaml

    if field.nullable and text.strip().lower() in ("", "none", "null"):
        return None
    if field.type in ("text", "choice"):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RequestError(f'{option_name(field.name)}: "{text}" is not readable.') from error


def given_settings(step: StepDescription, given: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a step that were given on the command line."""
    values = vars(given)
    return {
        field.name: parse_value(field, values[_FIELD + field.name])
        for field in step.fields
        if _FIELD + field.name in values
    }


def _run_step(step_class: type[Step], described: StepDescription, given: argparse.Namespace) -> int:
    from plantseg_app.io import write_volume
    from plantseg_app.run.runner import Runner
    from plantseg_app.run.workflows import step_workflow

    terminal = Terminal.of(given)
    values = vars(given)
    step = step_class.from_settings(given_settings(described, given))
    files = {port: values[_PORT + port] for port in step_class.reads if values[_PORT + port] is not None}
    for port, needed in step_class.reads.items():
        if port not in files and not needed.optional:
            raise RequestError(f"The step {step.id} needs --{port.replace('_', '-')} FILE: {needed.help}")
    volumes = {port: _read_port(step_class, port, file, given) for port, file in files.items()}
    workflow = step_workflow(step, {port: volume.kind for port, volume in volumes.items()})
    runner = Runner(device=given.device, n_threads=given.threads)
    with terminal.following(runner.events):
        result = runner.run(workflow, volumes)["result"]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    write_volume(given.output, result, workflow=workflow.to_yaml())
    terminal.say(f"{given.output}: {result.kind.value}, {result.shape_vox} voxels (Z, Y, X)")
    terminal.print_json(
        {"output": str(given.output), "kind": result.kind.value, "shape": list(result.data.shape), "step": step.id}
    )
    return 0


def _read_port(step: type[Step], port: str, file: str, given: argparse.Namespace) -> Volume:
    from plantseg_app.io import read_volume

    path, dataset = split_dataset(file)
    existing_file(str(path))
    options = read_options(given)
    is_first = port == next(iter(step.reads))
    if dataset is not None:
        options = dataclasses.replace(options, dataset=dataset)
    elif not is_first:
        # What the file of the first input needs saying does not hold for the others.
        options = dataclasses.replace(options, dataset=None, channel=None, time=None)
    if is_first and given.kind is not None:
        kind = parse_kind(given.kind)
    else:
        kind = kind_of_file(path, options.dataset, step.reads[port].kinds)
    return read_volume(path, kind=kind, **options.given())
