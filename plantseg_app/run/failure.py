"""Why a task came to nothing: one sentence, what to do, and the details for a bug report.

Knows exceptions and exit codes; neither steps nor windows.

>>> failure = failure_of(MemoryError(), "Segmenting", "a workflow")
>>> failure.sentence
'The machine ran out of memory while it was segmenting.'
>>> died_failure(-11, "Segmenting", "a workflow").sentence
'The computation crashed (SIGSEGV) while it was segmenting.'
"""

from __future__ import annotations

import dataclasses
import enum
import errno
import importlib.metadata
import os
import platform
import signal
import sys
import traceback

from plantseg_app.core.quantities import human_bytes
from plantseg_app.errors import InputError, PlantSegError, RequestError, ResourceError

_KEPT = "What was finished before is kept."
_LESS_MEMORY = f"Crop or rescale the image, use smaller tiles, or close other programs; then run it again. {_KEPT}"
_REPORT = f"Run it again; if that does not help, copy the details into a bug report. {_KEPT}"
_OUT_OF_MEMORY_WORDS = ("DefaultCPUAllocator", "out of memory", "bad_alloc", "std::bad_array_new_length")
_PACKAGES = (
    "numpy",
    "torch",
    "scipy",
    "scikit-image",
    "bioimage-cpp",
    "tifffile",
    "h5py",
    "napari",
    "PySide6-Essentials",
)
_LONGEST_DESCRIPTION = 20_000


class Cause(enum.StrEnum):
    """What kind of failure it is."""

    PROBLEM = "problem"
    """Of the data, the request or the machine: the sentence says all."""
    MEMORY = "memory"
    CRASH = "crash"
    """The process ended without a word."""
    DEFECT = "defect"
    """Of the program."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """What happened, for a person.

    Attributes
    ----------
    sentence
        What happened.
    advice
        What to do.
    details
        Traceback, settings, versions, platform and memory, as text for a bug report.
    cause
        What kind of failure it is.
    """

    sentence: str
    advice: str
    details: str
    cause: Cause


def failure_of(error: BaseException, title: str, description: str) -> Failure:
    """Return what `error` means for the person who started the task `title`, whose settings are `description`."""
    cause, sentence, advice = _explained(error, title)
    trace = "".join(traceback.format_exception(error))
    return Failure(sentence, advice, _details(title, sentence, description, trace), cause)


def died_failure(exit_code: int | None, title: str, description: str, trace: str = "") -> Failure:
    """Return what it means that the process of the task ended by itself.

    Parameters
    ----------
    exit_code
        Negative for a signal, as `multiprocessing` gives it; None when it closed its pipe and did not end.
    title, description
        Of the task.
    trace
        What the process could still write about where it was.
    """
    name = _signal_name(exit_code)
    if name == "SIGKILL":
        # Nobody but the system ends a process that way: it does so when memory is short.
        sentence = f"The machine ran out of memory while it was {_doing(title)}, and the system ended the computation."
        return Failure(sentence, _LESS_MEMORY, _details(title, sentence, description, trace), Cause.MEMORY)
    how = name or ("it stopped answering" if exit_code is None else f"exit code {exit_code}")
    sentence = f"The computation crashed ({how}) while it was {_doing(title)}."
    return Failure(sentence, _REPORT, _details(title, sentence, description, trace), Cause.CRASH)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was missing, in whatever words a library says it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY_WORDS)


def _explained(error: BaseException, title: str) -> tuple[Cause, str, str]:
    if isinstance(error, ResourceError) and is_out_of_memory(error.__cause__ or error):
        return Cause.MEMORY, f"The machine ran out of memory: {error}", _LESS_MEMORY
    if isinstance(error, PlantSegError):
        return Cause.PROBLEM, str(error), _advice(error)
    if is_out_of_memory(error):
        return Cause.MEMORY, f"The machine ran out of memory while it was {_doing(title)}.", _LESS_MEMORY
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Cause.PROBLEM, f"The disk is full: {error}.", f"Make room, then run it again. {_KEPT}"
    if isinstance(error, OSError):
        return Cause.PROBLEM, f"A file could not be used: {error}.", "Check that it is there and may be used."
    notes = " ".join(getattr(error, "__notes__", ()))
    sentence = f"{title} failed because of a defect in the program: {type(error).__name__}: {error} {notes}".rstrip()
    return Cause.DEFECT, sentence, _REPORT


def _advice(error: PlantSegError) -> str:
    if isinstance(error, InputError):
        return "Check the image, or choose another one."
    if isinstance(error, RequestError):
        return "Change the settings, then run it again."
    return f"Mend that, then run it again. {_KEPT}"


def _doing(title: str) -> str:
    return f"{title[:1].lower()}{title[1:]}" or "working"


def _signal_name(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return ""
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return ""


def _details(title: str, sentence: str, description: str, trace: str) -> str:
    if len(description) > _LONGEST_DESCRIPTION:
        description = f"{description[:_LONGEST_DESCRIPTION]} ..."
    parts = [f"{title}: {sentence}", trace.strip(), description.strip(), about_machine()]
    return "\n\n".join(part for part in parts if part)


def about_machine() -> str:
    """Return versions, platform and memory, for a bug report."""
    import psutil

    memory = psutil.virtual_memory()
    used = psutil.Process().memory_info().rss
    return "\n".join(
        [
            f"plantseg-app {_version('plantseg-app')}, Python {platform.python_version()} ({sys.executable})",
            f"{platform.platform()}, {os.cpu_count()} cores",
            f"memory: {human_bytes(memory.total)}, {human_bytes(memory.available)} free, {human_bytes(used)} used here",
            ", ".join(f"{package} {_version(package)}" for package in _PACKAGES),
        ]
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
