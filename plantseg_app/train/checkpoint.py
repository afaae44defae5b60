"""Checkpoints: everything that a training continues from, in one file that is either whole or not there.

They hold tensors, numbers and texts alone, so reading one never runs code.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from plantseg_app.errors import InputError
from plantseg_app.io.atomic import replacing

LAST, BEST, FIRST_PHASE = "last.pt", "best.pt", "first-phase.pt"
FORMAT = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; a crash leaves the old file or the new one."""
    with replacing(path) as partial:
        torch.save({"checkpoint": FORMAT, **state}, partial)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the processor.

    Raises
    ------
    InputError
        If it is missing, damaged or of another kind.
    """
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}; start the training without resuming.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise InputError(f"The checkpoint {path} is damaged ({error}); start the training anew.") from error
    if not isinstance(state, dict) or state.get("checkpoint") != FORMAT:
        raise InputError(f"The file {path} is no checkpoint of this version; start the training anew.")
    return state
