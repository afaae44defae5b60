"""W-Net and SPOCO through the common loop: a teacher, a critic that takes turns, exact resume, few objects."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plantseg_app.core.context import QuietContext
from plantseg_app.errors import RequestError
from plantseg_app.networks.family import make_family
from plantseg_app.train.annotated import annotated_part, keep_some_objects
from plantseg_app.train.checkpoint import load_checkpoint
from plantseg_app.train.data import Stack
from plantseg_app.train.loop import train
from plantseg_app.train.patches import Batch, PatchSource
from plantseg_app.train.settings import AugmentSettings, DataSettings, PatchSettings, TrainSettings
from plantseg_app.train.tasks import Surroundings, make_task
from plantseg_app.zoo.card import ModelCard, Normalisation


def discs(seed: int, shape: tuple[int, int, int] = (1, 48, 56)) -> Stack:
    """Bright discs on a dark ground, some of which touch."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape)
    labels = np.zeros(shape, np.uint32)
    for name in range(1, 9):
        cy, cx = rng.integers(5, shape[1] - 5), rng.integers(5, shape[2] - 5)
        labels[((y - cy) ** 2 + (x - cx) ** 2 < 36) & (labels == 0) & (z < shape[0])] = name
    image = (labels > 0) * 0.8 + rng.normal(0, 0.05, shape)
    return Stack.from_arrays(
        image.astype(np.float32), labels, normalisation=Normalisation(method="none"), name=f"discs {seed}"
    )


def settings(folder: Path, steps: int, family: dict[str, Any], **more: Any) -> TrainSettings:
    return TrainSettings.from_plain(
        {
            "output": str(folder), "family": {"feature_maps": [4, 8], "embedding_channels": 4, **family},
            "device": "cpu", "precision": "float32", "data": {"normalisation": {"method": "none"}},
            "patches": {"shape_vox": [1, 32, 32], "batch": 2}, "stopping": {"steps": steps},
            "validation": {"every": 4, "min_size": 8}, "schedule": {"name": "constant"}, "optimiser": {"rate": 0.01},
            **more,
        }
    )  # fmt: skip


DATA = ([discs(seed) for seed in range(4)], [discs(9)])
SPARSE = {"data": {"normalisation": {"method": "none"}, "annotated_share": 0.3}}
CRITIC = {"kind": "spoco", "adversarial_weight": 0.1, "critic_warmup_steps": 1, "critic_steps": 2}


@pytest.mark.parametrize(
    ("family", "more"),
    [
        ({"kind": "wnet"}, {}),
        ({"kind": "wnet", "passes_on": "both-features", "coordinates_frame_vox": [1, 32, 32]}, {}),
        ({"kind": "spoco", "foreground": "predicted", "stride": 2, "loss_every_vox": 2}, {}),
        ({"kind": "spoco"}, SPARSE),
    ],
    ids=["wnet", "wnet-variant", "spoco", "spoco-sparse"],
)
def test_it_learns_and_leaves_a_model(tmp_path: Path, family: dict[str, Any], more: dict[str, Any]) -> None:
    result = train(settings(tmp_path / "m", 12, family, **more), QuietContext("cpu", 1), data=DATA)
    rows = load_checkpoint(tmp_path / "m" / "run" / "last.pt")["history"]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert result.score_name == "symmetric-best-dice"
    assert 0 <= result.score <= 1
    card = ModelCard.read(tmp_path / "m")
    assert card.family["kind"] == family["kind"]
    assert card.outputs[0].name == "embedding"


@pytest.mark.parametrize(
    ("family", "more"), [({"kind": "wnet"}, {}), ({"kind": "spoco"}, SPARSE), (CRITIC, SPARSE)],
    ids=["wnet", "teacher", "teacher-and-critic"],
)  # fmt: skip
def test_a_resumed_training_is_that_of_one_that_never_stopped(
    tmp_path: Path, family: dict[str, Any], more: dict[str, Any]
) -> None:
    context = QuietContext("cpu", 1)
    train(settings(tmp_path / "whole", 8, family, **more), context, data=DATA)
    for steps in (4, 8):
        train(settings(tmp_path / "parts", steps, family, **more), context, data=DATA, resume=steps > 4)
    whole, parts = (load_checkpoint(tmp_path / name / "run" / "last.pt") for name in ("whole", "parts"))
    assert set(whole["networks"]) == set(parts["networks"])
    for name, weights in whole["networks"].items():
        for key, value in weights.items():
            assert torch.equal(value, parts["networks"][name][key]), (name, key)
    assert whole["history"][-1]["train_loss"] == parts["history"][-1]["train_loss"]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    for family, changes, words in (
        ({"kind": "wnet"}, {"loss": {"name": "bce"}}, "loss of its own"),
        ({"kind": "spoco"}, {"validation": {"metric": "adapted-rand-error"}}, "is judged by"),
    ):
        with pytest.raises(RequestError, match=words):
            train(settings(tmp_path / "m", 1, family, **changes), QuietContext("cpu", 1), data=DATA)


# ------------------------------------------------------------------------------------------ the task of SPOCO


def test_a_foreground_is_learned_where_objects_alone_are_known(tmp_path: Path) -> None:
    terms = spoco(tmp_path, foreground="predicted").losses("network", batch())
    assert float(terms["foreground"].detach()) > 0


def spoco(tmp_path: Path, **family: Any) -> Any:
    chosen = settings(tmp_path, 1, {"kind": "spoco", **family})
    torch.manual_seed(0)
    return make_task(make_family(chosen.family or {}), chosen, Surroundings(torch.device("cpu"), torch.float32))


def batch(views: bool = True, share: float | None = 0.3) -> Batch:
    stacks = annotated_part(DATA[0], DataSettings(annotated_share=share))
    patches = PatchSettings(shape_vox=(1, 32, 32), batch=3, anywhere=0.0)
    make = spoco(Path("unused")).make_target
    return PatchSource(stacks, make, patches, AugmentSettings(), False, views).batch(1, 0)


def consistency(task: Any, part: Batch) -> float:
    torch.manual_seed(5)
    return float(task.losses("network", part)["consistency"].detach())


def test_the_weight_of_the_consistency_has_an_effect(tmp_path: Path) -> None:
    """In the published program the option for it is not heard."""
    part = batch()
    once, thrice = (consistency(spoco(tmp_path, consistency_weight=w), part) for w in (1.0, 3.0))
    assert once > 0
    assert thrice == pytest.approx(3 * once, rel=1e-5)
    without = spoco(tmp_path, consistency_weight=0)
    assert not without.wants_second_view
    assert list(without.networks) == ["network"]
    assert "consistency" not in without.losses("network", part)


def test_consistency_is_asked_for_where_nothing_is_labelled_or_everywhere(tmp_path: Path) -> None:
    full = dataclasses.replace(batch(share=None), known=None)
    assert "consistency" not in spoco(tmp_path).losses("network", full)
    assert consistency(spoco(tmp_path, consistency_on="everywhere"), full) > 0


def test_the_teacher_follows_the_network_and_moves_at_no_other_time(tmp_path: Path) -> None:
    task = spoco(tmp_path, teacher_momentum=0.75)
    student, teacher = task.networks["network"], task.networks["teacher"]
    name = "unet.final_conv.weight"
    start = teacher.state_dict()[name].clone()
    torch.testing.assert_close(start, student.state_dict()[name])
    task.losses("network", batch())["pull"].backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    with torch.no_grad():
        student.get_parameter(name).add_(1.0)
    task.judge(student, DATA[1][0], QuietContext("cpu", 1))
    torch.testing.assert_close(teacher.state_dict()[name], start)
    task.after_step(1000)
    torch.testing.assert_close(teacher.state_dict()[name], start + 0.25)
    assert make_family({"kind": "spoco"}).teacher_momentum == 0.999  # type: ignore[attr-defined]


def test_the_critic_warms_up_and_then_takes_most_turns(tmp_path: Path) -> None:
    task = spoco(tmp_path, adversarial_weight=0.1, critic_warmup_steps=4, critic_steps=2)
    assert [task.turns(step)[0] for step in range(10)] == ["network"] * 4 + ["critic"] * 2 + (
        ["network"] + ["critic"] * 2 + ["network"]
    )
    task.turns(0)
    assert "adversarial" not in task.losses("network", batch())
    task.turns(6)
    terms = task.losses("network", batch())
    (gradient,) = torch.autograd.grad(terms["adversarial"], task.networks["network"].unet.final_conv.weight)
    assert gradient.any()
    terms = task.losses("critic", batch())
    assert set(terms) == {"critic", "penalty"}
    sum(terms.values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is None for parameter in task.networks["network"].parameters())


def test_a_critic_learns_to_tell_and_its_verdict_improves_masks(tmp_path: Path) -> None:
    task = spoco(tmp_path, adversarial_weight=1.0, critic_warmup_steps=0, critic_steps=5)
    task.turns(0)
    optimiser, part, told = task.optimisers["critic"], batch(), []
    for _ in range(12):
        torch.manual_seed(1)
        terms = task.losses("critic", part)
        optimiser.zero_grad()
        sum(terms.values()).backward()  # type: ignore[union-attr]
        optimiser.step()
        told.append(float(terms["critic"].detach()))
    assert told[-1] < told[0]


def test_a_critic_without_objects_to_look_at_stays_as_it_is(tmp_path: Path) -> None:
    task = spoco(tmp_path, adversarial_weight=0.1, critic_warmup_steps=0)
    task.turns(0)
    empty = batch()
    empty = dataclasses.replace(empty, target=torch.zeros_like(empty.target))
    for turn in ("network", "critic"):
        loss = sum(task.losses(turn, empty).values())
        assert torch.isfinite(loss)  # type: ignore[arg-type]
        loss.backward()  # type: ignore[union-attr]
    assert not any(p.grad.any() for p in task.networks["critic"].parameters() if p.grad is not None)


# ------------------------------------------------------------------------------------------ views and few objects


def test_two_views_share_their_geometry_and_not_their_grey_values() -> None:
    one = batch()
    assert one.other_image is not None
    assert one.other_image.shape == one.image.shape
    assert not torch.equal(one.image, one.other_image)
    stacks = list(DATA[0])
    patches, augment = PatchSettings(shape_vox=(1, 32, 32)), AugmentSettings(rotate=1.0, gaussian_noise=1.0)
    make = spoco(Path("unused")).make_target
    sample = PatchSource(stacks, make, patches, augment, False, True).sample(np.random.default_rng(2))
    inside = sample.target[0] > 0
    for image in (sample.image, sample.other_image):
        assert image is not None
        assert image[0][inside].mean() > image[0][~inside].mean() + 0.2
    alone = PatchSource(stacks, make, patches, augment, False).sample(np.random.default_rng(2))
    assert alone.other_image is None
    np.testing.assert_array_equal(alone.image, sample.image)


def test_a_share_of_the_objects_is_drawn_once() -> None:
    first, again, other = (
        annotated_part(DATA[0], DataSettings(annotated_share=0.5, annotated_seed=s)) for s in (1, 1, 2)
    )
    for stack, some, same in zip(DATA[0], first, again, strict=True):
        names = np.unique(stack.labels)[1:]
        kept = np.unique(some.labels)[1:]
        assert len(kept) == int(0.5 * len(names) + 0.5)
        np.testing.assert_array_equal(some.labels, same.labels)
        np.testing.assert_array_equal(some.known, np.isin(stack.labels, kept))
        np.testing.assert_array_equal(some.labels[some.known], stack.labels[some.known])
    assert any((a.labels != b.labels).any() for a, b in zip(first, other, strict=True))
    assert annotated_part(DATA[0], DataSettings()) == list(DATA[0])
    everything = keep_some_objects(DATA[0][0], 1.0, np.random.default_rng(0))
    np.testing.assert_array_equal(everything.labels, DATA[0][0].labels)
    np.testing.assert_array_equal(everything.known, DATA[0][0].labels > 0)
    with pytest.raises(RequestError, match="less than one object"):
        annotated_part(DATA[0], DataSettings(annotated_share=0.01))


def test_what_was_not_known_stays_unknown() -> None:
    known = np.zeros(DATA[0][0].labels.shape, bool)
    known[:, :24] = True
    some = keep_some_objects(dataclasses.replace(DATA[0][0], known=known), 1.0, np.random.default_rng(0))
    assert some.known is not None
    assert not some.known[:, 24:].any()
    assert not some.labels[:, 24:].any()
