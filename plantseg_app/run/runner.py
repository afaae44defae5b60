"""Runs a workflow node by node: states, progress, cancelling, reuse of earlier results, bounded memory.

Knows steps and workflows; knows no file, no window, no command line.

>>> from plantseg_app.core.workflow import Workflow
>>> nothing = Workflow.from_yaml("{workflow: 1, name: nothing, sources: {}, nodes: {}}")
>>> Runner().run(nothing, {})
{}
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from plantseg_app.core.quantities import human_bytes
from plantseg_app.core.step import Step
from plantseg_app.core.volume import Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import Cancelled, PlantSegError, RequestError, ResourceError
from plantseg_app.run.cache import Cache, node_key, volume_key
from plantseg_app.run.context import RunContext
from plantseg_app.run.estimate import available_memory, needed_nodes
from plantseg_app.run.events import (
    NodeFinished,
    NodeStarted,
    NodeTiming,
    Progress,
    RunnerEvents,
    RunState,
    RunStatus,
    send,
)


class Runner:
    """Runs one workflow at a time, in the thread that calls `run`.

    ::

        idle ----- run() ----> running
        running -- all outputs made --> finished
        running -- a node raised -----> failed
        running -- cancel() ----------> cancelling
        cancelling -- next track(), check() or node --> cancelled
        cancelling -- it was the last node -----------> finished
        finished, failed, cancelled -- run() ---------> running

    Any other thread may call `cancel` and read `status`. With a cache, the results of finished nodes survive a
    cancel and a failure: the next run with the same settings begins where this one ended. Without one, each
    result is freed when the last node that reads it is done.

    Parameters
    ----------
    cache
        Where results are kept for later runs; None keeps nothing.
    device
        Torch device for the networks, or ``"auto"``.
    n_threads
        Threads a step may use; all cores by default.
    key_of
        Gives the key of an image; for images whose key is known already.
    growing_folder
        Where results that fill gradually lie, for those who look at them meanwhile; None keeps them in memory.
    """

    def __init__(
        self,
        cache: Cache | None = None,
        device: str = "auto",
        n_threads: int | None = None,
        key_of: Callable[[Volume], str] = volume_key,
        growing_folder: Path | None = None,
    ) -> None:
        self.events = RunnerEvents()
        self._key_of = key_of
        self._growing_folder = growing_folder
        self.cache = cache
        self.device = device
        self.n_threads = n_threads
        self._lock = threading.Lock()
        self._cancel = threading.Event()
        self._status = RunStatus()
        self._started = 0.0

    @property
    def status(self) -> RunStatus:
        """A snapshot of where the runner stands now."""
        with self._lock:
            if self._status.state.is_active:
                return dataclasses.replace(self._status, seconds=time.monotonic() - self._started)
            return self._status

    def cancel(self) -> None:
        """Ask the run to stop at its next `track`, `check` or node; does nothing when no run is under way."""
        with self._lock:
            if self._status.state is RunState.RUNNING:
                self._status = dataclasses.replace(self._status, state=RunState.CANCELLING)
                self._cancel.set()

    def run(self, workflow: Workflow, sources: Mapping[str, Volume]) -> dict[str, Volume]:
        """Run all nodes that lead to an output, and return the outputs by name.

        Parameters
        ----------
        workflow
            What to run; optional sources that are absent are taken off by `Workflow.bind`.
        sources
            The images, by the names that the workflow gives them.

        Raises
        ------
        RequestError
            If a source is missing or of the wrong kind, or this runner is busy.
        Cancelled
            If `cancel` was called.
        PlantSegError
            If a node cannot do its work; the message begins with the name of the node.
        """
        bound = workflow.bind(sources)
        _check_kinds(bound, sources)
        self._begin(bound)
        context = RunContext(
            self.events, self._cancel, self.device, self.n_threads, self._note_progress, self._growing_folder
        )
        try:
            outputs = self._run_nodes(bound, dict(sources), context)
        except (Cancelled, KeyboardInterrupt):
            self._end(RunState.CANCELLED)
            raise
        except BaseException as error:
            self._end(RunState.FAILED, str(error) or type(error).__name__)
            raise
        else:
            self._end(RunState.FINISHED)
        finally:
            context.close()
            send(self.events.finished, self.status)
        return outputs

    def keys(self, workflow: Workflow, sources: Mapping[str, Volume]) -> dict[str, str]:
        """Return the key of each node's result, as the cache knows it, by the name of the node."""
        bound = workflow.bind(sources)
        keys = {name: self._key_of(sources[name]) for name in bound.sources}
        for name in bound.order():
            node = bound.nodes[name]
            keys[name] = node_key(node.step, {port: keys[source] for port, source in node.inputs.items()})
        return {name: keys[name] for name in bound.nodes}

    def _run_nodes(self, workflow: Workflow, values: dict[str, Volume], context: RunContext) -> dict[str, Volume]:
        keys = self.keys(workflow, values) if self.cache is not None else {}
        needed, reused = self._plan(workflow, keys)
        values.update(reused)
        readers = Counter(source for name in needed for source in workflow.nodes[name].inputs.values())
        visited = [name for name in workflow.order() if name in needed or name in reused]
        self._change(n_nodes=len(visited))
        for index, name in enumerate(visited):
            context.check()
            step = workflow.nodes[name].step
            self._change(node=name, progress=None)
            send(self.events.node_started, NodeStarted(name, step.title, index, len(visited)))
            begun = time.monotonic()
            if name in needed:
                values[name] = self._run_node(workflow, name, values, context)
                self._keep(keys.get(name), values[name], context)
                for source in workflow.nodes[name].inputs.values():
                    readers[source] -= 1
                    if readers[source] == 0 and source not in workflow.outputs:
                        del values[source]
            self._note_finished(name, step, time.monotonic() - begun, name in reused, values[name])
        return {name: values[name] for name in workflow.outputs}

    def _plan(self, workflow: Workflow, keys: Mapping[str, str]) -> tuple[set[str], dict[str, Volume]]:
        """Return the nodes that must run, and the kept results that spare the others."""
        wanted = set(workflow.outputs)
        needed: set[str] = set()
        reused: dict[str, Volume] = {}
        leading = needed_nodes(workflow)
        for name in reversed(workflow.order()):
            if name not in wanted or name not in leading:
                continue
            kept = self.cache.get(keys[name]) if self.cache is not None else None
            if kept is not None:
                reused[name] = kept
            else:
                needed.add(name)
                wanted.update(workflow.nodes[name].inputs.values())
        return needed, reused

    def _run_node(self, workflow: Workflow, name: str, values: Mapping[str, Volume], context: RunContext) -> Volume:
        node = workflow.nodes[name]
        inputs = {port: values[source] for port, source in node.inputs.items()}
        context.node = name
        try:
            _warn_of_memory(node.step, name, inputs, context)
            return node.step.execute(inputs, context)
        except Cancelled:
            raise
        except PlantSegError as error:
            raise type(error)(_placed(name, node.step, str(error))) from error
        except Exception as error:
            if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
                raise ResourceError(_placed(name, node.step, _out_of_memory(node.step, inputs))) from error
            # The type and the traceback of a defect stay; the note says where it happened.
            error.add_note(f'This happened in the node "{name}" (step {node.step.id}).')
            raise

    def _keep(self, key: str | None, volume: Volume, context: RunContext) -> None:
        if self.cache is None or key is None:
            return
        try:
            self.cache.put(key, volume)
        except (OSError, ResourceError) as error:
            context.message(f"An intermediate result could not be kept for a later run ({error}); this run goes on.")

    def _begin(self, workflow: Workflow) -> None:
        with self._lock:
            if self._status.state.is_active:
                raise RequestError(
                    f"The workflow {self._status.workflow} is still running; wait for it or cancel it first."
                )
            self._cancel.clear()
            self._started = time.monotonic()
            self._status = RunStatus(RunState.RUNNING, workflow.name)

    def _end(self, state: RunState, error: str = "") -> None:
        seconds = time.monotonic() - self._started
        self._change(state=state, error=error, node=None, progress=None, seconds=seconds)

    def _note_progress(self, progress: Progress) -> None:
        self._change(progress=progress)

    def _note_finished(self, name: str, step: Step, seconds: float, reused: bool, volume: Volume) -> None:
        timing = NodeTiming(name, step.title, seconds, reused)
        with self._lock:
            timings = (*self._status.timings, timing)
            self._status = dataclasses.replace(self._status, timings=timings, node=None, progress=None)
        send(self.events.node_finished, NodeFinished(name, step.title, seconds, reused, volume))

    def _change(self, **changes: object) -> None:
        with self._lock:
            self._status = dataclasses.replace(self._status, **changes)  # type: ignore[arg-type]


def _check_kinds(workflow: Workflow, sources: Mapping[str, Volume]) -> None:
    for name, source in workflow.sources.items():
        if sources[name].kind is not source.kind:
            raise RequestError(
                f'The workflow {workflow.name} takes {source.kind.value} as "{name}"; '
                f"it was given {sources[name].kind.value}."
            )


def _placed(name: str, step: Step, message: str) -> str:
    """Return `message` beginning with the node it came from."""
    if message.startswith((f"{name}:", f"{step.id}:")):
        return message
    return f"{name}: {message}"


def _warn_of_memory(step: Step, name: str, inputs: Mapping[str, Volume], context: RunContext) -> None:
    first = inputs.get(next(iter(step.reads), ""))
    if first is None:
        return
    expected, available = step.estimate(first.shape_vox).memory_bytes, available_memory()
    if expected > available:
        context.message(
            f"{name} may need {human_bytes(expected)} of memory for {first.shape_vox} voxels (Z, Y, X), but only "
            f"{human_bytes(available)} are free; if it fails, crop or rescale the image first, or close other programs."
        )


def _out_of_memory(step: Step, inputs: Mapping[str, Volume]) -> str:
    shapes = ", ".join(f"{port} {volume.shape_vox}" for port, volume in inputs.items())
    return (
        f"the memory ran out in {step.title} ({shapes} voxels Z, Y, X; {human_bytes(available_memory())} are free "
        "now). Crop or rescale the image first, use smaller tiles, or close other programs."
    )
