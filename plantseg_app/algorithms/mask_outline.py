"""Objects with gaps between them, such as nuclei, from a mask (inside or not) and a map of outlines.

Seeds lie far from outlines and from the outside, a watershed floods the mask from them, and pieces without an outline
between them are joined again.

>>> import numpy as np
>>> mask = np.zeros((1, 12, 24), np.float32); mask[:, 2:10, 2:22] = 1
>>> outline = np.zeros_like(mask); outline[:, :, 11:13] = 1
>>> labels = segment_mask_and_outline(mask, outline, ObjectSettings(min_size=0))
>>> labels.max(), labels[0, 5, 5] == labels[0, 5, 18], bool((labels[mask == 0] == 0).all())
(np.uint32(2), np.False_, True)
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.algorithms.chain import Oversegmentation
from plantseg_app.algorithms.flooding import Spacing, flood, scale_sigma, smooth
from plantseg_app.algorithms.partition import gasp
from plantseg_app.algorithms.region_graph import build_region_graph
from plantseg_app.algorithms.watershed import WatershedSettings, distance_to_boundary, find_seeds


@dataclasses.dataclass(frozen=True)
class ObjectSettings:
    """How objects are found; the one place where these defaults are written.

    Attributes
    ----------
    mask_threshold
        Voxels of the mask above it are inside an object.
    outline_threshold
        Voxels of the outline map above it hold no seed.
    sigma_seeds
        Smoothing of the distance map before its maxima are taken, in voxels of the finest axis.
    beta
        In [0, 1]: pieces are joined where the outline between them is below ``1 - beta``; larger joins less.
    min_size
        Objects below this many voxels vanish.
    min_share
        Objects below this share of the median size of the others vanish too; in [0, 1].
    """

    mask_threshold: float = 0.5
    outline_threshold: float = 0.5
    sigma_seeds: float = 1.0
    beta: float = 0.5
    min_size: int = 20
    min_share: float = 0.0


DEFAULTS = ObjectSettings()


def segment_mask_and_outline(
    mask: NDArray[Any],
    outline: NDArray[Any],
    settings: ObjectSettings = DEFAULTS,
    spacing: Spacing | None = None,
    n_threads: int = 1,
    check: Check = never_stop,
    *,
    joins: bool = True,
) -> NDArray[np.uint32]:
    """Label the objects of a mask, told apart by their outlines.

    Parameters
    ----------
    mask, outline
        (Z, Y, X) in [0, 1]; Z may be 1.
    settings
        Thresholds and sizes.
    spacing
        Edge lengths of a voxel, any unit; equal on all axes unless given.
    n_threads
        Threads to use; the result does not depend on it.
    check
        Called between stages; may raise to stop.
    joins
        Whether pieces without an outline between them are joined; not, where outlines are unknown.

    Returns
    -------
    ndarray
        (Z, Y, X) uint32, 1 ... N, 0 outside.
    """
    pieces = find_pieces(mask, outline, settings, spacing, n_threads, check, joins=joins)
    return join_pieces(pieces, settings, joins=joins)


def find_pieces(
    mask: NDArray[Any],
    outline: NDArray[Any],
    settings: ObjectSettings = DEFAULTS,
    spacing: Spacing | None = None,
    n_threads: int = 1,
    check: Check = never_stop,
    *,
    joins: bool = True,
) -> Oversegmentation:
    """Return pieces of objects and the outlines between them; beta and min_size of the settings do not count yet.

    Parameters as in `segment_mask_and_outline`.
    """
    steps = (1.0,) * mask.ndim if spacing is None else spacing
    if mask.ndim == 3 and mask.shape[0] == 1:
        flat = find_pieces(mask[0], outline[0], settings, steps[1:], n_threads, check, joins=joins)
        return Oversegmentation(flat.labels[None], flat.graph)
    inside = np.ascontiguousarray(mask > settings.mask_threshold)
    relief = np.ascontiguousarray(outline, np.float32)
    # The outside is as good as an outline for keeping seeds away.
    walls = np.where(inside, relief, np.float32(1))
    distance = distance_to_boundary(walls, settings.outline_threshold, steps, n_threads)
    check()
    seeding = WatershedSettings(threshold=settings.outline_threshold, sigma_seeds=settings.sigma_seeds)
    seeds = find_seeds(distance, seeding, steps, n_threads, check)
    seeds[~inside] = 0
    check()
    # Where outlines are unknown, water rises from the middles of the objects.
    height = smooth(relief, scale_sigma(0.5, steps)) if joins else -smooth(distance, scale_sigma(0.5, steps))
    labels = flood(height, seeds, inside, n_threads, check)
    check()
    volume = labels if labels.ndim == 3 else labels[None]
    return Oversegmentation(labels, build_region_graph(volume, relief.reshape(volume.shape), n_threads, check))


def join_pieces(pieces: Oversegmentation, settings: ObjectSettings, *, joins: bool = True) -> NDArray[np.uint32]:
    """Join pieces without an outline between them and drop small objects; as `segment_mask_and_outline`."""
    graph = pieces.graph
    table = gasp(graph, settings.beta) if joins else np.arange(graph.n_nodes, dtype=np.uint32)
    sizes = np.bincount(table, weights=graph.sizes, minlength=int(table.max(initial=0)) + 1)
    sizes[0] = 0
    usual = sizes[sizes >= max(settings.min_size, 1)]
    smallest = max(settings.min_size, settings.min_share * float(np.median(usual))) if len(usual) else settings.min_size
    table = np.where(sizes[table] >= smallest, table, 0)
    table[0] = 0
    kept, dense = np.unique(table, return_inverse=True)
    # 0 is always among the kept ones, so objects are numbered from 1.
    return np.asarray((dense if kept[0] == 0 else dense + 1).astype(np.uint32)[pieces.labels])
