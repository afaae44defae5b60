"""Networks saved as ONNX, run by onnxruntime, which is an optional package.

An ONNX file is data: nodes out of a fixed set of operators, and numbers. It may say that its numbers lie in other
files, anywhere on the disk; such a file is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plantseg_app.errors import InputError, ResourceError

_LARGEST_BYTES = 2**31 - 1
_DEEPEST = 64
# Which fields of which message hold messages that may hold tensors: the numbers of onnx.proto.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


class OnnxRuntime:
    """A loaded graph; it runs on the processor, or on a graphics card where onnxruntime can."""

    def __init__(self, path: Path) -> None:
        self._content = _checked(path)
        self._path = path
        self._sessions: dict[str, Any] = {}
        # On the processor at once, so that a graph that cannot be run is found when it is loaded.
        self._session(torch.device("cpu"))

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the output tensors, on the device of the input.

        Raises
        ------
        InputError
            If the graph wants other tensors, or fails.
        """
        device = tensors[0].device
        session = self._session(device)
        wanted = session.get_inputs()
        if len(wanted) != len(tensors):
            raise InputError(f"The graph {self._path.name} reads {len(wanted)} tensors, not {len(tensors)}.")
        given = {
            node.name: tensor.detach().cpu().numpy().astype(_NUMPY_TYPES.get(node.type, np.float32))
            for node, tensor in zip(wanted, tensors, strict=True)
        }
        try:
            made = session.run(None, given)
        except _errors() as error:
            raise InputError(f"The graph of the model fails: {_last_words(error)}") from error
        return [torch.from_numpy(np.array(array, np.float32)).to(device) for array in made]

    def _session(self, device: torch.device) -> Any:
        runtime = import_onnxruntime()
        kind = (
            "cuda" if device.type == "cuda" and "CUDAExecutionProvider" in runtime.get_available_providers() else "cpu"
        )
        if kind not in self._sessions:
            options = runtime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.log_severity_level = 4
            providers = (
                ["CUDAExecutionProvider", "CPUExecutionProvider"] if kind == "cuda" else ["CPUExecutionProvider"]
            )
            try:
                self._sessions[kind] = runtime.InferenceSession(self._content, options, providers=providers)
            except _errors() as error:
                raise InputError(f"The graph {self._path} cannot be loaded: {_last_words(error)}") from error
        return self._sessions[kind]


_NUMPY_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


def import_onnxruntime() -> Any:
    """Return the package onnxruntime.

    Raises
    ------
    ResourceError
        If it is not installed; it says how to install it.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ResourceError(
            "This model is an ONNX graph, for which the package onnxruntime is missing: pip install onnxruntime."
        ) from error
    return onnxruntime


def _errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises: a dozen classes without a common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = [thing for thing in vars(state).values() if isinstance(thing, type) and issubclass(thing, Exception)]
    return (*found, RuntimeError, ValueError)


def _checked(path: Path) -> bytes:
    """Return the content of a file of weights that refers to no other file."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError(f"The graph {path} is larger than 2 GB; ONNX cannot hold that much in one file.")
        content = path.read_bytes()
        refers = any(_refers(field, value) for field, value in _tensor_fields(memoryview(content), "model", 0))
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"The graph {path} is damaged or no ONNX file: {_last_words(error)}") from error
    if refers:
        raise InputError(
            f"The graph {path} takes its numbers from other files of the disk, which is not allowed; save it with them "
            "inside."
        )
    return content


def _refers(field: int, value: int | memoryview) -> bool:
    return field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)


def _tensor_fields(message: memoryview, kind: str, depth: int) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of every tensor in a message, however deep it lies."""
    if depth > _DEEPEST:
        raise ValueError("its graphs lie too deep in each other")
    for field, value in _fields(message):
        if kind == "tensor":
            yield field, value
        inner = _INSIDE[kind].get(field)
        if inner is not None and isinstance(value, memoryview):
            yield from _tensor_fields(value, inner, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (number, value) of each field of a protocol buffer: a number, or the bytes of what has a length.

    >>> [(field, bytes(value) if isinstance(value, memoryview) else value)
    ...  for field, value in _fields(memoryview(bytes([8, 3, 18, 2, 65, 66])))]
    [(1, 3), (2, b'AB')]
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        field, sort = tag >> 3, tag & 7
        if sort == 0:
            value, at = _varint(message, at)
            yield field, value
            continue
        if sort == 2:
            length, at = _varint(message, at)
        elif sort in (1, 5):
            length = 8 if sort == 1 else 4
        else:
            raise ValueError("it has a field of an unknown sort")
        if at + length > len(message):
            raise ValueError("it is cut short")
        yield field, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("it holds a number that is too long")


def _last_words(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[-200:]
