"""What a run is expected to take, from what its steps say of themselves; and whether the machine has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from plantseg_app.core.step import Cost
from plantseg_app.core.volume import Shape3
from plantseg_app.core.workflow import Workflow


@dataclasses.dataclass(frozen=True)
class NodeEstimate:
    """The cost that the step of one node expects."""

    node: str
    title: str
    cost: Cost


@dataclasses.dataclass(frozen=True)
class RunEstimate:
    """The cost of a whole workflow, a guess from the sizes of the sources and what the steps say of themselves.

    Attributes
    ----------
    nodes
        The nodes that would run, in order.
    available_bytes
        The memory that is free now.
    """

    nodes: tuple[NodeEstimate, ...]
    available_bytes: int

    @property
    def peak_bytes(self) -> int:
        """The memory of the hungriest node."""
        return max((node.cost.memory_bytes for node in self.nodes), default=0)

    @property
    def seconds(self) -> float:
        """The time of all nodes together."""
        return sum(node.cost.seconds for node in self.nodes)

    @property
    def fits(self) -> bool:
        """Whether the hungriest node fits into the free memory."""
        return self.peak_bytes <= self.available_bytes


def estimate_run(workflow: Workflow, shapes_vox: Mapping[str, Shape3]) -> RunEstimate:
    """Return what running `workflow` on sources of these shapes is expected to take.

    Parameters
    ----------
    workflow
        Bound to the sources that are present.
    shapes_vox
        (Z, Y, X) of each source.
    """
    shapes: dict[str, Shape3] = dict(shapes_vox)
    estimates = []
    needed = needed_nodes(workflow)
    for name in workflow.order():
        step = workflow.nodes[name].step
        given = workflow.nodes[name].inputs
        first = next((given[port] for port in step.reads if port in given), None)
        if first is None or first not in shapes:
            continue
        shapes[name] = step.made_shape(shapes[first])
        if name in needed:
            estimates.append(NodeEstimate(name, step.title, step.estimate(shapes[first])))
    return RunEstimate(tuple(estimates), available_memory())


def needed_nodes(workflow: Workflow) -> set[str]:
    """Return the nodes that lead to an output."""
    needed = set(workflow.outputs)
    for name in reversed(workflow.order()):
        if name in needed:
            needed.update(source for source in workflow.nodes[name].inputs.values() if source in workflow.nodes)
    return needed


def available_memory() -> int:
    """Return how many bytes of memory are free for this process now."""
    import psutil

    return int(psutil.virtual_memory().available)
