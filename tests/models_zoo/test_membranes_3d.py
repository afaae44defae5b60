"""The shipped model is what its card says, and the simulator it was trained with is repeatable and honest."""

from __future__ import annotations

import hashlib
import importlib.util
import sys

import numpy as np
import pytest

from plantseg_app.networks.weights import load_weights
from plantseg_app.paths import bundled_models_dir
from plantseg_app.zoo.card import ModelCard

FOLDER = bundled_models_dir() / "membranes-3d"


@pytest.fixture(scope="module")
def simulator():
    path = FOLDER / "simulate.py"
    spec = importlib.util.spec_from_file_location("membranes_3d_simulate", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


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


def test_a_simulated_stack_is_repeatable_and_holds_what_its_labels_say(simulator):
    shape = (16, 40, 40)
    first, again, other = (simulator.simulate(np.random.default_rng(s), None, shape) for s in (5, 5, 6))
    np.testing.assert_array_equal(first.raw, again.raw)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.raw != other.raw).any()
    assert first.raw.shape == first.labels.shape == shape
    assert first.raw.dtype == np.uint8
    ids = np.unique(first.labels)
    assert len(ids) > 2
    np.testing.assert_array_equal(ids[ids > 0], np.arange(1, (ids > 0).sum() + 1))


def test_walls_lie_between_cells_alone(simulator):
    labels = np.ones((6, 12, 12), np.int32)
    labels[:, :, 6:] = 2
    walls = simulator.wall_image(np.random.default_rng(0), labels)
    assert walls[:, :, 5].min() > 0
    assert not walls[:, :, :5].any()
    assert not walls[:, :, 7:].any()


def test_cells_cut_from_a_volume_have_its_sizes(simulator):
    grid = np.indices((60, 90, 90)) // 20
    volume = (1 + grid[0] + 5 * grid[1] + 25 * grid[2]).astype(np.int32)
    sizes = []
    for seed in range(6):
        labels = simulator.cells_from_volume(np.random.default_rng(seed), volume, (24, 48, 48))
        sizes.append(np.median(np.bincount(labels.ravel())[1:]))
    assert 400 < np.median(sizes) < 8 * 20**3


def test_crumbs_go_to_their_neighbour_and_background_stays(simulator):
    labels = np.zeros((10, 20, 20), np.int32)
    labels[:, 5:15, 5:15] = 7
    labels[4:6, 9:11, 9:11] = 3
    np.testing.assert_array_equal(simulator.without_crumbs(labels), labels > 0)
