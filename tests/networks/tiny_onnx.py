"""Writes small ONNX files byte by byte: no package is needed for it, and they can be wrong on purpose."""

from __future__ import annotations

import struct
from collections.abc import Sequence

FLOAT, INT64 = 1, 7


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def tensor(name: str, values: Sequence[float], shape: Sequence[int] = (), extra: bytes = b"") -> bytes:
    dims = b"".join(number(1, size) for size in shape)
    return dims + number(2, FLOAT) + message(8, name) + message(9, struct.pack(f"<{len(values)}f", *values)) + extra


def external(name: str, location: str) -> bytes:
    entry = message(1, "location") + message(2, location)
    return number(1, 1) + number(2, FLOAT) + message(8, name) + message(13, entry) + number(14, 1)


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], attributes: bytes = b"") -> bytes:
    names = b"".join(message(1, name) for name in inputs) + b"".join(message(2, name) for name in outputs)
    return names + message(4, kind) + attributes


def attribute_tensor(name: str, content: bytes) -> bytes:
    return message(5, message(1, name) + message(5, content) + number(20, 4))


def value(name: str, rank: int) -> bytes:
    shape = b"".join(message(1, message(2, f"{name}{axis}")) for axis in range(rank))
    return message(1, name) + message(2, message(1, number(1, FLOAT) + message(2, shape)))


def model(
    nodes: Sequence[bytes], constants: Sequence[bytes], inputs: Sequence[str], outputs: Sequence[str], rank: int = 4
) -> bytes:
    graph = b"".join(message(1, entry) for entry in nodes) + message(2, "tiny")
    graph += b"".join(message(5, entry) for entry in constants)
    graph += b"".join(message(11, value(name, rank)) for name in inputs)
    graph += b"".join(message(12, value(name, rank)) for name in outputs)
    return number(1, 8) + message(7, graph) + message(8, message(1, "") + number(2, 13))


def times_two_plus_one() -> bytes:
    """A graph that says 2 x + 1 of its only input."""
    nodes = [node("Mul", ["x", "two"], ["doubled"]), node("Add", ["doubled", "one"], ["y"])]
    return model(nodes, [tensor("two", [2.0]), tensor("one", [1.0])], ["x"], ["y"])
