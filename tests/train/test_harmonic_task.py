"""Harmonic embeddings through the common loop: fitted guides, nothing beyond the image, a model that steps can use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.core.context import QuietContext
from plantseg_app.core.step import make_step
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import RequestError
from plantseg_app.train.checkpoint import load_checkpoint
from plantseg_app.train.data import Stack
from plantseg_app.train.events import TrainEvents
from plantseg_app.train.loop import train
from plantseg_app.train.patches import PatchSource
from plantseg_app.train.settings import AugmentSettings, PatchSettings, TrainSettings
from plantseg_app.train.warp import IDENTITY, Warp, find_places, inside_stack
from plantseg_app.zoo.card import ModelCard, Normalisation


def squares(seed: int, shape: tuple[int, int, int] = (1, 40, 48)) -> Stack:
    """Bright squares that do not touch; the image shows where they are and not which is which."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint32)
    for name in range(1, 6):
        y, x = rng.integers(0, shape[1] - 8), rng.integers(0, shape[2] - 8)
        if not labels[:, y : y + 9, x : x + 9].any():
            labels[:, y : y + 8, x : x + 8] = name
    image = (labels > 0).astype(np.uint8)
    return Stack.from_arrays(image, labels, normalisation=Normalisation(method="none"), name=f"squares {seed}")


def settings(folder: Path, steps: int, family: dict[str, Any] | None = None, **more: Any) -> TrainSettings:
    usual = {"kind": "harmonic", "feature_maps": [4, 8], "frame_size_vox": [1, 48, 48], "guided_width_vox": 3}
    return TrainSettings.from_plain(
        {
            "output": str(folder), "family": {**usual, **(family or {})}, "device": "cpu", "precision": "float32",
            "data": {"normalisation": {"method": "none"}}, "patches": {"shape_vox": [1, 48, 48], "batch": 2},
            "stopping": {"steps": steps}, "validation": {"every": 2, "min_size": 8},
            "schedule": {"name": "constant"}, "optimiser": {"rate": 0.01}, **more,
        }
    )  # fmt: skip


DATA = ([squares(seed) for seed in range(4)], [squares(9)])


@pytest.mark.parametrize("family", [{}, {"foreground": "given", "stride": 2}, {"loss_on": "image"}], ids=str)
def test_it_learns_and_leaves_a_model_that_steps_use(tmp_path: Path, family: dict[str, Any]) -> None:
    told: list[str] = []
    events = TrainEvents()
    events.message.connect(told.append)
    result = train(settings(tmp_path / "m", 20, family), QuietContext("cpu", 1), events, data=DATA)
    assert "pairs of objects" in told[0]
    rows = load_checkpoint(tmp_path / "m" / "run" / "last.pt")["history"]
    assert rows[-1]["train_loss"] < 0.9 * rows[0]["train_loss"]
    assert result.score_name == "average-precision"
    card = ModelCard.read(tmp_path / "m")
    assert len(card.family["guides"]) == 12
    context = QuietContext("cpu", 1)
    shown = Volume(DATA[1][0].image[0].astype(np.float32), Kind.FOREGROUND)
    embedding = make_step("predict", {"model": str(tmp_path / "m")}).execute({"image": shown}, context)
    assert embedding.kind is Kind.EMBEDDING
    assert embedding.data.shape == (12, 1, 40, 48)
    step = make_step("mean-shift", {"model": str(tmp_path / "m"), "min_size": 4})
    found = step.execute({"embedding": embedding, "foreground": shown}, context)
    assert np.array_equal(found.data > 0, shown.data > 0)
    sure = make_step("instance-confidence", {"model": str(tmp_path / "m")})
    confidence = sure.execute({"embedding": embedding, "labels": found}, context).data
    assert 0 <= confidence.min() <= confidence.max() <= 1


def test_a_resumed_training_is_that_of_one_that_never_stopped(tmp_path: Path) -> None:
    context = QuietContext("cpu", 1)
    train(settings(tmp_path / "whole", 4), context, data=DATA)
    train(settings(tmp_path / "parts", 2), context, data=DATA)
    train(settings(tmp_path / "parts", 4), context, data=DATA, resume=True)
    whole, parts = (load_checkpoint(tmp_path / name / "run" / "last.pt")["model"] for name in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_stack_of_slices_is_trained_in_space(tmp_path: Path) -> None:
    family = {"dimensions": "3D", "frame_size_vox": [4, 24, 24], "n_guides": 6}
    data = ([squares(seed, (6, 30, 30)) for seed in range(2)], [squares(3, (4, 24, 40))])
    result = train(
        settings(tmp_path / "m", 2, family, patches={"shape_vox": [4, 24, 24], "batch": 1}),
        QuietContext("cpu", 1), data=data,
    )  # fmt: skip
    assert result.model is not None
    assert ModelCard.read(tmp_path / "m").dimensionality == "3D"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patches": {"shape_vox": [1, 32, 32]}}, "tied to frames"),
        ({"loss": {"name": "bce"}}, "a loss of their own"),
        ({"validation": {"metric": "adapted-rand-error"}}, "judged by"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        train(settings(tmp_path / "m", 1, **changes), QuietContext("cpu", 1), data=DATA)


def test_beyond_the_image_there_is_nothing_to_learn() -> None:
    """A mirrored object would have the name of the original and spoil its mean."""
    stack = squares(0)
    patches, augment = PatchSettings(shape_vox=(1, 64, 64)), AugmentSettings.off()
    plain = PatchSource([stack], lambda labels, _: labels[None].astype(np.float32), patches, augment, mirrored=False)
    sample = plain.sample(np.random.default_rng(0))
    assert sample.known is not None
    assert sample.known.sum() == 40 * 48
    assert not sample.image[:, ~sample.known].any()
    assert not sample.target[:, ~sample.known].any()
    turned = AugmentSettings(rotate=1.0, rotate_deg=40, flip=0.5)
    both = [
        PatchSource([stack], lambda labels, _: labels[None].astype(np.float32), patches, turned, mirrored).sample(
            np.random.default_rng(3)
        )
        for mirrored in (True, False)
    ]
    known = both[1].known
    assert known is not None
    np.testing.assert_array_equal(both[0].target[:, known], both[1].target[:, known])
    assert both[0].target.astype(bool).sum() > both[1].target.astype(bool).sum()


def test_inside_of_a_turned_patch_by_hand() -> None:
    quarter = Warp(np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float))
    for warp in (IDENTITY, quarter, Warp(np.eye(3), np.zeros((3, 1, 1, 1), np.float32))):
        inside = inside_stack(find_places(warp, np.array([0.0, 1.5, 1.5]), (1, 6, 6)), (1, 4, 4))
        expected = np.zeros((1, 6, 6), bool)
        expected[0, 1:5, 1:5] = True
        np.testing.assert_array_equal(inside, expected)
