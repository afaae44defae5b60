"""Learning from a few cells: only these are known, they stay as they are, and a model of the kind is the next start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import Cancelled, InputError, RequestError
from plantseg_app.networks.spoco.family import SpocoFamily
from plantseg_app.train import loop
from plantseg_app.train.few_cells import few_cells_settings, learn_from_few, typical_diameter
from plantseg_app.train.settings import StoppingSettings, TrainSettings
from plantseg_app.zoo.catalogue import find_model


@pytest.fixture
def scene() -> tuple[Volume, np.ndarray]:
    """A plane with sixteen bright squares, of which three are known."""
    cells = np.zeros((1, 64, 64), np.uint32)
    for number in range(16):
        y, x = 16 * (number // 4) + 2, 16 * (number % 4) + 2
        cells[0, y : y + 12, x : x + 12] = number + 1
    noise = np.random.default_rng(0).normal(0, 10, cells.shape)
    image = (np.where(cells > 0, 150, 40) + noise).clip(0, 255).astype(np.uint8)
    return Volume(image, Kind.RAW, (1.0, 0.5, 0.5), name="squares"), np.where(np.isin(cells, (2, 7, 12)), cells, 0)


def quick(settings: TrainSettings, steps: int = 3) -> TrainSettings:
    family = {**(settings.family or {}), "feature_maps": [4, 8], "embedding_channels": 4}
    changes: dict[str, Any] = {"stopping": StoppingSettings(steps=steps), "precision": "float32", "device": "cpu"}
    return settings.model_copy(update={**changes, "family": settings.family if settings.start_from else family})


def everything(model: str, image: Volume) -> Volume:
    """Find four large squares instead of cells."""
    found = np.zeros(image.shape_vox, np.uint32)
    for number in range(4):
        y, x = 32 * (number // 2), 32 * (number % 2)
        found[0, y : y + 30, x : x + 30] = number + 1
    return image.replace(data=found, kind=Kind.LABELS)


def test_settings_follow_image_and_cells(scene: tuple[Volume, np.ndarray]) -> None:
    image, cells = scene
    assert typical_diameter(cells) == pytest.approx(2 * np.sqrt(144 / np.pi))
    settings = few_cells_settings("model", image.data, cells, minutes=2)
    family = SpocoFamily(**{k: v for k, v in (settings.family or {}).items() if k != "kind"})
    assert (family.dimensions, family.stride, family.reach_vox, family.foreground) == ("2D", 2, 14, "none")
    assert settings.patches.shape_vox == (1, 64, 64)
    assert settings.stopping.minutes == 2
    stack = few_cells_settings(
        "model", np.zeros((2, 40, 50, 60), np.uint8), np.pad(cells, ((10, 29), (0, 0), (0, 0)))[:, :50, :60]
    )
    assert (stack.family or {})["dimensions"] == "3D"
    assert (stack.family or {})["image_channels"] == 2
    assert stack.patches.shape_vox[0] == 32
    with pytest.raises(RequestError, match="no cell to learn from"):
        few_cells_settings("model", image.data, np.zeros_like(cells))


def test_only_known_cells_are_learned_and_they_stay(
    scene: tuple[Volume, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, cells = scene
    seen: list[Any] = []
    train = loop.train

    def watched(settings: TrainSettings, *rest: Any, data: Any, **more: Any) -> Any:
        seen.extend(data[0])
        return train(settings, *rest, data=data, **more)

    monkeypatch.setattr(loop, "train", watched)
    settings = quick(few_cells_settings(str(tmp_path / "first"), image.data, cells))
    done = learn_from_few(settings, image, cells, everything, QuietContext("cpu", 1))
    (stack,) = seen
    np.testing.assert_array_equal(stack.known, cells > 0)
    np.testing.assert_array_equal(stack.labels, cells)
    proposal = done.proposal
    assert (proposal.kind, proposal.voxel_size_um) == (Kind.LABELS, image.voxel_size_um)
    np.testing.assert_array_equal(proposal.data[cells > 0], cells[cells > 0])
    assert (done.n_learned, done.n_proposed) == (3, 4)
    assert "Learned from 3 cells" in done.words
    assert find_model(done.model).card.network_family().kind == "spoco"

    # The next round begins with what this one has learned.
    more = quick(few_cells_settings(str(tmp_path / "second"), image.data, cells, start_from=done.model), steps=1)
    assert more.optimiser.rate < settings.optimiser.rate
    again = learn_from_few(more, image, cells, everything, QuietContext("cpu", 1))
    before, after = (find_model(m).weights_path for m in (done.model, again.model))
    from plantseg_app.networks.weights import read_weights

    first, second = read_weights(before), read_weights(after)
    distance = sum(float((first[n].float() - second[n].float()).abs().max()) for n in first if "conv.weight" in n)
    assert 0 < distance < 0.1


def test_a_foreground_is_left_behind_and_embeddings_stay(tmp_path: Path) -> None:
    before = SpocoFamily(feature_maps=(4, 8), foreground="predicted", stride=2, embedding_channels=6)
    after = before.for_objects_alone()
    assert after.foreground == "none"
    torch.manual_seed(0)
    old, new = before.build().eval(), after.build().eval()
    new.load_state_dict(after.weights_of(before, old.state_dict()))
    image = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.allclose(new(image), old(image)[:, :6])
    assert after.for_objects_alone() == after
    same = after.weights_of(after, new.state_dict())
    assert all(torch.equal(same[name], value) for name, value in new.state_dict().items())


def test_other_kinds_of_models_and_other_images_are_refused(scene: tuple[Volume, np.ndarray], tmp_path: Path) -> None:
    image, cells = scene
    with pytest.raises(RequestError, match="only SPOCO models"):
        few_cells_settings("model", image.data, cells, start_from="membranes-2d")
    settings = quick(few_cells_settings(str(tmp_path / "model"), image.data, cells))
    with pytest.raises(InputError, match="voxels"):
        learn_from_few(settings, image, cells[:, :32], everything)


def test_stopping_leaves_a_training_that_goes_on(scene: tuple[Volume, np.ndarray], tmp_path: Path) -> None:
    image, cells = scene

    class Impatient(QuietContext):
        def check(self) -> None:
            raise Cancelled("stop")

    settings = quick(few_cells_settings(str(tmp_path / "model"), image.data, cells))
    with pytest.raises(Cancelled):
        learn_from_few(settings, image, cells, everything, Impatient("cpu", 1))
    done = learn_from_few(settings, image, cells, everything, QuietContext("cpu", 1), resume=True)
    assert Path(done.model).is_dir()
