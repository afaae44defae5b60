"""Edits that a person makes on a workflow, page by page: add, remove, exchange and move steps, add and take off images.

Every function returns a new workflow that has been checked as a whole, or raises `RequestError` with one sentence; the
given one stays as it is. What an edit leaves without use (a source or a node that led to an output and no longer does)
is taken off with it, so that adding a step and removing it again gives the workflow one began with. Draws nothing and
runs nothing.

>>> from plantseg_app.run.workflows import find_workflow
>>> tidy = insert_after(find_workflow("membranes-gasp"), "cells", "remove-small")
>>> tidy.outputs, tidy.nodes["remove-small"].inputs
(('remove-small',), {'labels': 'cells', 'boundary': 'boundary'})
>>> remove(tidy, "remove-small") == find_workflow("membranes-gasp")
True
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from plantseg_app.core.step import STEPS, Step, make_step
from plantseg_app.core.volume import Kind
from plantseg_app.core.workflow import Node, Source, Workflow
from plantseg_app.errors import RequestError, did_you_mean
from plantseg_app.run.estimate import needed_nodes
from plantseg_app.run.workflow_wiring import (
    Wire,
    check_node,
    check_origin,
    checked,
    depending_on,
    free_name,
    main_port,
    placed_before,
    readers,
    rewired,
    wire_ports,
    without_unused,
)

_STEPS_PACKAGE = "plantseg_app.steps."


def group_of(step: Step | type[Step]) -> str:
    """Return the folder under ``steps/`` that holds a step, such as ``postprocess``; "" for one defined elsewhere."""
    module = step.__module__ if isinstance(step, type) else type(step).__module__
    return module.removeprefix(_STEPS_PACKAGE).split(".")[0] if module.startswith(_STEPS_PACKAGE) else ""


def nodes_in_group(workflow: Workflow, group: str) -> list[str]:
    """Return the nodes whose steps lie in a group, in the order in which they run."""
    return [name for name in workflow.order() if group_of(workflow.nodes[name].step) == group]


def steps_in_group(group: str) -> list[type[Step]]:
    """Return the steps of a group, by id.

    Raises
    ------
    RequestError
        If there is no such group.
    """
    import plantseg_app.steps  # noqa: F401 - importing fills the registry

    groups = {group_of(step) for step in STEPS} - {""}
    if group not in groups:
        raise RequestError(f'There is no group of steps "{group}". {did_you_mean(group, groups)}')
    return [step for step in STEPS if group_of(step) == group]


def insert_after(
    workflow: Workflow, origin: str, step_id: str, name: str | None = None, settings: Mapping[str, Any] | None = None
) -> Workflow:
    """Put a step behind a source or a node: it reads that, and everything that read that reads the step.

    Further inputs that the step needs are taken from what is there, else a source is added for them.

    Parameters
    ----------
    workflow
        The workflow.
    origin
        A source or a node.
    step_id
        The step.
    name
        Of the new node; by itself the id of the step, with a number where it is taken.
    settings
        Those that differ from the defaults.

    Raises
    ------
    RequestError
        If a name or setting is wrong, or the step does not fit there.
    """
    check_origin(workflow, origin)
    step, name = make_step(step_id, settings), _new_name(workflow, step_id, name)
    outputs = tuple(name if output == origin else output for output in workflow.outputs) or (name,)
    return _spliced(workflow, origin, readers(workflow, origin), name, step, outputs)


def insert_before(
    workflow: Workflow, node: str, step_id: str, name: str | None = None, settings: Mapping[str, Any] | None = None
) -> Workflow:
    """Put a step on the wire into the main input of a node, for that node alone; otherwise as `insert_after`.

    Raises
    ------
    RequestError
        If a name or setting is wrong, or the step does not fit there.
    """
    check_node(workflow, node)
    step, name = make_step(step_id, settings), _new_name(workflow, step_id, name)
    port = main_port(workflow.nodes[node])
    origin = workflow.nodes[node].inputs[port]
    return _spliced(workflow, origin, [(node, port)], name, step, workflow.outputs)


def _new_name(workflow: Workflow, step_id: str, name: str | None) -> str:
    if name is None:
        return free_name(workflow, step_id)
    if name in workflow.nodes or name in workflow.sources:
        raise RequestError(f'The workflow {workflow.name} has a "{name}" already; choose another name.')
    return name


def _spliced(
    workflow: Workflow, origin: str, wires: list[Wire], name: str, step: Step, outputs: tuple[str, ...]
) -> Workflow:
    """Put a step between `origin` and the ends of `wires`."""
    later = depending_on(workflow, {node for node, _ in wires})
    wiring = wire_ports(workflow, step, {next(iter(step.reads)): origin}, later)
    new = {**wiring.nodes, name: Node(step=step, inputs=wiring.inputs)}
    nodes = placed_before(rewired(workflow.nodes, wires, name), new, {node for node, _ in wires})
    return checked(workflow, nodes=nodes, sources={**workflow.sources, **wiring.sources}, outputs=outputs)


def add_to_group(workflow: Workflow, step_id: str, settings: Mapping[str, Any] | None = None) -> Workflow:
    """Put a step at the end of its group: of those that prepare the first image, or of those that clean the result up.

    Raises
    ------
    RequestError
        If a group holds one step at a time, which is exchanged instead, or the step does not fit.
    """
    group = group_of(STEPS.get(step_id))
    if group == "preprocess" and workflow.sources:
        return insert_after(workflow, _end_of_preparation(workflow), step_id, settings=settings)
    if group == "postprocess" and workflow.outputs:
        result = workflow.outputs[0]
        if workflow.nodes[result].step.keeps_grid:
            return insert_after(workflow, result, step_id, settings=settings)
        # A result is cleaned up before it is put back into the full image, where the maps lie on the same voxels.
        return insert_before(workflow, result, step_id, settings=settings)
    raise RequestError(f"{step_id} is no step of which a workflow takes any number; exchange the one that is there.")


def _end_of_preparation(workflow: Workflow) -> str:
    """Return the last of the preprocessing steps that follow the first source, one after another."""
    end = next(iter(workflow.sources))
    while True:
        following = readers(workflow, end)
        node = workflow.nodes[following[0][0]] if len(following) == 1 else None
        if node is None or group_of(node.step) != "preprocess" or main_port(node) != following[0][1]:
            return end
        end = following[0][0]


def remove(workflow: Workflow, node: str) -> Workflow:
    """Take a node off: what read it reads its main input instead. Optional inputs which that does not fit come off.

    Raises
    ------
    RequestError
        If there is no such node, what reads it cannot do without, or nothing would be left to make.
    """
    check_node(workflow, node)
    content, kinds = workflow.nodes[node], workflow.kinds()
    origin = content.inputs[main_port(content)] if content.inputs else ""
    nodes = {name: other for name, other in workflow.nodes.items() if name != node}
    for reader, port in readers(workflow, node):
        reads = workflow.nodes[reader].step.reads[port]
        if origin and kinds[origin] in reads.kinds:
            nodes = rewired(nodes, [(reader, port)], origin)
        elif reads.optional:
            nodes = rewired(nodes, [(reader, port)], None)
        else:
            wanted = " or ".join(kind.value for kind in reads.kinds)
            got = f'would get {kinds[origin].value} from "{origin}"' if origin else "would get nothing"
            raise RequestError(
                f'"{node}" cannot be removed: "{reader}" needs {wanted} and {got}; exchange the step instead.'
            )
    outputs = _outputs_instead(workflow, nodes, node, origin)
    if not outputs:
        raise RequestError(f'"{node}" cannot be removed: it makes the only result; exchange the step instead.')
    return without_unused(workflow, checked(workflow, nodes=nodes, outputs=outputs))


def _outputs_instead(workflow: Workflow, nodes: Mapping[str, Node], node: str, origin: str) -> tuple[str, ...]:
    """Return the outputs with `origin` in the place of `node`, each once; a source is no output."""
    instead = [origin if output == node else output for output in workflow.outputs]
    return tuple(dict.fromkeys(name for name in instead if name in nodes))


def swap(workflow: Workflow, node: str, step_id: str) -> Workflow:
    """Put another step in the place of a node, which keeps its name and those who read it.

    Settings of the same name that a person changed stay, where the new step allows them; wires of the same name stay,
    where the kinds fit. Further inputs that the step needs are found or added as in `insert_after`.

    Raises
    ------
    RequestError
        If there is no such node or step, or the result of the step does not fit what reads it.
    """
    check_node(workflow, node)
    old = workflow.nodes[node]
    step = _with_kept_settings(old.step, step_id)
    kinds, later = workflow.kinds(), depending_on(workflow, [node])
    kept = {
        port: old.inputs[port]
        for port, reads in step.reads.items()
        if port in old.inputs and kinds[old.inputs[port]] in reads.kinds
    }
    main = next(iter(step.reads))
    if main not in kept and old.inputs:
        origin = old.inputs[main_port(old)]
        if kinds[origin] in step.reads[main].kinds and origin not in kept.values():
            kept[main] = origin
    wiring = wire_ports(workflow, step, kept, later)
    nodes = {**workflow.nodes, node: Node(step=step, inputs=wiring.inputs)}
    nodes = placed_before(nodes, wiring.nodes, {node})
    changed = checked(workflow, nodes=nodes, sources={**workflow.sources, **wiring.sources})
    return without_unused(workflow, changed)


def _with_kept_settings(old: Step, step_id: str) -> Step:
    """Return a step with those changed settings of another that it has and allows."""
    step = make_step(step_id)
    for name, value in old.settings(only_changed=True).items():
        if name in type(step).model_fields:
            try:
                step = step.replace(**{name: value})
            except RequestError:
                # The same word with another range: the default of the new step is right.
                continue
    return step


def move(workflow: Workflow, node: str, direction: Literal["up", "down"]) -> Workflow:
    """Exchange a node with the one before (up) or behind it (down) on the way of the image.

    Raises
    ------
    RequestError
        If there is none, if others read in between, or if the steps do not fit in the other order.
    """
    check_node(workflow, node)
    if direction == "down":
        return _move_up(workflow, _only_reader(workflow, node), node)
    content = workflow.nodes[node]
    return _move_up(workflow, node, content.inputs[main_port(content)])


def _only_reader(workflow: Workflow, node: str) -> str:
    found = readers(workflow, node)
    if not found:
        raise RequestError(f'"{node}" is the last step already.')
    return found[0][0]


def _move_up(workflow: Workflow, node: str, before: str) -> Workflow:
    if before not in workflow.nodes:
        raise RequestError(f'"{node}" is the first step that works on "{before}" already.')
    port, earlier_port = main_port(workflow.nodes[node]), main_port(workflow.nodes[before])
    if readers(workflow, before) != [(node, port)] or before in workflow.outputs:
        raise RequestError(f'"{node}" and "{before}" cannot change places: more than one step reads "{before}".')
    origin = workflow.nodes[before].inputs[earlier_port]
    nodes = rewired(workflow.nodes, readers(workflow, node), before)
    nodes = rewired(nodes, [(before, earlier_port)], node)
    nodes = rewired(nodes, [(node, port)], origin)
    exchanged = {node: before, before: node}
    nodes = {exchanged.get(name, name): nodes[exchanged.get(name, name)] for name in nodes}
    outputs = tuple(before if output == node else output for output in workflow.outputs)
    try:
        return checked(workflow, nodes=nodes, outputs=outputs)
    except RequestError as error:
        raise RequestError(f'"{node}" and "{before}" cannot change places. {error}') from error


def with_outputs(workflow: Workflow, names: Iterable[str]) -> Workflow:
    """Return the part of the workflow that leads to some nodes: to run only as far as these.

    Raises
    ------
    RequestError
        If there is no such node, or none is given.
    """
    outputs = tuple(dict.fromkeys(names))
    if not outputs:
        raise RequestError(f"Name at least one node of {workflow.name} whose result is wanted.")
    for name in outputs:
        check_node(workflow, name)
    cut = workflow.model_copy(update={"outputs": outputs})
    needed = needed_nodes(cut)
    nodes = {name: node for name, node in workflow.nodes.items() if name in needed}
    read = {origin for node in nodes.values() for origin in node.inputs.values()}
    sources = {name: source for name, source in workflow.sources.items() if name in read}
    return checked(cut, nodes=nodes, sources=sources)


def start_from(workflow: Workflow, node: str) -> Workflow:
    """Let a person bring what a node makes, under the same name: a boundary map, say, instead of predicting it.

    Raises
    ------
    RequestError
        If there is no such node, or nothing reads it.
    """
    check_node(workflow, node)
    if not readers(workflow, node):
        raise RequestError(f'Nothing reads "{node}", so nothing would be left to run.')
    source = Source(kind=workflow.kinds()[node], help=f"In place of the step {workflow.nodes[node].step.id}.")
    nodes = {name: other for name, other in workflow.nodes.items() if name != node}
    outputs = tuple(output for output in workflow.outputs if output != node)
    changed = checked(workflow, nodes=nodes, sources={**workflow.sources, node: source}, outputs=outputs)
    return without_unused(workflow, changed)


def with_source(workflow: Workflow, name: str, kind: Kind, help_text: str = "", optional: bool = True) -> Workflow:
    """Add a source, or change what a source shows. One that nothing reads is optional, whatever is asked for.

    Raises
    ------
    RequestError
        If a node has the name, or what reads the source does not take the kind.
    """
    is_read = bool(readers(workflow, name))
    source = Source(kind=kind, optional=optional or not is_read, help=help_text)
    return checked(workflow, sources={**workflow.sources, name: source})


def without_source(workflow: Workflow, name: str) -> Workflow:
    """Take a source off, with the wires into optional inputs.

    Raises
    ------
    RequestError
        If there is no such source, or a step needs it.
    """
    if name not in workflow.sources:
        hint = did_you_mean(name, workflow.sources)
        raise RequestError(f'The workflow {workflow.name} has no source "{name}". {hint}')
    nodes = workflow.nodes
    for reader, port in readers(workflow, name):
        if not workflow.nodes[reader].step.reads[port].optional:
            raise RequestError(f'"{name}" cannot be taken off: "{reader}" needs it; remove or exchange that first.')
        nodes = rewired(nodes, [(reader, port)], None)
    sources = {key: source for key, source in workflow.sources.items() if key != name}
    return checked(workflow, nodes=nodes, sources=sources)


def connect(workflow: Workflow, node: str, port: str, origin: str | None) -> Workflow:
    """Let one input of a node read a source or another node; with None, read nothing.

    Raises
    ------
    RequestError
        If a name is wrong, the kinds do not fit, or the input is needed.
    """
    check_node(workflow, node)
    if origin is not None:
        check_origin(workflow, origin)
    return without_unused(workflow, checked(workflow, nodes=rewired(workflow.nodes, [(node, port)], origin)))
