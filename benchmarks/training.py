"""Ask whether the loader keeps up with the network: processor time of a batch and of the step that learns from it.

    python benchmarks/training.py

Both are timed in one thread, on a simulated stack, with the default augmentation. The loader works in a thread of its
own beside the network, so it keeps up wherever its share is below 1 and there is a second core; on a single core the
share says how much longer a training takes.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from plantseg_app.algorithms.simulate.recipe import random_stack
from plantseg_app.train.data import Stack
from plantseg_app.train.patches import PatchSource
from plantseg_app.train.settings import TrainSettings
from plantseg_app.train.start import find_start
from plantseg_app.train.tasks import Surroundings, make_task

CASES = {
    "3D, 2 patches of 32x96x96": {
        "family": {"kind": "boundary", "feature_maps": [16, 32, 64]},
        "patches": {"shape_vox": [32, 96, 96], "batch": 2},
    },
    "2D, 8 patches of 256x256": {
        "family": {"kind": "boundary", "dimensions": "2D", "feature_maps": [16, 32, 64, 128]},
        "patches": {"shape_vox": [1, 256, 256], "batch": 8},
    },
}


def seconds(function, repeats):
    """Return the median processor time of some calls with 0, 1, 2 ..."""
    taken = []
    for number in range(repeats):
        begun = time.process_time()
        function(number)
        taken.append(time.process_time() - begun)
    return float(np.median(taken))


def main() -> None:
    """Print one line a case."""
    torch.set_num_threads(1)
    sample = random_stack(np.random.default_rng(1), None, (48, 288, 288))
    stack = Stack.from_arrays(sample.raw, sample.labels)
    print("| case | loader, s a batch | network, s a step | loader / network |")
    print("|---|---|---|---|")
    for name, case in CASES.items():
        settings = TrainSettings.from_plain({"output": "none", "device": "cpu", **case})
        around = Surroundings.on(torch.device("cpu"), settings.precision)
        task = make_task(find_start(settings).family, settings, around)
        source = PatchSource([stack], task.make_target, settings.patches, settings.augment)
        batch, optimiser = source.batch(0, 0), task.optimisers[task.main]

        def step(_, task=task, batch=batch, optimiser=optimiser):
            optimiser.zero_grad(set_to_none=True)
            sum(task.losses(task.main, batch).values()).backward()
            optimiser.step()

        loader = seconds(lambda number, source=source: source.batch(0, number), 30)
        network = seconds(step, 5)
        print(f"| {name} | {loader:.3f} | {network:.2f} | {loader / network:.2f} |", flush=True)


if __name__ == "__main__":
    main()
