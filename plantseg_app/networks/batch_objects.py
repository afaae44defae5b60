"""The labelled objects of a batch, made ready for losses that are a few tensor operations whatever their number.

>>> ids = torch.tensor([[[1.0, 1.0, 0.0, 2.0]], [[0.0, 0.0, 0.0, 0.0]]])
>>> objects = BatchObjects.of(ids, known=None, with_background=True)
>>> objects.count, objects.sizes.tolist(), objects.image.tolist(), objects.is_background.tolist()
(4, [1.0, 2.0, 1.0, 4.0], [0, 0, 0, 1], [True, False, False, True])
>>> values = torch.tensor([[1.0, 3.0, 5.0, 7.0, 0.0, 0.0, 0.0, 8.0]])
>>> objects.means(values).tolist()
[[5.0, 2.0, 7.0, 2.0]]
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class BatchObjects:
    """All objects of all images of a batch, numbered from 0 in the order of images and labels.

    Attributes
    ----------
    count
        How many there are.
    pixel, owner
        Pixels (flat, images one after the other) that belong to an object, and the object.
    sizes
        (count,) how many pixels each one has, float32.
    image
        (count,) the image in which it lies.
    label
        (count,) its number in the image.
    is_background
        (count,) whether it is the background of its image.
    weight
        (count,) one over the objects of its image and over the images that have any: a sum with it is the mean over
        images of the mean over their objects.
    """

    count: int
    pixel: Tensor
    owner: Tensor
    sizes: Tensor
    image: Tensor
    label: Tensor
    is_background: Tensor
    weight: Tensor

    @classmethod
    def of(cls, ids: Tensor, known: Tensor | None, with_background: bool) -> BatchObjects:
        """Find them.

        Parameters
        ----------
        ids
            (N, ...) whole numbers, 0 is background.
        known
            (N, ...), 0 where nothing is known; None: known everywhere.
        with_background
            Whether the known background of each image is an object, too.
        """
        flat = ids.detach().flatten(1).long()
        valid = torch.ones_like(flat, dtype=torch.bool) if known is None else known.flatten(1) > 0.5
        if not with_background:
            valid &= flat > 0
        lengths = flat.amax(1) + 1
        offsets = torch.cumsum(lengths, 0) - lengths
        pixel = torch.nonzero(valid.flatten())[:, 0]
        code = (flat + offsets[:, None]).flatten()[pixel]
        counts = torch.bincount(code, minlength=int(lengths.sum()))
        present = torch.nonzero(counts)[:, 0]
        table = torch.zeros_like(counts)
        table[present] = torch.arange(len(present), device=ids.device)
        image = torch.repeat_interleave(torch.arange(len(flat), device=ids.device), lengths)[present]
        label = present - offsets[image]
        in_image = torch.bincount(image, minlength=len(flat))
        n_images = int((in_image > 0).sum())
        weight = 1 / (in_image[image].float() * max(1, n_images))
        sizes = counts[present].float()
        return cls(len(present), pixel, table[code], sizes, image, label, label == 0, weight)

    def means(self, values: Tensor) -> Tensor:
        """Return the mean (C, count) over each object of values (C, pixels of the batch)."""
        sums = values.new_zeros(len(values), self.count).index_add(1, self.owner, values[:, self.pixel])
        return sums / self.sizes

    def mean_of(self, values: Tensor) -> Tensor:
        """Return the mean over images of the mean over objects of the mean over pixels of `values`, one a `pixel`."""
        return (values * (self.weight / self.sizes)[self.owner]).sum()


def pixels_of(maps: Tensor) -> Tensor:
    """Return maps (N, C, ...) as (C, pixels of the batch), images one after the other."""
    return maps.flatten(2).transpose(0, 1).flatten(1)
