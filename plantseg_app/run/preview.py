"""What a workflow makes of the box that a person looks at, soon enough to follow a slider.

The workflow runs on the box alone. Whatever a node made is kept under what made it, so a slider that belongs to the
last node runs that one again and no other; of a step in two parts, such as a partition of superpixels, the costly first
part is kept as well. Draws nothing; may be called from any thread.

>>> import numpy as np
>>> from plantseg_app.core.volume import Kind
>>> from plantseg_app.run.preview_box import PreviewBox
>>> from plantseg_app.run.workflows import find_workflow
>>> wall = np.zeros((4, 64, 64), np.float32)
>>> wall[:, :, 32] = 1.0
>>> result = Preview().run(find_workflow("boundary-map"), {"boundary": Volume(wall, Kind.BOUNDARY)},
...                        PreviewBox((0, 0, 8), (4, 64, 56)))
>>> result.main.shape_vox, result.main.place.start_vox, len(np.unique(result.main.data))
((4, 64, 48), (0, 0, 8), 2)
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.core.context import QuietContext
from plantseg_app.core.two_part import TwoPartStep
from plantseg_app.core.volume import Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError
from plantseg_app.run.cache import node_key, volume_key
from plantseg_app.run.context import usable_cores
from plantseg_app.run.preview_box import PreviewBox, box_within, cut_out, frame_of
from plantseg_app.run.workflow_crop import without_crop
from plantseg_app.run.workflow_edit import with_outputs

_KEPT_BYTES = 400_000_000


def preview_signature(workflow: Workflow, box: PreviewBox) -> str:
    """Return a short name of what a preview shows: the steps that lead to the outputs, their settings, and the box.

    Equal for equal requests; titles and settings of steps that lead nowhere do not count.
    """
    part = with_outputs(workflow, workflow.outputs).to_plain()
    plain = [part["nodes"], part["outputs"], box.text]
    return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=8).hexdigest()


@dataclasses.dataclass(frozen=True)
class PreviewResult:
    """What a workflow made of a box.

    Attributes
    ----------
    outputs
        By name, the main one first; each knows its place in the full image.
    box
        What was worked on: the part of the box asked for that lies in the workflow's own crop and in all images.
    signature
        As `preview_signature` gives it for the request.
    title
        What made the main result, in words.
    seconds
        How long it took.
    computed
        The nodes that ran; the others were as before.
    messages
        What the steps had to say.
    """

    outputs: dict[str, Volume]
    box: PreviewBox
    signature: str
    title: str
    seconds: float
    computed: tuple[str, ...]
    messages: tuple[str, ...]

    @property
    def main(self) -> Volume:
        """The first output."""
        return next(iter(self.outputs.values()))


class Preview:
    """Runs workflows on boxes and keeps what may be needed again.

    Several threads may run at once; what two of them need is then computed twice, with the same result. What is handed
    out must not be written to.

    Parameters
    ----------
    limit_bytes
        The most that is kept; the least recently used goes first.
    device
        Torch device for networks, or ``"auto"``.
    n_threads
        Threads a step may use; all cores by default.
    """

    def __init__(self, limit_bytes: int = _KEPT_BYTES, device: str = "auto", n_threads: int | None = None) -> None:
        self._kept = _Kept(limit_bytes)
        self._device = device
        self._n_threads = n_threads or usable_cores()

    def run(
        self, workflow: Workflow, volumes: Mapping[str, Volume], box: PreviewBox, check: Check = never_stop
    ) -> PreviewResult:
        """Return what the outputs of a workflow are on a box.

        The workflow's own crop and pasting back are left out: the box takes their place, within that crop.

        Parameters
        ----------
        workflow
            What to run.
        volumes
            Full images by the names of sources, memory-mapped where they are large; results of nodes that are there
            already, such as a boundary map, by the names of the nodes. What they stand for is not run. Each may be a
            crop that knows its place, or at another scale.
        box
            What to look at.
        check
            Called between stages; may raise `Cancelled`.

        Raises
        ------
        RequestError
            If a source is missing, or the box lies outside.
        PlantSegError
            If a step cannot do its work.
        """
        begun = time.perf_counter()
        whole, frame = without_crop(workflow), frame_of(workflow, volumes)
        inside = box_within(box, workflow, volumes, frame)
        context = _PreviewContext(self._device, self._n_threads, check)
        job = _Job(whole, self._kept, context, lambda name: cut_out(volumes[name], inside, frame), set(volumes))
        outputs = {name: job.value(name)[0] for name in whole.outputs}
        return PreviewResult(
            outputs=outputs,
            box=inside,
            signature=preview_signature(workflow, box),
            title=_title(whole),
            seconds=time.perf_counter() - begun,
            computed=tuple(job.computed),
            messages=tuple(job.context.messages),
        )

    def clear(self) -> None:
        """Forget everything that was kept."""
        self._kept.clear()

    @property
    def size_bytes(self) -> int:
        """How much is kept."""
        return self._kept.size_bytes


def _title(workflow: Workflow) -> str:
    """Return the main step with the settings that differ from its defaults.

    >>> from plantseg_app.run.workflows import find_workflow
    >>> _title(find_workflow("membranes-gasp").replace("cells", beta=0.25))
    'GASP, beta 0.25'
    """
    step = workflow.nodes[workflow.outputs[0]].step
    changed = [f"{name} {value}" for name, value in step.settings(only_changed=True).items()]
    return ", ".join([step.title, *changed])


class _PreviewContext(QuietContext):
    def __init__(self, device: str, n_threads: int, check: Check) -> None:
        super().__init__(device, n_threads)
        self._check = check

    def check(self) -> None:
        self._check()


class _Job:
    """One run of a workflow on a box, backwards from what is asked for."""

    def __init__(
        self,
        workflow: Workflow,
        kept: _Kept,
        context: _PreviewContext,
        cut: Callable[[str], Volume],
        given: Collection[str],
    ) -> None:
        self.workflow, self.kept, self.context = workflow, kept, context
        self.computed: list[str] = []
        self._cut, self._given = cut, given
        self._values: dict[str, tuple[Volume, str]] = {}

    def value(self, name: str) -> tuple[Volume, str]:
        """Return what a source or node is on the box, and the key of it."""
        if name not in self._values:
            self.context.check()
            self._values[name] = self._take(name) if name in self._given else self._run(name)
        return self._values[name]

    def _take(self, name: str) -> tuple[Volume, str]:
        volume = self._cut(name)
        # By content, because an image may have been painted in since.
        return volume, volume_key(volume)

    def _run(self, name: str) -> tuple[Volume, str]:
        if name not in self.workflow.nodes:
            raise RequestError(f'The preview needs "{name}". {self.workflow.sources[name].help}'.rstrip())
        node = self.workflow.nodes[name]
        wired = {port: origin for port, origin in node.inputs.items() if not self._is_absent(origin)}
        arriving = {port: self.value(origin) for port, origin in wired.items()}
        keys = {port: key for port, (_, key) in arriving.items()}
        key = node_key(node.step, keys)
        found = self.kept.get(key)
        if found is None:
            inputs = node.step.checked_inputs({port: volume for port, (volume, _) in arriving.items()})
            if isinstance(node.step, TwoPartStep):
                found = node.step.complete(self._prepared(node.step, inputs, keys), inputs, self.context)
            else:
                found = node.step.run(inputs, self.context)
            self.computed.append(name)
            self.kept.put(key, found, _n_bytes(found))
        return found, key

    def _is_absent(self, name: str) -> bool:
        """Return whether something is made of an optional source that is not there."""
        if name in self._given:
            return False
        if name in self.workflow.sources:
            return self.workflow.sources[name].optional
        node = self.workflow.nodes[name]
        return any(
            self._is_absent(origin) for port, origin in node.inputs.items() if not node.step.reads[port].optional
        )

    def _prepared(self, step: TwoPartStep, inputs: Mapping[str, Volume], keys: Mapping[str, str]) -> Any:
        settings = {name: value for name, value in step.settings().items() if name in step.prepared_by}
        plain = ["prepared", step.id, step.version, settings, step.depends_on(), dict(keys)]
        key = hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=20).hexdigest()
        prepared = self.kept.get(key)
        if prepared is None:
            prepared = step.prepare(inputs, self.context)
            self.kept.put(key, prepared, _n_bytes(prepared))
        return prepared


class _Kept:
    """The most recently used things by key, up to a number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._things: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Any:
        with self._lock:
            if key not in self._things:
                return None
            self._things.move_to_end(key)
            return self._things[key][0]

    def put(self, key: str, thing: Any, n_bytes: int) -> None:
        with self._lock:
            self._things[key] = (thing, n_bytes)
            self._things.move_to_end(key)
            while self._things and self._size() > self._limit_bytes:
                self._things.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._things.clear()

    @property
    def size_bytes(self) -> int:
        with self._lock:
            return self._size()

    def _size(self) -> int:
        return sum(n_bytes for _, n_bytes in self._things.values())


def _n_bytes(thing: Any) -> int:
    """Return what the arrays in a frozen object hold together."""
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if dataclasses.is_dataclass(thing):
        return sum(_n_bytes(getattr(thing, field.name)) for field in dataclasses.fields(thing))
    return 0
