"""Training on a few objects: all but some are taken out of the labels, and nothing but these is known.

>>> labels = np.arange(1, 11, dtype=np.uint32).reshape(1, 2, 5)
>>> stack = Stack.from_arrays(labels * 20, labels)
>>> some = keep_some_objects(stack, 0.3, np.random.default_rng(0))
>>> len(np.unique(some.labels)) - 1, int(some.known.sum())
(3, 3)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from plantseg_app.errors import RequestError
from plantseg_app.train.data import Stack
from plantseg_app.train.settings import DataSettings


def annotated_part(stacks: Sequence[Stack], settings: DataSettings) -> list[Stack]:
    """Return the stacks as if a share of their objects had been annotated; as they are where none is asked for.

    The draw depends on the seed and the order of the stacks alone.

    Raises
    ------
    RequestError
        If objects may overlap, or the share is too small for there to be any.
    """
    share = settings.annotated_share
    if share is None:
        return list(stacks)
    if any(stack.table is not None for stack in stacks):
        raise RequestError("Objects that may overlap are learned from all of them; leave data.annotated_share out.")
    some = [
        keep_some_objects(stack, share, np.random.default_rng([settings.annotated_seed, number]))
        for number, stack in enumerate(stacks)
    ]
    labelled = [stack for stack in some if stack.is_labelled]
    if not labelled:
        raise RequestError(f"data.annotated_share {share:g} is less than one object of any stack; make it larger.")
    return labelled


def keep_some_objects(stack: Stack, share: float, rng: np.random.Generator) -> Stack:
    """Return a stack of which `share` of the objects, rounded to the nearest number, is known, and nothing else."""
    names = np.unique(stack.labels if stack.known is None else stack.labels[stack.known])
    names = names[names > 0]
    chosen = rng.permutation(names)[: int(share * len(names) + 0.5)]
    known = np.isin(stack.labels, chosen)
    if stack.known is not None:
        known &= stack.known
    return dataclasses.replace(stack, labels=np.where(known, stack.labels, 0).astype(stack.labels.dtype), known=known)
