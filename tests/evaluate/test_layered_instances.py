from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plantseg_app.errors import InputError
from plantseg_app.evaluate import evaluate_labels, evaluate_layers, flatten_layers, prepare_layers
from plantseg_app.evaluate.layers import check_same_plane


def worms() -> np.ndarray:
    """Three crossing bars, one a layer, as 0/1 masks of 12x12 pixels."""
    stack = np.zeros((3, 12, 12), dtype=np.uint8)
    stack[0, 2:4, 1:11] = 1
    stack[1, 1:11, 5:7] = 1
    stack[2, 8:10, :9] = 1
    return stack


@pytest.mark.parametrize("value", [1, 255])
def test_masks_become_numbered_instances(value):
    layers = prepare_layers(worms() * value, "reference")
    assert [np.unique(layer).tolist() for layer in layers] == [[0, 1], [0, 2], [0, 3]]
    np.testing.assert_array_equal(layers > 0, worms() > 0)
    np.testing.assert_array_equal(prepare_layers(worms() > 0, "reference"), layers)


def test_unique_ids_are_kept():
    stack = worms().astype(np.int32) * np.array([7, 2**30, 5]).reshape(3, 1, 1)
    assert prepare_layers(stack, "reference") is stack
    alone = stack.copy()
    alone[1:] = 0
    assert prepare_layers(alone, "reference") is alone


def test_an_id_in_two_layers_is_refused():
    stack = worms() * np.array([4, 2, 4], dtype=np.uint8).reshape(3, 1, 1)
    with pytest.raises(InputError, match="Label 4 occurs in several layers of the reference"):
        prepare_layers(stack, "reference")


def test_a_plain_image_is_no_stack():
    with pytest.raises(InputError, match="leading layer axis"):
        prepare_layers(np.ones((3, 3), dtype=int), "segmentation")


def test_layers_of_different_shape_are_refused():
    with pytest.raises(InputError, match="A layer of the segmentation"):
        evaluate_layers(worms()[:, :-1], worms())
    with pytest.raises(InputError, match="A layer of the segmentation"):
        check_same_plane(np.zeros((2, 3, 4, 5)), np.zeros((2, 4, 5)))


def test_a_missing_z_axis_is_length_one():
    assert evaluate_layers(worms()[:, None], worms()) == evaluate_layers(worms(), worms())


@given(hnp.arrays(np.bool_, (3, 3, 4)))
@settings(deadline=None, max_examples=50)
def test_flattening_makes_one_region_of_each_combination(stack):
    flat = flatten_layers(np.stack([mask * (n + 3) for n, mask in enumerate(stack)]))
    combinations = [tuple(column) for column in stack.reshape(3, -1).T.tolist()]
    regions = flat.ravel().tolist()
    assert {region for region, combination in zip(regions, combinations, strict=True) if not any(combination)} <= {0}
    assert len(set(zip(regions, combinations, strict=True))) == len(set(combinations)) == len(set(regions))
    assert set(regions) <= set(range(len(set(combinations)) + 1))


def test_identical_stacks_are_perfect_in_any_order():
    scores = evaluate_layers(worms()[[2, 0, 1]], worms())
    assert (scores.adapted_rand_error, scores.voi_split, scores.voi_merge) == (0.0, 0.0, 0.0)
    assert (scores.seg, scores.sbd, scores.mean_ap, scores.aji) == (1.0, 1.0, 1.0, 1.0)
    assert (scores.n_segmented, scores.n_reference, scores.dic) == (3, 3, 0)


def test_how_instances_are_spread_over_layers_does_not_matter():
    reference = prepare_layers(worms(), "reference").astype(np.int64)
    packed = np.zeros((2, 12, 12), dtype=np.int64)
    packed[0] = reference[0] + reference[2]
    packed[1] = reference[1]
    segmentation = np.roll(reference, 1, axis=1)
    for one, other in ((packed, segmentation), (segmentation, packed)):
        expected = evaluate_layers(*(reference if stack is packed else stack for stack in (one, other)))
        found = evaluate_layers(one, other).to_json_dict()
        assert found.pop("ap") == expected.to_json_dict()["ap"]
        assert found == pytest.approx({key: getattr(expected, key) for key in found}, abs=1e-12)


def test_scores_by_hand():
    # Whole bars against bars of which one lost its crossing: 20 pixels in the reference, 16 of them found.
    cut = worms().astype(np.int64)
    cut[1][(worms()[0] + worms()[2]) > 0] = 0
    assert cut[1].sum() == 12
    scores = evaluate_layers(cut, worms())
    dice = 2 * 12 / (12 + 20)
    assert scores.seg == pytest.approx((1 + 1 + 12 / 20) / 3)
    assert scores.sbd == pytest.approx((1 + 1 + dice) / 3)
    assert scores.aji == pytest.approx((20 + 18 + 12) / (20 + 18 + 20))
    assert [entry.ap for entry in scores.ap[:4]] == [1.0, 1.0, 1.0, 2 / 4]
    # The lost crossings are whole regions: (0 and 1) merged into 0, (1 and 2) into 2.
    assert scores.voi_split == 0.0
    assert scores.voi_merge > 0.0


@given(
    hnp.arrays(np.int64, (4, 6), elements=st.integers(0, 3)), hnp.arrays(np.int64, (4, 6), elements=st.integers(0, 3))
)
@settings(deadline=None, max_examples=40)
def test_without_overlaps_all_scores_equal_those_of_label_images(segmentation, reference):
    flat = evaluate_labels(segmentation, reference).to_json_dict()
    layers = [np.stack([(labels == n) * n for n in (1, 2, 3)]) for labels in (segmentation, reference)]
    for pair in (layers, (segmentation[None], reference[None]), (layers[0], reference[None])):
        layered = evaluate_layers(*pair).to_json_dict()
        assert layered.pop("ap") == flat["ap"]
        assert layered == pytest.approx({key: value for key, value in flat.items() if key != "ap"}, abs=1e-12)
