"""Judging a network on stacks it does not learn from: never augmented, always in evaluation mode."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from torch import nn

from plantseg_app.core.context import Context
from plantseg_app.train.data import Stack
from plantseg_app.train.events import Example
from plantseg_app.train.settings import ValidationSettings
from plantseg_app.train.tasks.task import TrainingTask

_SLICES_2D = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Verdict:
    """The mean over the validation stacks.

    Attributes
    ----------
    loss
        Of the whole stacks.
    score
        What counts; NaN where no stack could be scored.
    rank
        Two numbers to compare states by, smaller is better: the score turned so, then the loss.
    example
        A picture of the first stack.
    """

    loss: float
    score: float
    rank: tuple[float, float]
    example: Example


def validation_pieces(stacks: Sequence[Stack], settings: ValidationSettings, is_2d: bool) -> list[Stack]:
    """Return what is judged: the middle of some stacks, spread over the list; for 2D networks some slices of each."""
    n_kept = min(settings.stacks, len(stacks))
    chosen = [stacks[i * len(stacks) // n_kept] for i in range(n_kept)]
    pieces = []
    for stack in chosen:
        piece = stack.crop(_middle(stack.shape_vox, settings.crop_vox))
        if not is_2d:
            pieces.append(piece)
            continue
        n_slices = piece.shape_vox[0]
        for i in range(min(_SLICES_2D, n_slices)):
            z = (2 * i + 1) * n_slices // (2 * min(_SLICES_2D, n_slices))
            pieces.append(piece.crop((slice(z, z + 1), slice(None), slice(None))))
    labelled = [piece for piece in pieces if piece.is_labelled]
    # Where the middles hold no label the whole stacks are judged.
    return labelled or list(stacks)


def _middle(shape: tuple[int, int, int], largest: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    starts = [max(0, (n - m) // 2) for n, m in zip(shape, largest, strict=True)]
    z, y, x = (slice(start, start + min(n, m)) for start, n, m in zip(starts, shape, largest, strict=True))
    return z, y, x


def validate(task: TrainingTask, network: nn.Module, pieces: Sequence[Stack], context: Context) -> Verdict:
    """Judge `network` on whole pieces.

    It works on a copy: predicting changes the memory layout of a network, and so the rounding of later steps.
    """
    judged = copy.deepcopy(network).eval()
    found = [task.judge(judged, piece, context) for piece in context.track(pieces, "Validate")]
    loss = float(np.mean([one.loss for one in found]))
    scores = [one.score for one in found if not math.isnan(one.score)]
    score = float(np.mean(scores)) if scores else math.nan
    badness = math.inf if math.isnan(score) else -score if task.higher_is_better else score
    rank = (badness, loss if math.isfinite(loss) else math.inf)
    return Verdict(loss, score, rank, found[0].example)
