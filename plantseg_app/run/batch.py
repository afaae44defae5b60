"""Many files through one workflow: which file becomes which, one after the other or on a cluster, with a summary.

One file that fails is a row of the summary, not the end.

>>> plan_jobs([Path("a.tif"), Path("b.tif")], Path("out"))[1].output.as_posix()
'out/b.tif'
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from plantseg_app.errors import RequestError
from plantseg_app.run.jobs import Job, JobResult, JobSettings, is_finished, run_job
from plantseg_app.run.runner import Runner

SUMMARY_NAME = "summary"
RESULT_SUFFIXES = (".tif", ".h5")
"""The endings that the results of a batch may have: those of formats that hold stacks and any label."""


def is_result_file(output: Path) -> bool:
    """Return whether `output` names a file rather than a folder."""
    from plantseg_app.io import FORMATS

    return not output.is_dir() and any(output.suffix.lower() in known.write_suffixes for known in FORMATS)


def plan_jobs(inputs: Sequence[Path], output: Path, suffix: str = RESULT_SUFFIXES[0]) -> list[Job]:
    """Return one job an input file; folders stand for the images in them.

    Parameters
    ----------
    inputs
        Files and folders.
    output
        The result's file for a single input file, else a folder in which each result is ``<stem><suffix>``.
    suffix
        One of `RESULT_SUFFIXES`.

    Raises
    ------
    RequestError
        If a single input is missing, a folder holds no image, several inputs go to one file, two results would
        have the same name, or a result would overwrite an input.
    """
    is_batch = len(inputs) > 1 or any(path.is_dir() for path in inputs)
    if is_result_file(output):
        if is_batch:
            raise RequestError(f"Several inputs need a folder to write to; --output {output} is a file.")
        jobs = [Job(inputs[0], output)]
    else:
        jobs = [Job(path, output / f"{path.stem}{suffix}") for path in _expand(inputs, output)]
    if not is_batch:
        _check_exists(jobs[0].input)
    _check_names(jobs)
    return jobs


def run_batch(
    jobs: Sequence[Job],
    settings: JobSettings,
    *,
    runner: Runner | None = None,
    scheduler: str = "local",
    resume: bool = False,
    on_start: Callable[[Job], None] | None = None,
    on_result: Callable[[JobResult], None] | None = None,
) -> list[JobResult]:
    """Do all jobs, and keep ``summary.csv`` and ``summary.jsonl`` beside the results up to date after each.

    Parameters
    ----------
    jobs, settings
        What to do.
    runner
        For its events and its cache; used by the local scheduler alone.
    scheduler
        ``"local"``, or the address of a dask scheduler.
    resume
        Leave out the files whose result is there already, made by the same workflow; rows of other files stay in the
        summary.
    on_start
        Called with each job before it begins; by the local scheduler alone.
    on_result
        Called with each result as it comes.
    """
    _check_further_outputs(jobs, settings)
    folder = jobs[0].output.parent
    earlier = read_summary(folder) if resume else {}
    results: dict[Path, JobResult] = {}
    to_do = []
    for job in jobs:
        if resume and is_finished(job, settings):
            before = earlier.get(job.output)
            skipped = JobResult(job.input, job.output, "skipped", n_cells=before.n_cells if before else None)
            results[job.output] = skipped
            if on_result is not None:
                on_result(skipped)
        else:
            to_do.append(job)
    if scheduler == "local":
        coming = _run_here(to_do, settings, runner, on_start)
    else:
        coming = _run_there(to_do, settings, scheduler)
    for result in coming:
        results[result.output] = result
        write_summary(folder, _rows(jobs, results, earlier))
        if on_result is not None:
            on_result(result)
    write_summary(folder, _rows(jobs, results, earlier))
    return [results[job.output] for job in jobs]


def _rows(jobs: Sequence[Job], results: Mapping[Path, JobResult], earlier: Mapping[Path, JobResult]) -> list[JobResult]:
    """Return the rows of the summary: those of an earlier run, renewed, then the others in the order of the jobs."""
    rows = dict(earlier)
    for job in jobs:
        if job.output in results:
            rows[job.output] = results[job.output]
    return list(rows.values())


def note_failure(result: JobResult) -> None:
    """Add a file to the summary beside its result, because the process died that should have done so."""
    folder = result.output.parent
    write_summary(folder, {**read_summary(folder), result.output: result}.values())


def write_summary(folder: Path, results: Iterable[JobResult]) -> None:
    """Write ``summary.csv`` for people and ``summary.jsonl`` for programs, each whole or not at all."""
    rows = [result.to_plain() for result in results]
    folder.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(rows[0]) if rows else ["input"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _write_whole(folder / f"{SUMMARY_NAME}.csv", table.getvalue())
    _write_whole(folder / f"{SUMMARY_NAME}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def clear_after(process_id: int, jobs: Sequence[Job], settings: JobSettings) -> None:
    """Remove what a process of this machine that was killed in the middle of a batch left half-written."""
    from plantseg_app.io.atomic import clear_after as clear_file_after

    workflow = settings.bound_workflow()
    for path in {job.output_of(name, workflow) for job in jobs for name in workflow.outputs}:
        clear_file_after(process_id, path)
    for name in (f"{SUMMARY_NAME}.csv", f"{SUMMARY_NAME}.jsonl"):
        _temporary(jobs[0].output.parent / name, process_id).unlink(missing_ok=True)


def _run_here(
    jobs: Sequence[Job], settings: JobSettings, runner: Runner | None, on_start: Callable[[Job], None] | None
) -> Iterator[JobResult]:
    for job in jobs:
        if on_start is not None:
            on_start(job)
        yield run_job(job, settings, runner)


def _run_there(jobs: Sequence[Job], settings: JobSettings, address: str) -> Iterator[JobResult]:
    from plantseg_app.run.cluster import run_on_cluster

    if jobs:
        yield from run_on_cluster(address, jobs, settings)


def images_in(folder: Path) -> list[Path]:
    """Return the images that lie in a folder, by name; folders inside it are left out.

    Raises
    ------
    RequestError
        If there is none.
    """
    from plantseg_app.io import is_image_name, readable_suffixes

    found = sorted(
        entry
        for entry in folder.iterdir()
        if entry.is_file() and is_image_name(entry) and not entry.name.startswith(".")
    )
    if not found:
        raise RequestError(f"The folder {folder} holds no image; images end in {readable_suffixes()}.")
    return found


def _expand(inputs: Sequence[Path], output: Path) -> list[Path]:
    files: list[Path] = []
    for path in inputs:
        if not path.is_dir():
            files.append(path)
            continue
        found = images_in(path)
        if path.resolve() == output.resolve():
            raise RequestError(f"Results would be written over the images in {path}; give another folder as --output.")
        files.extend(found)
    return files


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise RequestError(f"There is no file {path}.")


def _check_names(jobs: Sequence[Job]) -> None:
    taken: dict[str, Path] = {}
    inputs = {job.input.resolve() for job in jobs}
    for job in jobs:
        # Two names that differ in case alone are one file on Windows and macOS.
        name = str(job.output).casefold()
        if name in taken:
            raise RequestError(
                f"{taken[name]} and {job.input} would both become {job.output.name}; rename one, or run them into two "
                "folders."
            )
        taken[name] = job.input
        if job.output.resolve() in inputs:
            raise RequestError(f"The result {job.output} would be written over an input; give another --output.")


def _check_further_outputs(jobs: Sequence[Job], settings: JobSettings) -> None:
    """Refuse names such as ``a_boundary.tif`` that are both a further result of one input and the result of another."""
    workflow = settings.bound_workflow()
    if len(workflow.outputs) < 2:
        return
    paths = [job.output_of(name, workflow) for job in jobs for name in workflow.outputs]
    for path in paths:
        if paths.count(path) > 1:
            raise RequestError(f"Two results would both be written to {path}; rename one of the inputs.")


def read_summary(folder: Path) -> dict[Path, JobResult]:
    """Return the rows of an earlier run by output; rows that cannot be read are left out."""
    try:
        lines = (folder / f"{SUMMARY_NAME}.jsonl").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    rows = {}
    for line in lines:
        try:
            result = JobResult.from_plain(json.loads(line))
        except (ValueError, KeyError, TypeError):
            continue
        rows[result.output] = result
    return rows


def _write_whole(path: Path, text: str) -> None:
    temporary = _temporary(path, os.getpid())
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path, process_id: int) -> Path:
    return path.with_name(f".{path.name}.{process_id}.tmp")
