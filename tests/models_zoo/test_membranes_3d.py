"""The shipped model is what its card says."""

from __future__ import annotations

import hashlib

from plantseg_app.networks.weights import load_weights
from plantseg_app.paths import bundled_models_dir
from plantseg_app.zoo.card import ModelCard

FOLDER = bundled_models_dir() / "membranes-3d"


def test_the_card_describes_the_weights_beside_it():
    card = ModelCard.read(FOLDER)
    assert card.id == FOLDER.name
    content = (FOLDER / card.weights.file).read_bytes()
    assert len(content) == card.weights.size_bytes < 10_000_000
    assert hashlib.sha256(content).hexdigest() == card.weights.sha256
    load_weights(card.network_family().build(), FOLDER / card.weights.file)
    assert (FOLDER / "README.md").is_file()
    score = next(s for s in card.scores if s.metric == "adapted_rand_error")
    assert 0 < score.value < 0.08
