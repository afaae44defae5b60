"""A training of which somebody needs the model at once, to go on with it. Knows nothing of how cells are found.

>>> import numpy as np
>>> from plantseg_app.core.volume import Kind
>>> segment: Segment = lambda model, image: image.replace(data=(image.data > 0).astype(np.uint32), kind=Kind.LABELS)
>>> segment("my-model", Volume(np.ones((1, 2, 2), np.float32), Kind.RAW)).kind.value
'labels'
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from plantseg_app.core.context import Context
from plantseg_app.core.volume import Volume
from plantseg_app.errors import Cancelled
from plantseg_app.train.data import Stack
from plantseg_app.train.events import TrainEvents
from plantseg_app.train.settings import TrainSettings

Segment = Callable[[str, Volume], Volume]
"""From a model (id or folder) and an image to its cells, or layers of objects."""


def train_on(
    settings: TrainSettings, stacks: Sequence[Stack], context: Context, events: TrainEvents, resume: bool
) -> Path:
    """Train on stacks, judge on the same ones, and return the folder of the model.

    Raises
    ------
    RequestError, InputError
        As `plantseg_app.train.loop.train`.
    Cancelled
        If the user asked to stop; the training can be resumed.
    """
    from plantseg_app.train.loop import train

    result = train(settings, context, events, resume=resume, data=(list(stacks), list(stacks)))
    if result.reason == "cancelled" or result.model is None:
        raise Cancelled("Stopped on request; the training can be resumed.")
    return result.model
