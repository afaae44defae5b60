"""How long the loss of the layering method takes: one image of 448 x 448 with 60 objects, forward and backward.

    python benchmarks/layering_loss.py

Prints the processor time of one thread, the best and the median of some runs, for both phases, with everything that
follows from the objects of the image included (neighbours at exact distances, which layer is whose).
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch

from plantseg_app.algorithms.layers import number_masks, pack_layers
from plantseg_app.networks.layering.loss import LossRules, layering_terms

SIZE, N_OBJECTS, N_LAYERS, N_RUNS = 448, 60, 8, 15


def worm_like_objects() -> np.ndarray:
    """Return planes (P, Y, X) of the ids of bent bands 10 pixels wide and about 110 long."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE]
    masks = []
    for _ in range(N_OBJECTS):
        centre, angle, bend = rng.uniform(40, SIZE - 40, 2), rng.uniform(0, np.pi), rng.uniform(-0.006, 0.006)
        along = (y - centre[0]) * np.sin(angle) + (x - centre[1]) * np.cos(angle)
        across = (y - centre[0]) * np.cos(angle) - (x - centre[1]) * np.sin(angle) - bend * along**2
        masks.append((np.abs(along) < 55) & (np.abs(across) < 5))
    return pack_layers(number_masks(np.stack(masks).astype(np.uint8)))


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    planes = torch.from_numpy(worm_like_objects().astype(np.float32))[None]
    for overlap in (False, True):
        taken = []
        for _ in range(N_RUNS):
            logits = torch.randn(1, N_LAYERS + 1, SIZE, SIZE, requires_grad=True)
            start = time.process_time()
            torch.stack(list(layering_terms(logits, planes, LossRules(), overlap).values())).sum().backward()
            taken.append(1e3 * (time.process_time() - start))
        phase = "second phase" if overlap else "first phase"
        print(f"{phase:>12}: best {min(taken):.0f} ms, median {statistics.median(taken):.0f} ms")


if __name__ == "__main__":
    main()
