"""A model learns from cells marked as correct, and is compared on others; nothing else of the image is learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.proofread.annotation import annotation_of, hold_out, write_annotation
from plantseg_app.proofread.session import ProofreadSession
from plantseg_app.proofread.tools.marks import Lock
from plantseg_app.run.segmenting import segment_with
from plantseg_app.train import loop
from plantseg_app.train.fine_tune import fine_tune, fine_tune_settings, judge, rim_for
from plantseg_app.train.loop import train
from plantseg_app.train.settings import (
    CheckpointSettings,
    OptimiserSettings,
    PatchSettings,
    StackFiles,
    StoppingSettings,
    TrainSettings,
    ValidationSettings,
)
from plantseg_app.zoo.card import ModelCard
from plantseg_app.zoo.catalogue import find_model


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, tissue_stack: Any) -> str:
    """A network that has learned next to nothing."""
    settings = TrainSettings.from_plain(
        {
            "output": str(tmp_path_factory.mktemp("teacher") / "beginner"),
            "family": {"kind": "boundary", "feature_maps": [8, 16]},
            "patches": {"shape_vox": [8, 32, 32]},
            "stopping": {"steps": 4},
            "validation": {"every": 4},
            "optimiser": {"rate": 0.001},
            "precision": "float32",
        }
    )
    train(settings, QuietContext("cpu", 1), data=([tissue_stack], [tissue_stack]))
    return settings.output


@pytest.fixture
def files(tmp_path: Path, tissue: tuple[Any, Any]) -> tuple[StackFiles, StackFiles]:
    raw, labels = tissue
    session = ProofreadSession(labels.copy())
    session.do(Lock(cells=tuple(session.tissue.index.ids())))
    parts = hold_out(annotation_of(session.tissue))
    written = [
        write_annotation(part, Volume(raw, Kind.RAW), tmp_path, name)
        for part, name in zip(parts, ("learn", "held-out"), strict=True)
    ]
    learn, held = (StackFiles(path=str(path), ignore=str(ignore)) for path, ignore in written)
    return learn, held


def quick(settings: TrainSettings) -> TrainSettings:
    return settings.model_copy(
        update={
            "patches": PatchSettings(shape_vox=(8, 32, 32)),
            "stopping": StoppingSettings(steps=40),
            "validation": ValidationSettings(every=20),
            "optimiser": OptimiserSettings(rate=0.01),
            "checkpoints": CheckpointSettings(),
            "device": "cpu",
            "precision": "float32",
        }
    )


def test_a_model_learns_from_the_cells_and_is_compared_on_others(
    tmp_path: Path, teacher: str, files: tuple[StackFiles, StackFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, held = files
    seen: list[Any] = []
    real = loop.train

    def watched(*args: Any, **named: Any) -> Any:
        seen.extend(named["data"][0])
        return real(*args, **named)

    monkeypatch.setattr(loop, "train", watched)
    tuned = fine_tune(
        quick(fine_tune_settings(teacher, str(tmp_path / "tuned"), learn)), held, segment_with, QuietContext("cpu", 1)
    )
    card = ModelCard.read(tuned.model)
    assert [(score.metric, score.value) for score in card.scores] == [("seg", round(tuned.after.seg, 4))]
    assert f"{tuned.before.seg:.4f} before" in card.scores[0].remark
    assert tuned.n_held_out >= 2
    assert tuned.n_learned >= 3
    assert 0 <= tuned.before.seg <= 1
    # Walls are bright in this tissue, so that forty steps are enough to do better than next to nothing.
    assert tuned.after.seg > tuned.before.seg
    assert "better" in tuned.words
    (stack,) = seen
    assert stack.known is not None
    assert not stack.known.all()
    assert tuned.before.cells.shape_vox == tuned.after.cells.shape_vox


@pytest.mark.parametrize(
    ("model", "rim", "shape_vox"),
    [
        ("membranes-3d", 0, (32, 96, 96)),
        ("nuclei-2d", 0, (1, 96, 96)),
        ("nuclei-harmonic", 4, (1, 256, 256)),
        ("nuclei-wnet", 4, (1, 256, 256)),
        ("nuclei-spoco", 0, (1, 256, 256)),
        ("worms-layering", 4, (1, 256, 256)),
    ],
)
def test_settings_suit_every_family(model: str, rim: int, shape_vox: tuple[int, ...]) -> None:
    card = find_model(model).card
    settings = fine_tune_settings(model, "improved", StackFiles(path="learn.h5"), card, steps=40)
    assert rim_for(card) == rim
    # The network keeps its outputs, and so before and after are found by the same workflow.
    assert settings.family is None
    assert settings.card.workflow == card.workflow
    assert settings.patches.shape_vox == shape_vox
    assert (settings.stopping.steps, settings.validation.every) == (40, 10)
    assert (settings.card.licence, settings.card.authors) == (card.licence, card.authors)
    assert settings.card.title == f"{card.title}, fine-tuned"


def test_the_score_asks_only_for_the_cells_that_are_known(
    tissue: tuple[Any, Any], files: tuple[StackFiles, StackFiles]
) -> None:
    _, held = files

    def perfect(model: str, image: Volume) -> Volume:
        assert image.place is not None
        z, y, x = image.place.slices
        return image.replace(data=tissue[1][z, y, x].copy(), kind=Kind.LABELS)

    def one_blob(model: str, image: Volume) -> Volume:
        return image.replace(data=np.ones(image.shape_vox, np.uint32), kind=Kind.LABELS)

    best = judge("any", held, perfect)
    assert best.seg == 1.0
    assert judge("any", held, one_blob).seg < 0.5
    assert judge("any", held, one_blob).n_found <= 1


def test_the_family_for_sparse_objects_learns_from_the_same_files(
    tmp_path: Path, files: tuple[StackFiles, StackFiles]
) -> None:
    settings = TrainSettings.from_plain(
        {
            "output": str(tmp_path / "sparse"),
            "family": {
                "kind": "spoco",
                "dimensions": "3D",
                "feature_maps": [8, 16],
                "embedding_channels": 4,
                "foreground": "none",
            },
            "data": {"train": [files[0].model_dump()], "validation": [files[1].model_dump()]},
            "patches": {"shape_vox": [8, 32, 32]},
            "stopping": {"steps": 2},
            "validation": {"every": 2},
            "device": "cpu",
            "precision": "float32",
        }
    )
    result = train(settings, QuietContext("cpu", 1))
    assert result.model is not None
    assert np.isfinite(result.score)
