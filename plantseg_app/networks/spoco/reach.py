"""What lies near an object: other objects, and pixels, by bounding boxes. Knows tensors alone.

A convolutional network sees no farther than its receptive field, so two like objects farther apart than that cannot get
different embeddings; it need not try where objects are compared within a reach.

>>> objects = BatchObjects.of(torch.tensor([[[1.0, 0.0, 0.0, 2.0, 0.0, 3.0]]]), None, with_background=False)
>>> boxes = Boxes.of(objects, (1, 6))
>>> boxes.pairs(2).tolist(), boxes.near(torch.tensor([1]), 1).tolist()
([[1, 2], [2, 1]], [[0.0, 0.0, 1.0, 1.0, 1.0, 0.0]])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from plantseg_app.networks.batch_objects import BatchObjects


@dataclasses.dataclass(frozen=True, eq=False)
class Boxes:
    """Bounding boxes of the objects of a batch: `low` and `high` (axes, count), both inside, in images of `shape`."""

    objects: BatchObjects
    shape: tuple[int, ...]
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, objects: BatchObjects, shape: Sequence[int]) -> Boxes:
        """Find them; the background has that of the image."""
        rest, low, high = objects.pixel, [], []
        for size in reversed(shape):
            at, rest = rest % size, rest // size
            start = at.new_full((objects.count,), size)
            low.append(torch.where(objects.is_background, 0, start.scatter_reduce(0, objects.owner, at, "amin")))
            end = start.new_zeros(objects.count).scatter_reduce(0, objects.owner, at, "amax")
            high.append(torch.where(objects.is_background, size - 1, end))
        return cls(objects, tuple(shape), torch.stack(low[::-1]), torch.stack(high[::-1]))

    def pairs(self, reach: float | None) -> Tensor:
        """Return (2, K) objects of one image whose boxes lie at most `reach` apart along every axis, in both orders."""
        image = self.objects.image
        together = image[:, None] == image
        together.fill_diagonal_(False)
        if reach is not None:
            apart = torch.maximum(self.low[:, :, None] - self.high[:, None], self.low[:, None] - self.high[:, :, None])
            together &= (apart <= reach).all(0)
        return torch.nonzero(together).T

    def near(self, which: Tensor, reach: float | None) -> Tensor | None:
        """Return (K, pixels of an image), 1 within `reach` of the boxes of the objects `which`; None: everywhere."""
        if reach is None:
            return None
        inside: Tensor | None = None
        for axis, size in enumerate(self.shape):
            at = torch.arange(size, device=which.device)
            low, high = self.low[axis, which, None], self.high[axis, which, None]
            along = (at >= low - reach) & (at <= high + reach)
            inside = along if inside is None else (inside[..., None] & along.view(len(which), *[1] * axis, size))
        return None if inside is None else inside.flatten(1).float()
