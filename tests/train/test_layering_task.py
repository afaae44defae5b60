"""Layering networks through the common loop: mask stacks augmented with their overlaps, two phases, resume, use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.algorithms.layers import number_masks, pack_layers
from plantseg_app.core.context import QuietContext
from plantseg_app.core.step import make_step
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import RequestError
from plantseg_app.io import write_volume
from plantseg_app.train.checkpoint import load_checkpoint
from plantseg_app.train.data import Stack, read_stack
from plantseg_app.train.events import TrainEvents
from plantseg_app.train.loop import train
from plantseg_app.train.patches import Batch, PatchSource
from plantseg_app.train.schedule import Schedule
from plantseg_app.train.settings import (
    AugmentSettings,
    DataSettings,
    OptimiserSettings,
    PatchSettings,
    ScheduleSettings,
    StackFiles,
    TrainSettings,
)
from plantseg_app.train.tasks.layering import LayeringTask
from plantseg_app.train.tasks.supervised import make_optimiser
from plantseg_app.zoo.card import Normalisation

PLAIN = Normalisation(method="none")


def crossing_masks(seed: int, shape: tuple[int, int] = (40, 48)) -> np.ndarray:
    """Return masks (n, 1, Y, X) of a lying and a standing bar that cross, and a square."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((3, 1, *shape), np.uint8)
    y, x = rng.integers(6, 14), rng.integers(8, 18)
    masks[0, 0, y : y + 6, 2:30] = 1
    masks[1, 0, 2:28, x : x + 6] = 1
    masks[2, 0, 30:38, 34:46] = 1
    return masks


def crossing(seed: int) -> Stack:
    masks = crossing_masks(seed)
    image = masks.sum(0).astype(np.float32)
    return Stack.from_layers(image, masks, normalisation=PLAIN, name=f"bars {seed}")


def settings(folder: Path, steps: int, **more: Any) -> TrainSettings:
    plain: dict[str, Any] = {
        "output": str(folder), "device": "cpu", "precision": "float32",
        "family": {"kind": "layering", "feature_maps": [6, 8], "n_layers": 3, "norm_momentum": 0.3},
        "data": {"normalisation": {"method": "none"}}, "patches": {"shape_vox": [1, 40, 48], "batch": 2},
        "stopping": {"steps": steps, "second_phase_at": 0.5}, "validation": {"every": 2, "min_size": 8},
        "schedule": {"name": "constant"}, "optimiser": {"rate": 0.01, "average": 0.5},
        "augment": {"contrast": 0, "gaussian_noise": 0},
    }  # fmt: skip
    return TrainSettings.from_plain(plain | more)


DATA = ([crossing(seed) for seed in range(4)], [crossing(9)])


def test_two_phases_make_a_model_that_steps_use(tmp_path: Path) -> None:
    told: list[str] = []
    events = TrainEvents()
    events.message.connect(told.append)
    result = train(settings(tmp_path / "m", 12), QuietContext("cpu", 1), events, data=DATA)
    rows = load_checkpoint(tmp_path / "m" / "run" / "last.pt")["history"]
    first = load_checkpoint(tmp_path / "m" / "run" / "first-phase.pt")
    # Phase 1 ends with the lowest loss, and has no score; phase 2 with the highest score.
    early = [row for row in rows if row["step"] <= 6]
    assert all(np.isnan(row["score"]) for row in early)
    assert first["best_step"] == min(early, key=lambda row: row["loss"])["step"]
    late = [row for row in rows if row["step"] > 6]
    assert all(0 <= row["score"] <= 1 for row in late)
    assert result.best_step > 6
    assert result.score == max(row["score"] for row in late)
    assert f"begins with step {first['best_step']}" in " ".join(told)
    image = Volume(DATA[1][0].image[0], Kind.RAW)
    context = QuietContext("cpu", 1)
    maps = [
        make_step("predict", {"model": str(tmp_path / "m"), "output": name}).execute({"image": image}, context)
        for name in ("layers", "foreground")
    ]
    assert [volume.kind for volume in maps] == [Kind.LAYERS, Kind.FOREGROUND]
    step = make_step("objects-from-layers", {"min_size": 4})
    found = step.execute({"layers": maps[0], "foreground": maps[1]}, context)
    assert found.kind is Kind.LAYERED_LABELS
    assert found.shape_vox == (1, 40, 48)


def test_the_second_phase_starts_from_the_best_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, torch.Tensor] = {}
    usual = LayeringTask.losses

    def watching(task: LayeringTask, turn: str, batch: Batch) -> dict[str, torch.Tensor]:
        if task.completes_overlaps and not seen:
            seen.update({name: value.clone() for name, value in task.network.state_dict().items()})
        return usual(task, turn, batch)

    monkeypatch.setattr(LayeringTask, "losses", watching)
    train(settings(tmp_path / "m", 8), QuietContext("cpu", 1), data=DATA)
    best = load_checkpoint(tmp_path / "m" / "run" / "first-phase.pt")["model"]
    assert seen
    for name, value in seen.items():
        torch.testing.assert_close(value, best[name])


@pytest.mark.parametrize(("stop", "share"), [(2, 1.0), (4, 0.5)], ids=["between the phases", "in the second phase"])
def test_a_resumed_training_is_that_of_one_that_never_stopped(tmp_path: Path, stop: int, share: float) -> None:
    context = QuietContext("cpu", 1)
    all_of_it = {"stopping": {"steps": 6, "second_phase_at": 1 / 3}}
    train(settings(tmp_path / "whole", 6, **all_of_it), context, data=DATA)
    train(settings(tmp_path / "parts", 6, stopping={"steps": stop, "second_phase_at": share}), context, data=DATA)
    train(settings(tmp_path / "parts", 6, **all_of_it), context, data=DATA, resume=True)
    whole, parts = (load_checkpoint(tmp_path / name / "run" / "last.pt") for name in ("whole", "parts"))
    assert whole["phase"] == parts["phase"] == 2
    assert all(torch.equal(whole["model"][key], parts["model"][key]) for key in whole["model"])


def test_masks_are_turned_and_bent_whole_with_their_overlaps() -> None:
    masks = np.zeros((2, 1, 96, 96), np.uint8)
    masks[0, 0, 40:52, 10:86], masks[1, 0, 10:86, 40:52] = 1, 1
    stack = Stack.from_layers(masks.sum(0).astype(np.float32), masks, normalisation=PLAIN)
    augment = AugmentSettings.off().model_copy(update={"rotate": 1.0, "rotate_deg": 180.0, "elastic": 1.0})
    source = PatchSource(
        [stack], lambda objects, _: objects.astype(np.float32), PatchSettings(shape_vox=(1, 96, 96)), augment, False
    )
    for number in range(5):
        sample = source.sample(np.random.default_rng(number))
        covered = (sample.target > 0).sum(0)
        # The image counts the bars, so it shows the overlaps where the target has them.
        clear = np.abs(sample.image[0] - np.rint(sample.image[0])) < 1e-3
        assert (covered == 2).sum() > 60
        np.testing.assert_array_equal(covered[clear], np.rint(sample.image[0])[clear])
        assert sample.known is not None


def test_targets_have_one_plane_count_whatever_lies_over_what(tmp_path: Path) -> None:
    from plantseg_app.networks.family import make_family
    from plantseg_app.train.tasks import Surroundings, make_task

    config = settings(tmp_path, 2)
    task = make_task(make_family(config.family), config, Surroundings.on(torch.device("cpu"), "float32"))
    for layers in (2, 3, 5):
        planes = np.zeros((layers, 1, 8, 8), np.uint32)
        for i in range(layers):
            planes[i, 0, i, :] = i + 1
        target = task.make_target(planes, None)
        assert target.shape == (3, 1, 8, 8)
        assert set(np.unique(target)) == set(range(layers + 1))
    large = np.full((1, 8, 8), 4_000_000_001, np.uint32)
    large[:, :4] = 4_000_000_000
    assert set(np.unique(task.make_target(large, None)[0])) == {1, 2}


def test_mask_files_are_read_as_layers(tmp_path: Path) -> None:
    masks = crossing_masks(1)[:, 0]
    tifffile.imwrite(tmp_path / "masks.tif", masks, photometric="minisblack")
    tifffile.imwrite(tmp_path / "image.tif", (100 * masks.sum(0)).astype(np.uint8))
    files = StackFiles(image=str(tmp_path / "image.tif"), labels=str(tmp_path / "masks.tif"), layered=True)
    stack = read_stack(files, DataSettings())
    objects = stack.objects(stack.labels)
    np.testing.assert_array_equal(objects, pack_layers(number_masks(masks[:, None])))
    saved = write_volume(tmp_path / "saved.tif", Volume(objects, Kind.LAYERED_LABELS))
    told = read_stack(files.model_copy(update={"labels": str(saved), "layered": False}), DataSettings())
    np.testing.assert_array_equal(told.objects(told.labels), objects)
    with pytest.raises(RequestError, match="no label to ignore"):
        read_stack(files, DataSettings(ignore_label=0))


def test_what_cannot_be_trained_is_refused_in_words(tmp_path: Path) -> None:
    boundary = {"kind": "boundary", "dimensions": "2D", "feature_maps": [4, 8]}
    with pytest.raises(RequestError, match="flatten-layers"):
        train(settings(tmp_path / "a", 2, family=boundary, stopping={"steps": 2}), data=DATA)
    with pytest.raises(RequestError, match="loss of their own"):
        train(settings(tmp_path / "b", 2, loss={"name": "bce"}), data=DATA)
    with pytest.raises(RequestError, match="mean average precision"):
        train(settings(tmp_path / "c", 2, validation={"metric": "adapted-rand-error"}), data=DATA)
    flat = Stack.from_arrays(DATA[0][0].image, DATA[0][0].labels, normalisation=PLAIN)
    with pytest.raises(RequestError, match="one phase"):
        train(settings(tmp_path / "d", 2, family=boundary), data=([flat], [flat]))


def test_the_optimiser_and_rate_of_the_publication() -> None:
    network = torch.nn.Linear(2, 1)
    optimiser = make_optimiser(network, OptimiserSettings(name="rmsprop", rate=1e-4, weight_decay=0))
    before = network.weight.detach().clone()
    network.weight.grad, network.bias.grad = torch.full((1, 2), 3.0), torch.zeros(1)
    optimiser.step()
    # Mean square 0.1 * 9, so the first step is the rate over the root of 0.1.
    torch.testing.assert_close(before - network.weight.detach(), torch.full((1, 2), 1e-4 / 0.1**0.5))
    stairs = Schedule(ScheduleSettings(name="staircase", factor=0.9, warmup_steps=0))
    assert [round(stairs.factor(step, 0.5), 4) for step in (0, 9999, 10000, 25000)] == [1.0, 1.0, 0.9, 0.81]
