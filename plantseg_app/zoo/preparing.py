"""Grey values brought to what a model was trained on, as its card says.

>>> prepare_channel(np.array([[[0, 50, 100]]], np.uint8), Normalisation(method="percentile", low=0, high=100)).tolist()
[[[0.0, 0.5, 1.0]]]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.normalise import percentile_normalise, zscore
from plantseg_app.algorithms.operations import apply_operations
from plantseg_app.zoo.card import Normalisation


def prepare_channel(channel: NDArray[Any], normalisation: Normalisation) -> NDArray[Any]:
    """Return one channel (Z, Y, X) prepared by itself; operations, which may look at several, are not done yet."""
    if normalisation.method == "percentile":
        return percentile_normalise(channel, normalisation.low, normalisation.high)
    return zscore(channel) if normalisation.method == "zscore" else channel


def prepare(channels: NDArray[Any], normalisation: Normalisation) -> NDArray[np.float32]:
    """Return channels (C, Z, Y, X) as the network wants them, float32."""
    prepared = np.stack([prepare_channel(channel, normalisation).astype(np.float32) for channel in channels])
    return apply_operations(prepared, normalisation.operations)
