"""A running average of a network's weights and statistics, which predicts better than the last step's.

>>> network = nn.Linear(1, 1, bias=False)
>>> averaged = make_average(network)
>>> with torch.no_grad():
...     _ = network.weight.add_(1.0)
>>> follow(averaged, network, 0, 0.998)
>>> round(float((network.weight - averaged.weight).detach()), 3)
0.1
"""

from __future__ import annotations

import copy

import torch
from torch import nn


def make_average(network: nn.Module) -> nn.Module:
    """Return a copy that follows `network` and is never trained itself."""
    averaged = copy.deepcopy(network).eval()
    for parameter in averaged.parameters():
        parameter.requires_grad_(False)
    return averaged


@torch.no_grad()
def follow(averaged: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Move the average towards the network; in the first steps faster, so that it forgets the random start."""
    decay = min(decay, (1 + step) / (10 + step))
    theirs = network.state_dict()
    for name, value in averaged.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name], 1 - decay)
        else:
            value.copy_(theirs[name])
