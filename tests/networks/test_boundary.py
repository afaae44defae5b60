"""The boundary family: targets against scikit-image, the loss by hand, settings against a model card."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import plantseg_app.networks.families  # noqa: F401 - fills the registry
from plantseg_app.core.volume import Kind
from plantseg_app.errors import RequestError
from plantseg_app.networks.boundary.family import BoundaryFamily
from plantseg_app.networks.boundary.loss import bce_dice_loss, bce_dice_terms
from plantseg_app.networks.boundary.targets import boundary_target, thick_boundaries
from plantseg_app.networks.family import make_family


@given(labels=arrays(np.uint32, array_shapes(min_dims=2, max_dims=3, max_side=7), elements=st.integers(0, 3)))
@settings(max_examples=40, deadline=None)
def test_thick_boundaries_are_those_of_scikit_image(labels):
    from skimage.segmentation import find_boundaries

    np.testing.assert_array_equal(thick_boundaries(labels), find_boundaries(labels, mode="thick"))


def two_cells(shape=(12, 20, 20)) -> np.ndarray:
    labels = np.ones(shape, np.uint32)
    labels[..., shape[-1] // 2 :] = 70_001
    return labels


def test_target_of_a_plane_wall_is_two_voxels_thick_and_of_one_label_empty():
    target = boundary_target(two_cells())
    assert target.any(axis=(0, 1)).nonzero()[0].tolist() == [9, 10]
    assert target[..., 9:11].all()
    assert not boundary_target(np.full((5, 5, 5), 7)).any()


def test_target_evens_out_the_steps_of_an_oblique_wall():
    y, x = np.mgrid[:40, :40]
    labels = (y > 0.45 * x + 10).astype(np.uint8)[np.newaxis]
    target = boundary_target(labels)[0]
    distance = np.abs(y - 0.45 * x - 10) / math.hypot(1, 0.45)
    assert target[distance < 0.5].all()
    assert not target[distance > 2].any()


def test_cells_come_back_from_the_target():
    from scipy import ndimage

    rng = np.random.default_rng(0)
    seeds = rng.uniform(0, 40, (12, 3))
    grid = np.stack(np.mgrid[:40, :40, :40], -1)
    labels = np.argmin(((grid[..., None, :] - seeds) ** 2).sum(-1), -1) + 1
    insides, count = ndimage.label(~boundary_target(labels))
    pairs = np.unique(np.stack([insides.ravel(), labels.ravel()])[:, insides.ravel() > 0], axis=1)
    assert len(np.unique(pairs[1])) == len(np.unique(labels))
    assert pairs.shape[1] == count, "an inside touches two cells: the target has a hole"


def test_loss_is_what_a_hand_computes():
    logits = torch.tensor([[[0.0, math.log(3), -math.log(3)]]])
    target = torch.tensor([[[0.0, 1.0, 1.0]]])
    # Probabilities 1/2, 3/4, 1/4.
    terms = bce_dice_terms(logits, target)
    assert float(terms["bce"]) == pytest.approx(-(math.log(0.5) + math.log(0.75) + math.log(0.25)) / 3)
    assert float(terms["dice"]) == pytest.approx(1 - 2 * (0.75 + 0.25) / (0.25 + 0.5625 + 0.0625 + 2))
    assert float(bce_dice_loss(logits, target)) == pytest.approx(float(terms["bce"] + terms["dice"]))


def test_masked_voxels_teach_nothing():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 5, 5, generator=generator).requires_grad_()
    target = (torch.rand(2, 1, 5, 5, generator=generator) > 0.5).float()
    mask = torch.ones(2, 1, 5, 5)
    mask[..., 3:] = 0
    loss = bce_dice_loss(logits, target, mask)
    loss.backward()
    assert not logits.grad[..., 3:].any()
    assert logits.grad[..., :3].all()
    torch.testing.assert_close(loss, bce_dice_loss(logits[..., :3], target[..., :3]))
    assert torch.isfinite(bce_dice_loss(logits, target, torch.zeros_like(mask)))


@pytest.mark.parametrize("dimensions", ["2D", "3D"])
@pytest.mark.parametrize("residual", [False, True])
def test_family_builds_learns_and_describes_itself(dimensions, residual):
    family = BoundaryFamily(
        dimensions=dimensions, residual=residual, feature_maps=(8, 16), predicts=("boundary", "foreground")
    )
    assert make_family(family.to_plain()) == family
    assert [(o.name, o.kind, o.channels) for o in family.outputs] == [
        ("boundary", Kind.BOUNDARY, (0,)),
        ("foreground", Kind.FOREGROUND, (1,)),
    ]
    flat = dimensions == "2D"
    assert family.grid_vox == ((1, 2, 2) if flat else (2, 2, 2))
    assert (family.receptive_radius_vox[0] == 0) is flat
    labels = two_cells((4, 8, 8))
    labels[:, :2] = 0
    target = torch.from_numpy(family.targets(labels, None))
    assert target.shape == (2, 4, 8, 8)
    batch = target.transpose(0, 1) if flat else target[None]
    image = torch.zeros(4, 1, 8, 8) if flat else torch.zeros(1, 1, 4, 8, 8)
    network = family.build()
    logits = network(image)
    assert logits.shape == batch.shape
    assert set(family.loss(logits, batch)) == {"bce", "dice"}
    sum(family.loss(logits, batch).values()).backward()
    probability = family.activate(logits)
    probability = probability.detach()
    assert 0 <= float(probability.min()) <= float(probability.max()) <= 1


def test_the_boundaries_of_slices_are_not_those_of_the_stack():
    labels = np.ones((4, 6, 6), int)
    labels[2:] = 2
    assert not BoundaryFamily(dimensions="2D").targets(labels, None).any()
    assert BoundaryFamily().targets(labels, None)[0, 1:3].all()


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ({"feature_maps": [8]}, "feature_maps"),
        ({"layer_order": "gxr"}, "layer_order"),
        ({"f_maps": 8}, "f_maps"),
        ({"predicts": ["boundary", "boundary"]}, "twice"),
        ({"dropout_probability": 1.0}, "dropout_probability"),
    ],
)
def test_wrong_settings_are_refused_in_words(plain, words):
    with pytest.raises(RequestError, match=words):
        make_family({"kind": "boundary", **plain})


def test_exact_tiles_only_without_group_norm():
    assert BoundaryFamily(layer_order="bcr").tiles_exactly
    assert not BoundaryFamily(layer_order="gcr").tiles_exactly
