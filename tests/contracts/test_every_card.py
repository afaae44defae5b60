"""Every model that ships keeps what its card promises: whole, small, scored, documented, and runnable by its id."""

from __future__ import annotations

import hashlib

import pytest
from PIL import Image

from plantseg_app.networks.weights import load_weights
from plantseg_app.paths import bundled_models_dir
from plantseg_app.run.workflows import default_workflow, find_workflow, with_model
from plantseg_app.zoo.card import ModelCard
from plantseg_app.zoo.catalogue import read_catalogue

FOLDERS = sorted(path for path in bundled_models_dir().iterdir() if path.is_dir() and path.name != "__pycache__")


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def test_no_shipped_card_is_broken():
    shipped = bundled_models_dir()
    assert [broken for broken in read_catalogue().broken if broken.folder.is_relative_to(shipped)] == []


def test_the_weights_are_those_of_the_card_and_small(folder):
    card = ModelCard.read(folder)
    assert card.id == folder.name
    content = (folder / card.weights.file).read_bytes()
    assert len(content) == card.weights.size_bytes <= 10_000_000
    assert hashlib.sha256(content).hexdigest() == card.weights.sha256


def test_the_network_builds_and_its_outputs_are_those_of_the_card(folder):
    card = ModelCard.read(folder)
    family = card.network_family()
    load_weights(family.build(), folder / card.weights.file)
    assert family.tiles_exactly or family.frame_vox is not None
    assert [(output.name, output.kind) for output in card.outputs] == [(o.name, o.kind) for o in family.outputs]
    assert len(card.inputs) == family.in_channels
    assert (card.dimensionality == "2D") == family.is_2d


def test_the_card_says_what_it_saw_and_how_it_scores(folder):
    card = ModelCard.read(folder)
    assert "train" in {source.seen_as for source in card.data}
    assert all(source.licence and source.provenance for source in card.data)
    assert card.scores
    assert card.segments
    assert card.organism
    assert card.tissue
    assert card.modality
    assert card.doi
    assert card.tile_vox
    assert all(output.description for output in card.outputs)
    assert card.picture
    assert (folder / card.picture).is_file()
    assert card.licence != "not stated"
    assert "preliminary" not in card.training


def test_people_find_words_a_picture_and_the_recipe(folder):
    assert len((folder / "README.md").read_text(encoding="utf-8")) > 300
    pictures = sorted(folder.glob("*.png"))
    assert pictures
    for path in pictures:
        assert path.stat().st_size < 200_000
        with Image.open(path) as picture:
            picture.verify()
    assert (folder / "train.yaml").is_file() or (folder / "train.py").is_file()


def test_its_own_workflow_takes_it(folder):
    card = ModelCard.read(folder)
    workflow = with_model(find_workflow(default_workflow(card.id)), card.id)
    models = [node.step.model for node in workflow.nodes.values() if hasattr(node.step, "model")]
    assert models
    assert set(models) == {card.id}
