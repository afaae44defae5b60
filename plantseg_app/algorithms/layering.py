"""From activations of layers to objects that may overlap, and back: Algorithm 1 of the layering method.

Objects that touch or overlap lie in different layers, so that those of one layer are its connected components.

>>> worms = np.array([[[[1, 1, 1, 0]]], [[[0, 0, 2, 2]]]])
>>> layers = paint_layers(worms, 3)
>>> found = decode_layers(layers > 0, worms.any(0), LayerRules(min_size=2))
>>> found.tolist()
[[[[1, 1, 1, 0]]], [[[0, 0, 2, 2]]]]

References
----------
Chen, Wu and Merhof, BMVC 2022, "Instance segmentation of dense and overlapping objects via layering".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.layers import close_pairs, colour_objects, objects_of, without_empty_planes

DEFAULT_THRESHOLD = 0.5
DEFAULT_MIN_SIZE = 250
# Pixels that touch, also over a corner, are less than this apart.
_TOUCHING = 2.0


@dataclasses.dataclass(frozen=True)
class LayerRules:
    """The settings of decoding.

    Attributes
    ----------
    threshold
        Of the foreground and, with overlap, of the layers.
    min_size
        Pieces of foreground and objects with fewer pixels vanish.
    overlap
        Whether a pixel may lie in several layers; otherwise in the strongest one alone.
    """

    threshold: float = DEFAULT_THRESHOLD
    min_size: int = DEFAULT_MIN_SIZE
    overlap: bool = True


def decode_layers(
    layers: NDArray[Any], foreground: NDArray[Any], rules: LayerRules, check: Callable[[], None] = lambda: None
) -> NDArray[np.uint32]:
    """Return the objects that activations of layers show, slice by slice.

    Parameters
    ----------
    layers
        (N, Z, Y, X), how surely a pixel lies in each layer, 0 to 1.
    foreground
        (Z, Y, X), how surely it lies in an object, 0 to 1.
    rules
        Settings.
    check
        Called now and then; may raise.

    Returns
    -------
    NDArray[np.uint32]
        (L, Z, Y, X) with each id in one layer; layers without objects are left out, but for one.
    """
    result = np.zeros(layers.shape, np.uint32)
    n_found = 0
    for z in range(layers.shape[1]):
        inside = _without_small(foreground[z] > rules.threshold, rules.min_size) > 0
        strongest = np.argmax(layers[:, z], axis=0)
        for number in range(len(layers)):
            check()
            mask = strongest == number
            if rules.overlap:
                mask |= layers[number, z] > rules.threshold
            pieces = _without_small(mask & inside, rules.min_size)
            result[number, z] = np.where(pieces > 0, pieces + np.uint32(n_found), 0)
            n_found += int(pieces.max(initial=0))
    return without_empty_planes(result)


def _without_small(mask: NDArray[np.bool_], min_size: int) -> NDArray[np.uint32]:
    """Return the pieces (Y, X) of a mask with `min_size` pixels or more, numbered from 1; corners touch."""
    from scipy import ndimage

    pieces, n_pieces = ndimage.label(mask, np.ones((3, 3), bool))
    large = np.bincount(pieces.reshape(-1), minlength=n_pieces + 1) >= max(1, min_size)
    large[0] = False
    return np.asarray(np.where(large, np.cumsum(large), 0)[pieces], np.uint32)


def paint_layers(objects: NDArray[Any], n_layers: int) -> NDArray[np.uint32]:
    """Return (N, Z, Y, X) with every object in one layer, away from those that it touches or overlaps.

    Parameters
    ----------
    objects
        (L, Z, Y, X) with each id in one layer; each slice is painted by itself.
    n_layers
        Number of layers N. Where they do not suffice, objects that touch share one.
    """
    result = np.zeros((n_layers, *objects.shape[1:]), np.uint32)
    for z in range(objects.shape[1]):
        found = [one for layer in objects[:, z] for one in objects_of(layer)]
        pairs = close_pairs(objects[:, z], _TOUCHING)
        colours = colour_objects([name for name, _, _ in found], pairs, n_layers)
        for name, box, mask in found:
            result[colours[name], z][box][mask] = name
    return result
