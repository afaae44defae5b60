"""The seams of the loop: a family with a teacher that follows its student, and a critic with its own optimiser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from plantseg_app.core.context import QuietContext
from plantseg_app.train.average import follow, make_average
from plantseg_app.train.checkpoint import load_checkpoint
from plantseg_app.train.data import Stack
from plantseg_app.train.loop import train
from plantseg_app.train.patches import Batch
from plantseg_app.train.settings import TrainSettings
from plantseg_app.train.tasks import TASKS, make_task
from plantseg_app.train.tasks.supervised import SupervisedTask, make_optimiser

TURNS: list[str] = []


class TeacherAndCritic(SupervisedTask):
    """Three networks: the student is trained, the teacher follows it, the critic judges its maps."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.networks["teacher"] = make_average(self.networks["network"])
        self.networks["critic"] = torch.nn.Conv3d(1, 1, 3, padding=1)
        self.optimisers["critic"] = make_optimiser(self.networks["critic"], self.settings.optimiser)

    def losses(self, turn: str, batch: Batch) -> dict[str, torch.Tensor]:
        TURNS.append(turn)
        critic = self.networks["critic"]
        if turn == "critic":
            with torch.no_grad():
                guess = torch.sigmoid(self.networks["network"](batch.image))
            real, fake = critic(batch.target).mean(), critic(guess).mean()
            return {"critic": torch.nn.functional.softplus(fake - real)}
        logits = self.networks["network"](batch.image)
        with torch.no_grad():
            taught = torch.sigmoid(self.networks["teacher"](batch.image))
        fooled = torch.nn.functional.softplus(-critic(torch.sigmoid(logits)).mean())
        agreement = torch.nn.functional.mse_loss(torch.sigmoid(logits), taught)
        return {**self._terms(logits, batch.target, batch.known), "fooled": 0.1 * fooled, "agreement": agreement}

    def after_step(self, step: int) -> None:
        follow(self.networks["teacher"], self.networks["network"], step, 0.9)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    make_task.__globals__["importlib"].import_module("plantseg_app.train.tasks.supervised")
    TASKS.add("boundary", TeacherAndCritic)
    TURNS.clear()
    yield
    del TASKS._entries["boundary"]


def settings(folder: Path, steps: int) -> TrainSettings:
    return TrainSettings.from_plain(
        {
            "output": str(folder), "family": {"kind": "boundary", "feature_maps": [4, 8]}, "device": "cpu",
            "patches": {"shape_vox": 8, "batch": 2, "accumulate": 2}, "stopping": {"steps": steps},
            "validation": {"every": 1}, "precision": "float32", "schedule": {"name": "constant"},
        }
    )  # fmt: skip


def test_several_networks_take_turns_and_resume(tmp_path: Path, tissue_stack: Stack) -> None:
    data = ([tissue_stack], [tissue_stack.crop((slice(0, 8), slice(0, 24), slice(0, 24)))])
    context = QuietContext("cpu", 1)
    train(settings(tmp_path / "whole", 3), context, data=data)
    assert TURNS == ["network", "network", "critic", "critic"] * 3
    train(settings(tmp_path / "parts", 1), context, data=data)
    train(settings(tmp_path / "parts", 3), context, data=data, resume=True)
    whole, parts = (load_checkpoint(tmp_path / name / "run" / "last.pt") for name in ("whole", "parts"))
    assert set(whole["networks"]) == {"network", "teacher", "critic"}
    for name, weights in whole["networks"].items():
        for key, value in weights.items():
            assert torch.equal(value, parts["networks"][name][key]), (name, key)
    student, teacher = whole["networks"]["network"], whole["networks"]["teacher"]
    assert not torch.equal(student["final_conv.weight"], teacher["final_conv.weight"])


def test_each_optimiser_moves_its_own_network_alone(tmp_path: Path, tissue_stack: Stack) -> None:
    """The critic's weights follow the critic's loss, not the student's wish to fool it."""
    plain = settings(tmp_path / "m", 1).replace(optimiser={"name": "sgd", "rate": 0.0 + 1e-12, "average": 0})
    data = ([tissue_stack], [tissue_stack.crop((slice(0, 8), slice(0, 24), slice(0, 24)))])
    before: dict[str, torch.Tensor] = {}
    original = TeacherAndCritic.losses

    def spy(self: TeacherAndCritic, turn: str, batch: Batch) -> dict[str, torch.Tensor]:
        if turn == "critic" and "seen" not in before:
            gradients = [p.grad for p in self.networks["critic"].parameters() if p.grad is not None]
            before["seen"] = torch.tensor(sum(float(g.abs().sum()) for g in gradients))
        return original(self, turn, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TeacherAndCritic, "losses", spy)
        train(plain, QuietContext("cpu", 1), data=data)
    assert float(before["seen"]) == 0.0
