"""Networks saved as TorchScript: looked through before they are loaded, then run by torch.

TorchScript is a program in a small language of its own: it cannot call Python, but it has a few operators that read and
write files or talk to other machines. An archive that mentions one of them is refused before any of it is loaded.
"""

from __future__ import annotations

import ast
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from plantseg_app.errors import InputError

_LARGEST_CODE_BYTES = 16 * 2**20
_LARGEST_GROWTH = 20
_SMALL_BYTES = 2**20
_MOST_FILES = 100_000
# An end record without a comment is the last thing in the file, so that all readers find the same one.
_FIRST, _END, _END_BYTES = b"PK\x03\x04", b"PK\x05\x06", 22
_HARMLESS_LIBRARIES = {"aten", "prim", "prims", "quantized", "inductor", "mkldnn", "torchvision"}
_FORBIDDEN = {
    "save", "from_file", "load_tensor", "load", "open", "PythonOp", "IgnoredPythonOp", "rpc_sync", "rpc_async",
    "rpc_remote", "classes",
}  # fmt: skip


class TorchScriptRuntime:
    """A loaded graph; it moves to the device of what it is given."""

    def __init__(self, path: Path) -> None:
        check_torchscript(path)
        try:
            with warnings.catch_warnings():
                # torch has newer formats; this one is what the models of others come in.
                warnings.simplefilter("ignore")
                self._module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        except (RuntimeError, OSError, ValueError) as error:
            raise InputError(f"The graph {path} cannot be loaded: {_first_line(error)}") from error
        # A graph that was frozen is in this mode for good, and knows nothing of modes.
        if hasattr(self._module, "training"):
            self._module.eval()
        self._device = torch.device("cpu")

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the output tensors.

        Raises
        ------
        InputError
            If the graph fails, or returns something else than tensors.
        """
        if tensors[0].device != self._device:
            self._module.to(tensors[0].device)
            self._device = tensors[0].device
        try:
            result = self._module(*tensors)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except RuntimeError as error:
            if "memory" in str(error):
                # The predictor knows what to do.
                raise
            raise InputError(
                f"The graph of the model fails on images of {_shapes(tensors)}: {_first_line(error)}"
            ) from error
        made = [result] if isinstance(result, Tensor) else list(result) if isinstance(result, (tuple, list)) else []
        if not made or not all(isinstance(tensor, Tensor) for tensor in made):
            raise InputError(f"The graph of the model returns {type(result).__name__} instead of images.")
        return made


def check_torchscript(path: Path) -> None:
    """Refuse an archive that is none, that fills the memory, or whose program could do more than compute.

    Raises
    ------
    InputError
        Saying what was found.
    """
    try:
        with path.open("rb") as stream:
            first = stream.read(len(_FIRST))
            stream.seek(-min(_END_BYTES, path.stat().st_size), 2)
            last = stream.read()
        if first != _FIRST or not last.startswith(_END):
            raise InputError(f"{path} is no whole TorchScript archive.")
        with zipfile.ZipFile(path) as archive:
            _check_sizes(archive, path)
            for entry in archive.infolist():
                if entry.filename.endswith(".py"):
                    _check_code(archive.read(entry).decode("utf-8"), f"{entry.filename} of {path}")
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, zipfile.LargeZipFile) as error:
        raise InputError(f"The graph {path} is damaged: {_first_line(error)}") from error


def _check_sizes(archive: zipfile.ZipFile, path: Path) -> None:
    entries = archive.infolist()
    code = sum(entry.file_size for entry in entries if entry.filename.endswith(".py"))
    whole = sum(entry.file_size for entry in entries)
    if (
        len(entries) > _MOST_FILES
        or code > _LARGEST_CODE_BYTES
        or whole > _LARGEST_GROWTH * path.stat().st_size + _SMALL_BYTES
    ):
        raise InputError(
            f"The graph {path} would unpack to {whole} bytes; no network is like that, so it is not loaded."
        )


def _check_code(text: str, where: str) -> None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise InputError(f"The program {where} cannot be read, so it is not loaded.") from error
    for forbidden in _forbidden_in(tree):
        raise InputError(
            f'The program {where} uses "{forbidden}", which can reach beyond the network (files, other machines), so '
            "it is not loaded."
        )


def _forbidden_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if node.attr in _FORBIDDEN:
                yield node.attr
            if isinstance(node.value, ast.Name) and node.value.id == "ops" and node.attr not in _HARMLESS_LIBRARIES:
                yield f"ops.{node.attr}"
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield "import"


def _shapes(tensors: Sequence[Tensor]) -> str:
    return " and ".join(str(tuple(tensor.shape)) for tensor in tensors)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # A failing graph says last what went wrong.
    return (lines[-1] if lines else type(error).__name__)[:200]
