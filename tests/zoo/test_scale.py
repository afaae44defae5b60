"""Advice about scale: what a person is told is what the step predict then does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantseg_app.core.context import QuietContext
from plantseg_app.core.fields import SCALE_LIMITS
from plantseg_app.core.volume import Kind, Volume, VoxelSize
from plantseg_app.steps.predict.predict import Predict
from plantseg_app.zoo.card import ModelCard
from plantseg_app.zoo.catalogue import InstalledModel, list_models
from plantseg_app.zoo.scale import advise_scale, known_diameters_vox, network_factors, rank_models
from plantseg_app.zoo.search import known_models


def make_card(**changes: object) -> ModelCard:
    plain = {
        "id": "example",
        "title": "Example",
        "description": "For tests.",
        "family": {"kind": "boundary"},
        "dimensionality": "3D",
        "inputs": [{"name": "membrane"}],
        "outputs": [{"name": "boundary", "kind": "boundary"}],
        "normalisation": {"method": "percentile"},
        "weights": {"file": "weights.safetensors", "sha256": "0" * 64, "size_bytes": 8},
        "licence": "MIT",
        "authors": ["Nobody"],
    }
    return ModelCard(**(plain | changes))


FIXED = make_card(voxel_size_um=(0.4, 0.2, 0.2), object_diameter_um=6.0)
ANY_SIZE = make_card(object_diameter_vox=(10, 40))


def test_voxels_of_another_size_are_brought_to_those_of_the_model_unless_they_differ_little():
    assert network_factors(FIXED, (8, 64, 64), VoxelSize(0.4, 0.1, 0.1)) == (1.0, 0.5, 0.5)
    assert network_factors(FIXED, (8, 64, 64), VoxelSize(0.42, 0.19, 0.21)) == (1.0, 1.0, 1.0)
    assert network_factors(FIXED, (8, 64, 64), None, 2.0) == (2.0, 2.0, 2.0)
    assert network_factors(FIXED, (1, 64, 64), VoxelSize(9.0, 0.1, 0.1), 2.0) == (1.0, 1.0, 1.0)
    assert network_factors(make_card(dimensionality="2D"), (8, 64, 64), None, 2.0) == (1.0, 2.0, 2.0)


def test_cells_of_a_size_that_the_model_knows_need_nothing():
    advice = advise_scale(ANY_SIZE, (8, 64, 64), cell_diameter_vox=25)
    assert (advice.verdict, advice.scale, advice.mismatch) == ("fits", 1.0, 1.0)
    assert advice.sentence == "Cells are 25 voxels across for the network, a size that example knows."


def test_cells_of_another_size_are_said_to_be_so():
    large = advise_scale(ANY_SIZE, (8, 64, 64), cell_diameter_vox=84)
    assert (large.verdict, large.scale) == ("rescale", 0.476)
    assert large.sentence == "Cells are about 2.1 times larger than example knows: scale 0.476."
    small = advise_scale(ANY_SIZE, (8, 64, 64), cell_diameter_vox=4)
    assert (small.scale, small.factors) == (2.5, (2.5, 2.5, 2.5))
    assert "2.5 times smaller" in small.sentence


def test_a_diameter_in_micrometres_needs_the_voxel_size():
    by_um = advise_scale(ANY_SIZE, (8, 64, 64), VoxelSize(0.5, 0.25, 0.25), cell_diameter_um=21.0)
    assert by_um == advise_scale(ANY_SIZE, (8, 64, 64), VoxelSize(0.5, 0.25, 0.25), cell_diameter_vox=84)
    without = advise_scale(ANY_SIZE, (8, 64, 64), cell_diameter_um=21.0)
    assert without.verdict == "unknown"
    assert "10 to 40 voxels across" in without.sentence


def test_the_voxel_size_of_the_model_counts_before_the_diameter():
    assert known_diameters_vox(FIXED) == (20.0, 45.0)
    halved = advise_scale(FIXED, (8, 64, 64), VoxelSize(0.4, 0.1, 0.1), cell_diameter_vox=60)
    assert (halved.verdict, halved.scale, halved.factors) == ("rescale", 1.0, (1.0, 0.5, 0.5))
    assert halved.sentence.endswith("once the image is brought to its voxel size.")
    larger = advise_scale(FIXED, (8, 64, 64), VoxelSize(0.4, 0.1, 0.1), cell_diameter_vox=180)
    assert (larger.scale, larger.factors) == (0.5, (0.5, 0.25, 0.25))


@pytest.mark.parametrize(
    ("card", "voxel_size", "verdict", "words"),
    [
        (FIXED, None, "unknown", "voxel size of the image is unknown"),
        (FIXED, VoxelSize(0.4, 0.2, 0.2), "fits", "has the voxel size"),
        (FIXED, VoxelSize(0.4, 0.1, 0.1), "rescale", "scaled by 1 x 0.5 x 0.5"),
        (ANY_SIZE, VoxelSize(0.4, 0.1, 0.1), "unknown", "measure one"),
        (make_card(), None, "unknown", "does not say"),
    ],
)
def test_without_a_measured_cell_the_voxel_size_speaks(card, voxel_size, verdict, words):
    advice = advise_scale(card, (8, 64, 64), voxel_size)
    assert advice.verdict == verdict
    assert words in advice.sentence


@given(st.floats(0.01, 1e5), st.sampled_from([FIXED, ANY_SIZE]), st.sampled_from([None, VoxelSize(0.3, 0.1, 0.1)]))
def test_after_the_advice_cells_have_a_size_that_the_model_knows(diameter, card, voxel_size):
    advice = advise_scale(card, (8, 64, 64), voxel_size, cell_diameter_vox=diameter)
    assert SCALE_LIMITS[0] <= advice.scale <= SCALE_LIMITS[1]
    Predict(scale=advice.scale)
    low, high = known_diameters_vox(card)
    if SCALE_LIMITS[0] < advice.scale < SCALE_LIMITS[1]:
        assert low * 0.99 <= diameter * advice.factors[1] <= high * 1.01


def test_the_step_predict_does_what_was_advised(home, install):
    install(home / "user" / "tiny", "tiny")
    card_file = home / "user" / "tiny" / "card.yaml"
    text = card_file.read_text(encoding="utf-8")
    text = text.replace("voxel_size_um: null", "voxel_size_um: [0.4, 0.2, 0.2]")
    card_file.write_text(text.replace("object_diameter_um: null", "object_diameter_um: 6.0"), encoding="utf-8")
    image = Volume(np.random.default_rng(0).random((8, 32, 32)), Kind.RAW, (0.4, 0.1, 0.1))
    model = list_models()[0]
    advice = advise_scale(model.card, image.shape_vox, image.voxel_size_um, cell_diameter_vox=20)
    assert advice.scale == 2.0
    step = Predict(model="tiny", scale=advice.scale)
    assert step._factors(model.card, image.voxel_size_um, image.shape_vox) == advice.factors
    assert step.execute({"image": image}, QuietContext("cpu")).shape_vox == image.shape_vox


def test_models_are_ranked_by_what_they_are_for(tmp_path):
    cards = [
        make_card(id="nuclei-3d", inputs=[{"name": "nuclei"}], modality="confocal"),
        make_card(id="flat", dimensionality="2D", modality="confocal"),
        make_card(id="histology", modality="histology"),
        make_card(id="coarse", modality="confocal", voxel_size_um=(2, 1, 1), object_diameter_um=10),
        make_card(id="right", modality="confocal, light-sheet", voxel_size_um=(0.4, 0.2, 0.2), object_diameter_um=6),
        make_card(id="anything", modality="any"),
    ]
    models = [InstalledModel(card, tmp_path) for card in cards]
    fits = rank_models(models, (8, 64, 64), VoxelSize(0.4, 0.2, 0.2), structure="membrane", modality="Confocal")
    order = [fit.model.card.id for fit in fits]
    assert order == ["right", "anything", "coarse", "histology", "flat", "nuclei-3d"]
    sentences = {fit.model.card.id: fit.sentence for fit in fits}
    assert sentences["nuclei-3d"].startswith("nuclei-3d looks for nuclei.")
    assert sentences["flat"].startswith("flat works slice by slice.")
    assert sentences["histology"].startswith("histology was trained on histology.")
    flat_first = rank_models(models, (1, 64, 64), structure="membrane")
    assert flat_first[0].model.card.id == "flat"
    assert "was trained on stacks" in flat_first[1].sentence
    assert len(rank_models(models, (8, 64, 64))) == len(models)


@pytest.mark.parametrize(
    ("size", "nearest"), [(0.15, "confocal_3d_unet_ovules_ds2x"), (0.1625, "lightsheet_3d_unet_root_ds1x")]
)
def test_of_two_models_that_fit_the_one_of_the_nearer_voxel_size_comes_first(size, nearest):
    models = [model for model in known_models() if model.installed is None]
    fits = rank_models(models, (8, 64, 64), VoxelSize(0.24, size, size), structure="membrane")
    assert [fit.advice.verdict for fit in fits[:2]] == ["fits", "fits"]
    assert fits[0].model.card.id == nearest


def test_shipped_models_say_which_sizes_they_know():
    for model in list_models():
        assert model.is_own or known_diameters_vox(model.card) is not None
