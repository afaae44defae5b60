"""The W-Net: all its variants, every form of its loss against plain loops, what each term moves, and what is ideal."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

import plantseg_app.networks.families  # noqa: F401 - fills the registry
from plantseg_app.algorithms.layers import close_pairs
from plantseg_app.algorithms.mean_shift import mean_shift
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind, VoxelSize
from plantseg_app.errors import RequestError
from plantseg_app.evaluate import average_precision, count_contingency
from plantseg_app.networks.family import make_family
from plantseg_app.networks.plan import PredictOptions
from plantseg_app.networks.predict import predict_tiled
from plantseg_app.networks.wnet.family import WNetFamily
from plantseg_app.networks.wnet.loss import EmbeddingRules, distance_loss, embedding_terms
from plantseg_app.networks.wnet.targets import relative_depth


def cells(seed: int, shape: tuple[int, ...] = (40, 48), n: int = 14) -> np.ndarray:
    """Voronoi cells, some of which are background."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 1, (n, len(shape))) * shape
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    nearest = ((grid[..., None, :] - places) ** 2).sum(-1).argmin(-1)
    return (nearest % (n - 3)).astype(np.uint32)


# ------------------------------------------------------------------------------------------ networks

PASSED = {
    "distance-features": 32, "distance-map": 1, "embedding-features": 32, "both-features": 32, "nothing": None,
}  # fmt: skip


@pytest.mark.parametrize("passes_on", PASSED)
@pytest.mark.parametrize("dimensions", ["2D", "3D"])
def test_every_variant_of_the_publication_builds(passes_on, dimensions):
    family = make_family({"kind": "wnet", "passes_on": passes_on, "dimensions": dimensions, "feature_maps": [4, 8]})
    network = family.build()
    shape = (8, 8) if family.is_2d else (2, 8, 8)
    assert network(torch.zeros(2, 1, *shape)).shape == (2, 9, *shape)
    if PASSED[passes_on] is None:
        assert network.second is None
    else:
        first = next(network.second.parameters())
        assert first.shape[0] == 1 + PASSED[passes_on]  # batch norm of the image and of what is passed on
    answer = network.parts(torch.zeros(2, 1, *shape))
    assert (answer.first is not None) == (passes_on in ("embedding-features", "both-features"))


def test_what_is_passed_on_has_length_one_and_teaches_the_first_network():
    family = WNetFamily(feature_maps=(4, 8), passed_channels=6)
    network, seen = family.build(), []
    network.second.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    answer = network.parts(torch.randn(1, 1, 16, 16))
    torch.testing.assert_close(seen[0][:, 1:].norm(dim=1), torch.ones(1, 16, 16))
    answer.embedding.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.first.encoders.parameters())
    assert network.distance.weight.grad is None


@pytest.mark.parametrize("passes_on", ["distance-features", "nothing"])
@pytest.mark.parametrize("stride", [1, 2])
def test_tiles_equal_the_whole(passes_on, stride):
    family = WNetFamily(feature_maps=(3, 4), embedding_channels=3, passes_on=passes_on, stride=stride)
    network, image = family.build().eval(), np.random.default_rng(0).random((1, 1, 60, 120), np.float32)
    context, grid = QuietContext("cpu", 1), family.grid_vox
    whole, tiled = (
        predict_tiled(network, family, image, context, PredictOptions(tile, "float32"))
        for tile in ((1, 60, 120), (1, 3 * grid[1], 4 * grid[2]))
    )
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(whole[:3], axis=0), 1, atol=1e-5)
    assert whole[3].min() >= 0
    assert [output.kind for output in family.outputs] == [Kind.EMBEDDING, Kind.DISTANCE]


def test_no_pixel_beyond_the_radius_matters():
    family = WNetFamily(feature_maps=(3, 4), stride=2)
    network = family.build().eval().double()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.bias)
    radius, middle = family.receptive_radius_vox[1], 96
    image, reach = torch.randn(1, 1, 8, 192, dtype=torch.double, requires_grad=True), 0
    for at in range(middle, middle + family.grid_vox[1]):
        gradient = torch.autograd.grad(network(image)[0, :, 4, at].sum(), image)[0][0, 0].abs().sum(0)
        seen = torch.nonzero(gradient).flatten()
        reach = max(reach, int(at - seen.min()), int(seen.max() - at))
    assert radius // 2 < reach <= radius


def test_coordinates_tie_the_network_to_a_frame():
    family = WNetFamily(feature_maps=(4, 8), coordinates_frame_vox=(1, 16, 24), embedding_channels=2)
    network = family.build().eval()
    assert family.frame_vox == (1, 16, 24)
    assert not family.tiles_exactly
    flat = network(torch.zeros(1, 1, 16, 24))[0]
    assert flat[0].std() > 0  # it knows where it is, though the image does not say
    image = np.zeros((1, 1, 20, 40), np.float32)
    layered = predict_tiled(network, family, image, QuietContext("cpu", 1), PredictOptions(channels=(0, 1)))
    assert layered.shape[0] % 3 == 0
    with pytest.raises(RequestError, match="multiples"):
        make_family({"kind": "wnet", "coordinates_frame_vox": [1, 15, 16]})
    with pytest.raises(RequestError, match="one U-Net"):
        make_family({"kind": "wnet", "passes_on": "nothing", "first_embedding": True})


# ------------------------------------------------------------------------------------------ targets


@pytest.mark.parametrize("spacing", [None, VoxelSize(2.0, 1.0, 0.5)])
def test_depth_is_that_of_a_search_through_all_pixels(spacing):
    labels = cells(3, (4, 12, 14), 9)
    scale = np.array(spacing or (1.0, 1.0, 1.0))
    at = np.argwhere(np.ones(labels.shape)) * scale
    apart = np.linalg.norm(at[:, None] - at[None], axis=-1)
    differs = labels.ravel()[:, None] != labels.ravel()[None]
    nearest = np.where(differs, apart, np.inf).min(1).reshape(labels.shape)
    expected = np.zeros(labels.shape)
    for name in np.unique(labels)[1:]:
        inside = labels == name
        expected[inside] = nearest[inside] / nearest[inside].max()
    np.testing.assert_allclose(relative_depth(labels, spacing, by_slice=False), expected, atol=1e-5)
    slices = np.concatenate([relative_depth(plane[None], spacing, by_slice=False) for plane in labels])
    np.testing.assert_allclose(relative_depth(labels, spacing, by_slice=True), slices, atol=1e-6)


def test_an_object_that_fills_everything_is_deep_everywhere():
    assert relative_depth(np.full((1, 4, 5), 7, np.uint32), None, by_slice=True).tolist() == np.ones((1, 4, 5)).tolist()
    assert not relative_depth(np.zeros((1, 4, 5), np.uint32), None, by_slice=True).any()


# ------------------------------------------------------------------------------------------ loss


def by_loops(embedding, ids, known, rules):
    """Equation 1 of the publication, one object after the other."""
    within, between, apart = [], [], []
    for e, labels, seen in zip(embedding.double(), ids[:, 0].long(), known[:, 0] > 0.5, strict=True):
        e = e / e.norm(dim=0)
        names = [int(k) for k in torch.unique(labels[seen]) if k or rules.background == "object"]
        if not names:
            continue
        points = {k: e[:, (labels == k) & seen] for k in names}
        means = {k: p.mean(1) / p.mean(1).norm() for k, p in points.items()}
        each = {k: 1 - (p * means[k][:, None]).sum(0) for k, p in points.items()}
        within.append(np.mean([float(v.mean()) for v in each.values()]))
        apart += [float(v) for values in each.values() for v in values]
        close = {tuple(pair) for pair in close_pairs(labels[None].numpy(), rules.neighbour_distance_vox).tolist()}

        def are_near(k, m, close=close):
            return rules.constraints == "global" or 0 in (k, m) or (min(k, m), max(k, m)) in close

        near = {k: [m for m in names if m != k and are_near(k, m)] for k in names}
        cosine = {(k, m): float(means[k] @ means[m]) for k in names for m in near[k]}
        if rules.likeness == "absolute":
            cosine = {pair: abs(value) for pair, value in cosine.items()}
        if rules.between_mean == "pairs":
            between.append(np.mean(list(cosine.values()) or [0.0]))
        else:
            between.append(np.mean([np.mean([cosine[k, m] for m in near[k]] or [0.0]) for k in names]))
    inside = np.mean(within) if rules.within_mean == "objects" else np.mean(apart)
    return {"within": inside, "between": rules.between_weight * np.mean(between)}


FORMS = [
    {}, {"constraints": "global"}, {"background": "ignored"}, {"within_mean": "pixels"}, {"between_mean": "pairs"},
    {"likeness": "absolute", "between_mean": "pairs"}, {"between_weight": 3.0}, {"neighbour_distance_vox": 4.0},
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("share_known", [1.0, 0.6])
def test_every_form_is_that_of_plain_loops(form, share_known):
    generator = torch.Generator().manual_seed(3)
    ids = torch.from_numpy(np.stack([cells(seed, (22, 26)) for seed in range(2)]).astype(np.float32))[:, None]
    embedding = torch.randn(2, 5, 22, 26, generator=generator)
    known = (torch.rand(2, 1, 22, 26, generator=generator) < share_known).float()
    rules = EmbeddingRules(**form)
    terms, wanted = embedding_terms(embedding, ids, rules, known), by_loops(embedding, ids, known, rules)
    for name, value in wanted.items():
        assert float(terms[name]) == pytest.approx(value, abs=1e-5), name


def test_a_batch_without_objects_costs_nothing():
    embedding = torch.randn(1, 3, 8, 8, requires_grad=True)
    rules = EmbeddingRules(background="ignored")
    for ids, known in ((torch.zeros(1, 1, 8, 8), None), (torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))):
        terms = embedding_terms(embedding, ids, rules, known)
        sum(terms.values()).backward()
        assert all(float(term.detach()) == 0 for term in terms.values())


# ------------------------------------------------------------------------------------------ what each term moves

IDS = torch.tensor([1.0] * 3 + [2.0] * 3 + [0.0] * 20 + [3.0] * 3).reshape(1, 1, 1, -1)


OBJECTS_ALONE = EmbeddingRules(background="ignored")


def moved(name, embedding, rules=OBJECTS_ALONE, rate=0.05):
    embedding = embedding.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(embedding_terms(embedding, IDS, rules)[name], embedding)
    return (embedding - rate * gradient).detach(), gradient


def mean_cosine(embedding, a, b):
    unit = embedding / embedding.norm(dim=1, keepdim=True)
    first, second = (unit[0, :, 0, IDS[0, 0, 0] == k].mean(1) for k in (a, b))
    return float(first @ second / first.norm() / second.norm())


def test_within_brings_pixels_of_one_object_together_and_leaves_the_background():
    torch.manual_seed(1)
    start = torch.randn(1, 4, 1, IDS.shape[-1])
    after, gradient = moved("within", start, rate=1.0)
    for name in (1, 2, 3):
        spread = [
            float(1 - torch.nn.functional.normalize(e[0, :, 0, IDS[0, 0, 0] == name], dim=0).mean(1).norm())
            for e in (start, after)
        ]
        assert spread[1] < spread[0]
    assert not gradient[..., 6:26].any()


def test_between_parts_neighbours_alone_or_all():
    start = torch.ones(1, 4, 1, IDS.shape[-1]) + 0.1 * torch.randn(1, 4, 1, IDS.shape[-1])
    after, gradient = moved("between", start, rate=1.0)
    assert mean_cosine(after, 1, 2) < mean_cosine(start, 1, 2)
    assert not gradient[..., 26:].any()
    _, gradient = moved("between", start, EmbeddingRules(background="ignored", constraints="global"))
    assert gradient[..., 26:].any()
    _, gradient = moved("between", start, EmbeddingRules())
    assert gradient[..., 6:26].any()
    assert gradient[..., 26:].any()


def test_absolute_likeness_leads_to_right_angles_and_the_cosine_beyond():
    start = torch.zeros(1, 2, 1, IDS.shape[-1])
    start[:, 0] = 1.0
    start[0, :, 0, 3:6] = torch.tensor([-0.5, 0.87])[:, None]
    for likeness, grows in (("absolute", True), ("cosine", False)):
        after, _ = moved("between", start, EmbeddingRules(background="ignored", likeness=likeness))
        assert (mean_cosine(after, 1, 2) > mean_cosine(start, 1, 2)) == grows


def test_the_distance_moves_the_distance():
    logits = torch.tensor([-1.0, 2.0, 9.0]).reshape(1, 1, 1, 3).requires_grad_()
    depth = torch.tensor([0.0, 0.5, 0.5]).reshape(1, 1, 1, 3)
    loss = distance_loss(logits, depth, 10.0)
    assert float(loss.detach()) == pytest.approx((0 + 9 + 16) / 3)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.sign().flatten().tolist() == [0, -1, 1]
    known = torch.tensor([1.0, 1.0, 0.0]).reshape(1, 1, 1, 3)
    assert float(distance_loss(logits.detach(), depth, 10.0, known)) == pytest.approx(4.5)


# ------------------------------------------------------------------------------------------ ideal embedding


@pytest.mark.parametrize("constraints", ["local", "global"])
def test_what_is_ideal_costs_least_and_gives_the_objects_back(constraints):
    family = WNetFamily(feature_maps=(4, 8), embedding_channels=16, constraints=constraints, neighbour_distance_vox=6)
    labels = cells(5, (1, 48, 56), 14)
    target = family.targets(labels, None)
    assert target.shape == (18, 1, 48, 56)
    batch = torch.from_numpy(target).movedim(1, 0)
    ideal = torch.cat([batch[:, :16], 10 * batch[:, 16:17]], 1)
    terms = family.loss(ideal, batch)
    assert {name: abs(round(float(term), 4)) for name, term in terms.items()} == {
        "within": 0, "between": 0, "distance": 0,
    }  # fmt: skip
    inside = target[16] > 0
    found = np.zeros(labels.shape, np.uint32)
    found[inside] = mean_shift(target[:16, inside].T, family.cluster_bandwidth).labels + 1
    if constraints == "global":
        assert average_precision(count_contingency(found, labels), 0.99) == 1.0
    for a, b in itertools.combinations(np.unique(labels)[1:], 2):
        if [a, b] in close_pairs(labels, 6.0).tolist():
            assert found[labels == a][0] != found[labels == b][0]


def test_rules_follow_the_settings():
    family = WNetFamily(likeness="absolute", neighbour_distance_vox=5, between_weight=2)
    assert family.embedding_rules == dataclasses.replace(
        EmbeddingRules(), likeness="absolute", neighbour_distance_vox=5.0, between_weight=2.0
    )
