"""Files through a workflow: what the commands segment, predict and run share.

>>> parse_source("nuclei=channel:1")[0]
'nuclei'
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plantseg_app.cli.parser import (
    add_reading_options,
    add_running_options,
    add_talking_options,
    existing_file,
    read_options,
    split_dataset,
)
from plantseg_app.cli.terminal import Terminal
from plantseg_app.errors import RequestError

if TYPE_CHECKING:
    from plantseg_app.core.volume import Volume
    from plantseg_app.core.workflow import Workflow
    from plantseg_app.evaluate import Scores
    from plantseg_app.run.jobs import ExtraSource, Job, JobResult, JobSettings, Processed
    from plantseg_app.run.runner import Runner

_CACHE_LIMIT_BYTES = 20 * 10**9
_UNWRITABLE = (".bmp", ".gif", ".zarr", ".npy", ".npz", ".nii", ".czi", ".lif", ".nd2", ".mrc")


def add_file_options(parser: argparse.ArgumentParser, output: str = "OUT.tif|DIR") -> None:
    """Add the inputs, the output and the options of all commands that run a workflow over files."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", type=Path, help="images, or folders of images")
    parser.add_argument(
        "--output", required=True, metavar=output, type=Path, help="the result, or the folder for one result an input"
    )
    add_reading_options(parser)
    add_running_options(parser)
    add_talking_options(parser)


def add_workflow_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the commands whose workflow a person chooses."""
    group = parser.add_argument_group("workflow")
    group.add_argument("--set", action="append", default=[], metavar="NODE.FIELD=VALUE", help="change a setting")
    group.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a further image that the workflow takes: a file, a folder with files named like the inputs, or "
        "channel:N or dataset:NAME of the input itself",
    )
    group.add_argument("--resume", action="store_true", help="leave out what an earlier, stopped run has finished")
    group.add_argument("--dry-run", action="store_true", help="show what would be done, and what it would take")


def run_files(arguments: argparse.Namespace, workflow: Workflow) -> int:
    """Run `workflow` over the inputs and return the exit status."""
    from plantseg_app.run.batch import plan_jobs
    from plantseg_app.run.runner import Runner

    terminal = Terminal.of(arguments)
    _check_output(arguments.output)
    settings = _job_settings(arguments, workflow)
    jobs = plan_jobs(arguments.inputs, arguments.output)
    if getattr(arguments, "dry_run", False):
        return _show_plan(jobs, settings, terminal)
    _check_writable(jobs[0].output.parent)
    resume = getattr(arguments, "resume", False)
    runner = Runner(_disk_cache() if resume else None, arguments.device, arguments.threads)
    is_single = len(jobs) == 1 and not arguments.inputs[0].is_dir()
    is_single = is_single and getattr(arguments, "scheduler", "local") == "local"
    with terminal.following(runner.events):
        if is_single:
            return _run_single(arguments, jobs[0], settings, runner, terminal)
        return _run_many(arguments, jobs, settings, runner, terminal)


def _run_single(
    arguments: argparse.Namespace, job: Job, settings: JobSettings, runner: Runner, terminal: Terminal
) -> int:
    from plantseg_app.run.jobs import JobResult, is_finished, process_file

    wants_more = any(getattr(arguments, name, None) for name in ("report", "overlay", "reference"))
    if getattr(arguments, "resume", False) and not wants_more and is_finished(job, settings):
        skipped = JobResult(job.input, job.output, "skipped")
        _tell(skipped, terminal)
        terminal.print_json({"results": [skipped.to_plain()]})
        return 0
    boundary = _check_pictures(arguments, settings) if wants_more else ()
    done = process_file(job, settings, runner, boundary)
    _tell(done.result, terminal)
    nodes = [{"node": timing.node, "seconds": round(timing.seconds, 3)} for timing in done.timings]
    plain = done.result.to_plain() | {"nodes": nodes}
    if wants_more:
        plain |= _write_pictures(arguments, done, settings, boundary, terminal)
    terminal.print_json({"results": [plain]})
    return 0


def _run_many(
    arguments: argparse.Namespace, jobs: list[Job], settings: JobSettings, runner: Runner, terminal: Terminal
) -> int:
    from plantseg_app.run.batch import run_batch

    def name(job: Job) -> None:
        terminal.subject = job.input.name

    results = run_batch(
        jobs,
        settings,
        runner=runner,
        scheduler=getattr(arguments, "scheduler", "local"),
        resume=getattr(arguments, "resume", False),
        on_start=name,
        on_result=lambda result: _tell(result, terminal),
    )
    failed = sum(result.status == "failed" for result in results)
    terminal.print_json({"results": [result.to_plain() for result in results]})
    terminal.say(f"{len(results) - failed} of {len(results)} files done; summary in {jobs[0].output.parent}")
    report: Path | None = getattr(arguments, "report", None)
    if report is not None:
        from plantseg_app.run.batch_report import write_batch_report

        write_batch_report(report, settings, results)
        terminal.say(f"{report}: report")
    return 1 if failed else 0


def _tell(result: JobResult, terminal: Terminal) -> None:
    from plantseg_app.core.quantities import human_seconds

    if result.status == "failed":
        terminal.error(f"{result.input}: {result.error}")
    elif result.status == "skipped":
        terminal.say(f"{result.output}: finished earlier, left as it is")
    else:
        cells = "" if result.n_cells is None else f"{result.n_cells} cells, "
        terminal.say(f"{result.output}: {cells}{human_seconds(result.seconds or 0.0)}")


def _job_settings(arguments: argparse.Namespace, workflow: Workflow) -> JobSettings:
    from plantseg_app.run.jobs import JobSettings

    extra = _extra_sources(arguments, workflow)
    main = next((name for name in workflow.sources if name not in extra), None)
    if main is None:
        raise RequestError(f"Every source of {workflow.name} was given with --source; one is left for the inputs.")
    settings = JobSettings(
        workflow_yaml=workflow.to_yaml(),
        source=main,
        read=read_options(arguments),
        extra=extra,
        device=arguments.device,
        n_threads=arguments.threads,
    )
    settings.bound_workflow()
    return settings


def _extra_sources(arguments: argparse.Namespace, workflow: Workflow) -> dict[str, ExtraSource]:
    from plantseg_app.errors import did_you_mean

    extra: dict[str, ExtraSource] = {}
    base = read_options(arguments)
    for text in getattr(arguments, "source", []):
        name, path, changes = parse_source(text)
        if name not in workflow.sources:
            raise RequestError(
                f'The workflow {workflow.name} takes no "{name}". {did_you_mean(name, workflow.sources)}'
            )
        if path is not None and not path.exists():
            raise RequestError(f'There is no file or folder {path} for the source "{name}".')
        from plantseg_app.run.jobs import ExtraSource, ReadOptions

        if path is None:
            extra[name] = ExtraSource(None, dataclasses.replace(base, **changes))
        else:
            read = ReadOptions(voxel_size_um=base.voxel_size_um, nan=base.nan)
            extra[name] = ExtraSource(path, dataclasses.replace(read, **changes))
    return extra


def parse_source(text: str) -> tuple[str, Path | None, Mapping[str, Any]]:
    """Split ``NAME=FILE``, ``NAME=FILE.h5:DATASET``, ``NAME=channel:N`` or ``NAME=dataset:NAME``."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise RequestError(f'--source takes NAME=FILE, for example nuclei=nuclei.tif; "{text}" was given.')
    for option in ("channel", "dataset"):
        if value.startswith(f"{option}:") and not Path(value).exists():
            return name, None, {option: value.partition(":")[2]}
    path, dataset = split_dataset(value)
    return name, path, {} if dataset is None else {"dataset": dataset}


def _check_output(output: Path) -> None:
    from plantseg_app.io import writable_suffixes

    if output.suffix.lower() in _UNWRITABLE and not output.is_dir():
        raise RequestError(
            f"Results are written as {writable_suffixes()}; {output} is none of them (for a folder of that name, make "
            "it first)."
        )


def _check_writable(folder: Path) -> None:
    """Find out before hours of work, rather than after, that the result cannot be written."""
    import os

    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise RequestError(f"The folder {existing} may not be written to; give another --output.")


def _disk_cache() -> Any:
    import shutil

    from plantseg_app import paths
    from plantseg_app.run.cache import DiskCache

    folder = paths.cache_dir() / "results"
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    # A cache must not be what fills the disk.
    return DiskCache(folder, min(_CACHE_LIMIT_BYTES, shutil.disk_usage(existing).free // 4))


def _check_pictures(arguments: argparse.Namespace, settings: JobSettings) -> tuple[str, ...]:
    """Refuse pictures of something that is no segmentation; return the node whose boundary map they show."""
    from plantseg_app.core.volume import Kind

    workflow = settings.bound_workflow()
    kinds = workflow.kinds()
    made = kinds[workflow.outputs[0]]
    if not made.is_labels:
        raise RequestError(f"--report, --overlay and --reference need cells; {workflow.name} makes {made.value}.")
    if arguments.reference is not None:
        existing_file(str(split_dataset(arguments.reference)[0]))
    return tuple(name for name in workflow.order() if kinds[name] is Kind.BOUNDARY)[:1]


def _score(arguments: argparse.Namespace, labels: Volume, terminal: Terminal) -> Scores | None:
    if arguments.reference is None:
        return None
    from plantseg_app.core.volume import Kind
    from plantseg_app.evaluate import evaluate_labels, evaluate_layers
    from plantseg_app.io import read_volume

    path, dataset = split_dataset(arguments.reference)
    score = evaluate_layers if labels.kind is Kind.LAYERED_LABELS else evaluate_labels
    scores = score(labels.data, read_volume(path, kind=labels.kind, dataset=dataset).data)
    terminal.say(f"adapted Rand error {scores.adapted_rand_error:.4f} against {path}")
    return scores


def _write_pictures(
    arguments: argparse.Namespace, done: Processed, settings: JobSettings, boundary: tuple[str, ...], terminal: Terminal
) -> dict[str, Any]:
    """Score and draw what was asked for; return the scores and the paths by option."""
    from plantseg_app.run.report import Report, write_overlay, write_report

    workflow = settings.bound_workflow()
    scores = _score(arguments, done.outputs[workflow.outputs[0]], terminal)
    report = Report(
        title=done.result.input.name,
        raw=done.sources[settings.source],
        labels=done.outputs[workflow.outputs[0]],
        workflow=workflow,
        boundary=next((done.outputs[name] for name in boundary), None),
        timings=done.timings,
        scores=scores,
    )
    written: dict[str, Any] = {} if scores is None else {"scores": scores.to_json_dict()}
    for option, write in (("overlay", write_overlay), ("report", write_report)):
        path: Path | None = getattr(arguments, option, None)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, report)
            terminal.say(f"{path}: {option}")
            written[option] = str(path)
    return written


def _show_plan(jobs: list[Job], settings: JobSettings, terminal: Terminal) -> int:
    from plantseg_app.core.quantities import human_bytes, human_seconds
    from plantseg_app.run.estimate import estimate_run
    from plantseg_app.run.jobs import load_sources

    workflow = settings.bound_workflow()
    plan = []
    for job in jobs:
        shapes = {name: volume.shape_vox for name, volume in load_sources(job.input, settings, workflow).items()}
        estimate = estimate_run(workflow, shapes)
        terminal.say(
            f"{job.input} -> {job.output}: about {human_seconds(estimate.seconds)} and "
            f"{human_bytes(estimate.peak_bytes)} of memory ({human_bytes(estimate.available_bytes)} free)"
        )
        for node in estimate.nodes:
            terminal.say(f"  {node.node}: {node.title}, {human_seconds(node.cost.seconds)}")
        if not estimate.fits:
            terminal.note(f"{job.input} may not fit into memory; crop or rescale it first.")
        plan.append(
            {
                "input": str(job.input),
                "output": str(job.output),
                "seconds": estimate.seconds,
                "memory_bytes": estimate.peak_bytes,
                "nodes": [node.node for node in estimate.nodes],
            }
        )
    terminal.print_json({"plan": plan})
    return 0
