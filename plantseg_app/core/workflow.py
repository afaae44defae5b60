"""A chain of steps as data: wiring and kinds are checked when it is loaded, before anything runs.

A workflow knows which steps run on what; it does not run them and touches no image.

>>> text = '''
... workflow: 1
... name: nothing
... sources: {image: raw}
... nodes: {}
... '''
>>> Workflow.from_yaml(text).name
'nothing'
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError, model_validator

from plantseg_app.core.step import STEPS, Step, make_step, readable_errors
from plantseg_app.core.volume import Kind
from plantseg_app.errors import AbsentError, InputError, PlantSegError, RequestError, did_you_mean

FORMAT_VERSION = 1


class Source(BaseModel):
    """An image that a person brings to a workflow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Field(Kind.RAW, description="What the image shows.")
    optional: bool = Field(False, description="Whether the workflow runs without it.")
    help: str = Field("", description="One sentence for people.")

    @model_validator(mode="before")
    @classmethod
    def _accept_kind_alone(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value


class Node(BaseModel):
    """One step at one place of a workflow; its inputs name sources or other nodes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: SerializeAsAny[Step]
    inputs: dict[str, str]

    @classmethod
    def from_plain(cls, name: str, plain: Any) -> Self:
        """Build a node from the mapping written in YAML.

        Raises
        ------
        RequestError
            Naming the node and what is wrong with it.
        """
        if not isinstance(plain, Mapping) or "step" not in plain:
            raise RequestError(f'The node "{name}" needs a "step" with the id of a step.')
        known = {"step", "version", "settings", "inputs"}
        for key in plain:
            if key not in known:
                raise RequestError(f'The node "{name}" has an unknown entry "{key}". {did_you_mean(str(key), known)}')
        try:
            step_class = STEPS.get(str(plain["step"]))
            _check_version(step_class, plain.get("version", step_class.version))
            step = make_step(step_class.id, plain.get("settings") or {})
            return cls(step=step, inputs=plain.get("inputs") or {})
        except RequestError as error:
            raise RequestError(f'Node "{name}": {error}') from error
        except ValidationError as error:
            raise RequestError(readable_errors(error, f'Node "{name}"', ["inputs"])) from error

    def to_plain(self) -> dict[str, Any]:
        """Return the mapping that YAML holds, all settings written out so that the record stays complete."""
        plain: dict[str, Any] = {"step": self.step.id, "version": self.step.version, "inputs": dict(self.inputs)}
        settings = self.step.settings()
        if settings:
            plain["settings"] = settings
        return plain


def _check_version(step: type[Step], version: Any) -> None:
    if not isinstance(version, int) or version < 1:
        raise RequestError(f"The version of a step is a whole number from 1; {version!r} was given.")
    if version > step.version:
        raise RequestError(
            f"The step {step.id} was written by a newer program (version {version}, this one knows "
            f"{step.version}); update PlantSeg App."
        )


class Workflow(BaseModel):
    """Steps wired together; frozen, and checked as a whole.

    Attributes
    ----------
    name, title, description
        What it is called in files, in the window, and what it is for.
    sources
        The images a person brings, by name.
    nodes
        The steps, by name.
    outputs
        The nodes whose results are wanted, the main one first; the last nodes of the chain unless given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str = ""
    description: str = ""
    sources: dict[str, Source]
    nodes: dict[str, Node]
    outputs: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _default_outputs(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("outputs"):
            nodes = values.get("nodes") or {}
            used = {source for node in nodes.values() for source in node.inputs.values()}
            values = {**values, "outputs": tuple(name for name in nodes if name not in used)}
        return values

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read a workflow from YAML text; code in the file is never run.

        Raises
        ------
        RequestError
            With the place and a suggestion, when a step, a setting, an input or a kind is wrong.
        """
        try:
            plain = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RequestError(f"The workflow is not readable YAML: {error}") from error
        return cls.from_plain(plain)

    @classmethod
    def from_plain(cls, plain: Any) -> Self:
        """Build a workflow from plain data, as `from_yaml` does from text."""
        if not isinstance(plain, Mapping) or "workflow" not in plain:
            raise RequestError('A workflow file is a mapping that begins with "workflow: 1"; this is none.')
        if plain["workflow"] != FORMAT_VERSION:
            raise RequestError(
                f"The workflow has format {plain['workflow']!r}; this program reads format {FORMAT_VERSION}."
            )
        fields = {key: value for key, value in plain.items() if key != "workflow"}
        nodes = fields.get("nodes") or {}
        if not isinstance(nodes, Mapping):
            raise RequestError('"nodes" is a mapping from a name to a step.')
        fields["nodes"] = {str(name): Node.from_plain(str(name), node) for name, node in nodes.items()}
        try:
            workflow = cls(**fields)
        except (ValidationError, TypeError) as error:
            if isinstance(error, ValidationError):
                raise RequestError(readable_errors(error, "The workflow", list(cls.model_fields))) from error
            raise RequestError(f"The workflow has an entry that is no text: {error}") from error
        workflow.kinds()
        workflow._check_outputs()
        return workflow

    def to_plain(self) -> dict[str, Any]:
        """Return plain data with every setting written out."""
        plain: dict[str, Any] = {"workflow": FORMAT_VERSION, "name": self.name}
        if self.title:
            plain["title"] = self.title
        if self.description:
            plain["description"] = self.description
        plain["sources"] = {
            name: source.model_dump(mode="json", exclude_defaults=True) | {"kind": source.kind.value}
            for name, source in self.sources.items()
        }
        plain["nodes"] = {name: node.to_plain() for name, node in self.nodes.items()}
        plain["outputs"] = list(self.outputs)
        return plain

    def to_yaml(self) -> str:
        """Return YAML that `from_yaml` reads back to an equal workflow."""
        return yaml.safe_dump(self.to_plain(), sort_keys=False, allow_unicode=True, width=100)

    def replace(self, node: str, **settings: Any) -> Self:
        """Return a copy in which some settings of one node are changed.

        Raises
        ------
        RequestError
            If the node or a setting is unknown, or a value is out of range.
        """
        if node not in self.nodes:
            raise RequestError(f'The workflow {self.name} has no node "{node}". {did_you_mean(node, self.nodes)}')
        try:
            step = self.nodes[node].step.replace(**settings)
        except RequestError as error:
            raise RequestError(f'Node "{node}": {error}') from error
        nodes = {**self.nodes, node: self.nodes[node].model_copy(update={"step": step})}
        changed = self.model_copy(update={"nodes": nodes})
        changed.kinds()
        return changed

    def with_outputs(self, outputs: Iterable[str]) -> Self:
        """Return the workflow that delivers the results of these nodes.

        Raises
        ------
        RequestError
            If one of them does not exist.
        """
        changed = self.model_copy(update={"outputs": tuple(outputs)})
        changed._check_outputs()
        return changed

    def bind(self, given: Iterable[str]) -> Self:
        """Return the workflow that runs with these sources: wires from absent optional ones are taken off.

        So are steps that need them, when others do without.

        Raises
        ------
        RequestError
            If a needed source is absent, an unknown one is given, or a model is not on this machine.
        InputError
            If a model is damaged.
        """
        present = set(given)
        for name in present - set(self.sources):
            raise RequestError(f'The workflow {self.name} takes no "{name}". {did_you_mean(name, self.sources)}')
        absent = {name: name for name in self.sources if name not in present}
        for name in sorted(absent):
            if not self.sources[name].optional:
                raise RequestError(f'The workflow {self.name} needs "{name}". {self.sources[name].help}'.rstrip())
        # What cannot work without an absent image, such as a crop of it, is absent too.
        for name in self.order():
            node = self.nodes[name]
            lost = [s for port, s in node.inputs.items() if s in absent and not node.step.reads[port].optional]
            if lost and name in self.outputs:
                raise RequestError(f'The workflow {self.name} needs "{absent[lost[0]]}" to make "{name}".')
            if lost:
                absent[name] = absent[lost[0]]
        nodes = {
            name: node.model_copy(
                update={"inputs": {port: src for port, src in node.inputs.items() if src not in absent}}
            )
            for name, node in self.nodes.items()
            if name not in absent
        }
        sources = {name: source for name, source in self.sources.items() if name in present}
        bound = self.model_copy(update={"nodes": nodes, "sources": sources})
        bound.kinds()
        for name, problem in bound.problems().items():
            raise type(problem)(f'Node "{name}": {problem}') from problem
        return bound

    def order(self) -> list[str]:
        """Return the node names so that each comes after those it reads.

        Raises
        ------
        RequestError
            If nodes wait for each other in a circle.
        """
        graph = {
            name: [source for source in node.inputs.values() if source in self.nodes]
            for name, node in self.nodes.items()
        }
        try:
            return list(graphlib.TopologicalSorter(graph).static_order())
        except graphlib.CycleError as error:
            circle = " -> ".join(error.args[1])
            raise RequestError(f"The nodes of {self.name} wait for each other: {circle}; cut one wire.") from error

    def kinds(self) -> dict[str, Kind]:
        """Return the kind that each source and node delivers, checking every wire on the way.

        A node whose model is not on this machine, or damaged, is taken to deliver what those want that read it:
        a workflow can be looked at and changed before its models are here. See `problems`.

        Raises
        ------
        RequestError
            Naming the node and input that does not fit.
        """
        for name in self.nodes:
            if name in self.sources:
                raise RequestError(f'"{name}" is both a source and a node of {self.name}; rename one.')
        kinds = {name: source.kind for name, source in self.sources.items()}
        for name in self.order():
            node = self.nodes[name]
            for port, source in node.inputs.items():
                if source not in kinds:
                    hint = did_you_mean(source, [*self.sources, *self.nodes])
                    raise RequestError(f'Node "{name}" reads "{source}" at "{port}", which does not exist. {hint}')
            arriving = {port: kinds[source] for port, source in node.inputs.items()}
            try:
                node.step.check_ports(arriving)
                kinds[name] = self._kind_made(name, arriving)
            except RequestError as error:
                raise RequestError(f'Node "{name}": {error}') from error
        return kinds

    def _kind_made(self, name: str, arriving: Mapping[str, Kind]) -> Kind:
        step = self.nodes[name].step
        try:
            return step.made_kind(arriving)
        except (AbsentError, InputError):
            readers = (node for node in self.nodes.values() if name in node.inputs.values())
            wanted = (
                node.step.reads[port].kinds[0] for node in readers for port in node.inputs if node.inputs[port] == name
            )
            # Of a result that nobody reads any kind will do.
            return next(wanted, step.makes if isinstance(step.makes, Kind) else Kind.RAW)

    def problems(self) -> dict[str, PlantSegError]:
        """Return, by node, why it cannot run on this machine: a model that has to be fetched first, or is damaged."""
        found: dict[str, PlantSegError] = {}
        for name, node in self.nodes.items():
            try:
                node.step.depends_on()
            except PlantSegError as problem:
                found[name] = problem
        return found

    def _check_outputs(self) -> None:
        for name in self.outputs:
            if name not in self.nodes:
                raise RequestError(f'The output "{name}" is no node. {did_you_mean(name, self.nodes)}')
