"""The partition steps on real and synthetic maps, with and without superpixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tifffile

import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.core.context import QuietContext
from plantseg_app.core.step import make_step
from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.errors import InputError, RequestError
from plantseg_app.evaluate import adapted_rand, count_contingency
from plantseg_app.paths import samples_dir

PARTITIONS = ["gasp", "multicut", "mutex-watershed", "lifted-multicut"]
VOXEL_SIZE = VoxelSize(0.3, 0.15, 0.15)


def run(step_id: str, inputs: dict[str, Volume], **settings: Any) -> np.ndarray:
    result = make_step(step_id, settings).execute(inputs, QuietContext(device="cpu", n_threads=2))
    assert result.kind is Kind.LABELS
    assert result.data.dtype == np.uint32
    return result.data


def error(labels: np.ndarray, reference: np.ndarray) -> float:
    return adapted_rand(count_contingency(labels, reference)).error


def nuclei_of(labels: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    centres = np.round(ndimage.center_of_mass(labels > 0, labels, np.unique(labels[labels > 0]))).astype(int)
    nuclei = np.zeros(labels.shape, np.float32)
    nuclei[tuple(centres.T)] = 1.0
    return ndimage.maximum_filter(nuclei, [1 if size == 1 else 5 for size in labels.shape])


@pytest.fixture(scope="module")
def ovule() -> tuple[np.ndarray, Volume]:
    folder = samples_dir() / "ovule2d"
    labels = tifffile.imread(folder / "ovule2d_silver_labels.tif")[None].astype(np.uint32)
    boundary = tifffile.imread(folder / "ovule2d_boundary_prob.tif")[None]
    return labels, Volume(boundary, Kind.BOUNDARY)


@pytest.mark.parametrize("step_id", PARTITIONS)
def test_every_partition_beats_watersheds_on_a_real_map(step_id: str, ovule: tuple[np.ndarray, Volume]) -> None:
    labels, boundary = ovule
    inputs = {"boundary": boundary}
    plain, over = (error(run(step, inputs), labels) for step in ("watershed", "dt-watershed"))
    if step_id == "lifted-multicut":
        inputs["nuclei"] = Volume(nuclei_of(labels), Kind.NUCLEI)
    found = error(run(step_id, inputs), labels)
    assert found < 0.2
    assert found < min(plain, over) - 0.05


@pytest.mark.parametrize("step_id", PARTITIONS)
@pytest.mark.parametrize("shape", [(24, 56, 56), (1, 96, 96)], ids=["stack", "slice"])
def test_known_cells_are_found(step_id: str, shape: tuple[int, int, int], make_tissue: Callable[..., Any]) -> None:
    labels, boundary = make_tissue(shape, 16, seed=11)
    inputs = {"boundary": Volume(boundary, Kind.BOUNDARY)}
    if step_id == "lifted-multicut":
        inputs["nuclei"] = Volume(labels * (nuclei_of(labels) > 0), Kind.LABELS)
    found = run(step_id, inputs, min_size=20)
    assert error(found, labels) < 0.1
    assert abs(int(found.max()) - int(labels.max())) <= 0.06 * labels.max()


@pytest.mark.parametrize("step_id", PARTITIONS)
def test_cells_are_unions_of_superpixels_and_background_stays(step_id: str, make_tissue: Callable[..., Any]) -> None:
    labels, boundary = make_tissue((8, 40, 40), 12)
    inputs = {"boundary": Volume(boundary, Kind.BOUNDARY, VOXEL_SIZE)}
    superpixels = run("dt-watershed", inputs, min_size=0).astype(np.uint64) * 1000 + 2**40
    superpixels[:, :5] = 0
    inputs["superpixels"] = Volume(superpixels, Kind.LABELS)
    if step_id == "lifted-multicut":
        inputs["nuclei"] = Volume(nuclei_of(labels), Kind.FOREGROUND)
    found = run(step_id, inputs)
    assert np.array_equal(found == 0, superpixels == 0)
    for superpixel in np.unique(superpixels):
        assert len(np.unique(found[superpixels == superpixel])) == 1


@pytest.mark.parametrize("step_id", ["gasp", "multicut"])
def test_superpixels_made_here_are_those_of_the_step(step_id: str, make_tissue: Callable[..., Any]) -> None:
    inputs = {"boundary": Volume(make_tissue((8, 40, 40), 10).boundary, Kind.BOUNDARY, VOXEL_SIZE)}
    alone = run(step_id, inputs)
    inputs["superpixels"] = Volume(run("dt-watershed", inputs), Kind.LABELS)
    assert np.array_equal(alone, run(step_id, inputs))


def test_one_superpixel_is_one_cell() -> None:
    boundary = Volume(np.random.default_rng(0).random((2, 9, 9), dtype=np.float32), Kind.BOUNDARY)
    inputs = {"boundary": boundary, "superpixels": Volume(np.full((2, 9, 9), 7, np.uint32), Kind.LABELS)}
    for step_id in ("gasp", "multicut", "mutex-watershed"):
        assert (run(step_id, inputs) == 1).all()


def test_more_beta_never_gives_fewer_cells(make_tissue: Callable[..., Any]) -> None:
    inputs = {"boundary": Volume(make_tissue((8, 40, 40), 10, noise=0.2).boundary, Kind.BOUNDARY)}
    counts = [int(run("gasp", inputs, beta=beta, min_size=0).max()) for beta in (0.1, 0.4, 0.7, 1.0)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_integer_maps_stand_for_probabilities(make_tissue: Callable[..., Any]) -> None:
    boundary = make_tissue((6, 40, 40), 12).boundary
    eight_bit = np.round(boundary * 255).astype(np.uint8)
    as_float = run("gasp", {"boundary": Volume(eight_bit.astype(np.float32) / 255, Kind.BOUNDARY)})
    assert np.array_equal(as_float, run("gasp", {"boundary": Volume(eight_bit, Kind.BOUNDARY)}))


def test_values_beyond_one_are_refused() -> None:
    too_large = Volume(np.full((1, 4, 4), 40.0), Kind.BOUNDARY)
    with pytest.raises(InputError, match="between 0 and 1"):
        run("gasp", {"boundary": too_large})


def test_nuclei_without_a_say_are_told(make_tissue: Callable[..., Any]) -> None:
    boundary = Volume(make_tissue((4, 30, 30), 10).boundary, Kind.BOUNDARY)
    context = QuietContext(device="cpu", n_threads=1)
    nothing = Volume(np.zeros((4, 30, 30), np.float32), Kind.NUCLEI)
    lifted = make_step("lifted-multicut").execute({"boundary": boundary, "nuclei": nothing}, context)
    assert "nuclei had no say" in context.messages[0]
    assert np.array_equal(lifted.data, run("multicut", {"boundary": boundary}))


def test_affinities_need_their_offsets(make_tissue: Callable[..., Any]) -> None:
    labels, boundary = make_tissue((6, 40, 40), 12)
    offsets = [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, -6, 0), (0, 0, -6), (-3, 0, 0)]
    channels = [labels == np.roll(labels, [-step for step in offset], axis=(0, 1, 2)) for offset in offsets]
    inputs = {
        "boundary": Volume(boundary, Kind.BOUNDARY),
        "affinities": Volume(np.array(channels, np.float32), Kind.AFFINITIES),
    }
    with pytest.raises(RequestError, match="6 channels but 0 offsets"):
        run("mutex-watershed", inputs)
    text = "; ".join(",".join(map(str, offset)) for offset in offsets)
    found = run("mutex-watershed", inputs, offsets=text, stride=1, min_size=0)
    assert error(found, labels) < 0.01
    inputs["superpixels"] = Volume(run("dt-watershed", {"boundary": inputs["boundary"]}), Kind.LABELS)
    assert error(run("mutex-watershed", inputs, offsets=text), labels) < 0.1
