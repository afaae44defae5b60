"""Compare tiled prediction here with the usual practice: overlapping float32 tiles, averaged.

    python benchmarks/prediction.py                     # both networks on 64x256x256; prints one table
    python benchmarks/prediction.py --threads 1         # on a busy machine: read the columns of processor time
    python benchmarks/prediction.py --image sample_ovule.h5 --labels label

The usual practice: tiles of 64x160x160 that overlap by half along each axis, PyTorch as it comes (contiguous float32),
predictions averaged where tiles overlap. Both ways run in the same process, one after the other; only the ratio means
anything on another machine. Cells are made of both maps with the default watershed and GASP, and compared with the
known labels of a simulated tissue, or of a real stack, by the adapted Rand error (voxels of label 0 left out).
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import torch

import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.algorithms.normalise import percentile_normalise
from plantseg_app.algorithms.simulate.recipe import random_stack
from plantseg_app.core.context import QuietContext
from plantseg_app.core.step import make_step
from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.networks.boundary.family import BoundaryFamily
from plantseg_app.networks.plan import make_plan
from plantseg_app.networks.predict import predict_tiled
from plantseg_app.zoo.catalogue import find_model
from plantseg_app.zoo.load import load_network

USUAL_TILE = (64, 160, 160)


def simulated_stack(shape, seed):
    sample = random_stack(np.random.default_rng(seed), None, shape)
    return sample.raw, sample.labels, VoxelSize(1.0, 1.0, 1.0)


def real_stack(path, labels):
    import h5py

    with h5py.File(path) as file:
        size = file[labels].attrs.get("element_size_um", (1.0, 1.0, 1.0))
        return file["raw"][()], file[labels][()], VoxelSize(*map(float, size))


def starts(size, tile):
    """Half-overlapping positions, the last one moved back so that it ends with the image."""
    tile = min(tile, size)
    step = max(1, tile // 2)
    return sorted({*range(0, size - tile + 1, step), size - tile}), tile


def overlapped_and_averaged(network, image):
    """Predict (Z, Y, X) as is usually done; its axes must fit the pooling."""
    axes = [starts(n, t) for n, t in zip(image.shape, USUAL_TILE, strict=True)]
    total = np.zeros(image.shape, np.float32)
    count = np.zeros(image.shape, np.float32)
    with torch.inference_mode():
        for corner in itertools.product(*(positions for positions, _ in axes)):
            place = tuple(slice(c, c + t) for c, (_, t) in zip(corner, axes, strict=True))
            tile = torch.from_numpy(np.ascontiguousarray(image[place]))[None, None]
            total[place] += torch.sigmoid(network(tile))[0, 0].numpy()
            count[place] += 1
    return total / count


def timed(function):
    wall, processor = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - wall, time.process_time() - processor


def cell_error(boundary, labels, spacing, context):
    from skimage.metrics import adapted_rand_error

    volume = Volume(boundary, Kind.BOUNDARY, spacing)
    superpixels = make_step("dt-watershed").execute({"boundary": volume}, context)
    found = make_step("gasp").execute({"boundary": volume, "superpixels": superpixels}, context).data
    return float(adapted_rand_error(labels.astype(np.int64), found.astype(np.int64), ignore_labels=(0,))[0])


def networks():
    """Yield (name, family, network, whether its map means anything)."""
    family = BoundaryFamily(feature_maps=(32, 64, 128, 256), layer_order="gcr")
    torch.manual_seed(0)
    yield "PlantSeg U-Net (32 maps, group norm, untrained)", family, family.build().eval(), False
    model = find_model("membranes-3d")
    yield "membranes-3d", model.card.network_family(), load_network(model), True


def compare(family, network, image, context):
    """Return maps and times of both ways; each has warmed up on a small piece."""
    small = np.ascontiguousarray(image[:16, :32, :32])
    predict_tiled(network, family, small[None], context)
    fast, *fast_times = timed(lambda: predict_tiled(network, family, image[None], context)[0])
    network.to(memory_format=torch.contiguous_format)
    overlapped_and_averaged(network, small)
    usual, *usual_times = timed(lambda: overlapped_and_averaged(network, image))
    return usual, usual_times, fast, fast_times


def report(name, stack, ways, meaningful, plan, context):
    (usual, usual_times), (fast, fast_times) = ways
    _, labels, spacing = stack
    errors = ["", ""]
    if meaningful:
        errors = [f"{cell_error(boundary, labels, spacing, context):.4f}" for boundary in (usual, fast)]
    way = f"{len(plan.tiling)} tile(s), {str(plan.dtype).removeprefix('torch.')}, channels last"
    ratios = [slow / quick for slow, quick in zip(usual_times, fast_times, strict=True)]
    print(f"| {name} | 50 % overlap, float32 | {usual_times[0]:.1f} | {usual_times[1]:.1f} | 1 | 1 | {errors[0]} |")
    print(f"| | {way} | {fast_times[0]:.1f} | {fast_times[1]:.1f} | {ratios[0]:.1f} | {ratios[1]:.1f} | {errors[1]} |")
    difference = np.abs(usual - fast)
    print(f"(maps differ by {difference.mean():.4f} on average, {difference.max():.2f} at most)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="64,256,256", help="size of the simulated stack")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--image", type=Path, help="HDF5 file with the data set raw, instead of a simulated stack")
    parser.add_argument("--labels", default="label", help="data set of its labels")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--only", default="", help="part of the name of the network to measure")
    arguments = parser.parse_args()
    context = QuietContext("cpu", arguments.threads)
    torch.set_num_threads(context.n_threads)
    shape = tuple(int(n) for n in arguments.shape.split(","))
    stack = real_stack(arguments.image, arguments.labels) if arguments.image else simulated_stack(shape, arguments.seed)
    image = percentile_normalise(stack[0], 1.0, 99.8)
    print(f"stack {image.shape}, {context.n_threads} thread(s), torch {torch.__version__}")
    print("| network | way | seconds | processor s | ratio | processor ratio | adapted Rand error |")
    print("|---|---|---|---|---|---|---|")
    for name, family, network, meaningful in networks():
        if arguments.only not in name:
            continue
        plan = make_plan(network, family, image.shape, context)
        usual, usual_times, fast, fast_times = compare(family, network, image, context)
        report(name, stack, ((usual, usual_times), (fast, fast_times)), meaningful, plan, context)


if __name__ == "__main__":
    main()
