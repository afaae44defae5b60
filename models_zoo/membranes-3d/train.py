"""Train the boundary network `membranes-3d` on simulated stacks. One file, readable from top to bottom.

    python simulate.py --labels sample_cells.h5 --output renderings --count 2800 --seed 1
    python simulate.py --labels sample_cells.h5 --output validation --count 24 --seed 9001 --split validation
    python train.py --renderings renderings --validation validation --output run --minutes 75
    python train.py ... --resume          continues from run/last.pt

The folder of renderings may still be filling while this runs. Every few hundred steps the averaged network segments
the validation stacks; the best one (lowest adapted Rand error) is `run/weights.safetensors`.
Needs `pip install plantseg-app[dev]`.
"""

from __future__ import annotations

import argparse
import json
import math
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, multiprocessing

from plantseg_app.networks.boundary.loss import bce_dice_loss
from plantseg_app.networks.boundary.targets import boundary_target
from plantseg_app.networks.unet import UNet3D
from plantseg_app.networks.weights import save_weights

ARCHITECTURE: dict[str, Any] = {
    "in_channels": 1,
    "out_channels": 1,
    "f_maps": (16, 32, 64, 128),
    "layer_order": "bcr",
}
PERCENTILES = (1.0, 99.8)
PATCH = (32, 96, 96)
EMA_DECAY = 0.998
THRESHOLD, BETA = 0.4, 0.6


def normalised(raw: NDArray[Any]) -> NDArray[np.float32]:
    """Return the stack with its percentiles 1 and 99.8 moved to 0 and 1, not clipped."""
    low, high = np.percentile(raw, PERCENTILES)
    return ((raw - low) / max(high - low, 1e-6)).astype(np.float32)


# ------------------------------------------------------------------------------------------------ data


class Renderings:
    """The samples of a folder, loaded once each and kept as bytes and bits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: list[Path] = []
        self.cache: dict[Path, tuple[NDArray[np.uint8], NDArray[np.bool_]]] = {}

    def rescan(self) -> None:
        """Look for samples that were rendered since."""
        self.paths = sorted(p for p in self.folder.glob("*.npz") if not p.name.endswith(".part.npz"))

    def get(self, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the image and the boundary mask of one sample."""
        if path not in self.cache:
            with np.load(path) as stored:
                self.cache[path] = (stored["raw"], boundary_target(stored["labels"]))
        return self.cache[path]


def random_patch(rng: np.random.Generator, raw: NDArray[Any], target: NDArray[Any]) -> NDArray[np.float32]:
    """Return image and target of a patch (2, *PATCH): cropped, flipped, turned, brightness changed."""
    image = normalised(raw)
    start = [int(rng.integers(0, n - p + 1)) for n, p in zip(raw.shape, PATCH, strict=True)]
    place = tuple(slice(s, s + p) for s, p in zip(start, PATCH, strict=True))
    pair = np.stack([image[place], target[place].astype(np.float32)])
    flips = tuple(axis for axis in (1, 2, 3) if rng.random() < 0.5)
    pair = np.rot90(np.flip(pair, flips), int(rng.integers(0, 4)), (2, 3)).copy()
    if rng.random() < 0.3:
        pair[0] = np.sign(pair[0]) * np.abs(pair[0]) ** np.exp(rng.normal(0, 0.25))
    pair[0] = pair[0] * np.exp(rng.normal(0, 0.2)) + rng.normal(0, 0.05)
    if rng.random() < 0.3:
        pair[0] += rng.normal(0, rng.uniform(0, 0.12), PATCH)
    return pair


def batches(renderings: Renderings, seed: int, start: int, size: int) -> Iterator[torch.Tensor]:
    """Yield batches (size, 2, *PATCH) without end; the n-th depends on the seed and n alone."""
    ready: queue.Queue[torch.Tensor] = queue.Queue(maxsize=8)

    def fill() -> None:
        step = start
        while True:
            if step % 100 == 0 or not renderings.paths:
                renderings.rescan()
            rng = np.random.default_rng([seed, step])
            chosen = [renderings.paths[i] for i in rng.integers(0, len(renderings.paths), size)]
            patches = [random_patch(rng, *renderings.get(path)) for path in chosen]
            ready.put(torch.from_numpy(np.stack(patches)))
            step += 1

    threading.Thread(target=fill, daemon=True).start()
    while True:
        yield ready.get()


# ------------------------------------------------------------------------------------------------ validation


def segment(boundary: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return cells from a boundary map: distance-transform watershed, region graph, multicut."""
    from elf.segmentation.features import compute_boundary_mean_and_length, compute_rag, project_node_labels_to_pixels
    from elf.segmentation.multicut import compute_edge_costs, multicut_kernighan_lin
    from elf.segmentation.watershed import distance_transform_watershed

    superpixels, count = distance_transform_watershed(boundary, THRESHOLD, sigma_seeds=2.0, min_size=50)
    superpixels = superpixels.astype(np.uint32) - superpixels.min()
    if count < 2:
        return superpixels.astype(np.uint64)
    graph = compute_rag(superpixels)
    evidence = compute_boundary_mean_and_length(graph, superpixels, boundary)[:, 0]
    costs = compute_edge_costs(evidence, beta=BETA)
    return np.asarray(project_node_labels_to_pixels(graph, superpixels, multicut_kernighan_lin(graph, costs)))


def adapted_rand_error(segmentation: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return 1 - F of the Rand index over the voxels whose reference is not 0."""
    inside = reference > 0
    _, a = np.unique(segmentation[inside], return_inverse=True)
    _, b = np.unique(reference[inside], return_inverse=True)
    joint = np.unique(a.astype(np.int64) * (int(b.max()) + 1) + b, return_counts=True)[1].astype(float)
    size_a, size_b = np.bincount(a).astype(float), np.bincount(b).astype(float)
    return float(1 - 2 * (joint**2).sum() / ((size_a**2).sum() + (size_b**2).sum()))


@torch.inference_mode()
def predict(network: torch.nn.Module, raw: NDArray[Any]) -> NDArray[np.float32]:
    """Return the boundary probability of a stack of at least 8 voxels along each axis."""
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.from_numpy(normalised(raw))[None, None])
    return np.asarray(torch.sigmoid(logits.float())[0, 0].numpy())


def validate(network: torch.nn.Module, folder: Path) -> dict[str, float]:
    """Return the mean loss and the mean adapted Rand error of the validation stacks, shared among the workers."""
    worker, workers = distributed.get_rank(), distributed.get_world_size()
    paths = sorted(folder.glob("*.npz"))
    sums = torch.zeros(3)
    for path in paths[worker::workers]:
        with np.load(path) as stored:
            raw, labels = stored["raw"], stored["labels"]
        boundary = predict(network, raw)
        logits = torch.logit(torch.from_numpy(boundary), 1e-4)[None, None]
        target = torch.from_numpy(boundary_target(labels))[None, None]
        error = adapted_rand_error(segment(boundary), labels)
        sums += torch.tensor([float(bce_dice_loss(logits, target)), error, float(error < 0.1)])
    loss, error, good = (shared_mean(sums) * workers / len(paths)).tolist()
    return {"loss": loss, "are": error, "share_below_0.1": good}


# ------------------------------------------------------------------------------------------------ training


def learning_rate(progress: float, peak: float) -> float:
    """Return the rate at `progress` (0 to 1): a short rise, then half a cosine down to nearly 0."""
    if progress < 0.04:
        return peak * (0.05 + 0.95 * progress / 0.04)
    return peak * (0.002 + 0.998 * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - 0.04) / 0.96))))


def average_into(averaged: torch.nn.Module, network: torch.nn.Module, step: int) -> None:
    """Move the averaged network (weights and batch statistics) a little towards the trained one."""
    decay = min(EMA_DECAY, (1 + step) / (10 + step))
    ours, theirs = averaged.state_dict(), network.state_dict()
    for name, value in ours.items():
        if value.is_floating_point():
            value.lerp_(theirs[name], 1 - decay)
        else:
            value.copy_(theirs[name])


def save(path: Path, **state: Any) -> None:
    """Write a checkpoint so that a crash leaves the old one."""
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)


def shared_mean(values: torch.Tensor) -> torch.Tensor:
    """Return the mean of the tensor over all workers."""
    distributed.all_reduce(values)
    return values / distributed.get_world_size()


def average_gradients(network: torch.nn.Module, extra: float) -> float:
    """Replace every gradient by its mean over the workers; return the mean of `extra`."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = shared_mean(torch.cat([g.flatten() for g in gradients] + [torch.tensor([extra])]))
    for gradient, mean in zip(gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
    return float(flat[-1])


def train(worker: int, arguments: argparse.Namespace) -> None:
    """Run one of the workers of the training described by the arguments.

    One thread for each worker and one exchange of gradients a step: several threads in one process wait for each
    other in every layer, which costs two thirds of the speed as soon as anything else runs on the machine.
    """
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{arguments.port}", None, arguments.workers, worker)
    torch.manual_seed(arguments.seed)
    network, averaged = UNet3D(**ARCHITECTURE), UNet3D(**ARCHITECTURE)
    network = network.to(memory_format=torch.channels_last_3d)
    averaged.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(network.parameters(), lr=arguments.rate, weight_decay=1e-2)
    step, elapsed, best = 0, 0.0, float("inf")
    if arguments.resume:
        state = torch.load(arguments.output / "last.pt", weights_only=True)
        network.load_state_dict(state["network"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        step, elapsed, best = state["step"], state["elapsed"], state["best"]
    seed = arguments.seed * arguments.workers + worker
    source = batches(Renderings(arguments.renderings), seed, step, arguments.batch)
    running, began = 0.0, time.monotonic()
    progress = 0.0
    while progress < 1:
        progress = elapsed / (60 * arguments.minutes) if arguments.minutes else step / arguments.steps
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(progress, arguments.rate)
        batch = next(source)
        network.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(batch[:, :1].contiguous(memory_format=torch.channels_last_3d))
        loss = bce_dice_loss(logits, batch[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        elapsed, began = elapsed + time.monotonic() - began, time.monotonic()
        elapsed = average_gradients(network, elapsed)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        average_into(averaged, network, step)
        step += 1
        running += (float(loss.detach()) - running) * max(0.02, 1 / step)
        if worker == 0 and step % 50 == 0:
            rate = optimizer.param_groups[0]["lr"]
            print(f"step {step}  {elapsed / 60:.1f} min  loss {running:.4f}  rate {rate:.2e}", flush=True)
        if step % arguments.validate_every == 0 or progress >= 1:
            scores = validate(averaged, arguments.validation)
            if worker == 0:
                print(json.dumps({"step": step, **scores}), flush=True)
                if scores["are"] < best:
                    best = scores["are"]
                    save(arguments.output / "best.pt", network=averaged.state_dict(), step=step, scores=scores)
                    save_weights(averaged, arguments.output / "weights.safetensors")
                save(
                    arguments.output / "last.pt",
                    network=network.state_dict(),
                    averaged=averaged.state_dict(),
                    optimizer=optimizer.state_dict(),
                    step=step,
                    elapsed=elapsed,
                    best=best,
                )
    distributed.destroy_process_group()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--renderings", type=Path, required=True, help="folder filled by simulate.py")
    parser.add_argument(
        "--validation", type=Path, required=True, help="folder filled by simulate.py --split validation"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--minutes", type=float, default=0, help="train for this long instead of --steps")
    parser.add_argument("--batch", type=int, default=2, help="patches a worker and step")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--validate-every", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2, help="processes, one for each core")
    parser.add_argument("--port", type=int, default=29511, help="free local port by which the workers talk")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="continue from OUTPUT/last.pt")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    multiprocessing.spawn(train, (arguments,), nprocs=arguments.workers)


if __name__ == "__main__":
    main()
