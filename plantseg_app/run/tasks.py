"""The tasks that every window needs: read a file, run a workflow, write results, run a batch.

Trainings and downloads are tasks defined elsewhere. Knows files, runners and batches; no window.

>>> ReadImage(Path("folder/a.tif")).title
'Reading a.tif'
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from plantseg_app.core.volume import Kind
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import PlantSegError
from plantseg_app.io.reader import ImageInfo
from plantseg_app.run.desk import Desk, Task
from plantseg_app.run.events import NodeFinished
from plantseg_app.run.jobs import Job, JobResult, JobSettings, ReadOptions
from plantseg_app.run.store import VolumeRef
from plantseg_app.run.worker_events import NodeDone


@dataclasses.dataclass(frozen=True)
class InspectImage(Task):
    """Read what a file says about itself, without its pixels."""

    path: Path

    @property
    def title(self) -> str:  # type: ignore[override]
        """What is being done."""
        return f"Looking at {self.path.name}"

    def run(self, desk: Desk) -> ImageInfo:
        """Return what `plantseg_app.io.inspect_image` says."""
        del desk
        from plantseg_app.io import inspect_image

        return inspect_image(self.path)


@dataclasses.dataclass(frozen=True)
class ReadImage(Task):
    """Read an image file into the store."""

    path: Path
    options: ReadOptions = dataclasses.field(default_factory=ReadOptions)
    kind: Kind = Kind.RAW

    @property
    def title(self) -> str:  # type: ignore[override]
        """What is being done."""
        return f"Reading {self.path.name}"

    def run(self, desk: Desk) -> VolumeRef:
        """Return where the image is in the store."""
        from plantseg_app.io import read_volume

        volume = read_volume(self.path, kind=self.kind, **self.options.given())
        desk.check()
        return desk.store.add(volume)


@dataclasses.dataclass(frozen=True)
class WriteVolume(Task):
    """Write a volume of the store to a file, with the workflow that made it (YAML)."""

    path: Path
    ref: VolumeRef
    workflow: str | None = None
    dataset: str | None = None
    overwrite: bool = True

    @property
    def title(self) -> str:  # type: ignore[override]
        """What is being done."""
        return f"Saving {self.path.name}"

    def run(self, desk: Desk) -> Path:
        """Return the file."""
        from plantseg_app.io import write_volume

        return write_volume(
            self.path,
            desk.open(self.ref),
            workflow=self.workflow,
            dataset=self.dataset,
            overwrite=self.overwrite,
        )

    def tidy(self, process_id: int) -> None:
        """Remove the half-written file."""
        from plantseg_app.io.atomic import clear_after

        clear_after(process_id, self.path)


@dataclasses.dataclass(frozen=True)
class RunWorkflow(Task):
    """Run a workflow on volumes of the store; what its nodes make is kept there, and found again in a later run.

    Attributes
    ----------
    workflow_yaml
        The workflow.
    sources
        The images by the names that the workflow gives them.
    outputs
        The nodes whose results are wanted; None: those that the workflow names.
    device, n_threads
        As in `Runner`.
    """

    workflow_yaml: str
    sources: Mapping[str, VolumeRef]
    outputs: tuple[str, ...] | None = None
    device: str = "auto"
    n_threads: int | None = None
    title: str = "Running the workflow"

    def run(self, desk: Desk) -> dict[str, VolumeRef]:
        """Return where the outputs are, by name.

        Raises
        ------
        ResourceError
            If there is no room on the disk for a result; else as `Runner.run`.
        """
        import plantseg_app.steps  # noqa: F401 - importing fills the registry

        workflow = Workflow.from_yaml(self.workflow_yaml)
        if self.outputs is not None:
            workflow = workflow.with_outputs(self.outputs)
        sources = {name: desk.open(ref) for name, ref in self.sources.items()}
        runner = desk.runner(self.device, self.n_threads)
        keys = runner.keys(workflow, sources)

        def tell(event: NodeFinished) -> None:
            key, kept = keys[event.node], desk.store.holds(keys[event.node])
            if kept and event.node in workflow.outputs:
                desk.store.pin(key)
            ref = VolumeRef.of(key, event.volume) if kept else None
            desk.tell_node(NodeDone(event.node, event.title, event.seconds, event.reused, ref))

        runner.events.node_finished.connect(tell)
        results = runner.run(workflow, sources)
        # Adding what is there already costs nothing; what could not be kept says here why.
        return {name: desk.store.add(volume, keys[name]) for name, volume in results.items()}

    def describe(self) -> str:
        """Return workflow and images as text."""
        images = [f"{name}: {ref.kind.value} {ref.shape} {ref.dtype}" for name, ref in self.sources.items()]
        return "\n".join([self.workflow_yaml.rstrip(), *images, f"device {self.device}, threads {self.n_threads}"])


@dataclasses.dataclass(frozen=True)
class FileStarted:
    """A batch begins with a file: the `index`-th (from 0) of `total` that are to be done."""

    index: int
    total: int
    job: Job


@dataclasses.dataclass(frozen=True)
class RunBatch(Task):
    """Run a workflow on many files, telling a `FileStarted` and a `JobResult` for each.

    Attributes
    ----------
    jobs, settings, resume
        As in `plantseg_app.run.batch.run_batch`.
    report
        The page to write in the end, on all files of the summary; None for none.
    """

    jobs: tuple[Job, ...]
    settings: JobSettings
    resume: bool = False
    title: str = "Running the batch"
    report: Path | None = None

    def run(self, desk: Desk) -> list[JobResult]:
        """Return a result a file."""
        from plantseg_app.run.batch import run_batch

        done = 0

        def start(job: Job) -> None:
            desk.check()
            desk.tell(FileStarted(done, len(self.jobs), job))

        def finish(result: JobResult) -> None:
            nonlocal done
            done += 1
            desk.tell(result)

        # A result kept in the store would take the room of those that the window shows.
        runner = desk.runner(self.settings.device, self.settings.n_threads, keeps=False)
        results = run_batch(
            self.jobs, self.settings, runner=runner, resume=self.resume, on_start=start, on_result=finish
        )
        self._write_report(desk)
        return results

    def _write_report(self, desk: Desk) -> None:
        from plantseg_app.run.batch import read_summary
        from plantseg_app.run.batch_report import write_batch_report

        if self.report is None:
            return
        desk.progress("Writing the report", 0, None)
        rows = list(read_summary(self.jobs[0].output.parent).values())
        try:
            write_batch_report(self.report, self.settings, rows)
        except (PlantSegError, OSError) as error:
            # The results are there, whatever becomes of the page about them.
            desk.message(f"The report could not be written: {error}")

    def describe(self) -> str:
        """Return workflow and files as text."""
        files = [f"{job.input} -> {job.output}" for job in self.jobs]
        return "\n".join([self.settings.workflow_yaml.rstrip(), *files])

    def tidy(self, process_id: int) -> None:
        """Remove the half-written files."""
        from plantseg_app.run.batch import clear_after

        clear_after(process_id, self.jobs, self.settings)
