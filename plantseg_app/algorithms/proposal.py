"""Cells that a person has settled, and a proposal for all the rest, in one image of labels. Knows arrays alone.

>>> settled, proposed = np.array([[[4, 4, 0, 0, 0, 0]]], np.uint32), np.array([[[1, 1, 1, 2, 2, 2]]], np.uint32)
>>> around_settled(proposed, settled).tolist()
[[[4, 4, 0, 5, 5, 5]]]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import map_ids
from plantseg_app.algorithms.region_graph import make_dense

LEAST_LEFT = 0.5
"""Share of a proposed object that must lie outside settled ones for it to be one of its own."""


def around_settled(proposed: NDArray[Any], settled: NDArray[Any], least_left: float = LEAST_LEFT) -> NDArray[Any]:
    """Return the settled cells under their names, and around them the proposed objects under names that are free.

    A proposed object loses the voxels of settled cells, and vanishes where too little of it is left: it was one of
    them.

    Parameters
    ----------
    proposed, settled
        (Z, Y, X) labels of one shape.
    least_left
        Share of an object's voxels, in [0, 1].

    Returns
    -------
    NDArray
        (Z, Y, X) of the type of `settled`, a new array.
    """
    dense, names = make_dense(proposed)
    free = settled == 0
    whole = np.bincount(dense.ravel(), minlength=len(names))
    left = np.bincount(dense[free], minlength=len(names))
    stays = (left > 0) & (left >= least_left * whole)
    stays[0] = False
    table = np.zeros(len(names), settled.dtype)
    table[stays] = int(settled.max(initial=0)) + 1 + np.arange(np.count_nonzero(stays))
    return np.where(free, map_ids(dense, table), settled)
