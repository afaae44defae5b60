"""A batch on a dask cluster: one task a file. Needs the extra ``cluster``: ``pip install "plantseg-app[cluster]"``.

The workers must see the files under the same paths, and have the same version of this program.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator, Sequence
from typing import Any

from plantseg_app.errors import RequestError, ResourceError
from plantseg_app.run.jobs import ExtraSource, Job, JobResult, JobSettings, run_job

_CONNECT_SECONDS = 20


def run_on_cluster(address: str, jobs: Sequence[Job], settings: JobSettings) -> Iterator[JobResult]:
    """Submit each job as a task and yield the results as they come.

    Parameters
    ----------
    address
        Of the dask scheduler, such as ``tcp://10.0.0.1:8786``.
    jobs, settings
        What to do; paths are made absolute before they are sent.

    Raises
    ------
    RequestError
        If the package ``distributed`` is not installed.
    ResourceError
        If no scheduler answers at the address.
    """
    distributed = _import_distributed()
    try:
        client = distributed.Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ResourceError(
            f"No dask scheduler answers at {address} ({error}); start one with: dask scheduler, and workers with: "
            "dask worker ADDRESS."
        ) from error
    try:
        sent = _absolute_settings(settings)
        futures = {client.submit(run_job, _absolute_job(job), sent, pure=False): job for job in jobs}
        for future in distributed.as_completed(list(futures)):
            yield _result_of(future, futures[future])
    finally:
        # Also when the caller stops early: tasks that nobody waits for would go on.
        client.close()


def _import_distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise RequestError(
            'A cluster needs the package "distributed", which is not installed; install it with: '
            'pip install "plantseg-app[cluster]", or use --scheduler local.'
        ) from error


def _result_of(future: Any, job: Job) -> JobResult:
    error = future.exception()
    if error is not None:
        # The worker died, was stopped, or holds another version of this program.
        return JobResult(job.input, job.output, "failed", error=f"the cluster lost the task: {error}")
    result: JobResult = future.result()
    return dataclasses.replace(result, input=job.input, output=job.output)


def _absolute_job(job: Job) -> Job:
    return Job(job.input.resolve(), job.output.resolve())


def _absolute_settings(settings: JobSettings) -> JobSettings:
    extra = {
        name: ExtraSource(source.path.resolve() if source.path else None, source.read)
        for name, source in settings.extra.items()
    }
    return dataclasses.replace(settings, extra=extra)
