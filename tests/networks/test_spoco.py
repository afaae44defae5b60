"""SPOCO: published sizes, every loss against plain loops, what each one moves, and four faults that are not copied."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import plantseg_app.networks.families  # noqa: F401 - fills the registry
from plantseg_app.algorithms.mean_shift import mean_shift
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind
from plantseg_app.errors import RequestError
from plantseg_app.evaluate import average_precision, count_contingency
from plantseg_app.networks.batch_objects import BatchObjects, pixels_of
from plantseg_app.networks.family import make_family
from plantseg_app.networks.plan import PredictOptions
from plantseg_app.networks.predict import predict_tiled
from plantseg_app.networks.spoco.adversary import critic_terms, object_masks
from plantseg_app.networks.spoco.consistency import ConsistencyRules, consistency_loss, draw_anchors
from plantseg_app.networks.spoco.family import SpocoFamily
from plantseg_app.networks.spoco.foreground import foreground_loss
from plantseg_app.networks.spoco.loss import LossRules, pull, push, spoco_terms, stable_anchors
from plantseg_app.networks.spoco.masks import dice_loss, soft_masks, two_sigma_squared
from plantseg_app.networks.spoco.reach import Boxes


def cells(seed: int, shape: tuple[int, ...] = (1, 40, 48), n: int = 14) -> np.ndarray:
    """Voronoi cells, some of which are background."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 1, (n, len(shape))) * shape
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    nearest = ((grid[..., None, :] - places) ** 2).sum(-1).argmin(-1)
    return (nearest % (n - 3)).astype(np.uint32)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"image_channels": 3, "feature_maps": (16, 32, 64, 128, 256, 512)}, 5_507_262),
        ({"dimensions": "3D", "norm": "group", "feature_maps": (64, 128, 256, 512)}, 16_319_666),
        ({"norm": "group", "feature_maps": (16, 32, 64, 128, 256, 512, 1024)}, 22_028_330),
    ],
)
def test_published_networks_have_the_published_size(settings, count):
    with torch.device("meta"):
        network = SpocoFamily(**settings).build()
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("stride", [1, 2])
def test_tiles_equal_the_whole(stride):
    family = SpocoFamily(feature_maps=(3, 4), embedding_channels=2, foreground="predicted", stride=stride)
    network, image = family.build().eval(), np.random.default_rng(0).random((1, 1, 40, 72), np.float32)
    context, grid = QuietContext("cpu", 1), family.grid_vox
    whole, tiled = (
        predict_tiled(network, family, image, context, PredictOptions(tile, "float32"))
        for tile in ((1, 40, 72), (1, 2 * grid[1], 3 * grid[2]))
    )
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    assert [output.kind for output in family.outputs] == [Kind.EMBEDDING, Kind.FOREGROUND]
    assert 0 <= whole[2].min() <= whole[2].max() <= 1
    with torch.no_grad():
        bare = network(torch.from_numpy(image[:, 0])[None])[0].numpy()
    np.testing.assert_allclose(whole[:2, 0], bare[:2], atol=1e-5)


def test_a_network_in_space_and_one_of_norm_groups_build():
    family = make_family({"kind": "spoco", "dimensions": "3D", "norm": "group", "feature_maps": [8, 16], "stride": 2})
    assert family.grid_vox == (2, 4, 4)
    assert not family.tiles_exactly
    assert family.build()(torch.zeros(1, 1, 4, 8, 8)).shape == (1, 16, 4, 8, 8)
    with pytest.raises(RequestError, match="foreground"):
        make_family({"kind": "spoco", "foreground": "predicted", "foreground_weight": 0})


# ------------------------------------------------------------------------------------------ against plain loops


def by_loops(embedding, ids, known, rules):
    """The terms as the thesis writes them, one object and one pixel after the other."""
    found = {name: [] for name in ("pull", "push", "regulariser", "objects", "unlabelled")}
    for e, labels, seen in zip(embedding.double(), ids[:, 0].long(), known[:, 0] > 0.5, strict=True):
        points = {int(k): e[:, (labels == k) & seen].T for k in torch.unique(labels[seen])}
        if not points:
            continue
        means = {k: p.mean(0) for k, p in points.items()}
        boxes = {}
        for k in points:
            at = torch.nonzero((labels == k) & seen)
            whole = torch.tensor(labels.shape) - 1
            boxes[k] = (at.amin(0), at.amax(0)) if k else (torch.zeros_like(whole), whole)
        found["pull"].append(
            np.mean([np.mean([max(0, float((x - means[k]).norm()) - 0.5) ** 2 for x in p]) for k, p in points.items()])
        )
        lack = [
            max(0, 4 - float((means[a] - means[b]).norm())) ** 2
            for a, b in itertools.permutations(points, 2)
            if rules.reach_vox is None
            or max((boxes[b][0] - boxes[a][1]).max(), (boxes[a][0] - boxes[b][1]).max()) <= rules.reach_vox
        ]
        found["push"].append(np.mean(lack) if lack else 0.0)
        found["regulariser"].append(0.001 * np.mean([float(m.norm()) for m in means.values()]))
        objects, unlabelled = [], []
        for k in points:
            if k == 0:
                continue
            soft = torch.exp(-((e - means[k][:, None, None]) ** 2).sum(0) / rules.two_sigma_squared)
            true = ((labels == k) & seen).double()
            near = torch.ones(labels.shape, dtype=torch.bool)
            if rules.reach_vox is not None:
                y, x = torch.meshgrid(*(torch.arange(n) for n in labels.shape), indexing="ij")
                for at, low, high in zip((y, x), *boxes[k], strict=True):
                    near &= (at >= low - rules.reach_vox) & (at <= high + rules.reach_vox)
            p, q = soft[near], true[near]
            if rules.object_loss == "dice":
                objects.append(1 - float(2 * (p * q).sum() / (p.square().sum() + q.square().sum())))
            else:
                p = p.clamp(1e-6, 1 - 1e-6)
                objects.append(float(-(q * p.log() + (1 - q) * (1 - p).log()).mean()))
            outside = e[:, ~seen].T
            unlabelled.append(np.mean([max(0, 2 - float((x - means[k]).norm())) ** 2 for x in outside] or [0.0]))
        if objects:
            found["objects"].append(np.mean(objects))
            found["unlabelled"].append(np.mean(unlabelled))
    return {name: np.mean(values) if values else 0.0 for name, values in found.items()}


@pytest.mark.parametrize("rules", [LossRules(), LossRules(object_loss="bce"), LossRules(reach_vox=3.0)], ids=str)
@pytest.mark.parametrize("share_known", [1.0, 0.6])
def test_every_term_is_that_of_plain_loops(rules, share_known):
    generator = torch.Generator().manual_seed(3)
    ids = torch.from_numpy(np.stack([cells(seed, (14, 17), 9) for seed in range(3)]).astype(np.float32))[:, None]
    ids[2] = 0  # an image without any object
    embedding = 2 * torch.randn(3, 4, 14, 17, generator=generator)
    known = (torch.rand(3, 1, 14, 17, generator=generator) < share_known).float()
    terms = spoco_terms(embedding, ids, rules, known)
    wanted = by_loops(embedding, ids, known, rules)
    assert set(terms) == set(wanted)
    for name, value in wanted.items():
        assert float(terms[name]) == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_the_same_in_space():
    """A volume of one slice costs what the slice does."""
    ids = torch.from_numpy(cells(1, (1, 20, 24)).astype(np.float32))[None, None]
    embedding, known = torch.randn(1, 3, 1, 20, 24), (torch.rand(1, 1, 1, 20, 24) > 0.3).float()
    rules = LossRules(reach_vox=4.0)
    deep = spoco_terms(embedding, ids, rules, known)
    flat = spoco_terms(embedding[:, :, 0], ids[:, :, 0], rules, known[:, :, 0])
    for name in flat:
        assert float(deep[name]) == pytest.approx(float(flat[name]), rel=1e-5)


@pytest.mark.parametrize("threshold", [0.25, 0.5, 0.9])
def test_the_kernel_is_the_threshold_at_the_margin(threshold):
    embedding = torch.tensor([[0.0, 0.5], [0.0, 0.0]])
    mask = soft_masks(embedding, torch.zeros(2, 1), two_sigma_squared(0.5, threshold))[0]
    assert mask.tolist() == pytest.approx([1.0, threshold])
    assert LossRules(kernel_threshold=0.5).two_sigma_squared == pytest.approx(0.3607, abs=1e-4)
    assert LossRules(kernel_threshold=0.9).two_sigma_squared == pytest.approx(2.3728, abs=1e-4)


def test_what_is_not_labelled_is_neither_pulled_nor_regularised():
    """The published program regularises a mean of all unlabelled pixels as if they were an object."""
    ids = torch.zeros(1, 1, 4, 4)
    ids[..., :2, :2] = 1
    embedding = torch.randn(1, 3, 4, 4, requires_grad=True)
    terms = spoco_terms(embedding, ids, LossRules(regulariser_weight=1.0), known=(ids > 0).float())
    (gradient,) = torch.autograd.grad(terms["pull"] + terms["push"] + terms["regulariser"], embedding)
    assert gradient[..., :2, :2].any()
    assert not gradient[..., 2:, :].any()
    assert not gradient[..., :, 2:].any()


# ------------------------------------------------------------------------------------------ what each term moves


def two_objects(places, dtype=torch.double):
    """An image of four pixels, two of each object, with these embeddings."""
    embedding = torch.tensor(places, dtype=dtype).T.reshape(1, -1, 1, 4).requires_grad_()
    ids = torch.tensor([1.0, 1, 2, 2]).reshape(1, 1, 1, 4)
    return embedding, BatchObjects.of(ids, None, with_background=False)


def step_along(loss, embedding, rate=0.01):
    (gradient,) = torch.autograd.grad(loss, embedding)
    return (embedding - rate * gradient).detach()


def test_pull_moves_far_pixels_towards_the_mean_and_leaves_near_ones():
    embedding, objects = two_objects([[0.0, 0], [4, 0], [9, 9], [9.5, 9]])
    values = pixels_of(embedding)
    moved = step_along(pull(values, objects.means(values), objects, 0.5), embedding)[0, :, 0]
    assert moved[0, 0] > 0
    assert moved[0, 1] < 4
    assert moved[:, 2:].tolist() == embedding[0, :, 0, 2:].tolist()


@pytest.mark.parametrize(("apart", "moves"), [(3.9, True), (4.1, False)])
def test_push_moves_close_means_apart_and_leaves_far_ones(apart, moves):
    embedding, objects = two_objects([[0.0, 0], [0, 0], [apart, 0], [apart, 0]])
    pairs = Boxes.of(objects, (1, 4)).pairs(None)
    moved = step_along(push(objects.means(pixels_of(embedding)), objects, 2.0, pairs), embedding)[0, 0, 0]
    assert (moved[0] < 0 and moved[3] > apart) == moves
    assert moves or moved.tolist() == [0.0, 0.0, apart, apart]


def test_push_leaves_what_is_out_of_reach():
    ids = torch.zeros(1, 1, 1, 40)
    ids[..., :4], ids[..., 10:14], ids[..., 34:] = 1, 2, 3
    embedding = torch.zeros(1, 2, 1, 40)
    embedding[..., 10:14] += 1.0
    embedding.requires_grad_()
    known = (ids > 0).float()
    terms = spoco_terms(embedding, ids, LossRules(reach_vox=8.0), known)
    (gradient,) = torch.autograd.grad(terms["push"], embedding)
    assert gradient[..., :4].any()
    assert not gradient[..., 34:].any()


def test_the_mask_of_an_object_sends_off_pixels_that_are_not_its_own():
    embedding, _ = two_objects([[0.0, 0], [0, 0], [0.6, 0], [9, 9]], torch.float)
    ids = torch.tensor([1.0, 1, 0, 0]).reshape(1, 1, 1, 4)
    rules = LossRules(pull_weight=0, push_weight=0, regulariser_weight=0)
    for loss in ("dice", "bce"):
        terms = spoco_terms(embedding, ids, LossRules(**{**vars(rules), "object_loss": loss}))
        assert list(terms) == ["objects"]
        moved = step_along(terms["objects"], embedding, 0.1)[0, 0, 0]
        assert moved[2] > 0.6
        assert moved[3] == pytest.approx(9.0, abs=1e-3)


@pytest.mark.parametrize(("place", "moves"), [(1.5, True), (2.5, False)])
def test_unlabelled_pixels_are_pushed_up_to_the_margin(place, moves):
    embedding, _ = two_objects([[0.0, 0], [0, 0], [place, 0], [9, 9]], torch.float)
    ids = torch.tensor([1.0, 1, 0, 0]).reshape(1, 1, 1, 4)
    rules = LossRules(pull_weight=0, push_weight=0, regulariser_weight=0, object_weight=0)
    term = spoco_terms(embedding, ids, rules, known=ids)["unlabelled"]
    moved = step_along(term, embedding)[0, 0, 0]
    assert (float(moved[2]) > place and float(moved[0]) < 0) == moves
    assert float(moved[3]) == 9.0
    known = torch.ones_like(ids)
    assert float(spoco_terms(embedding.detach(), ids, rules, known)["unlabelled"]) == 0.0
    assert "unlabelled" not in spoco_terms(embedding, ids, rules)


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    ids = torch.tensor([[1.0, 1, 2, 2, 0, 0]]).reshape(1, 1, 1, 6)
    objects = BatchObjects.of(ids, None, with_background=True)
    pairs = Boxes.of(objects, (1, 6)).pairs(None)
    truth = (objects.label[1:, None] == ids.flatten()).double()

    def everything(e):
        means = objects.means(e)
        masks = soft_masks(e, means[:, 1:], 2.4)
        return pull(e, means, objects, 0.5) + push(means, objects, 2.0, pairs) + dice_loss(masks, truth).mean()

    e = torch.randn(3, 6, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(everything, e, atol=1e-5)


def test_objects_that_nobody_labelled_do_not_move_where_the_foreground_begins():
    # Two kinds of pixels, as a network sees them: those of objects, a tenth of them labelled, and those of background.
    torch.manual_seed(0)
    inside = torch.rand(1, 1, 100, 100) < 0.4
    known = (inside & (torch.rand(inside.shape) < 0.1)).float()
    said = torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.Adam([said], 0.1)
    for _ in range(300):
        optimiser.zero_grad()
        foreground_loss(torch.where(inside, said[0], said[1]), known, known).backward()
        optimiser.step()
    # Hand-computed: labelled pixels against the share that objects have of all that is unknown.
    share = float((inside & (known == 0)).sum() / (known == 0).sum())
    object_probability, background_probability = torch.sigmoid(said.detach()).tolist()
    assert object_probability == pytest.approx(1 / (1 + share), abs=1e-3)
    assert object_probability > 0.7
    assert background_probability < 0.05
    # Plain cross entropy would call the objects background.
    assert float(known[inside].mean()) < 0.2


def test_a_foreground_starts_beside_an_embedding_that_has_none():
    before = SpocoFamily(feature_maps=(4, 8), stride=2, embedding_channels=6)
    after = before.model_copy(update={"foreground": "predicted"})
    old, new = before.build().eval(), after.build().eval()
    new.load_state_dict(after.weights_of(before, old.state_dict()))
    image = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        assert new(image).shape[1] == 7
        assert torch.allclose(old(image), new(image)[:, :6])


def test_a_stable_anchor_is_a_pixel_near_the_mean_or_the_mean():
    embedding, objects = two_objects([[0.0, 0], [0.4, 0], [3, 0], [9, 0]])
    values = pixels_of(embedding)
    means = objects.means(values)
    seen = {tuple(stable_anchors(values, means, objects, 0.5)[0].tolist()) for _ in range(30)}
    assert seen == {(0.0, 6.0), (0.4, 6.0)}


# ------------------------------------------------------------------------------------------ consistency


def blobs(shape=(12, 20), n=4, seed=0):
    """Ids of stripes, an embedding of them (1, 2, Y, X), and one of another network."""
    ids = np.broadcast_to(np.arange(shape[1]) * n // shape[1], shape)
    rng = np.random.default_rng(seed)
    one = torch.from_numpy(3.0 * np.stack([ids, ids % 2])[None].astype(np.float32))
    two = one + torch.from_numpy(rng.normal(0, 0.4, one.shape).astype(np.float32))
    return one, two


RULES = ConsistencyRules()


def test_anchors_are_drawn_until_the_region_is_covered():
    one, two = blobs()
    student, teacher = one[0].flatten(1), one[0].flatten(1)
    everywhere = torch.ones(student.shape[1], dtype=torch.bool)
    anchors = draw_anchors(student, teacher, everywhere, RULES)
    assert sorted(student[0, anchors].tolist()) == [0, 3, 6, 9]
    half = everywhere.clone()
    half.view(12, 20)[:, 10:] = False
    anchors = draw_anchors(student, teacher, half, RULES)
    assert sorted(student[0, anchors].tolist()) == [0, 3]
    few = torch.zeros_like(everywhere)
    few[:11] = True  # less than a twentieth of 240
    assert len(draw_anchors(student, teacher, few, RULES)) == 0
    noisy = torch.randn(2, 240) * 100
    assert len(draw_anchors(noisy, noisy, everywhere, ConsistencyRules(most_anchors=7))) == 7
    covered = draw_anchors(student, two[0].flatten(1), everywhere, RULES)
    assert len(covered) == 4  # what either network finds near is covered


def test_consistency_moves_the_student_towards_what_the_teacher_selects():
    one, _ = blobs()
    student = one.clone()
    student[..., 0, :5] += 1.0  # the teacher has these pixels in the first stripe
    student.requires_grad_()
    teacher = one.clone().requires_grad_()
    before = consistency_loss(student, teacher, torch.ones(1, 1, 12, 20), RULES)
    before.backward()
    assert teacher.grad is None
    assert not student.grad[..., 11, 19].abs().gt(1e-3).any()
    after = (student - 20 * student.grad).detach()
    assert (after[..., 0, 1:5] - one[..., 0, 1:5]).norm() < (student - one)[..., 0, 1:5].norm()


# ------------------------------------------------------------------------------------------ faults not copied


def test_dice_is_a_mean_over_objects_and_not_one_of_all_taken_together():
    masks, truth = torch.zeros(2, 110), torch.zeros(2, 110)
    masks[0, :100] = truth[0, :100] = 1.0  # a large object, right
    truth[1, 100:] = 1.0  # a small one, missed
    assert dice_loss(masks, truth).tolist() == pytest.approx([0.0, 1.0])
    joint = 1 - 2 * (masks * truth).sum() / (masks.square() + truth.square()).sum()
    assert float(joint) < 0.05 < float(dice_loss(masks, truth).mean())


def halved():
    """Stripes that the teacher cuts in two: whichever pixel is the anchor, 60 pixels are compared with 30 of them."""
    one, _ = blobs()
    two = one.clone()
    two[:, 1, 6:] += 50.0
    return one, two, torch.ones(1, 1, 12, 20)


def test_consistency_compares_whole_masks_and_not_row_by_row():
    whole = 1 - 2 * 30 / (60 + 30)
    for shape in ((12, 20), (1, 240), (240, 1), (3, 4, 20)):
        reshaped = (tensor.reshape(1, -1, *shape) for tensor in halved())
        assert float(consistency_loss(*reshaped, RULES)) == pytest.approx(whole, abs=1e-4)


def test_consistency_is_a_mean_over_the_batch_and_not_a_sum():
    one = float(consistency_loss(*halved(), RULES))
    many = float(consistency_loss(*(tensor.repeat(4, 1, 1, 1) for tensor in halved()), RULES))
    assert many == pytest.approx(one, abs=1e-4)
    embedding = torch.randn(1, 3, 12, 20)
    ids = torch.from_numpy(cells(1, (1, 12, 20), 7).astype(np.float32))[None]
    terms = [
        spoco_terms(e, i, LossRules())
        for e, i in ((embedding, ids), (embedding.repeat(4, 1, 1, 1), ids.repeat(4, 1, 1, 1)))
    ]
    for name, value in terms[0].items():
        assert float(value) == pytest.approx(float(terms[1][name]), rel=1e-5)


# The fourth one, a weight of the consistency without effect: tests/train/test_embedding_tasks.py.


# ------------------------------------------------------------------------------------------ critic


def test_the_penalty_is_zero_where_the_critic_has_slope_one():
    direction = torch.full((12,), 1 / math.sqrt(12))
    true, soft = torch.ones(3, 1, 3, 4), torch.rand(3, 1, 3, 4)
    terms = critic_terms(lambda masks: masks.flatten(1) @ direction, soft, true, 10.0)
    assert float(terms["penalty"]) == pytest.approx(0.0, abs=1e-6)
    steep = critic_terms(lambda masks: 3 * masks.flatten(1) @ direction, soft, true, 10.0)
    assert float(steep["penalty"]) == pytest.approx(40.0, rel=1e-4)
    assert float(terms["critic"]) == pytest.approx(
        float((soft - true).flatten(1).sum(1).mean() / math.sqrt(12)), rel=1e-4
    )


def test_masks_for_the_critic_are_one_an_object():
    ids = torch.from_numpy(np.stack([cells(1, (12, 16), 6), cells(2, (12, 16), 6)]).astype(np.float32))[:, None]
    embedding = torch.cat([10 * ids, ids]).reshape(2, 2, 12, 16)
    embedding = torch.cat([10 * ids, 3 * ids], 1)
    soft, true = object_masks(embedding, ids, LossRules())
    assert soft.shape == true.shape == (4, 1, 12, 16)
    torch.testing.assert_close(soft, true, atol=1e-3, rtol=0)
    assert object_masks(embedding, 0 * ids, LossRules()) is None
    many = torch.arange(1.0, 193).reshape(1, 1, 12, 16)
    assert object_masks(embedding[:1], many, LossRules()) is None


# ------------------------------------------------------------------------------------------ ideal embedding


@pytest.mark.parametrize("shape", [(1, 48, 56), (5, 24, 24)])
def test_what_is_ideal_costs_nothing_and_gives_the_objects_back(shape):
    family = SpocoFamily(dimensions="2D" if shape[0] == 1 else "3D", embedding_channels=4, feature_maps=(4, 8))
    labels = cells(5, shape, 30)
    target = torch.from_numpy(family.targets(labels, None))
    batch = target.movedim(1, 0) if family.is_2d else target[None]
    terms = family.loss(batch[:, :4], batch)
    assert all(float(value) < 1e-3 for name, value in terms.items() if name != "regulariser")
    found = mean_shift(target[:4].numpy().reshape(4, -1).T, family.cluster_bandwidth).labels.reshape(shape)
    table = count_contingency((found + 1).astype(np.uint32), labels + 1)
    assert average_precision(table, 0.99) == 1.0
