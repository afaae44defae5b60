"""How the wires of a workflow are found, laid and cleared away; what the edits of a person are made of.

Knows workflows and the ports of steps; runs nothing.

>>> from plantseg_app.run.workflows import find_workflow
>>> readers(find_workflow("membranes-gasp"), "boundary")
[('superpixels', 'boundary'), ('cells', 'boundary')]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from plantseg_app.core.step import Port, Step
from plantseg_app.core.volume import Kind
from plantseg_app.core.workflow import Node, Source, Workflow
from plantseg_app.errors import RequestError, did_you_mean
from plantseg_app.run.estimate import needed_nodes

Wire = tuple[str, str]
"""A node and one of its inputs."""


@dataclasses.dataclass(frozen=True)
class Wiring:
    """The inputs of a node, and what has to be added for them.

    Attributes
    ----------
    inputs
        Origin by port.
    sources, nodes
        New ones, by name; the nodes bring a new source onto the voxels of the image it goes with.
    """

    inputs: dict[str, str]
    sources: dict[str, Source]
    nodes: dict[str, Node]


def checked(workflow: Workflow, **changes: Any) -> Workflow:
    """Return the workflow with other sources, nodes or outputs, checked as one that is read from a file is."""
    return Workflow.from_plain(workflow.model_copy(update=changes).to_plain())


def check_node(workflow: Workflow, name: str) -> None:
    """Raise `RequestError` if there is no such node."""
    if name not in workflow.nodes:
        raise RequestError(f'The workflow {workflow.name} has no node "{name}". {did_you_mean(name, workflow.nodes)}')


def check_origin(workflow: Workflow, name: str) -> None:
    """Raise `RequestError` if there is neither a node nor a source of this name."""
    if name not in workflow.nodes and name not in workflow.sources:
        hint = did_you_mean(name, [*workflow.sources, *workflow.nodes])
        raise RequestError(f'The workflow {workflow.name} has nothing named "{name}". {hint}')


def main_port(node: Node) -> str:
    """Return the input that decides shape and name of the result.

    Raises
    ------
    RequestError
        If nothing is wired to the node.
    """
    for port in node.step.reads:
        if port in node.inputs:
            return port
    raise RequestError(f"The step {node.step.id} reads nothing, so there is nothing before it.")


def readers(workflow: Workflow, origin: str) -> list[Wire]:
    """Return the nodes and inputs that read a source or node, in the order of the nodes."""
    return [
        (name, port) for name, node in workflow.nodes.items() for port, read in node.inputs.items() if read == origin
    ]


def depending_on(workflow: Workflow, names: Iterable[str]) -> set[str]:
    """Return the nodes given and all that read them, directly or through others."""
    found = set(names)
    for name in workflow.order():
        if found.intersection(workflow.nodes[name].inputs.values()):
            found.add(name)
    return found


def free_name(workflow: Workflow, wanted: str, taken: Collection[str] = ()) -> str:
    """Return `wanted`, with the first free number from 2 where a source or node has it already.

    >>> from plantseg_app.run.workflows import find_workflow
    >>> free_name(find_workflow("membranes-gasp"), "cells")
    'cells-2'
    """
    used = {*workflow.sources, *workflow.nodes, *taken}
    name, number = wanted, 1
    while name in used:
        number += 1
        name = f"{wanted}-{number}"
    return name


def rewired(nodes: Mapping[str, Node], wires: Iterable[Wire], origin: str | None) -> dict[str, Node]:
    """Return nodes of which some inputs read `origin`; with None, the wires are taken off."""
    changed = dict(nodes)
    for name, port in wires:
        inputs = {key: read for key, read in changed[name].inputs.items() if key != port or origin is not None}
        if origin is not None:
            inputs[port] = origin
        changed[name] = changed[name].model_copy(update={"inputs": inputs})
    return changed


def placed_before(nodes: Mapping[str, Node], new: Mapping[str, Node], later: Collection[str]) -> dict[str, Node]:
    """Return nodes with `new` ones before the first of `later`, at the end where that is empty."""
    arranged: dict[str, Node] = {}
    for name, node in nodes.items():
        if name in later and not new.keys() <= arranged.keys():
            arranged.update(new)
        arranged[name] = node
    return {**arranged, **new} if not new.keys() <= arranged.keys() else arranged


def wire_ports(workflow: Workflow, step: Step, kept: Mapping[str, str], later: Collection[str]) -> Wiring:
    """Find an origin for each input of a step that has none yet.

    A needed input takes the last source or map of a fitting kind on the same voxels, else a source of its own is
    added. Of the others, those that take one kind of map are wired where such a map is there.

    Parameters
    ----------
    workflow
        The workflow without the step.
    step
        The step.
    kept
        Origins by port that are settled.
    later
        Nodes that must not be read, because they will depend on the step.
    """
    inputs = dict(kept)
    kinds = workflow.kinds()
    main = next(iter(step.reads))
    grid = grid_of(workflow, inputs[main]) if main in inputs else []
    wiring = Wiring(inputs, {}, {})
    for name, port in step.reads.items():
        if name in inputs or (port.optional and not _takes_one_map(port)):
            continue
        shared = grid if port.same_shape else []
        voxels = _plain(workflow, shared)
        fitting = [origin for origin in _candidates(workflow, kinds, port, later) if origin not in inputs.values()]
        there = [origin for origin in fitting if _plain(workflow, grid_of(workflow, origin)) == voxels]
        untouched = [origin for origin in fitting if origin in workflow.sources and workflow.sources[origin].optional]
        if there:
            inputs[name] = there[-1]
        elif not port.optional:
            origin = untouched[-1] if untouched else free_name(workflow, name, wiring.sources)
            if not untouched:
                kind = kinds.get(inputs.get(main, ""))
                wiring.sources[origin] = Source(kind=kind if kind in port.kinds else port.kinds[0], help=port.help)
            inputs[name] = _onto_grid(workflow, wiring, origin, shared)
    ordered = {name: inputs[name] for name in step.reads if name in inputs}
    return dataclasses.replace(wiring, inputs=ordered)


def _takes_one_map(port: Port) -> bool:
    return port.same_shape and len(port.kinds) == 1 and not port.kinds[0].is_labels


def _candidates(workflow: Workflow, kinds: Mapping[str, Kind], port: Port, later: Collection[str]) -> list[str]:
    """Return the sources and maps of the kind that a port likes best, the last one last.

    Labels that a node makes are not among them: they may be cells, nuclei or superpixels.
    """
    live = needed_nodes(workflow)
    read = {origin for name in live for origin in workflow.nodes[name].inputs.values()}
    origins = [name for name, source in workflow.sources.items() if source.optional or name in read]
    origins += [name for name in workflow.order() if name in live and not kinds[name].is_labels]
    fitting = [name for name in origins if kinds[name] in port.kinds and name not in later]
    best = min((port.kinds.index(kinds[name]) for name in fitting), default=0)
    return [name for name in fitting if kinds[name] is port.kinds[best]]


def grid_of(workflow: Workflow, origin: str) -> list[str]:
    """Return the nodes between a source and `origin` that changed which voxels the image has, the first one first."""
    found: list[str] = []
    while origin in workflow.nodes:
        node = workflow.nodes[origin]
        if not node.step.keeps_grid:
            found.append(origin)
        if not node.inputs:
            break
        origin = node.inputs[main_port(node)]
    return found[::-1]


def _plain(workflow: Workflow, nodes: Iterable[str]) -> list[Any]:
    return [(workflow.nodes[name].step.id, workflow.nodes[name].step.settings()) for name in nodes]


def _onto_grid(workflow: Workflow, wiring: Wiring, source: str, grid: list[str]) -> str:
    """Add the nodes that crop and scale a source as those of `grid` do, and return the last one."""
    origin = source
    for like in grid:
        step = workflow.nodes[like].step
        copy = free_name(workflow, f"{like}-{source}", {*wiring.sources, *wiring.nodes})
        wiring.nodes[copy] = Node(step=step, inputs={next(iter(step.reads)): origin})
        origin = copy
    return origin


def without_unused(before: Workflow, after: Workflow) -> Workflow:
    """Take off what led to an output `before` and no longer does; optional sources stay.

    Parameters
    ----------
    before, after
        The workflow before and after an edit; `after` may still hold too much.
    """
    unused = needed_nodes(before) - needed_nodes(after)
    kept = {name for name in after.nodes if name not in unused}
    for name in reversed(after.order()):
        if name in kept:
            kept.update(origin for origin in after.nodes[name].inputs.values() if origin in after.nodes)
    nodes = {name: node for name, node in after.nodes.items() if name in kept}
    were_read = {origin for node in before.nodes.values() for origin in node.inputs.values()}
    are_read = {origin for node in nodes.values() for origin in node.inputs.values()}
    sources = {
        name: source
        for name, source in after.sources.items()
        if source.optional or name in are_read or name not in were_read
    }
    return checked(after, nodes=nodes, sources=sources)
