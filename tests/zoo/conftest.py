"""A machine without models, and a maker of tiny ones."""

from __future__ import annotations

import hashlib

import pytest
import torch

from plantseg_app import paths
from plantseg_app.networks.boundary.family import BoundaryFamily
from plantseg_app.networks.weights import save_weights
from plantseg_app.zoo.card import ModelCard

FAMILY = BoundaryFamily(feature_maps=(2, 4))


def install_tiny(folder, model_id="tiny", seed=0):
    """Make a model with random weights in `folder` and return its network."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    network = FAMILY.build()
    save_weights(network, folder / "weights.safetensors")
    stored = (folder / "weights.safetensors").read_bytes()
    card = ModelCard(
        id=model_id,
        title="Tiny",
        description="For tests.",
        family=FAMILY.to_plain(),
        dimensionality="3D",
        inputs=[{"name": "membrane"}],
        outputs=[{"name": "boundary", "kind": "boundary"}],
        normalisation={"method": "percentile"},
        weights={
            "file": "weights.safetensors",
            "sha256": hashlib.sha256(stored).hexdigest(),
            "size_bytes": len(stored),
        },
        licence="MIT",
        authors=["Nobody"],
    )
    (folder / "card.yaml").write_text(card.to_yaml(), encoding="utf-8")
    return network


@pytest.fixture
def install():
    """Make a model with random weights in a folder: ``install(folder, model_id, seed)`` returns its network."""
    return install_tiny


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A machine with no model but those that a test installs."""
    monkeypatch.setattr(paths, "bundled_models_dir", lambda: tmp_path / "bundled")
    monkeypatch.setattr(paths, "user_models_dir", lambda: tmp_path / "user")
    return tmp_path
