"""The layering family: sizes and sight of its networks, each form of its loss against plain loops, tiles, targets."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from plantseg_app.algorithms.layering import LayerRules, decode_layers
from plantseg_app.algorithms.layers import close_pairs, number_masks, pack_layers
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind
from plantseg_app.errors import RequestError
from plantseg_app.networks.family import make_family
from plantseg_app.networks.layering.family import PUBLISHED_FEATURE_MAPS, LayeringFamily
from plantseg_app.networks.layering.loss import LossRules, layering_terms
from plantseg_app.networks.plan import PredictOptions
from plantseg_app.networks.predict import predict_tiled


def bars(seed, n=7, shape=(48, 56)):
    """Return planes (P, Y, X) of ids of bars that lie across each other."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, *shape), np.uint8)
    for mask in masks:
        y, x = rng.integers(0, shape[0] - 8), rng.integers(0, shape[1] - 8)
        mask[y : y + rng.integers(3, 25), x : x + rng.integers(3, 25)] = 1
    return pack_layers(number_masks(masks))


@pytest.mark.parametrize(("size", "millions", "sight"), [("S", 7.3, 108), ("M", 29.1, 220), ("L", 116.2, 444)])
def test_published_networks_have_the_published_size_and_sight(size, millions, sight):
    family = LayeringFamily(feature_maps=PUBLISHED_FEATURE_MAPS[size])
    with torch.device("meta"):
        network = family.build()
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)
    # The publication counts the convolutions of the U-Net alone; the branches and interpolation see a bit more.
    assert sight / 2 <= family.receptive_radius_vox[1] <= sight / 2 + 2 * family.grid_vox[1]


@pytest.mark.parametrize("stride", [1, 2])
def test_no_pixel_beyond_the_radius_matters(stride):
    family = LayeringFamily(feature_maps=(3, 4, 4), stride=stride, n_layers=2)
    network = family.build().eval().double()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.bias)  # so that hardly any ReLU is shut, and a path exists from every pixel
    radius, middle = family.receptive_radius_vox[1], 96
    image = torch.randn(1, 1, 8, 192, dtype=torch.double, requires_grad=True)
    reach = 0
    for at in range(middle, middle + family.grid_vox[1]):
        gradient = torch.autograd.grad(network(image)[0, :, 4, at].sum(), image)[0][0, 0].abs().sum(0)
        seen = torch.nonzero(gradient).flatten()
        reach = max(reach, int(at - seen.min()), int(seen.max() - at))
    assert radius // 2 < reach <= radius


@pytest.mark.parametrize("stride", [1, 2])
def test_tiles_find_the_objects_that_the_whole_image_has_also_across_seams(stride):
    torch.manual_seed(0)
    family = LayeringFamily(feature_maps=(4, 6, 8), stride=stride, n_layers=3)
    network = family.build()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
    rng = np.random.default_rng(3)
    smooth = np.kron(rng.standard_normal((2, 12, 12)), np.ones((12, 12)))
    image = smooth.astype(np.float32)[None]
    context = QuietContext("cpu", 1)
    whole = predict_tiled(network, family, image, context, PredictOptions(tile_vox=(2, 144, 144), precision="float32"))
    tiled = predict_tiled(network, family, image, context, PredictOptions(tile_vox=(1, 32, 40), precision="float32"))
    np.testing.assert_allclose(tiled, whole, atol=2e-5)
    foreground = np.ones(image.shape[1:], np.float32)
    cut = float(np.median(whole[:-1]))
    one, other = (decode_layers(m[:-1], foreground, LayerRules(cut, 30)) for m in (whole, tiled))
    assert one.max() > 4
    assert (one != other).mean() < 1e-3
    # An object that spans a seam is one.
    assert any(len({c // 40 for c in np.nonzero((other == i).any((0, 1, 2)))[0]}) > 1 for i in range(1, other.max()))


def naive_terms(logits, planes, rules, overlap):
    """The equations of the publication with a loop over objects and pixels, for one image."""
    e = 1 / (1 + np.exp(-logits[:-1].astype(float)))
    direction = e / np.linalg.norm(e, axis=0)
    covered = (planes > 0).sum(0)
    names = [int(n) for n in np.unique(planes) if n]
    whole = {n: (planes == n).any(0) for n in names}
    alone = {n: whole[n] & (covered == 1) for n in names}
    source = e if rules.mean_of == "activations" else direction
    mean = {n: source[:, alone[n]].mean(1) for n in names if alone[n].any()}
    unit = {n: m / np.linalg.norm(m) for n, m in mean.items()}
    cosines = np.concatenate([unit[n] @ direction[:, alone[n]] for n in unit])
    pairs = [(a, b) for a, b in close_pairs(planes, rules.neighbour_distance_vox).tolist() if a in unit and b in unit]
    if rules.repulsion_mean == "pairs":
        repulsion = np.mean([(unit[a] @ unit[b]) ** 2 for a, b in pairs]) if pairs else 0.0
    else:
        found = []
        for n in unit:
            around = [a if b == n else b for a, b in pairs if n in (a, b)]
            found.append(np.mean([(unit[n] @ unit[m]) ** 2 for m in around]) if around else 0.0)
        repulsion = np.mean(found)
    strongest = direction.max(0)[covered == 1]
    sparsity = np.mean(1 - strongest) if rules.sparsity == "foreground" else (1 - strongest**2).sum() / covered.size
    terms = {
        "attraction": 1 - np.mean(cosines**2), "repulsion": repulsion, "sparsity": rules.sparsity_weight * sparsity,
    }  # fmt: skip
    if overlap:
        wanted = np.zeros_like(e)
        for n in names:
            wanted[np.argmax(mean[n] if n in mean else e[:, whole[n]].sum(1)), whole[n]] = 1
        weight = covered if rules.overlap_sum == "objects" else covered > 0
        terms["overlap"] = 1 - (2 * (e * wanted * weight).sum() + 1) / (((e + wanted) * weight).sum() + 1)
    truth, f = covered > 0, logits[-1].astype(float)
    return {"foreground": np.mean(np.logaddexp(0, f) - truth * f), **terms}


FORMS = [
    LossRules(),
    LossRules(mean_of="directions", repulsion_mean="pairs", sparsity="image", overlap_sum="pixels"),
    LossRules(neighbour_distance_vox=3.0, sparsity_weight=0.7),
]


@pytest.mark.parametrize(("rules", "seed"), list(itertools.product(FORMS, range(3))), ids=str)
def test_the_loss_is_that_of_plain_loops(rules, seed):
    planes = bars(seed)
    if seed == 2:  # An object that is nowhere alone.
        planes = np.concatenate([planes, np.zeros_like(planes[:1])])
        inside = np.argwhere(planes[0] > 0)[5]
        planes[-1, inside[0], inside[1]] = 99
    logits = np.random.default_rng(seed).normal(0, 2, (5, *planes.shape[1:])).astype(np.float32)
    found = layering_terms(
        torch.from_numpy(logits)[None], torch.from_numpy(planes.astype(np.float32))[None], rules, True
    )
    expected = naive_terms(logits, planes, rules, True)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, abs=2e-5), name


def test_a_batch_costs_the_mean_and_what_is_not_known_is_not_judged():
    planes = torch.from_numpy(np.stack([bars(s, shape=(40, 40))[:1] for s in (1, 4)]).astype(np.float32))
    logits = torch.randn(2, 4, 40, 40, generator=torch.Generator().manual_seed(1))
    both = layering_terms(logits, planes, LossRules(), True)
    single = [layering_terms(logits[i : i + 1], planes[i : i + 1], LossRules(), True) for i in range(2)]
    for name, value in both.items():
        assert float(value) == pytest.approx(sum(float(one[name]) for one in single) / 2, abs=1e-6)
    known = torch.ones(2, 1, 40, 40)
    known[:, :, :20] = 0
    planes[:, :, :20] = 0
    half = layering_terms(logits[:, :, 20:], planes[:, :, 20:], LossRules(), False)
    masked = layering_terms(logits, planes, LossRules(), False, known)
    for name in half:
        assert float(masked[name]) == pytest.approx(float(half[name]), abs=1e-6)


def test_an_image_without_objects_costs_its_foreground_alone():
    logits = torch.zeros(1, 4, 8, 8, requires_grad=True)
    terms = layering_terms(logits, torch.zeros(1, 2, 8, 8), LossRules(), True)
    assert float(terms.pop("foreground").detach()) == pytest.approx(np.log(2))
    assert sum(float(term.detach()) for term in terms.values()) == pytest.approx(0)
    (sum(terms.values()) + logits.sum()).backward()
    assert torch.isfinite(logits.grad).all()


def test_descent_sorts_crossing_objects_into_layers_that_decode_to_them():
    planes = np.zeros((2, 24, 24), np.uint32)
    planes[0, 4:9, 2:22], planes[1, 2:22, 10:15], planes[0, 14:20, 2:8] = 1, 2, 3
    target = torch.from_numpy(planes.astype(np.float32))[None]
    torch.manual_seed(3)
    logits = torch.nn.Parameter(0.5 * torch.randn(1, 5, 24, 24))
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for step in range(150):
        optimiser.zero_grad()
        sum(layering_terms(logits, target, LossRules(), overlap=step > 75).values()).backward()
        optimiser.step()
    answer = torch.sigmoid(logits.detach())[0, :, None].numpy()
    found = decode_layers(answer[:-1], answer[-1], LayerRules(min_size=5))
    shapes = [{np.packbits(p == i).tobytes() for p in s for i in np.unique(p) if i} for s in (found[:, 0], planes)]
    assert shapes[0] == shapes[1]


def test_targets_say_what_decodes_to_the_objects_and_cost_next_to_nothing():
    family = LayeringFamily(feature_maps=(4, 8))
    planes = bars(5)[:, None]
    target = family.targets(planes, None)
    assert target.shape == (9, 1, 48, 56)
    found = decode_layers(target[:-1], target[-1], LayerRules(min_size=1))
    pieces = {np.packbits(p == i).tobytes() for p in found for i in np.unique(p) if i}
    assert pieces == {np.packbits(p == i).tobytes() for p in planes for i in np.unique(p) if i}
    logits = torch.from_numpy(60 * (target - 0.5))[None]
    terms = family.loss(logits, torch.from_numpy(target)[None])
    # Neighbours that do not touch may share a layer in the targets, and repel each other all the same.
    assert sum(float(term) for name, term in terms.items() if name != "repulsion") < 1e-3
    flat = family.targets((planes.max(0)), None)
    np.testing.assert_array_equal(flat[-1], target[-1])


def test_settings_survive_a_card_and_say_what_comes_out():
    family = LayeringFamily(feature_maps=(4, 8), stride=2, sparsity="image")
    assert make_family(family.to_plain()) == family
    assert [(o.name, o.kind) for o in family.outputs] == [("layers", Kind.LAYERS), ("foreground", Kind.FOREGROUND)]
    assert family.tiles_exactly
    assert family.learns_overlaps
    assert not family.mirrors_borders
    assert dataclasses.asdict(family.loss_rules)["sparsity"] == "image"
    for wrong in ({"n_layers": 1}, {"stride": 3}, {"sparsity": "none"}):
        with pytest.raises(RequestError):
            make_family({"kind": "layering", **wrong})
