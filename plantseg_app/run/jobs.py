"""One file through a workflow: read the sources, run, write the outputs with the record of what made them.

The settings of a job are plain data, so that it can be sent to another process or another machine.

>>> ReadOptions(channel=1, dataset="raw").to_text()
'dataset=raw channel=1'
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import PlantSegError, RequestError
from plantseg_app.run.events import NodeTiming
from plantseg_app.run.runner import Runner

JobStatus = Literal["done", "skipped", "failed"]


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """How to read a file where it does not say itself, or says it wrongly; None leaves it to the file.

    Attributes
    ----------
    dataset
        The data set inside an HDF5 file.
    axes
        The meaning of the axes, such as ``ZYX`` or ``CZYX``.
    channel, time
        Which channel (number from 0, name, "gray" or "all") and which time point (from 0).
    voxel_size_um
        (z, y, x) in micrometres.
    nan
        What to do with NaN and infinite values.
    """

    dataset: str | None = None
    axes: str | None = None
    channel: int | str | None = None
    time: int | None = None
    voxel_size_um: tuple[float, float, float] | None = None
    nan: str | None = None

    def given(self) -> dict[str, Any]:
        """Return the options that were given, as keyword arguments of `plantseg_app.io.read_volume`."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def to_text(self) -> str:
        """Return the options in one line, for the record in the output."""
        return " ".join(f"{name}={value}" for name, value in self.given().items())


@dataclasses.dataclass(frozen=True)
class ExtraSource:
    """Where a further source of the workflow comes from.

    Attributes
    ----------
    path
        A file; or a folder that holds a file of the same stem as the main input; or None for the main input itself.
    read
        How to read it.
    """

    path: Path | None
    read: ReadOptions

    def file_for(self, main: Path) -> Path:
        """Return the file that goes with the input `main`.

        Raises
        ------
        RequestError
            If the folder holds no such file, or several.
        """
        if self.path is None:
            return main
        if not self.path.is_dir():
            return self.path
        fitting = sorted(path for path in self.path.iterdir() if path.stem == main.stem and path.is_file())
        if len(fitting) != 1:
            found = ", ".join(path.name for path in fitting) or "none"
            raise RequestError(f"{self.path} must hold exactly one file named like {main.stem}; found: {found}.")
        return fitting[0]


@dataclasses.dataclass(frozen=True)
class JobSettings:
    """What is the same for all files of a batch.

    Attributes
    ----------
    workflow_yaml
        The workflow as text, so that the settings can be sent to another machine.
    source
        The name of the source that the input file is.
    read
        How to read the input file.
    extra
        Further sources by name.
    device, n_threads
        As in `Runner`.
    """

    workflow_yaml: str
    source: str
    read: ReadOptions = ReadOptions()
    extra: Mapping[str, ExtraSource] = dataclasses.field(default_factory=dict)
    device: str = "auto"
    n_threads: int | None = None

    def bound_workflow(self) -> Workflow:
        """Return the workflow with the sources that this batch has."""
        # On another machine nobody has filled the registry yet.
        import plantseg_app.steps  # noqa: F401

        return Workflow.from_yaml(self.workflow_yaml).bind([self.source, *self.extra])

    def record(self, source: Path) -> str:
        """Return the text kept in an output: the workflow, what it was read from, and the models' checksums.

        It is YAML that `Workflow.from_yaml` reads; what is not workflow stands in comments.
        """
        workflow = self.bound_workflow()
        lines = [f"# {self.source}: {source.name} {self.read.to_text()}".rstrip()]
        for name, extra in self.extra.items():
            lines.append(f"# {name}: {extra.file_for(source).name} {extra.read.to_text()}".rstrip())
        for name, node in workflow.nodes.items():
            if node.step.depends_on():
                lines.append(f"# {name} depends on: {node.step.depends_on()}")
        return "\n".join([*(line.replace("\n", " ") for line in lines), workflow.to_yaml()])


@dataclasses.dataclass(frozen=True)
class Job:
    """One input file and the file that its main result becomes; further results are named after it."""

    input: Path
    output: Path

    def output_of(self, name: str, workflow: Workflow) -> Path:
        """Return the file for the output `name` of `workflow`."""
        if name == workflow.outputs[0]:
            return self.output
        return self.output.with_name(f"{self.output.stem}_{name}{self.output.suffix}")


@dataclasses.dataclass(frozen=True)
class JobResult:
    """What became of one file; one row of the summary.

    Attributes
    ----------
    input, output
        The files.
    status
        ``done``, ``skipped`` (finished earlier) or ``failed``.
    seconds
        Reading, running and writing; None when skipped.
    n_cells
        How many labels the main result holds; None when it is no segmentation.
    error
        Why it failed, in words.
    """

    input: Path
    output: Path
    status: JobStatus
    seconds: float | None = None
    n_cells: int | None = None
    error: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return plain data for JSON and CSV."""
        seconds = None if self.seconds is None else round(self.seconds, 3)
        return {
            "input": str(self.input),
            "output": str(self.output),
            "status": self.status,
            "seconds": seconds,
            "n_cells": self.n_cells,
            "error": self.error,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> JobResult:
        """Read back what `to_plain` wrote; raises ValueError or KeyError when it is something else."""
        if plain["status"] not in get_args(JobStatus):
            raise ValueError(f"unknown status {plain['status']!r}")
        return cls(
            Path(plain["input"]),
            Path(plain["output"]),
            plain["status"],
            plain["seconds"],
            plain["n_cells"],
            plain["error"],
        )


@dataclasses.dataclass(frozen=True)
class Processed:
    """A finished job with its volumes, for a report."""

    result: JobResult
    sources: dict[str, Volume]
    outputs: dict[str, Volume]
    timings: tuple[NodeTiming, ...]


def process_file(
    job: Job, settings: JobSettings, runner: Runner | None = None, keep: tuple[str, ...] = ()
) -> Processed:
    """Read, run and write one file.

    Parameters
    ----------
    job, settings
        What to do.
    runner
        The runner to use, for its events and its cache; a fresh one by default.
    keep
        Nodes whose volumes are wanted besides the outputs; they are not written.

    Raises
    ------
    PlantSegError
        If reading, running or writing fails.
    """
    from plantseg_app.io import write_volume

    begun = time.monotonic()
    runner = runner or Runner(device=settings.device, n_threads=settings.n_threads)
    workflow = settings.bound_workflow()
    record = settings.record(job.input)
    sources = load_sources(job.input, settings, workflow)
    wanted = workflow.model_copy(update={"outputs": tuple(dict.fromkeys((*workflow.outputs, *keep)))})
    outputs = runner.run(wanted, sources)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    # The main result comes last: when it is there, all are.
    for name in reversed(workflow.outputs):
        write_volume(job.output_of(name, workflow), outputs[name], workflow=record)
    if runner.cache is not None:
        runner.cache.forget(runner.keys(wanted, sources).values())
    main = outputs[workflow.outputs[0]]
    n_cells = count_cells(main.data) if main.kind.is_labels else None
    result = JobResult(job.input, job.output, "done", time.monotonic() - begun, n_cells)
    return Processed(result, sources, outputs, runner.status.timings)


def run_job(job: Job, settings: JobSettings, runner: Runner | None = None) -> JobResult:
    """Do one job of a batch; a failure becomes a result that says why, so that it does not stop the others."""
    from plantseg_app.errors import Cancelled

    begun = time.monotonic()
    try:
        return process_file(job, settings, runner).result
    except Cancelled:
        raise
    except (PlantSegError, OSError) as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - a defect met on one file must not cost the night's other files
        notes = " ".join(getattr(error, "__notes__", ()))
        reason = f"unexpected {type(error).__name__}: {error} {notes}".rstrip()
    return JobResult(job.input, job.output, "failed", time.monotonic() - begun, error=reason)


def load_sources(path: Path, settings: JobSettings, workflow: Workflow) -> dict[str, Volume]:
    """Read the input file and the further sources that go with it."""
    from plantseg_app.io import read_volume

    sources = {settings.source: read_volume(path, kind=workflow.sources[settings.source].kind, **settings.read.given())}
    for name, extra in settings.extra.items():
        kind = workflow.sources[name].kind
        sources[name] = read_volume(extra.file_for(path), kind=kind, **extra.read.given())
    return sources


def is_finished(job: Job, settings: JobSettings) -> bool:
    """Return whether the output is there, newer than the input, and made by the same workflow from the same reading."""
    from plantseg_app.io import read_workflow

    if not job.output.exists() or not job.input.exists():
        return False
    if job.output.stat().st_mtime < job.input.stat().st_mtime:
        return False
    try:
        return read_workflow(job.output) == settings.record(job.input)
    except PlantSegError:
        return False


def count_cells(labels: NDArray[Any]) -> int:
    """Return how many different labels other than 0 there are.

    >>> count_cells(np.array([[0, 3], [70000, 3]], np.uint32))
    2
    """
    highest = int(labels.max(initial=0))
    if highest > max(labels.size, 2**20):
        return int(np.count_nonzero(np.unique(labels)))
    seen = np.zeros(highest + 1, dtype=bool)
    seen[labels.reshape(-1)] = True
    return int(np.count_nonzero(seen[1:]))
