"""Turns what reading and writing libraries raise on bad files and full disks into the program's own errors."""

from __future__ import annotations

import errno
import struct
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plantseg_app.errors import InputError, ResourceError

# All that tifffile, h5py, Pillow and imagecodecs were seen to raise on truncated and garbled files.
LIBRARY_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
    ElementTree.ParseError,
)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise `InputError` for a file that a library stumbles over, `ResourceError` when memory runs out."""
    try:
        yield
    except MemoryError as error:
        raise ResourceError(
            f"The image in {path.name} does not fit into memory ({error}). Read one channel or time point, "
            "crop it, or use a machine with more memory."
        ) from error
    except PermissionError as error:
        raise InputError(f"The file {path} may not be read by you; change its permissions or copy it.") from error
    except LIBRARY_ERRORS as error:
        raise InputError(
            f"The file {path.name} is damaged or incomplete ({_reason(error)}). Copy or export it again."
        ) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise `ResourceError` when a file cannot be written."""
    try:
        yield
    except MemoryError as error:
        raise ResourceError(f"There is not enough memory to write {path.name}; close other programs.") from error
    except PermissionError as error:
        raise ResourceError(
            f"The file {path} may not be written ({_reason(error)}). Close the program that has it open, change its "
            "permissions, or choose another folder."
        ) from error
    except (OSError, RuntimeError) as error:
        if _is_full(error):
            raise ResourceError(
                f"There is no space left to write {path}; the old file, if any, is unchanged. Free some space."
            ) from error
        raise ResourceError(f"The file {path} could not be written ({_reason(error)}).") from error


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    # HDF5 hides the number in its text.
    return any(f"errno = {number}," in str(error) for number in FULL)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.errno is not None:
        return error.strerror
    text = " ".join(str(error).split())
    return text[:200] if text else type(error).__name__
