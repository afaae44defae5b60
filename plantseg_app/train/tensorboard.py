"""Scalars and example images of a training for TensorBoard, an optional package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import RequestError
from plantseg_app.train.events import StepDone, TrainEvents, ValidationDone

_EVERY_STEPS = 10


@contextmanager
def logging_to(folder: Path, events: TrainEvents, wanted: bool = True) -> Iterator[None]:
    """Write the events of a training to `folder` until the block ends; do nothing unless `wanted`.

    Raises
    ------
    RequestError
        If TensorBoard is not installed.
    """
    if not wanted:
        yield
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise RequestError(
            'TensorBoard is not installed; run pip install "plantseg-app[tensorboard]", or set tensorboard: false.'
        ) from error
    writer: Any = SummaryWriter(str(folder))

    def write_step(event: StepDone) -> None:
        if event.step % _EVERY_STEPS == 0:
            for name, value in event.losses.items():
                writer.add_scalar(f"train/{name}", value, event.step)
            writer.add_scalar("train/learning_rate", event.rate, event.step)

    def write_validation(event: ValidationDone) -> None:
        writer.add_scalar("validation/loss", event.loss, event.step)
        writer.add_scalar(f"validation/{event.score_name}", event.score, event.step)
        if event.example is not None:
            writer.add_image("validation/image", _grey(event.example.image), event.step, dataformats="HW")
            writer.add_image("validation/prediction", _grey(event.example.prediction), event.step, dataformats="HW")

    events.step.connect(write_step)
    events.validation.connect(write_validation)
    try:
        yield
    finally:
        events.step.disconnect(write_step)
        events.validation.disconnect(write_validation)
        writer.close()


def _grey(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)
