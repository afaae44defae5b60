from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plantseg_app import evaluate
from plantseg_app.errors import InputError, RequestError
from plantseg_app.evaluate import (
    adapted_rand,
    aggregated_jaccard,
    average_precision,
    count_contingency,
    evaluate_labels,
    evaluate_layers,
    seg_score,
    symmetric_best_dice,
    variation_of_information,
)

KEYS = [
    "adapted_rand_error",
    "voi_split",
    "voi_merge",
    "seg",
    "sbd",
    "dic",
    "ap",
    "mean_ap",
    "aji",
    "n_segmented",
    "n_reference",
]
PERFECT = {
    "adapted_rand_error": 0.0,
    "voi_split": 0.0,
    "voi_merge": 0.0,
    "seg": 1.0,
    "sbd": 1.0,
    "dic": 0,
    "mean_ap": 1.0,
    "aji": 1.0,
}
LABELS = hnp.arrays(np.int64, (2, 4, 5), elements=st.integers(0, 3))


def test_json_has_the_promised_keys(tissue):
    scores = evaluate_labels(*tissue)
    values = scores.to_json_dict()
    assert list(values) == KEYS == [field.name for field in dataclasses.fields(scores)]
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert [entry["iou"] for entry in values["ap"]] == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert all(list(entry) == ["iou", "ap"] for entry in values["ap"])
    assert {type(value) for value in values.values()} == {float, int, list}


def test_undefined_scores_are_null_in_json():
    values = evaluate_labels(np.array([[0, 1]]), np.array([[0, 0]])).to_json_dict()
    assert [key for key, value in values.items() if value is None] == [
        "adapted_rand_error",
        "voi_split",
        "voi_merge",
        "seg",
    ]
    json.dumps(values, allow_nan=False)


@given(LABELS, LABELS, st.booleans())
@settings(deadline=None, max_examples=30)
def test_equals_the_single_metrics(segmentation, reference, ignore):
    scores = evaluate_labels(segmentation, reference, ignore_reference_background=ignore)
    table = count_contingency(segmentation, reference)
    rand = adapted_rand(table, ignore_reference_background=ignore)
    voi = variation_of_information(table, ignore_reference_background=ignore)
    found = (scores.adapted_rand_error, scores.voi_split, scores.voi_merge, scores.seg, scores.sbd, scores.aji)
    expected = (rand.error, *voi, seg_score(table), symmetric_best_dice(table), aggregated_jaccard(table).index)
    assert found == pytest.approx(expected, nan_ok=True)
    assert scores.ap == tuple((iou, average_precision(table, iou)) for iou in evaluate.IOU_THRESHOLDS)
    assert scores.mean_ap == pytest.approx(np.mean([entry.ap for entry in scores.ap]))
    assert scores.n_segmented - scores.n_reference == scores.dic
    assert scores.absolute_dic == abs(scores.dic)


@pytest.mark.parametrize("labels", [np.zeros((3, 4), dtype=int), np.full((3, 4), 7), np.arange(12).reshape(3, 4)])
def test_identical_images_are_perfect(labels):
    values = evaluate_labels(labels, labels * 2).to_json_dict()
    assert PERFECT.items() <= values.items()


@given(LABELS)
@settings(deadline=None, max_examples=20)
def test_relabelled_images_are_perfect(labels):
    renumbered = np.array([0, 2**40, 7, 3])[labels]
    assert PERFECT.items() <= evaluate_labels(renumbered, labels).to_json_dict().items()


def test_empty_segmentation_and_one_big_segment():
    reference = np.repeat([[0, 1, 1, 2, 2, 3, 3]], 2, axis=0)
    nothing = evaluate_labels(np.zeros_like(reference), reference)
    assert (nothing.seg, nothing.sbd, nothing.mean_ap, nothing.aji, nothing.dic) == (0.0, 0.0, 0.0, 0.0, -3)
    assert nothing.adapted_rand_error == pytest.approx(0.5)
    assert nothing.voi_merge == pytest.approx(math.log2(3))
    everything = evaluate_labels(np.ones_like(reference), reference)
    assert everything.voi_merge == pytest.approx(math.log2(3))
    assert everything.adapted_rand_error == pytest.approx(0.5)
    assert everything.sbd == pytest.approx(2 * 4 / (4 + 14))
    assert everything.n_segmented == 1


def test_background_of_the_reference_counts_when_asked():
    reference = np.array([[0, 0, 0, 0, 1, 1, 2, 2]])
    segmentation = np.array([[5, 6, 7, 8, 1, 1, 2, 2]])
    assert evaluate_labels(segmentation, reference).adapted_rand_error == 0.0
    counted = evaluate_labels(segmentation, reference, ignore_reference_background=False)
    assert counted.adapted_rand_error == pytest.approx(1 - 2 * 12 / (12 + 24))
    assert counted.voi_split == 1.0
    assert counted.aji == evaluate_labels(segmentation, reference).aji


def test_mask_limits_every_score(tissue):
    segmentation, reference = tissue
    mask = np.zeros(reference.shape, dtype=bool)
    mask[:, 4:15, 3:20] = True
    cropped = evaluate_labels(segmentation[:, 4:15, 3:20], reference[:, 4:15, 3:20])
    assert evaluate_labels(segmentation, reference, mask=mask) == cropped


def test_other_thresholds(tissue):
    scores = evaluate_labels(*tissue, thresholds=(0.1, 0.3))
    assert [entry.iou for entry in scores.ap] == [0.1, 0.3]
    assert scores.mean_ap == pytest.approx((scores.ap[0].ap + scores.ap[1].ap) / 2)
    with pytest.raises(RequestError, match="threshold"):
        evaluate_labels(*tissue, thresholds=())
    with pytest.raises(RequestError, match="threshold"):
        evaluate_labels(*tissue, thresholds=(1.5,))


def test_more_than_seventy_thousand_cells_and_64_bit_ids():
    cells = np.kron(np.arange(1, 72_901).reshape(270, 270), np.ones((2, 2), dtype=np.int64))
    reference = cells.astype(np.uint64) * np.uint64(200_000_000_000_000)
    scores = evaluate_labels(cells.astype(np.uint32), reference)
    assert (scores.n_segmented, scores.n_reference, scores.mean_ap, scores.aji) == (72_900, 72_900, 1.0, 1.0)
    merged = cells.copy()
    merged[:2, :4] = 1
    scores = evaluate_labels(merged, reference)
    assert scores.dic == -1
    # Cells 1 and 2 share a segment, each with IoU 4/8.
    assert scores.ap[0].ap == 72_899 / 72_900
    assert scores.ap[1].ap == 72_898 / (72_900 + 1)
    assert scores.voi_merge == pytest.approx(2 / 72_900)


ONES = np.ones((3, 4), dtype=np.uint16)


@pytest.mark.parametrize(
    ("segmentation", "reference", "options", "message"),
    [
        (ONES, np.ones((4, 3), dtype=int), {}, r"shape \(3, 4\) and the reference \(4, 3\)"),
        (ONES.astype(np.float32), ONES, {}, "segmentation holds float32 numbers"),
        (ONES, ONES.astype(complex), {}, "reference holds complex128 numbers"),
        (ONES, ONES.astype(np.int32) * -4, {}, "reference holds the negative label -4"),
        (ONES[:0], ONES[:0], {}, r"segmentation has shape \(0, 4\) and so holds no voxel"),
        (ONES, ONES, {"mask": ONES}, "mask holds uint16 numbers"),
        (ONES, ONES, {"mask": np.ones((2, 2), dtype=bool)}, r"mask has shape \(2, 2\)"),
        (ONES, ONES, {"mask": np.zeros((3, 4), dtype=bool)}, "mask selects no voxel"),
    ],
)
def test_unusable_images_are_refused(segmentation, reference, options, message):
    with pytest.raises(InputError, match=message):
        evaluate_labels(segmentation, reference, **options)


def test_unusable_stacks_are_refused():
    with pytest.raises(InputError, match="float64"):
        evaluate_layers(np.ones((1, 3, 4)), np.ones((1, 3, 4), dtype=int))
    with pytest.raises(RequestError, match="threshold"):
        evaluate_layers(np.ones((1, 3, 4), dtype=int), np.ones((1, 3, 4), dtype=int), thresholds=())


def test_yes_no_images_and_lists_are_labels():
    assert evaluate_labels(ONES > 0, ONES).mean_ap == 1.0
    assert evaluate_labels([[1, 2]], [[4, 3]]).mean_ap == 1.0


def test_importing_loads_no_heavy_library():
    code = (
        "import sys, plantseg_app.evaluate;"
        "print([name for name in ('torch', 'scipy', 'skimage', 'edt', 'napari', 'PySide6') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_name_exists():
    assert sorted(evaluate.__all__, key=str.lower) == sorted(set(evaluate.__all__), key=str.lower)
    assert all(hasattr(evaluate, name) for name in evaluate.__all__)
