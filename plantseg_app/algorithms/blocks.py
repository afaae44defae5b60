"""Boxes that tile an array, with a halo, and the threads that work through them.

Pure geometry: nothing here knows what the numbers mean. Results never depend on the number of threads, since each
box writes to its own place.

>>> [block.inner[2] for block in tile((1, 1, 5), (1, 1, 3))]
[slice(0, 3, None), slice(3, 5, None)]
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Slices = tuple[slice, ...]
Check = Callable[[], None]


def never_stop() -> None:
    """Do nothing: the check of a caller who cannot be cancelled."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A box of an array.

    Attributes
    ----------
    inner
        The box itself.
    outer
        The box grown by the halo, clipped to the array.
    core
        The inner box as an index into an array cut out with `outer`.
    """

    inner: Slices
    outer: Slices
    core: Slices

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the inner box."""
        return tuple(part.stop - part.start for part in self.inner)


def grow(box: Slices, shape: Sequence[int], before: Sequence[int] | int = 0, after: Sequence[int] | int = 0) -> Block:
    """Return a box with a halo, clipped to an array of the given shape.

    Parameters
    ----------
    box
        Start and stop for each axis.
    shape
        Shape of the array.
    before, after
        Halo in voxels towards lower and higher indices; one number stands for all axes.
    """
    low = [before] * len(box) if isinstance(before, int) else before
    high = [after] * len(box) if isinstance(after, int) else after
    outer = tuple(
        slice(max(part.start - low[axis], 0), min(part.stop + high[axis], shape[axis])) for axis, part in enumerate(box)
    )
    core = tuple(slice(part.start - wide.start, part.stop - wide.start) for part, wide in zip(box, outer, strict=True))
    return Block(box, outer, core)


def tile(
    shape: Sequence[int], block_shape: Sequence[int], before: Sequence[int] | int = 0, after: Sequence[int] | int = 0
) -> list[Block]:
    """Return the blocks that cover an array once, in the order of its axes; `before` and `after` as in `grow`."""
    axes = [
        [slice(start, min(start + step, size)) for start in range(0, size, step)]
        for size, step in zip(shape, block_shape, strict=True)
    ]
    return [grow(box, shape, before, after) for box in itertools.product(*axes)]


def run_all(tasks: Sequence[Callable[[], T]], n_threads: int = 1, check: Check = never_stop) -> list[T]:
    """Call all tasks on some threads and return their results in the order of the tasks.

    Parameters
    ----------
    tasks
        Functions without arguments; they should spend their time in code that releases the interpreter lock.
    n_threads
        How many run at once.
    check
        Called between tasks; what it raises stops the rest and is raised here.
    """
    if n_threads <= 1 or len(tasks) <= 1:
        results = []
        for task in tasks:
            check()
            results.append(task())
        return results
    with ThreadPoolExecutor(n_threads) as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            pending = set(futures)
            while pending:
                check()
                _, pending = wait(pending, timeout=0.1, return_when=FIRST_EXCEPTION)
                if any(future.done() and future.exception() is not None for future in futures):
                    break
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()


def map_ids(
    labels: NDArray[Any], table: NDArray[Any], n_threads: int = 1, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Replace every id by ``table[id]``, slice by slice on some threads.

    Parameters
    ----------
    labels
        Ids below ``len(table)``, any number of axes.
    table
        One new id for each old one.
    out
        Where to write; may be `labels` itself. A new array of the table's type unless given.
    """
    result = np.empty(labels.shape, table.dtype) if out is None else out
    n_parts = max(1, min(len(labels), 4 * n_threads)) if labels.ndim else 1
    bounds = np.linspace(0, len(labels), n_parts + 1).astype(int)

    def fill(start: int, stop: int) -> None:
        np.take(table, labels[start:stop], out=result[start:stop], mode="clip")

    run_all([lambda a=a, b=b: fill(a, b) for a, b in itertools.pairwise(bounds)], n_threads)  # type: ignore[misc]
    return result
