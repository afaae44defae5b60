from __future__ import annotations

import pytest
import torch

from plantseg_app.errors import RequestError
from plantseg_app.networks.boundary.loss import bce_dice_terms
from plantseg_app.train.losses import make_loss
from plantseg_app.train.settings import LossSettings

NAMES = ("bce", "dice", "bce-dice", "generalised-dice", "cross-entropy", "mse", "l1", "smooth-l1")


def example(channels: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, channels, 3, 5, 6, generator=generator) * 2
    chosen = torch.randint(channels, (2, 3, 5, 6), generator=generator)
    target = torch.nn.functional.one_hot(chosen, channels).movedim(-1, 1).float()
    known = (torch.rand(2, 1, 3, 5, 6, generator=generator) < 0.7).float()
    return logits, target, known


def total(name: str, *arguments: torch.Tensor | None, **settings: object) -> float:
    return float(sum(make_loss(LossSettings(name=name, **settings))(*arguments).values()))


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_prediction_costs_nothing(name: str) -> None:
    _, target, known = example()
    assert total(name, 60 * (target - 0.5), target, None) < 1e-5
    assert total(name, 60 * (target - 0.5), target, known) < 1e-5
    assert total(name, 60 * (0.5 - target), target, known) > 0.4


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_known_does_not_matter(name: str) -> None:
    logits, target, known = example()
    scrambled = torch.where(known.bool(), logits, torch.full_like(logits, 7.0))
    guessed = torch.where(known.bool(), target, 1 - target)
    assert total(name, logits, target, known) == pytest.approx(total(name, scrambled, guessed, known), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_wholly_unknown_batch_has_no_gradient(name: str) -> None:
    logits, target, known = example()
    logits.requires_grad_()
    loss = sum(make_loss(LossSettings(name=name))(logits, target, known * 0).values())
    loss.backward()
    assert torch.isfinite(loss)
    assert not logits.grad.any()


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("bce", "BCEWithLogitsLoss"),
        ("generalised-dice", "GeneralizedDiceLoss"),
        ("mse", "MSELoss"),
        ("l1", "L1Loss"),
        ("smooth-l1", "SmoothL1Loss"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_losses_agree_with_pytorch3dunet_and_torch(name: str, theirs: str, channels: int) -> None:
    logits, target, _ = example(2)
    logits, target = logits[:, :channels], target[:, :channels]
    if name == "generalised-dice":
        losses = pytest.importorskip("pytorch3dunet.unet3d.losses")
        expected = losses.GeneralizedDiceLoss()(logits, target)
    elif name == "bce":
        expected = torch.nn.BCEWithLogitsLoss()(logits, target)
    else:
        expected = getattr(torch.nn, theirs)()(torch.sigmoid(logits), target)
    assert total(name, logits, target, None) == pytest.approx(float(expected), rel=1e-5)


def test_dice_agrees_with_pytorch3dunet() -> None:
    losses = pytest.importorskip("pytorch3dunet.unet3d.losses")
    logits, target, _ = example(2)
    assert total("dice", logits, target, None) == pytest.approx(float(losses.DiceLoss()(logits, target)), rel=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_bce_dice_is_the_loss_of_the_boundary_family(masked: bool) -> None:
    logits, target, known = example(1)
    target = (torch.rand(target.shape, generator=torch.Generator().manual_seed(2)) < 0.3).float()
    mask = known if masked else None
    ours = make_loss(LossSettings(name="bce-dice"))(logits, target, mask)
    theirs = bce_dice_terms(logits, target, mask)
    assert float(ours["bce"]) == pytest.approx(float(theirs["bce"]), rel=1e-5)
    assert float(ours["dice"]) == pytest.approx(float(theirs["dice"]), rel=1e-4)


def test_cross_entropy_is_that_of_torch() -> None:
    logits, target, _ = example(2)
    expected = torch.nn.functional.cross_entropy(logits, target.argmax(1))
    assert total("cross-entropy", logits, target, None) == pytest.approx(float(expected), rel=1e-5)
    with pytest.raises(RequestError, match="two or more channels"):
        total("cross-entropy", logits[:, :1], target[:, :1], None)


def test_weights() -> None:
    logits, target, _ = example(2)
    one = total("mse", logits[:, :1], target[:, :1], None)
    assert total("mse", logits, target, None, channel_weights=(1, 0)) == pytest.approx(one, rel=1e-5)
    heavy = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))(logits, target)
    assert total("bce", logits, target, None, positive_weight=3.0) == pytest.approx(float(heavy), rel=1e-5)
    with pytest.raises(RequestError, match="channel_weights"):
        total("mse", logits, target, None, channel_weights=(1, 2, 3))
