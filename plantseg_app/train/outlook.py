"""How long the steps of a training are expected to take, from the arithmetic of its network. Loads torch when asked.

>>> from plantseg_app.train.settings import TrainSettings
>>> plain = {"output": "m", "family": {"kind": "boundary", "feature_maps": [4, 8]}, "device": "cpu"}
>>> small = TrainSettings.from_plain({**plain, "patches": {"shape_vox": [8, 16, 16], "batch": 1}})
>>> large = TrainSettings.from_plain({**plain, "patches": {"shape_vox": [8, 16, 16], "batch": 4}})
>>> round(seconds_per_step(large, 2) / seconds_per_step(small, 2), 3)
4.0
"""

from __future__ import annotations

import math

from plantseg_app.train.settings import TrainSettings

# One pass forward and about two backward.
_PASSES = 3


def seconds_per_step(settings: TrainSettings, n_threads: int) -> float:
    """Return what one step takes, without validations.

    Parameters
    ----------
    settings
        What is to be trained.
    n_threads
        Cores at hand, where the processor does the work.

    Raises
    ------
    RequestError, InputError
        If the start of the settings is not there or is damaged.
    """
    import torch

    from plantseg_app.networks.device import resolve_device, speed_of
    from plantseg_app.networks.memory import network_cost
    from plantseg_app.train.start import find_start

    family, patches = find_start(settings).family, settings.patches
    cost = network_cost(family.build(), family.in_channels, family.grid_vox, torch.float32)
    n_voxels = math.prod(patches.shape_vox) * patches.batch * patches.accumulate
    speed = speed_of(resolve_device(settings.device), torch.float32, n_threads)
    return _PASSES * cost.flop_per_voxel * n_voxels / speed


def expected_seconds(settings: TrainSettings, step_seconds: float) -> float:
    """Return how long a training takes at most: its steps, or the minutes it is given."""
    steps = settings.stopping.steps * step_seconds
    return min(steps, 60 * settings.stopping.minutes) if settings.stopping.minutes else steps
