"""Random patches for training: drawn from labelled regions, augmented, and prepared in the background.

The n-th batch depends on the seed and on n alone, whatever the number of threads, so that a resumed training sees
what an uninterrupted one would have seen.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plantseg_app.core.volume import VoxelSize
from plantseg_app.errors import RequestError
from plantseg_app.train.data import Stack
from plantseg_app.train.intensity import change_intensity
from plantseg_app.train.settings import AugmentSettings, PatchSettings
from plantseg_app.train.warp import IDENTITY, Places, draw_warp, find_places, inside_stack, take_linear, take_nearest

MakeTarget = Callable[[NDArray[Any], VoxelSize | None], NDArray[np.float32]]

_BLOCK = (16, 16)
_TRIES = 8
_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """What the network learns from in one go.

    Attributes
    ----------
    image
        (N, C, [Z,] Y, X) float32.
    target
        (N, C', [Z,] Y, X) float32, what the family's `targets` made.
    known
        (N, 1, [Z,] Y, X) float32, 1 where the target is known; None: everywhere.
    other_image
        The same patches after other changes of their grey values; None unless a second view was asked for.
    """

    image: Tensor
    target: Tensor
    known: Tensor | None
    other_image: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        known = None if self.known is None else self.known.to(device)
        other = None if self.other_image is None else self.other_image.to(device)
        return Batch(self.image.to(device), self.target.to(device), known, other)


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """One patch as arrays: image, target, a second view (C, Z, Y, X) float32 or None, known (Z, Y, X) bool or None."""

    image: NDArray[np.float32]
    target: NDArray[np.float32]
    known: NDArray[np.bool_] | None
    other_image: NDArray[np.float32] | None = None


class LabelledPlaces:
    """Draws voxels of a stack that are labelled, from counts in small blocks, without keeping every position."""

    def __init__(self, stack: Stack) -> None:
        n_y, n_x = (-(-n // b) for n, b in zip(stack.shape_vox[1:], _BLOCK, strict=True))
        counts = np.zeros((stack.shape_vox[0], n_y, n_x), np.int64)
        padded = np.zeros((n_y * _BLOCK[0], n_x * _BLOCK[1]), bool)
        for z in range(stack.shape_vox[0]):
            labelled = stack.labels[z] > 0
            if stack.known is not None:
                labelled &= stack.known[z]
            padded[: labelled.shape[0], : labelled.shape[1]] = labelled
            counts[z] = padded.reshape(n_y, _BLOCK[0], n_x, _BLOCK[1]).sum((1, 3))
        self._shape = counts.shape
        self._limits = np.array(stack.shape_vox)
        self._cumulative = np.cumsum(counts.ravel())

    @property
    def count(self) -> int:
        """Number of labelled voxels."""
        return int(self._cumulative[-1])

    def draw(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return a voxel (z, y, x) in a block with labelled voxels, blocks weighted by how many they have."""
        block = np.searchsorted(self._cumulative, rng.integers(self.count), side="right")
        z, y, x = np.unravel_index(block, self._shape)
        inside = rng.integers(0, _BLOCK)
        place = np.array([z, y * _BLOCK[0] + inside[0], x * _BLOCK[1] + inside[1]])
        return np.asarray(np.minimum(place, self._limits - 1), np.float64)


def shares(stacks: Sequence[Stack], counts: Sequence[int]) -> NDArray[np.float64]:
    """Return the probability of each stack: its `share`; what these leave is divided by the labelled voxels `counts`.

    Raises
    ------
    RequestError
        If the shares come to more than 1, or leave nothing for a stack without one.
    """
    asked = np.array([stack.share or 0.0 for stack in stacks])
    rest = np.where(asked > 0, 0.0, np.asarray(counts, float))
    total, n_others = float(asked.sum()), int((asked == 0).sum())
    if total > 1 + _ROUNDING or (n_others and total > 1 - _ROUNDING):
        others = f", and {n_others} stacks without a share are to get the rest" if n_others else ""
        raise RequestError(f"The shares under data.train come to {total:g}{others}; make them less, in sum below 1.")
    # Without others, and where a stack with a share held no label, the shares are stretched to 1.
    wanted = asked + (1 - total) * rest / rest.sum() if n_others else asked
    return np.asarray(wanted / wanted.sum())


class PatchSource:
    """Makes training patches of some stacks.

    Parameters
    ----------
    stacks
        Labelled stacks of any sizes.
    make_target
        From labels (Z, Y, X) to what the network should say (C, Z, Y, X).
    patches, augment
        How patches are drawn and changed.
    mirrored
        Whether stacks are continued beyond their borders as in a mirror; otherwise there is nothing: image and labels
        are 0, and the target is not known.
    second_view
        Whether each patch comes with a second image, whose grey values are changed anew.
    """

    def __init__(
        self,
        stacks: Sequence[Stack],
        make_target: MakeTarget,
        patches: PatchSettings,
        augment: AugmentSettings,
        mirrored: bool = True,
        second_view: bool = False,
    ) -> None:
        self.stacks = list(stacks)
        self.make_target = make_target
        self.patches = patches
        self.augment = augment
        self.mirrored = mirrored
        self.second_view = second_view
        self._labelled = [LabelledPlaces(stack) for stack in self.stacks]
        self._share = np.cumsum(shares(self.stacks, [places.count for places in self._labelled]))

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return one patch; all randomness comes from `rng`."""
        number = min(int(np.searchsorted(self._share, rng.random(), side="right")), len(self.stacks) - 1)
        stack = self.stacks[number]
        shape = self.patches.shape_vox
        warp = draw_warp(rng, self.augment, shape, stack.voxel_size_um or (1.0, 1.0, 1.0))
        anywhere = rng.random() < self.patches.anywhere
        for _ in range(_TRIES):
            centre = self._draw_centre(rng, number, anywhere)
            places = find_places(warp, centre, shape)
            labels, known = self._labels(stack, places)
            labelled = labels > 0 if known is None else (labels > 0) & known
            if anywhere or labelled.mean() >= self.patches.min_labelled:
                break
        plain = stack.normalised(take_linear(stack.image, places))
        image = change_intensity(rng, self.augment, plain)
        other = change_intensity(rng, self.augment, plain) if self.second_view else None
        if not self.mirrored:
            inside = inside_stack(places, stack.shape_vox)
            image = np.where(inside, image, np.float32(0))
            other = None if other is None else np.where(inside, other, np.float32(0))
            labels = np.where(inside, labels, 0).astype(labels.dtype)
            known = inside if known is None else known & inside
        return Sample(image, self.make_target(stack.objects(labels), stack.voxel_size_um), known, other)

    def _draw_centre(self, rng: np.random.Generator, number: int, anywhere: bool) -> NDArray[np.float64]:
        """Return the middle of a patch, moved so that the unturned patch lies inside the stack where it fits."""
        size = np.array(self.stacks[number].shape_vox, float)
        half = (np.array(self.patches.shape_vox) - 1) / 2
        if anywhere:
            middle = rng.uniform(0, 1, 3) * (size - 1)
        else:
            middle = self._labelled[number].draw(rng) + np.round(rng.uniform(-0.5, 0.5, 3) * half)
        low, high = half, size - 1 - half
        middle = np.where(low <= high, np.clip(middle, low, high), (size - 1) / 2)
        # On the grid of voxels, so that an unturned patch is copied and not interpolated.
        return np.asarray(np.floor(middle - half + 0.5) + half)

    def _labels(self, stack: Stack, places: Places) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        known = None if stack.known is None else take_nearest(stack.known, places)
        return take_nearest(stack.labels, places), known

    def batch(self, seed: int, number: int) -> Batch:
        """Return batch `number` of the training with this seed."""
        samples = [self.sample(np.random.default_rng([seed, number, i])) for i in range(self.patches.batch)]
        return collate(samples)


def collate(samples: Sequence[Sample]) -> Batch:
    """Return patches as one batch; those of one slice lose their Z axis."""
    image = np.stack([sample.image for sample in samples])
    target = np.stack([sample.target for sample in samples])
    known = None
    if any(sample.known is not None for sample in samples):
        everywhere = np.ones(image.shape[2:], bool)
        masks = [everywhere if sample.known is None else sample.known for sample in samples]
        known = np.stack(masks)[:, None].astype(np.float32)
    others = [sample.other_image for sample in samples if sample.other_image is not None]
    arrays = [image, target, known, np.stack(others) if others else None]
    if image.shape[2] == 1:
        arrays = [None if array is None else array[:, :, 0] for array in arrays]
    tensors = [None if array is None else torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    return Batch(*tensors)  # type: ignore[arg-type]


def stream_batches(source: PatchSource, seed: int, start: int) -> Generator[Batch, None, None]:
    """Yield batches `start`, `start + 1` ... without end, prepared ahead by threads.

    Close the generator (or let it be collected) to end the threads.
    """
    settings = source.patches
    with ThreadPoolExecutor(settings.workers, thread_name_prefix="patches") as pool:
        waiting: deque[Future[Batch]] = deque()
        number = start
        try:
            while True:
                while len(waiting) < settings.prefetch:
                    waiting.append(pool.submit(source.batch, seed, number))
                    number += 1
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def unaugmented(settings: PatchSettings, stack: Stack, make_target: MakeTarget, centre: NDArray[np.float64]) -> Sample:
    """Return the patch around `centre` as it lies in the stack: nothing is drawn, nothing is changed."""
    places = find_places(IDENTITY, centre, settings.shape_vox)
    known = None if stack.known is None else take_nearest(stack.known, places)
    image = stack.normalised(take_linear(stack.image, places))
    objects = stack.objects(take_nearest(stack.labels, places))
    return Sample(image, make_target(objects, stack.voxel_size_um), known)
