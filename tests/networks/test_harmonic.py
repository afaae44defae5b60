"""The harmonic family: guides by hand, SinConv's alignment, the published size, targets that decode to their labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

import plantseg_app.networks.families  # noqa: F401 - fills the registry
from plantseg_app.algorithms.instances import ByMeanShift, InstanceRules, find_instances
from plantseg_app.core.context import QuietContext
from plantseg_app.core.volume import Kind
from plantseg_app.errors import RequestError
from plantseg_app.networks.family import make_family
from plantseg_app.networks.folding import fold, unfold
from plantseg_app.networks.harmonic.family import HarmonicFamily, random_frame
from plantseg_app.networks.harmonic.fit import FitRules, Objects, fit_guides, sample_objects, share_of_close_pairs
from plantseg_app.networks.harmonic.guides import (
    draw_guides,
    guide_maps,
    l1_distances,
    object_means,
    preset,
    squared_distances,
)
from plantseg_app.networks.harmonic.loss import harmonic_terms
from plantseg_app.networks.harmonic.network import HarmonicUNet, Layout, SinConv, Waves, wave_maps
from plantseg_app.networks.harmonic.targets import TargetRules, frame_target
from plantseg_app.networks.memory import network_cost
from plantseg_app.networks.predict import predict_tiled


def worms(n_worms=14, shape=(544, 704), seed=0):
    """Curved stripes as long and wide as the worms of BBBC010, later ones on top."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((1, *shape), np.uint32)
    for name in range(1, n_worms + 1):
        angle, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-0.03, 0.03)
        y, x = rng.uniform(0.15, 0.85, 2) * shape
        line = np.zeros(shape, bool)
        for _ in range(100):
            line[int(np.clip(y, 0, shape[0] - 1)), int(np.clip(x, 0, shape[1] - 1))] = True
            y, x, angle = y + np.sin(angle), x + np.cos(angle), angle + bend
        labels[0][ndimage.binary_dilation(line, iterations=5)] = name
    return labels


def share_recovered(family, images):
    """The share of objects that decoding the target gives back exactly."""
    right = total = 0
    for labels in images:
        target = family.targets(labels, None)
        found = find_instances(
            target[: family.n_guides], labels > 0, ByMeanShift(family.bandwidth), InstanceRules(min_size=1)
        )
        for name in np.unique(labels)[1:]:
            inside = labels == name
            number = np.bincount(found[inside]).argmax()
            right += bool(number) and np.array_equal(found == number, inside)
            total += 1
    return right / total


# ---------------------------------------------------------------------------------------------- guides


def test_a_guide_is_the_sine_of_its_frequencies_and_phase():
    maps = guide_maps(((3.0, -2.0, 0.5),), (5, 9))
    assert maps[0, 1, 2] == pytest.approx(np.sin(3 * 1 / 4 - 2 * 2 / 8 + 0.5), abs=1e-6)
    assert guide_maps(((1.0, 2.0, 3.0, 0.1),), (2, 3, 4)).shape == (1, 2, 3, 4)


def test_presets_are_those_published():
    assert preset("cvppp")[0] == (-24.2230, 0.0, 0.44524)
    assert preset("c-elegans")[-1] == (0.21884, -24.4650, -0.18283)
    assert all(guide[0] * guide[1] == 0 for guide in preset("cvppp"))


def test_initialisations_differ_as_they_say():
    rng = np.random.default_rng(0)
    general = np.array(draw_guides(12, 2, (0, 50), "general", rng))
    separable = np.array(draw_guides(12, 2, (5, 50), "separable", rng))
    assert general[:, :2].min() >= 0
    assert general[:, 2].max() > 1
    assert (np.count_nonzero(separable[:, :2], axis=0) == 6).all()
    assert (np.count_nonzero(separable[:, :2], axis=1) == 1).all()
    assert 0 <= separable[:, 2].min() <= separable[:, 2].max() < 1


def test_means_and_distances_by_brute_force():
    rng = np.random.default_rng(0)
    labels, maps = rng.integers(0, 4, (6, 7)), rng.normal(size=(3, 6, 7)).astype(np.float32)
    means = object_means(labels, maps)
    for name in range(4):
        np.testing.assert_allclose(means[name], maps[:, labels == name].mean(1), rtol=1e-5)
    assert l1_distances(means)[1, 2] == pytest.approx(np.abs(means[1] - means[2]).sum(), rel=1e-5)
    assert squared_distances(means)[1, 2] == pytest.approx(((means[1] - means[2]) ** 2).sum(), rel=1e-5)


def test_two_objects_closer_than_the_margin_are_pushed_apart():
    """Two points on a line: from a guide that gives both the same value to one that does not."""
    positions = np.zeros((2, 1, 2), np.float32)
    positions[0, 0, 0], positions[1, 0, 0] = 0.25, 0.75
    objects = [Objects(positions)]
    same = ((2.0, 0.0, np.pi / 2 - 1.0),)  # a wave whose crest lies in the middle between both
    for distance in ("l1", "l2", "l2sq"):
        rules = FitRules(margin=0.5, distance=distance, rate=1.0, iterations=60)
        start = tuple((a + 0.05, b, c) for a, b, c in same)
        assert share_of_close_pairs(start, objects, rules) == 1.0
        fitted = fit_guides(start, objects, rules)
        assert share_of_close_pairs(fitted, objects, rules) == 0.0
        assert fitted == fit_guides(start, objects, rules)


def test_fitting_separates_worms_and_keeps_what_is_better():
    images = [worms(seed=seed) for seed in range(6)]
    rules = FitRules(iterations=120)
    rng = np.random.default_rng(0)
    objects = [sample_objects(image, rules, rng) for image in images]
    start = draw_guides(12, 2, (0, 50), "general", np.random.default_rng(3))
    fitted = fit_guides(start, objects, rules)
    before, after = (share_of_close_pairs(guides, objects, rules) for guides in (start, fitted))
    assert after < before / 1.5


def test_objects_cut_off_by_the_frame_do_not_count():
    labels = np.zeros((1, 20, 20), np.uint32)
    labels[0, 5:15, 5:15], labels[0, :1, :3] = 1, 2
    objects = sample_objects(labels, FitRules(voxels=50), np.random.default_rng(0))
    assert objects.positions.shape == (1, 50, 2)
    assert 5 / 19 - 1e-6 <= objects.positions.min() <= objects.positions.max() <= 14 / 19 + 1e-6


def test_a_random_frame_is_a_mirrored_piece():
    labels = np.arange(1, 13).reshape(1, 3, 4)
    rng = np.random.default_rng(0)
    for _ in range(20):
        frame = random_frame(labels, (1, 2, 6), rng)
        assert frame.shape == (1, 2, 6)
        shown = frame[0][:, frame[0].any(0)]
        assert shown.shape == (2, 4)
        assert set(np.abs(np.diff(shown, axis=1)).ravel()) == {1}


# ---------------------------------------------------------------------------------------------- targets


def test_decoding_the_targets_gives_the_labels_back():
    family = HarmonicFamily(frame_size_vox=(1, 544, 704), foreground="given")
    family = family.adapted([worms(seed=seed) for seed in range(12)], lambda text: None)
    assert share_recovered(family, [worms(seed=seed) for seed in range(100, 108)]) >= 0.98


def test_decoding_gives_the_cells_of_a_tissue_back(make_tissue):
    train = [make_tissue((1, 192, 192), cell_size=32, seed=seed).labels for seed in range(4)]
    new = [make_tissue((1, 192, 192), cell_size=32, seed=seed).labels for seed in range(50, 53)]
    family = HarmonicFamily(frame_size_vox=(1, 192, 192), n_guides=16).adapted(train, lambda text: None)
    assert share_recovered(family, new) >= 0.98


def test_guides_in_space_separate_cells_in_space(make_tissue):
    train = [make_tissue((24, 48, 48), cell_size=16, seed=seed).labels for seed in range(3)]
    family = HarmonicFamily(dimensions="3D", frame_size_vox=(24, 48, 48), n_guides=18, feature_maps=(4, 8))
    family = family.adapted(train, lambda text: None)
    assert all(len(guide) == 4 for guide in family.guides)
    assert share_recovered(family, [make_tissue((24, 48, 48), cell_size=16, seed=9).labels]) >= 0.98


def test_every_slice_is_a_frame_of_its_own_in_two_dimensions():
    labels = np.zeros((2, 16, 16), np.uint32)
    labels[0, :8], labels[1, 8:] = 1, 1
    target = frame_target(labels, preset("cvppp"), TargetRules())
    assert not np.allclose(target[:12, 0, 0, 0], target[:12, 1, 15, 0])


def test_the_background_is_one_more_object_only_when_asked():
    labels = np.zeros((1, 16, 16), np.uint32)
    labels[0, 4:8, 4:8] = 3
    without = frame_target(labels, preset("cvppp"), TargetRules())
    with_it = frame_target(labels, preset("cvppp"), TargetRules(background_is_object=True))
    assert without[-1].sum() == 16
    assert with_it[-1].min() == 1
    maps = guide_maps(preset("cvppp"), (16, 16))
    np.testing.assert_allclose(with_it[:12, 0, 0, 0], maps[:, labels[0] == 0].mean(1), atol=1e-5)


def test_weights_of_objects_and_edges():
    labels = np.zeros((1, 32, 32), np.uint32)
    labels[0, 2:4, 2:4], labels[0, 8:28, 8:28] = 1, 2
    for rule, ratio in (
        ("equal", 1.0),
        ("logarithm", np.log(400) / np.log(4)),
        ("cube-root", 100 ** (1 / 3)),
        ("area", 100.0),
    ):
        weight = frame_target(labels, preset("cvppp"), TargetRules(object_weight=rule))[-1, 0]
        assert weight[2, 2] / weight[10, 10] == pytest.approx(ratio, rel=1e-4)
        assert weight[labels[0] > 0].mean() == pytest.approx(1.0, rel=1e-4)
    weight = frame_target(labels, preset("cvppp"), TargetRules(edge_weight=10.0))[-1, 0]
    assert weight[8, 8] == weight[9, 9] == 11
    assert weight[10, 10] == 1
    assert weight[7, 7] == 0


def test_a_coarse_target_says_the_same_on_fewer_cells():
    labels = worms(4, (64, 96))
    fine, coarse = (frame_target(labels, preset("cvppp"), TargetRules(), stride) for stride in (1, 4))
    assert coarse.shape == (12 + 16 + 1, 1, 16, 24)
    folded = fold(torch.from_numpy(fine[12][None]), 4)[0].numpy()
    np.testing.assert_array_equal(coarse[12:-1, 0], folded)
    sure = (labels.reshape(1, 16, 4, 24, 4).max((2, 4)) == labels.reshape(1, 16, 4, 24, 4).min((2, 4)))[0]
    np.testing.assert_array_equal(coarse[:12, 0][:, sure], fine[:12, 0, ::4, ::4][:, sure])


# ---------------------------------------------------------------------------------------------- network


def test_the_published_network_has_its_published_size():
    guides = preset("cvppp")
    colour, grey = (
        HarmonicUNet(Layout(channels, (64, 128, 256, 512, 512), guides, predicts_foreground=False))
        for channels in (3, 1)
    )
    sizes = [sum(p.numel() for p in network.parameters()) for network in (colour, grey)]
    assert sizes[0] == 28_837_260
    # The files of the published weights differ by these bytes.
    assert 4 * (sizes[0] - sizes[1]) == 115_435_751 - 115_431_143


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_guides_of_every_level_are_those_of_the_image_seen_from_afar(levels):
    """A coarse map, enlarged with aligned corners, lies on the guide of the image up to what is between its points."""
    guides, size = ((5.0, 0.0, 0.3), (0.0, 7.0, 1.0), (4.0, -3.0, 2.0)), 128
    fine = wave_maps(guides, (size, size), torch.device("cpu"), torch.float32)
    np.testing.assert_allclose(fine.numpy(), guide_maps(guides, (size, size)), atol=1e-5)
    coarse = wave_maps(guides, (size >> levels,) * 2, torch.device("cpu"), torch.float32)
    enlarged = torch.nn.functional.interpolate(coarse[None], size=(size, size), mode="bilinear", align_corners=True)[0]
    step = (1 << levels) / size
    assert (enlarged - fine).abs().max() < (8.0 * step) ** 2
    assert torch.allclose(coarse[:, 0, 0], fine[:, 0, 0], atol=1e-5)
    assert torch.allclose(coarse[:, -1, -1], fine[:, -1, -1], atol=1e-5)


def test_sinconv_is_a_convolution_over_features_and_guides():
    guides = preset("cvppp")
    layer = SinConv(2, 3, 5, Waves(guides, "guides"), 2)
    x = torch.randn(2, 2, 8, 10)
    maps = torch.from_numpy(guide_maps(guides, (8, 10))).expand(2, -1, -1, -1)
    expected = torch.nn.functional.conv2d(torch.cat([x, maps], 1), layer.conv.weight, layer.conv.bias, padding=2)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [({"conditioning": "nothing"}, -12), ({"conditioning": "coordinates"}, -10), ({"guided_width_vox": 3}, 0)],
    ids=str,
)
def test_variants_differ_in_what_the_decoder_is_shown(changes, difference):
    small = {"feature_maps": (4, 8, 8), "frame_size_vox": (1, 16, 16), "guides": "cvppp"}
    usual, variant = (HarmonicFamily(**small, **more).build() for more in ({}, changes))
    ours, theirs = (network.guided_end.conv.weight.shape for network in (usual, variant))
    assert theirs[1] - ours[1] == difference
    assert usual(torch.zeros(1, 1, 16, 16)).shape == variant(torch.zeros(1, 1, 16, 16)).shape


def test_replacing_leaves_no_convolution_over():
    small = {"feature_maps": (4, 8, 8), "frame_size_vox": (1, 16, 16), "guides": "cvppp"}
    added, replacing = (HarmonicFamily(**small, guided_convolutions=how).build() for how in ("added", "replacing"))
    count = [sum(isinstance(m, torch.nn.Conv2d) for m in network.modules()) for network in (added, replacing)]
    assert count[0] - count[1] == 3
    assert sum(isinstance(m, SinConv) for m in replacing.modules()) == 2


@pytest.mark.parametrize("dimensions", ["2D", "3D"])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_shapes_strides_and_costs(dimensions, stride):
    frame = (1, 32, 32) if dimensions == "2D" else (4, 32, 32)
    family = HarmonicFamily(
        dimensions=dimensions, stride=stride, feature_maps=(4, 8), frame_size_vox=frame, guided_width_vox=3
    )
    network = family.build().eval()
    image = torch.randn(1, 1, *frame[-family.n_axes :])
    with torch.no_grad():
        answer = network(image)
    assert answer.shape == (1, 13, *image.shape[2:])
    cost = network_cost(network, 1, family.grid_vox, torch.float32)
    assert cost.channels_out == 13
    activated = family.activate(answer)
    assert 0 <= activated[:, 12:].min() <= activated[:, 12:].max() <= 1
    torch.testing.assert_close(activated[:, :12], answer[:, :12])


def test_folding_is_undone():
    for shape in ((2, 3, 8, 12), (2, 3, 5, 8, 12)):
        x = torch.randn(shape)
        assert torch.equal(unfold(fold(x, 4), 4), x)


def test_another_encoder_can_take_the_place_of_the_usual_one():
    class Pretrained(torch.nn.Module):
        channels = (6, 10)

        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Conv2d(1, 6, 1), torch.nn.Conv2d(6, 10, 2, stride=2)

        def forward(self, x):
            fine = self.first(x)
            return [fine, self.second(fine)]

    encoder = Pretrained()
    network = HarmonicUNet(Layout(guides=preset("cvppp")), encoder)
    network(torch.zeros(2, 1, 8, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_the_loss_counts_what_is_weighted_and_known():
    guides, target = preset("cvppp"), np.zeros((1, 14, 4, 4), np.float32)
    target[0, -1, :2] = 1
    answer = torch.zeros(1, 13, 4, 4)
    answer[0, :12, 0] = 0.5
    answer[0, :12, 3] = 9.0  # background: counts nothing
    terms = harmonic_terms(answer, torch.from_numpy(target), len(guides), 0.0)
    assert float(terms["embedding"]) == pytest.approx(0.25)
    known = torch.ones(1, 1, 4, 4)
    known[:, :, 0] = 0
    assert float(harmonic_terms(answer, torch.from_numpy(target), 12, 0.0, known)["embedding"]) == 0


# ---------------------------------------------------------------------------------------------- settings


def test_settings_survive_a_card():
    family = HarmonicFamily(guides="c-elegans", n_guides=12).adapted([], lambda text: None)
    assert make_family(family.to_plain()) == family
    fitted = HarmonicFamily(feature_maps=(4, 8), frame_size_vox=(1, 64, 64)).adapted([worms(3, (64, 64))], print)
    assert len(fitted.guides) == 12
    assert make_family(fitted.to_plain()) == fitted
    assert fitted.adapted([worms(2, (64, 64))], print) == fitted


def test_outputs_and_workflow_follow_from_where_the_foreground_comes_from():
    names = {
        "predicted": ["embedding", "foreground"], "given": ["embedding"], "largest-cluster": ["embedding"],
    }  # fmt: skip
    workflows = set()
    for foreground, outputs in names.items():
        family = HarmonicFamily(foreground=foreground, loss_on="image")
        assert [output.name for output in family.outputs] == outputs
        assert family.outputs[0].kind is Kind.EMBEDDING
        workflows.add(family.default_workflow)
    assert len(workflows) == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"frame_size_vox": (1, 100, 100)}, "multiples"),
        ({"frame_size_vox": (2, 448, 448)}, "one slice"),
        ({"guide_frequencies": (5, 1)}, "smallest"),
        ({"dimensions": "3D", "frame_size_vox": (16, 64, 64), "guides": "cvppp"}, "2D"),
        ({"guides": ((1, 2, 3),)}, "12 rows"),
        ({"guides": "cvppp", "n_guides": 8}, "are 12"),
        ({"foreground": "largest-cluster"}, "loss_on"),
    ],
)
def test_settings_that_fit_no_network_are_refused(settings, words):
    with pytest.raises(RequestError, match=words):
        make_family({"kind": "harmonic", **settings})


# ---------------------------------------------------------------------------------------------- prediction


class Oracle(torch.nn.Module):
    """Reads the embedding of every frame off its image, which shows labels: a network that learned perfectly."""

    def __init__(self, family):
        super().__init__()
        self.family = family
        self.anchor = torch.nn.Conv2d(1, 1, 1)

    def forward(self, x):
        answers = []
        for image in x.float().numpy():
            target = self.family.targets(np.round(image).astype(np.uint32), None)[:, 0]
            answers.append(np.concatenate([target[:12], 40 * (target[12:13] - 0.5)]))
        return torch.from_numpy(np.stack(answers))


@pytest.mark.parametrize("depth", [1, 2])
def test_large_images_come_out_of_overlapping_frames_as_if_seen_at_once(depth):
    from plantseg_app.networks.plan import PredictOptions

    family = HarmonicFamily(feature_maps=(2, 2), frame_size_vox=(1, 256, 256), n_guides=12, frame_overlap=0.4)
    family = family.adapted([worms(9, (256, 256), seed) for seed in range(8)], lambda text: None)
    labels = np.concatenate([worms(16, (400, 600), seed=5 + z) for z in range(depth)])
    image = labels[None].astype(np.float32)
    options = [PredictOptions(precision="float32", channels=output.channels) for output in family.outputs]
    context = QuietContext("cpu", 1)
    embedding, foreground = (predict_tiled(Oracle(family), family, image, context, one) for one in options)
    assert embedding.shape == (4 * 13, *labels.shape)
    np.testing.assert_array_equal(foreground[0] > 0.5, labels > 0)
    found = find_instances(embedding, labels > 0, ByMeanShift(), InstanceRules(min_size=20, fills_foreground=True), 12)
    for plane, truth in zip(found, labels, strict=True):
        names = np.unique(truth)[1:]
        shares = [np.bincount(plane[truth == name]).max() / (truth == name).sum() for name in names]
        assert np.mean(np.array(shares) > 0.9) >= 0.9
        assert abs(len(np.unique(plane)) - 1 - len(names)) <= 2
    with pytest.raises(RequestError, match="frames of its own size"):
        predict_tiled(Oracle(family), family, image, context, PredictOptions(tile_vox=(1, 64, 64)))


def test_an_image_smaller_than_a_frame_gives_a_plain_embedding():
    from plantseg_app.networks.plan import PredictOptions

    family = HarmonicFamily(feature_maps=(2, 2), frame_size_vox=(1, 64, 64), guides="cvppp")
    options = PredictOptions(channels=family.outputs[0].channels)
    embedding = predict_tiled(family.build(), family, np.ones((1, 1, 30, 50), np.float32), QuietContext("cpu"), options)
    assert embedding.shape == (12, 1, 30, 50)
